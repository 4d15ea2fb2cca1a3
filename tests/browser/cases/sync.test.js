// Audio and video stay in sync: a source that beeps and flashes at the same instants is played by one viewer through the
// relay and by another without one, and the relay delays audio as much as video.

import { after, before, test } from 'node:test';

import { launchChromium } from '../support/chromium.js';
import { CLAPPER_PAGE, Clapper, delays, median } from '../support/clapper.js';
import { servePage } from '../support/http_server.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

const APART = 60; // milliseconds, at most
const CLAPS = 9;

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

/**
 * Waits until, over the last claps, the video is as far behind that of a viewer without a relay as the audio is. On a busy
 * machine a receiver delays one of them for some seconds; an error of the relay stays.
 */
async function together(t, clapper, relayed, direct, when) {
  const before = await clapper.facts(relayed);
  let seen = 'there are not enough claps';
  await until('audio and video are in sync', async () => {
    const [facts, reference] = [await clapper.facts(relayed), await clapper.facts(direct)];
    const last = (what) => facts[what].slice(before[what].length).slice(-CLAPS);
    if (Math.min(last('flashes').length, last('beeps').length) < CLAPS) throw new Error(seen);
    const [video, audio] = ['flashes', 'beeps'].map((what) => median(delays(last(what), reference[what])));
    seen = `${when}: video ${Math.round(video)} ms, audio ${Math.round(audio)} ms behind those without a relay`;
    if (!(Math.abs(video - audio) <= APART)) throw new Error(seen);
    return true;
  }, { timeout: 60_000, every: 500 });
  t.diagnostic(seen);
}

test('a beep and a flash are as close together as without a relay, after a takeover too', async (t) => {
  const relay = await Relay.start(t);
  const clapper = await Clapper.open(t, browser, await servePage(t, CLAPPER_PAGE));
  const first = await clapper.publish(`${relay.url}/whip/clap`);
  const direct = await clapper.watchDirectly();
  const relayed = await clapper.watch(`${relay.url}/whep/clap`);
  await until('there are some claps', async () => (await clapper.facts(relayed)).beeps.length > 3);
  await together(t, clapper, relayed, direct, 'from the start');
  await clapper.publish(`${relay.url}/whip/clap`);
  await clapper.close(first);
  const before = (await clapper.facts(relayed)).beeps.length;
  await until('the new publisher is heard', async () => (await clapper.facts(relayed)).beeps.length > before + 3);
  await together(t, clapper, relayed, direct, 'after a takeover');
});
