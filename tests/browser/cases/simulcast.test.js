// Chromium publishes several encodings of its video, and viewers are sent the largest.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page, THREE_ENCODINGS } from '../support/chromium.js';
import { servePage } from '../support/http_server.js';
import { PLAIN_PAGE, plainSimulcast } from '../support/plain_client.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

let browser;
before(async () => (browser = await launchChromium([THREE_ENCODINGS])));
after(() => browser.close());

test('of the three encodings that Chromium publishes, viewers that join before and after it see the largest', async (t) => {
  const relay = await Relay.start(t);
  const early = await Page.open(t, browser, `${relay.url}/watch/layers`);
  await early.says('waiting');
  const publisher = await Page.open(t, browser, await servePage(t, PLAIN_PAGE));
  await publisher.tab.evaluate(plainSimulcast, `${relay.url}/whip/layers`);
  const layers = await until('three encodings arrive', async () => {
    const { tracks } = await (await fetch(`${relay.url}/api/streams/layers`)).json();
    const sent = tracks.filter(({ active, width }) => active && width);
    return sent.length === 3 && sent;
  }, { timeout: 60_000 });
  assert.deepEqual(layers.map(({ rid, width, height }) => [rid, width, height]), [['q', 160, 90], ['h', 320, 180], ['f', 640, 360]]);
  const late = await Page.open(t, browser, `${relay.url}/watch/layers`);
  for (const viewer of [early, late]) {
    await viewer.statisticsWhen('the largest is shown', ({ inbound }) => inbound.video?.frameWidth === 640 && inbound.video.frameHeight === 360);
    await viewer.framesDecoded(30);
    assert.deepEqual(await viewer.frameSize(), { width: 640, height: 360 });
  }
  const sessions = await (await fetch(`${relay.url}/api/sessions`)).json();
  const watched = sessions.filter(({ role }) => role === 'viewer').flatMap(({ tracks }) => tracks.filter(({ kind }) => kind === 'video'));
  assert.deepEqual(watched.map(({ rid }) => rid), ['f', 'f']);
  assert.equal(await relay.metric('sluice_drops_total', { reason: 'unknown_layer' }), 0);
});
