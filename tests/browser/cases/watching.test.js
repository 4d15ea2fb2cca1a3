// The watch page: it shows its state and figures, and reconnects by itself with one session at a time.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

const publish = (t, relay) => Page.open(t, browser, `${relay.url}/publish/hall?source=test&autostart=1&width=320&height=180&rate=15`);
const watch = (t, relay, options) => Page.open(t, browser, `${relay.url}/watch/hall`, options);
const message = (page, words) => page.shows('#message', words);

test('the page shows each state and figures that change', async (t) => {
  const relay = await Relay.start(t);
  const viewer = await watch(t, relay);
  await message(viewer, 'Waiting for the publisher');
  await viewer.shows('#detail', '"hall" is not live. Playback starts when a publisher connects.');
  const publisher = await publish(t, relay);
  await message(viewer, 'Playing');
  await viewer.shows('[data-fact=resolution]', '320 × 180');
  await viewer.shows('[data-fact=rate]', /^\d+ fps$/);
  await viewer.shows('[data-fact=roundTrip]', / ms$/);
  await viewer.shows('[data-fact=loss]', '0.0 %');
  await viewer.shows('[data-fact=freezes]', /^\d/);
  await viewer.shows('[data-fact=firstFrame]', / ms$/);
  await viewer.shows('[data-fact=codecs]', /Opus/);
  const rate = await viewer.text('[data-fact=bitrate]');
  assert.match(rate, /[1-9].*bit\/s/);
  await until('the bitrate moves', async () => (await viewer.text('[data-fact=bitrate]')) !== rate);
  await publisher.tab.click('#toggle');
  await message(viewer, 'Ended');
  await viewer.shows('#detail', 'The publisher has ended "hall". Playback starts again with the next publisher.');
  await viewer.shows('[data-fact=bitrate]', '–');
  assert.deepEqual(viewer.console, []);
});

test('a viewer that a relay refuses because it is early shows that, and plays once there is a publisher', async (t) => {
  const relay = await Relay.start(t, { args: ['--refuse-early-viewers'] });
  const viewer = await watch(t, relay);
  await message(viewer, 'Waiting for the publisher');
  await viewer.shows('#detail', '"hall" is not live.');
  await viewer.shows('#next', /Trying again in \d seconds?\./);
  assert.equal(await relay.metric('sluice_sessions', { role: 'viewer' }), 0);
  await publish(t, relay);
  await message(viewer, 'Playing');
});

test("a session that the relay ends is replaced by another, with the relay's ICE servers", async (t) => {
  const relay = await Relay.start(t, { args: ['--ice-server', 'turn:127.0.0.1:9', '--turn-secret', 'north'] });
  await publish(t, relay);
  const viewer = await watch(t, relay);
  await viewer.framesDecoded(5);
  for (let time = 1; time <= 2; time += 1) {
    const session = viewer.sessions.at(-1);
    assert.equal((await fetch(session, { method: 'DELETE' })).status, 200);
    await viewer.statisticsWhen('it plays over a new connection', (now) => now.count > time && now.inbound.video?.framesDecoded > 5);
    assert.notEqual(viewer.sessions.at(-1), session);
  }
  await message(viewer, 'Playing');
  const [server] = await viewer.tab.evaluate(() => globalThis.sluice.peer.getConfiguration().iceServers);
  assert.match(`${server.urls} ${server.username} ${server.credential}`, /^turn:127\.0\.0\.1:9 \d+:\w+ \S{20,}$/);
  assert.equal(viewer.sessions.length, 3);
  assert.equal(await relay.metric('sluice_sessions', { role: 'viewer' }), 1);
});

test('it waits longer after each attempt, tries at once when the network is back, and never has two sessions', async (t) => {
  const relay = await Relay.start(t);
  await publish(t, relay);
  const viewer = await watch(t, relay);
  await viewer.framesDecoded(5);
  const posts = [];
  let refuse = true;
  await viewer.tab.route('**/whep/**', (route) => {
    posts.push(Date.now());
    return refuse ? route.abort() : route.continue();
  });
  await fetch(viewer.sessions[0], { method: 'DELETE' });
  await message(viewer, 'Reconnecting');
  await viewer.shows('#detail', /cannot be reached/);
  await until('it has tried four times', () => posts.length >= 4);
  assert.ok(posts[3] - posts[2] > posts[1] - posts[0], 'the pauses grow');
  refuse = false;
  const tried = posts.length;
  const began = Date.now();
  await viewer.tab.evaluate(() => {
    for (let time = 0; time < 20; time += 1) {
      dispatchEvent(new Event('online'));
      document.dispatchEvent(new Event('visibilitychange'));
    }
  });
  await until('it tries again', () => posts.length > tried, { every: 20 });
  assert.ok(posts[tried] - began < 2500, 'it did not wait for its turn, which is three seconds away at least');
  await message(viewer, 'Playing');
  await viewer.framesDecoded(5);
  assert.equal(posts.length, tried + 1, 'one request');
  assert.equal(await relay.metric('sluice_sessions', { role: 'viewer' }), 1);
});

test('the page tries a full relay again after Retry-After, and does not try one that refuses', async (t) => {
  const relay = await Relay.start(t);
  const answers = [{ status: 503, headers: { 'Retry-After': '2' } }, { status: 422, headers: {} }];
  const posts = [];
  const viewer = await watch(t, relay, {
    prepare: (tab) => tab.route('**/whep/**', (route) => {
      posts.push(Date.now());
      const answer = answers.shift();
      if (!answer) return route.continue();
      return route.fulfill({ ...answer, contentType: 'application/problem+json', body: '{"detail":"not like this"}' });
    }),
  });
  await message(viewer, 'Reconnecting');
  await viewer.shows('#detail', 'Not like this.');
  await viewer.tab.evaluate(() => dispatchEvent(new Event('online')));
  await message(viewer, 'Ended');
  assert.ok(posts[1] - posts[0] >= 2000, `${posts[1] - posts[0]} ms`);
  await viewer.shows('#detail', 'The relay refused: Not like this.');
  await viewer.tab.click('#again');
  await message(viewer, 'Waiting for the publisher');
});

test('on a phone it starts by itself and muted, and a tap unmutes it', async (t) => {
  const relay = await Relay.start(t);
  await publish(t, relay);
  const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
  const viewer = await watch(t, relay, { context: phone });
  await viewer.framesDecoded(5);
  assert.equal(await viewer.tab.evaluate(() => document.querySelector('video').muted), true);
  assert.ok(await viewer.tab.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing hangs over the edge');
  await viewer.tab.tap('#unmute');
  await viewer.statisticsWhen('audio is played', (now) => now.inbound.audio?.totalAudioEnergy > 0);
  await viewer.shows('#unmute', 'Mute');
});

test('a viewer whose session an operator ended says so, and returns when asked', async (t) => {
  const relay = await Relay.start(t);
  const viewer = await watch(t, relay);
  await viewer.says('waiting');
  const session = viewer.sessions[0].split('/').pop();
  assert.equal((await fetch(`${relay.url}/api/sessions/${session}`, { method: 'DELETE' })).status, 204);
  await message(viewer, 'Ended');
  await viewer.shows('#detail', 'An operator ended this session.');
  await viewer.tab.click('#again');
  await message(viewer, 'Waiting for the publisher');
});
