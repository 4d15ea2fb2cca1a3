// What viewers see over impaired links, with room for a busy machine: `tests/quality` measures the same rows strictly.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { servePage } from '../support/http_server.js';
import { PROBE_PAGE } from '../support/probe.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';
import * as rows from '../quality/rows.js';

// A busy machine shows frames late. Without the relay's help a viewer waits for the next keyframe, up to 10 s: far more.
const ROOM = 2000;

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

/** Measures rows side by side over one relay and holds them to their limits. */
async function hold(t, ...measures) {
  const at = { t, relay: await Relay.start(t), browser, origin: await servePage(t, PROBE_PAGE) };
  for (const { seen, checks } of await Promise.all(measures.map((measure) => measure(at)))) {
    t.diagnostic(seen);
    for (const { what, figure, limit, unit } of checks) {
      if (what === 'freezes') continue; // a freeze is 150 ms more than usual, which happens on a busy machine
      assert.ok(figure <= limit + (unit === 'ms' ? ROOM : 0), `${what}: ${figure} ${unit}, at most ${limit} (${seen})`);
    }
  }
}

test('a viewer that joins between two keyframes gets a frame at once and is live soon', (t) =>
  hold(t, (at) => rows.joins(at, { frames: [110, 230] })));

test('whether a publisher answers keyframe requests is known', async (t) => {
  const relay = await Relay.start(t);
  const publisher = await Page.open(t, browser, `${relay.url}/publish/obedient?source=test&autostart=1&width=640&height=360`);
  // Long enough after its keyframe that requesting another one is quicker than replaying all frames since.
  await publisher.statisticsWhen('seconds of video are sent', (now) => now.outbound.video?.framesEncoded > 120);
  const viewer = await Page.open(t, browser, `${relay.url}/watch/obedient`);
  await viewer.framesDecoded(10);
  await until('the answer is counted', async () => (await relay.metric('sluice_keyframe_answers_total', { answer: 'obeyed' })) > 0);
  assert.ok((await relay.metric('sluice_keyframe_requests_total', { direction: 'out' })) > 0);
});

test('loss from the publisher and to viewers is repaired', (t) =>
  hold(t,
    (at) => rows.downstreamLoss(at, { loss: 0.05, gap: 150, seconds: 8, requests: 0 }),
    (at) => rows.downstreamLoss(at, { loss: 0.1, gap: 250, seconds: 8, requests: 0 }),
    (at) => rows.upstreamLoss(at, { loss: 0.05, gap: 150, seconds: 8 })));

test('viewers see a frame soon after a killed publisher returns, and after their network returns', (t) =>
  hold(t, rows.publisherBack, rows.blackout));
