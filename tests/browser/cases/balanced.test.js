// The watch page behind a load balancer: it plays from another relay soon after its own is gone, or stops to answer.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { pageMoves } from '../nodes/failures.js';
import { launchChromium } from '../support/chromium.js';
import { publishWithFfmpeg } from '../support/ffmpeg.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

/** Two relays with the same stream. */
async function relays(t) {
  const both = await Promise.all([Relay.start(t), Relay.start(t)]);
  for (const relay of both) {
    t.after(() => relay.child.stop('SIGKILL'));
    publishWithFfmpeg(t, `${relay.url}/whip/cam`, { keyframes: 30 });
  }
  for (const relay of both) await until('it is live', async () => (await (await relay.ask('/api/streams')).json()).some(({ live }) => live));
  return both;
}

test('a relay that is killed is left for another one', async (t) => {
  const { figure, limit } = await pageMoves({ t, browser }, await relays(t), 'kill');
  assert.ok(figure <= limit, `${figure} ms without a frame`);
});

test('a relay that stands still is left for another one, although requests about the session are not answered', async (t) => {
  // As the nodes of a cluster do, which pass such requests on to the session's own.
  const prepare = (tab) => tab.route(/\/session\//, () => {});
  const { figure, limit } = await pageMoves({ t, browser, prepare }, await relays(t), 'stop');
  assert.ok(figure <= limit, `${figure} ms without a frame`);
});
