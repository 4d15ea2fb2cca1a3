// The relay as a process: what it prints, how it ends, what it counts.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { publishWithFfmpeg } from '../support/ffmpeg.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

test('it prints where to watch and where to publish', async (t) => {
  const relay = await Relay.start(t);
  // The relay listens before it prints, and the output takes time to arrive through the pipe.
  await until('the page is named', () => relay.child.output.includes(`${relay.url}/\n`));
  await until('the endpoint is named', () => relay.child.output.includes(`${relay.url}/whip/`));
});

test("SIGTERM ends it with exit code 0, and it closes its clients' connections", async (t) => {
  const relay = await Relay.start(t);
  publishWithFfmpeg(t, `${relay.url}/whip/last`);
  const viewer = await Page.open(t, browser, `${relay.url}/watch/last`);
  await viewer.framesDecoded(5);
  assert.deepEqual(await relay.stop('SIGTERM'), { code: 0, signal: null });
  // Sooner than a browser notices a silent peer.
  await viewer.says('retrying', { timeout: 3_000 });
});

test('SIGTERM lets sessions go on for the time of --drain, and refuses new ones', async (t) => {
  const relay = await Relay.start(t, { env: { SLUICE_DRAIN: '5' } });
  publishWithFfmpeg(t, `${relay.url}/whip/last`);
  const viewer = await Page.open(t, browser, `${relay.url}/watch/last`);
  await viewer.framesDecoded(5);
  const ended = relay.stop('SIGTERM');
  await until('it is not ready', async () => (await fetch(`${relay.url}/readyz`)).status === 503);
  const refused = await fetch(`${relay.url}/whep/last`, { method: 'POST', headers: { 'content-type': 'application/sdp' }, body: 'v=0' });
  assert.equal(refused.status, 503);
  assert.ok(Number(refused.headers.get('retry-after')) > 0);
  await viewer.framesDecoded(30);
  assert.deepEqual(await ended, { code: 0, signal: null });
});

test('SIGINT ends it with exit code 0 when it has no session', async (t) => {
  const relay = await Relay.start(t);
  assert.deepEqual(await relay.stop('SIGINT'), { code: 0, signal: null });
});

test('a port in use is one sentence, and exit code 1, after which a service manager tries again', async (t) => {
  const relay = await Relay.start(t);
  const second = relay.another();
  assert.deepEqual(await second.ended(), { code: 1, signal: null });
  assert.match(second.output, new RegExp(relay.http.split(':')[1]));
});

test('metrics count the media', async (t) => {
  const relay = await Relay.start(t);
  publishWithFfmpeg(t, `${relay.url}/whip/counted`);
  const viewer = await Page.open(t, browser, `${relay.url}/watch/counted`);
  await viewer.framesDecoded(30);
  assert.equal(await relay.metric('sluice_streams'), 1);
  assert.equal(await relay.metric('sluice_sessions', { role: 'publisher', state: 'connected' }), 1);
  assert.equal(await relay.metric('sluice_sessions', { role: 'viewer', state: 'connected' }), 1);
  for (const direction of ['in', 'out']) {
    for (const kind of ['video', 'audio']) {
      assert.ok((await relay.metric('sluice_rtp_packets_total', { direction, kind })) > 0, `${direction} ${kind} packets`);
      assert.ok((await relay.metric('sluice_rtp_bytes_total', { direction, kind })) > 0, `${direction} ${kind} bytes`);
    }
  }
  assert.ok((await relay.metric('sluice_forward_delay_seconds_count')) > 0);
  assert.ok((await relay.metric('sluice_session_setup_seconds_count')) > 0);
  assert.ok((await relay.metric('process_resident_memory_bytes')) > 0);
});
