// Chromium publishes and Chromium watches, through the pages that the relay serves.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

const GCM = 'SRTP_AEAD_AES_128_GCM';

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

const SIZE = { width: 640, height: 360 };
const publish = (t, relay, stream, more = '') =>
  Page.open(t, browser, `${relay.url}/publish/${stream}?source=test&autostart=1&width=${SIZE.width}&height=${SIZE.height}${more}`);
const watch = (t, relay, stream) => Page.open(t, browser, `${relay.url}/watch/${stream}`);

const sending = (page) => page.statisticsWhen('video is sent', (now) => now.outbound.video?.framesEncoded > 5);
const sessions = (relay, role) => relay.metric('sluice_sessions', { role });

for (const codec of ['vp8', 'h264']) {
  test(`a viewer decodes a publisher's ${codec} video at its size, and its audio, encrypted with AES-GCM`, async (t) => {
    const relay = await Relay.start(t);
    const publisher = await publish(t, relay, 'first-light', `&codec=${codec}`);
    const sent = await sending(publisher);
    const viewer = await watch(t, relay, 'first-light');
    const { inbound, transport } = await viewer.framesDecoded(60);

    assert.equal(sent.transport.srtpCipher, GCM, 'the publisher encrypts with AES-GCM');
    assert.equal(transport.srtpCipher, GCM, 'the relay encrypts with AES-GCM');
    assert.equal(sent.outbound.video.codec.toLowerCase(), `video/${codec}`);
    assert.equal(inbound.video.codec.toLowerCase(), `video/${codec}`);
    assert.equal(inbound.audio.codec, 'audio/opus');
    await viewer.statisticsWhen('the video has its full size', (now) =>
      now.inbound.video.frameWidth === SIZE.width && now.inbound.video.frameHeight === SIZE.height);
    assert.deepEqual(await viewer.frameSize(), SIZE);
    assert.equal(viewer.lostOnTheWay((await viewer.statistics()).inbound.video), 0, 'nothing is lost on loopback');
    await viewer.hears();
    await viewer.says('live');
    await publisher.says('live');
  });
}

test('the camera and the microphone of the browser are published', async (t) => {
  const relay = await Relay.start(t);
  const publisher = await Page.open(t, browser, `${relay.url}/publish/camera?source=camera&autostart=1&width=640&height=480`);
  await sending(publisher);
  const viewer = await watch(t, relay, 'camera');
  const { inbound } = await viewer.framesDecoded(30);
  assert.ok(inbound.audio.packetsReceived > 0);
});

test('the publisher gets receiver reports, and the viewer sender reports', async (t) => {
  const relay = await Relay.start(t);
  const publisher = await publish(t, relay, 'reports');
  await sending(publisher);
  const viewer = await watch(t, relay, 'reports');
  await viewer.framesDecoded(5);
  await publisher.statisticsWhen('receiver reports about audio and video arrive', ({ remoteInbound }) =>
    remoteInbound.video?.roundTripTimeMeasurements > 0 && remoteInbound.audio?.roundTripTimeMeasurements > 0);
  await viewer.statisticsWhen('sender reports about audio and video arrive', ({ remoteOutbound }) =>
    remoteOutbound.video?.reportsSent > 0 && remoteOutbound.audio?.reportsSent > 0);
});

test('a viewer that joins first waits, and plays the publisher that joins later', async (t) => {
  const relay = await Relay.start(t);
  const viewer = await watch(t, relay, 'later');
  await viewer.says('waiting');
  await viewer.statisticsWhen('the viewer is connected', (now) => now.state === 'connected');
  assert.equal(await relay.metric('sluice_sessions', { role: 'viewer', state: 'connected' }), 1);
  await publish(t, relay, 'later');
  await viewer.framesDecoded(30);
  assert.equal((await viewer.statistics()).count, 1, 'it needs no second connection');
});

test('a page that is closed frees its session at once', async (t) => {
  const relay = await Relay.start(t);
  const publisher = await publish(t, relay, 'closed');
  await sending(publisher);
  const viewer = await watch(t, relay, 'closed');
  await viewer.framesDecoded(5);
  // 10 s are less than the relay waits for a silent client: the page has ended its session.
  await viewer.leave();
  await until('the viewer is gone', async () => (await sessions(relay, 'viewer')) === 0, { timeout: 10_000 });
  await publisher.leave();
  await until('the publisher is gone', async () => (await sessions(relay, 'publisher')) === 0, { timeout: 10_000 });
  await until('the stream is gone', async () => (await relay.metric('sluice_streams')) === 0);
});

test('the page says that a publisher has left, and the next publisher plays in the same connection', async (t) => {
  const relay = await Relay.start(t);
  const first = await publish(t, relay, 'again');
  await sending(first);
  const viewer = await watch(t, relay, 'again');
  await viewer.framesDecoded(10);
  await first.leave();
  await until('the publisher is gone', async () => (await sessions(relay, 'publisher')) === 0);
  await viewer.says('waiting');
  const { count } = await viewer.statistics();
  await publish(t, relay, 'again');
  await viewer.framesDecoded(30);
  await viewer.says('live');
  assert.equal((await viewer.statistics()).count, count);
});

test('publisher and viewer reconnect by themselves after the relay was restarted', async (t) => {
  const relay = await Relay.start(t);
  const publisher = await publish(t, relay, 'restart');
  await sending(publisher);
  const viewer = await watch(t, relay, 'restart');
  await viewer.framesDecoded(10);
  const { count } = await viewer.statistics();
  assert.deepEqual(await relay.stop(), { code: 0, signal: null });
  await viewer.says('retrying');
  await relay.start();
  const patience = { timeout: 60_000 };
  await viewer.statisticsWhen('video arrives over a new connection',
    (now) => now.count > count && now.inbound.video?.framesDecoded > 30, patience);
  await viewer.says('live');
});

test('400 frames in a row arrive without loss', async (t) => {
  const relay = await Relay.start(t);
  await sending(await publish(t, relay, 'steady'));
  const viewer = await watch(t, relay, 'steady');
  const { inbound } = await viewer.framesDecoded(400, { timeout: 90_000 });
  assert.equal(viewer.lostOnTheWay(inbound.video), 0);
  assert.equal(viewer.lostOnTheWay(inbound.audio), 0);
});
