// FFmpeg 9 publishes by WHIP: H.264 and Opus. Like OBS it ignores keyframe requests.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { HEIGHT, publishWithFfmpeg, WIDTH } from '../support/ffmpeg.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

const watch = (t, relay, stream) => Page.open(t, browser, `${relay.url}/watch/${stream}`);
const media = (relay, kind) => relay.metric('sluice_rtp_packets_total', { direction: 'in', kind });

test('Chromium plays the H.264 and the Opus of FFmpeg', async (t) => {
  const relay = await Relay.start(t);
  publishWithFfmpeg(t, `${relay.url}/whip/ffmpeg`);
  await until('video and audio arrive', async () => (await media(relay, 'video')) > 0 && (await media(relay, 'audio')) > 0);
  const viewer = await watch(t, relay, 'ffmpeg');
  const { inbound, transport } = await viewer.framesDecoded(90);
  assert.equal(inbound.video.codec, 'video/H264');
  assert.deepEqual([inbound.video.frameWidth, inbound.video.frameHeight], [WIDTH, HEIGHT]);
  assert.deepEqual(await viewer.frameSize(), { width: WIDTH, height: HEIGHT });
  assert.equal(inbound.audio.codec, 'audio/opus');
  assert.equal(transport.srtpCipher, 'SRTP_AEAD_AES_128_GCM');
  await viewer.hears();
});

test('a viewer that joined before FFmpeg plays it', async (t) => {
  const relay = await Relay.start(t);
  const viewer = await watch(t, relay, 'waiting');
  await viewer.statisticsWhen('the viewer is connected', (now) => now.state === 'connected');
  publishWithFfmpeg(t, `${relay.url}/whip/waiting`);
  const { inbound } = await viewer.framesDecoded(30);
  assert.equal(inbound.video.codec, 'video/H264');
  assert.ok(inbound.audio.packetsReceived > 0);
});

test('a stream without audio and a stream without video both play', async (t) => {
  const relay = await Relay.start(t);
  publishWithFfmpeg(t, `${relay.url}/whip/video`, { audio: false });
  publishWithFfmpeg(t, `${relay.url}/whip/audio`, { video: false });
  const video = await watch(t, relay, 'video');
  const audio = await watch(t, relay, 'audio');
  await video.framesDecoded(30);
  await audio.hears();
});

test('FFmpeg ends its session when it exits, and the same viewer plays the next one', async (t) => {
  const relay = await Relay.start(t);
  const first = publishWithFfmpeg(t, `${relay.url}/whip/next`);
  const viewer = await watch(t, relay, 'next');
  await viewer.framesDecoded(10);
  await first.stop('SIGINT');
  await until('the publisher is gone', async () => (await relay.metric('sluice_sessions', { role: 'publisher' })) === 0);
  publishWithFfmpeg(t, `${relay.url}/whip/next`);
  await viewer.framesDecoded(30);
});

test('a late viewer of frames that all have parameter sets begins at the last keyframe at once', async (t) => {
  const relay = await Relay.start(t);
  const output = ['-bsf:v', 'dump_extra=freq=all', '-flags', '+global_header'];
  publishWithFfmpeg(t, `${relay.url}/whip/sets`, { keyframes: 300, audio: false, output });
  await until('frames arrive for 2 s', async () => (await media(relay, 'video')) > 60);
  const viewer = await watch(t, relay, 'sets');
  const { inbound } = await viewer.framesDecoded(60);
  assert.equal(inbound.video.codec, 'video/H264');
  // From a keyframe that is seconds old, not from a requested one: FFmpeg sends the next after 10 s.
  assert.equal(await relay.metric('sluice_replays_total'), 1);
  const streams = await (await fetch(`${relay.url}/api/streams`)).json();
  const video = JSON.stringify(streams);
  assert.ok(!video.includes('keyframe_interval_seconds') && video.includes('"parameter_sets":"in-band"'), video);
});
