// The publish page: what the user chooses is sent, and the page explains what goes wrong.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

let browser;
const FLAGS = ['--host-resolver-rules=MAP relay.test 127.0.0.1', '--auto-select-desktop-capture-source=Entire screen'];
before(async () => (browser = await launchChromium(FLAGS)));
after(() => browser.close());

const SMALL = 'source=test&autostart=1&width=320&height=180&rate=15';
const open = (t, relay, more, options) => Page.open(t, browser, `${relay.url}/publish/studio${more}`, options);
const problem = (page, words) => page.shows('#problem', words);

test('another codec and another bitrate are sent while it runs, and the viewer stays', async (t) => {
  const relay = await Relay.start(t);
  const publisher = await open(t, relay, '?source=test&autostart=1&codec=vp8&width=640&height=360');
  const viewer = await Page.open(t, browser, `${relay.url}/watch/studio`);
  const plays = (codec) => viewer.statisticsWhen(`the viewer plays ${codec}`, ({ inbound }) => inbound.video?.codec === `video/${codec}`);
  await plays('VP8');
  await viewer.framesDecoded(5);
  const offered = await publisher.tab.locator('#codec option').allTextContents();
  assert.deepEqual(offered.filter((codec) => ['Automatic', 'VP8', 'VP9', 'H.264', 'AV1'].includes(codec)).length, 5, String(offered));

  await publisher.tab.selectOption('#codec', 'h264');
  await plays('H264');
  await viewer.framesDecoded(5);
  assert.equal((await viewer.statistics()).count, 1, 'the viewer needs no second connection');
  await publisher.shows('[data-fact=codecs]', 'H.264 + Opus');

  const connections = (await publisher.statistics()).count;
  await publisher.tab.selectOption('#bitrate', '300000');
  await publisher.statisticsWhen('the encoder aims lower', ({ outbound }) => outbound.video?.targetBitrate <= 300_000);
  await publisher.shows('[data-fact=bitrate]', /^[1-4]\d\d kbit/);
  await publisher.tab.selectOption('#bitrate', '0');
  await publisher.statisticsWhen('the encoder aims higher again', ({ outbound }) => outbound.video?.targetBitrate > 300_000);
  assert.equal((await publisher.statistics()).count, connections, 'a bitrate needs no new connection');
});

test('the page shows figures of what it sends, and they change', async (t) => {
  const relay = await Relay.start(t);
  const page = await open(t, relay, `?${SMALL}`);
  await Page.open(t, browser, `${relay.url}/watch/studio`);
  await page.shows('[data-fact=resolution]', '320 × 180');
  await page.shows('[data-fact=rate]', /^\d+ fps$/);
  await page.shows('[data-fact=roundTrip]', / ms$/);
  await page.shows('[data-fact=loss]', '0.0 %');
  await page.shows('[data-fact=limit]', /\w/);
  await page.shows('[data-fact=viewers]', '1');
  const time = await page.text('[data-fact=time]');
  await until('the time goes on', async () => (await page.text('[data-fact=time]')) !== time);
  await page.tab.click('#toggle');
  await page.shows('[data-fact=bitrate]', '–');
});

test('the microphone is muted, the camera hidden, and another camera is taken without a new connection', async (t) => {
  const relay = await Relay.start(t);
  const page = await open(t, relay, '?source=camera&autostart=1&width=320&height=180');
  await page.says('live');
  const enabled = () => page.tab.evaluate(() => globalThis.sluice.peer.getSenders().map(({ track }) => `${track.kind} ${track.enabled}`).sort());
  assert.deepEqual(await enabled(), ['audio true', 'video true']);
  await page.tab.click('#mute-audio');
  await page.tab.click('#mute-video');
  assert.deepEqual(await enabled(), ['audio false', 'video false']);
  assert.equal(await page.text('#mute-audio'), 'Unmute audio');
  await page.tab.click('#mute-video');

  const before = await page.tab.evaluate(() => globalThis.sluice.peer.getSenders().map(({ track }) => track.id).sort().join());
  await page.tab.selectOption('#source', 'test');
  await until('other tracks are sent', () => page.tab.evaluate((old) =>
    globalThis.sluice.peer.getSenders().map(({ track }) => track.id).sort().join() !== old, before));
  assert.deepEqual(await enabled(), ['audio false', 'video true'], 'muted stays muted');
  assert.equal((await page.statistics()).count, 1);
  await page.tab.selectOption('#source', 'camera');
  await page.tab.selectOption('#microphone', 'off');
  await page.statisticsWhen('it is sent without audio over a new connection', (now) => now.count > 1 && now.state === 'connected' && !now.outbound.audio);
});

test('a screen is published', async (t) => {
  const relay = await Relay.start(t);
  const page = await open(t, relay, '');
  await page.tab.selectOption('#source', 'screen');
  assert.equal(await page.tab.isVisible('#camera'), false);
  await page.tab.click('#toggle');
  await page.statisticsWhen('a screen is sent', ({ outbound }) => outbound.video?.contentType === 'screenshare' && outbound.video.framesEncoded > 0);
});

/** Runs in the page: no camera opens. */
function failCapture(name) {
  navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', name));
}

test('the page says what to do when a source fails', async (t) => {
  const relay = await Relay.start(t);
  const page = await open(t, relay, '');
  for (const [error, words] of [['NotAllowedError', /not allowed.*Allow it/], ['NotFoundError', /no camera and microphone.*test video/], ['NotReadableError', /Close that program/]]) {
    await page.tab.evaluate(failCapture, error);
    await page.tab.click('#toggle');
    await problem(page, words);
    await page.says('idle');
  }
  await page.tab.selectOption('#source', 'test');
  await page.tab.click('#toggle');
  await page.says('live');
  assert.equal(await page.tab.isVisible('#problem'), false);
});

test('a page loaded over plain http says where cameras work, and sends the test video', async (t) => {
  const relay = await Relay.start(t);
  const page = await Page.open(t, browser, `${relay.url.replace('127.0.0.1', 'relay.test')}/publish/studio?autostart=1&width=320&height=180`);
  await page.shows('#insecure', /https.*http:\/\/localhost:\d+\/publish\/studio/);
  assert.equal(await page.tab.inputValue('#source'), 'test');
  await page.says('live');
});

test('a publisher of a taken stream tries again when the relay says so, and not before', async (t) => {
  const relay = await Relay.start(t);
  const page = await open(t, relay, '');
  let tries = 0;
  await page.tab.route('**/whip/**', (route) => {
    tries += 1;
    if (tries > 1) return route.continue();
    return route.fulfill({ status: 409, headers: { 'Retry-After': '2' }, contentType: 'application/problem+json', body: '{"detail":"somebody else publishes it"}' });
  });
  await page.tab.selectOption('#source', 'test');
  await page.tab.click('#toggle');
  await problem(page, /in use: Somebody else publishes it\./);
  await page.shows('#message', 'Busy');
  await page.shows('#next', /Trying again in [1-3] seconds?\./);
  // A network that returns is no reason to ignore Retry-After.
  await page.tab.evaluate(() => dispatchEvent(new Event('online')));
  const began = Date.now();
  await page.says('live');
  assert.ok(Date.now() - began > 800, 'it has waited');
  assert.equal(tries, 2);
});

test('a publisher that is replaced says so and does not reconnect', async (t) => {
  const relay = await Relay.start(t);
  const first = await open(t, relay, `?${SMALL}`);
  await first.says('live');
  const second = await open(t, relay, `?${SMALL}`);
  await second.says('live');
  await problem(first, 'Another publisher has replaced this one.');
  await first.shows('#message', 'Stopped');
  await second.shows('[data-fact=time]', /^[2-9] s$/);
  assert.equal(first.sessions.length, 1, 'it has not reconnected');
});

test('temporal layers are sent where the encoder has them, in each size of a simulcast too', async (t) => {
  const relay = await Relay.start(t);
  const publisher = await open(t, relay, '?source=test&autostart=1&codec=vp8&width=960&height=540&rate=15&simulcast=1&svc=L1T3');
  const sends = (mode, count) => until(`${count} encodings are sent in ${mode}`, () => publisher.tab.evaluate(async ([wanted, many]) => {
    const sender = window.sluice.peer.getSenders().find(({ track }) => track?.kind === 'video');
    const reports = [...(await sender.getStats()).values()].filter(({ type, framesSent }) => type === 'outbound-rtp' && framesSent > 0);
    const modes = sender.getParameters().encodings.map(({ scalabilityMode }) => scalabilityMode);
    return reports.length === many && modes.length === many && modes.every((mode) => mode === wanted);
  }, [mode, count]));
  await sends('L1T3', 3);
  assert.deepEqual(await publisher.tab.locator('#scalability option').evaluateAll((all) => all.map(({ value }) => value)), ['', 'L1T2', 'L1T3']);
  await publisher.tab.uncheck('#simulcast');
  await sends('L1T3', 1);
  await publisher.tab.selectOption('#scalability', 'L1T2');
  await sends('L1T2', 1);
  await publisher.tab.selectOption('#codec', 'h264');
  await sends('L1T2', 1);
  const viewer = await Page.open(t, browser, `${relay.url}/watch/studio`);
  await viewer.framesDecoded(10);
});

test('a scalability mode that the browser does not support is not used', async (t) => {
  const relay = await Relay.start(t);
  const publisher = await open(t, relay, `?${SMALL}&svc=L9T9`);
  await publisher.says('live');
  assert.equal(await publisher.tab.inputValue('#scalability'), '');
});
