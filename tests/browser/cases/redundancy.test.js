// Audio with copies of earlier packets (RED, RFC 2198), between real browsers: the copies replace most lost packets.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { CLAPPER_PAGE, Clapper } from '../support/clapper.js';
import { servePage } from '../support/http_server.js';
import { Link } from '../support/link.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

const LOSS = 0.1;
const SECONDS = 10;

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

/** The share of a viewer's audio that was concealed for lack of packets, between two readings. */
function concealed(before, after) {
  const grown = (name) => after.inbound.audio[name] - before.inbound.audio[name];
  return grown('concealedSamples') / grown('totalSamplesReceived');
}

/** The share of audio that each viewer concealed in `SECONDS`, once all of them have heard beeps. */
async function listen(clapper, viewers) {
  const all = () => Promise.all(viewers.map((viewer) => clapper.facts(viewer)));
  await until('all viewers hear it', async () => (await all()).every(({ beeps }) => beeps.length > 2));
  const before = await all();
  await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000));
  const after = await all();
  return viewers.map((_, place) => concealed(before[place], after[place]));
}

const percent = (share) => `${(share * 100).toFixed(2)} %`;

test('a viewer with copies plays audio that one without them misses', async (t) => {
  const relay = await Relay.start(t);
  const link = await Link.open(t, relay, { down: { loss: LOSS, delay: 25 } });
  const clapper = await Clapper.open(t, browser, await servePage(t, CLAPPER_PAGE));
  await clapper.publish(`${relay.url}/whip/red`);
  const viewers = [true, false].map((red) => clapper.watch(`${link.url}/whep/red`, { red }));
  const [withCopies, withoutCopies] = await listen(clapper, await Promise.all(viewers));
  t.diagnostic(`of ${percent(LOSS)} lost, concealed: ${percent(withCopies)} with copies, ${percent(withoutCopies)} without`);
  assert.ok(withoutCopies > LOSS / 3, 'the link loses enough to be heard');
  assert.ok(withCopies < withoutCopies / 2, 'copies replace most of it');
});

test("what a publisher's network loses is rebuilt for all viewers", async (t) => {
  const relay = await Relay.start(t);
  const link = await Link.open(t, relay, { up: { loss: LOSS, delay: 25 } });
  const clapper = await Clapper.open(t, browser, await servePage(t, CLAPPER_PAGE));
  for (const red of [true, false]) await clapper.publish(`${link.url}/whip/red-${red}`, { red });
  const watch = (stream, red) => clapper.watch(`${relay.url}/whep/red-${stream}`, { red });
  const viewers = await Promise.all([watch(true, true), watch(true, false), watch(false, true)]);
  const [withCopies, withoutCopies, without] = await listen(clapper, viewers);
  t.diagnostic(`of ${percent(LOSS)} lost, concealed: ${percent(withCopies)} and ${percent(withoutCopies)}; of a publisher without copies ${percent(without)}`);
  assert.ok(without > LOSS / 3, 'the link loses enough to be heard');
  assert.ok(Math.max(withCopies, withoutCopies) < without / 2, 'copies replace most of it, also for the viewer without them');
  const repaired = await relay.metric('sluice_stream_repaired_packets_total', { kind: 'audio', stream: 'red-true' });
  assert.ok(repaired > SECONDS * 50 * LOSS / 2, `${repaired} packets are repaired`);
});

test('the page publishes audio with copies', async (t) => {
  const relay = await Relay.start(t);
  const publisher = await Page.open(t, browser, `${relay.url}/publish/page?source=camera&autostart=1&width=320&height=180`);
  await publisher.says('live');
  const viewer = await Page.open(t, browser, `${relay.url}/watch/page`);
  await viewer.hears();
  const answer = await publisher.tab.evaluate(() => window.peerConnections.at(-1).remoteDescription.sdp);
  const [first] = /^m=audio \d+ \S+ (\d+)/m.exec(answer).slice(1);
  assert.ok(answer.includes(`a=rtpmap:${first} red/48000/2`), answer);
  // A copy of a packet that has arrived is discarded.
  await viewer.statisticsWhen('copies arrive', ({ inbound }) => inbound.audio.packetsDiscarded > 25);
});
