// Codecs and shapes of streams: what Chromium publishes in each, another page plays, whichever of the two joins first.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { publishWithFfmpeg } from '../support/ffmpeg.js';
import { servePage } from '../support/http_server.js';
import { PLAIN_PAGE, plainWatch } from '../support/plain_client.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

// Small, so that two encoders and two decoders of AV1 keep up on a slow machine.
const publish = (t, relay, stream, more) =>
  Page.open(t, browser, `${relay.url}/publish/${stream}?source=test&autostart=1&width=320&height=180&rate=15${more}`);
const watch = (t, relay, stream, more = '') => Page.open(t, browser, `${relay.url}/watch/${stream}${more}`);
const plays = ({ inbound }, codec) => inbound.video?.codec?.toLowerCase() === `video/${codec}`;

for (const codec of ['vp9', 'av1']) {
  test(`Chromium plays the ${codec} of another Chromium at its full size`, async (t) => {
    const relay = await Relay.start(t);
    await publish(t, relay, codec, `&codec=${codec}`);
    await until('video arrives', async () => (await relay.metric('sluice_rtp_packets_total', { direction: 'in', kind: 'video' })) > 0);
    const viewer = await watch(t, relay, codec);
    const statistics = await viewer.framesDecoded(30);
    assert.ok(plays(statistics, codec), statistics.inbound.video.codec);
    assert.equal(viewer.lostOnTheWay(statistics.inbound.video), 0);
    await viewer.statisticsWhen('the video has its full size', ({ inbound }) => inbound.video.frameWidth === 320 && inbound.video.frameHeight === 180);
    assert.equal(statistics.inbound.audio.codec, 'audio/opus');
  });
}

test('a viewer that joined first plays publishers of VP9, AV1, H.264 and VP8 one after another in one connection', async (t) => {
  const relay = await Relay.start(t);
  const viewer = await watch(t, relay, 'turns');
  await viewer.says('waiting');
  const turns = [];
  for (const codec of ['vp9', 'av1', 'h264', 'vp8']) {
    const publisher = await publish(t, relay, 'turns', `&codec=${codec}`);
    await viewer.statisticsWhen(`the viewer plays ${codec}`, (now) => plays(now, codec), { timeout: 60_000 });
    const { count } = await viewer.framesDecoded(20, { timeout: 60_000 });
    turns.push(count);
    await publisher.leave();
  }
  assert.deepEqual(turns, [1, 1, 1, 1], 'no publisher costs the viewer a connection');
});

test('a publisher that changes its codec while it publishes keeps its viewers', async (t) => {
  const relay = await Relay.start(t);
  const publisher = await publish(t, relay, 'changing', '&codec=vp8');
  const viewer = await watch(t, relay, 'changing');
  await viewer.framesDecoded(20);
  await viewer.hears();
  for (const codec of ['vp9', 'vp8']) {
    await publisher.tab.evaluate(async (wanted) => {
      const sender = window.peerConnections.at(-1).getSenders().find(({ track }) => track?.kind === 'video');
      const parameters = sender.getParameters();
      parameters.encodings[0].codec = parameters.codecs.find(({ mimeType }) => mimeType.toLowerCase() === `video/${wanted}`);
      await sender.setParameters(parameters);
    }, codec);
    await viewer.statisticsWhen(`the viewer plays ${codec}`, (now) => plays(now, codec));
    const { count, inbound } = await viewer.framesDecoded(20);
    assert.equal(count, 1, 'in the same connection');
    assert.ok(viewer.lostOnTheWay(inbound.audio) < 5);
    assert.equal((await until('the API says so', async () => {
      const { codecs } = await (await fetch(`${relay.url}/api/streams/changing`)).json();
      return codecs.some((name) => name.toLowerCase() === codec) && codecs;
    })).length, 2);
  }
  assert.ok(relay.child.output.includes('publisher changed codec'));
});

for (const [profile, id] of [['main', '4d'], ['high', '64']]) {
  test(`Chromium plays the ${profile} profile of FFmpeg's H.264, whether it joined before or after`, async (t) => {
    const relay = await Relay.start(t);
    const early = await watch(t, relay, profile);
    await early.says('waiting');
    const ffmpeg = publishWithFfmpeg(t, `${relay.url}/whip/${profile}`, { profile });
    assert.ok(plays(await early.framesDecoded(30), 'h264'));
    const late = await watch(t, relay, profile);
    assert.ok(plays(await late.framesDecoded(30), 'h264'));
    assert.match(ffmpeg.output, new RegExp(`profile-level-id=${id}`, 'i'), 'FFmpeg offers that profile');
  });
}

test('a viewer that joined for one codec plays the next publisher in another', async (t) => {
  const relay = await Relay.start(t);
  const first = await publish(t, relay, 'other', '&codec=vp8');
  await first.says('live');
  const viewer = await watch(t, relay, 'other');
  assert.ok(plays(await viewer.framesDecoded(15), 'vp8'));
  await first.leave();
  await until('the publisher is gone', async () => (await relay.metric('sluice_sessions', { role: 'publisher' })) === 0);
  await publish(t, relay, 'other', '&codec=av1');
  await viewer.statisticsWhen('the viewer plays AV1', (now) => plays(now, 'av1'), { timeout: 60_000 });
  const { count } = await viewer.framesDecoded(15, { timeout: 60_000 });
  assert.equal(count, 1);
});

test('streams and viewers with audio alone and with video alone play', async (t) => {
  const relay = await Relay.start(t);
  await Promise.all([publish(t, relay, 'audio', '&video=0'), publish(t, relay, 'video', '&audio=0'), publish(t, relay, 'both', '')]);
  const [listener, watcher] = await Promise.all([watch(t, relay, 'audio'), watch(t, relay, 'video')]);
  await Promise.all([listener.hears(), watcher.framesDecoded(15)]);
  const [withoutAudio, withoutVideo] = await Promise.all([watch(t, relay, 'both', '?audio=0'), watch(t, relay, 'both', '?video=0')]);
  await Promise.all([withoutAudio.framesDecoded(15), withoutVideo.hears()]);
  assert.equal((await withoutAudio.statistics()).inbound.audio, undefined);
  assert.equal((await withoutVideo.statistics()).inbound.video, undefined);
});

/** Runs in the page: publishes the fake microphone in one codec. */
async function publishAudio([endpoint, mimeType]) {
  const peer = new RTCPeerConnection();
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  const transceiver = peer.addTransceiver(microphone.getTracks()[0], { direction: 'sendonly', streams: [microphone] });
  const codecs = RTCRtpSender.getCapabilities('audio').codecs.filter((codec) => codec.mimeType === mimeType);
  transceiver.setCodecPreferences(codecs);
  await peer.setLocalDescription();
  await window.join(peer, endpoint);
}

test('telephone audio plays: PCMU, PCMA and G.722', async (t) => {
  const relay = await Relay.start(t);
  const origin = await servePage(t, PLAIN_PAGE);
  await Promise.all(['audio/PCMU', 'audio/PCMA', 'audio/G722'].map(async (mimeType) => {
    const stream = mimeType.split('/')[1];
    const publisher = await Page.open(t, browser, origin);
    await publisher.tab.evaluate(publishAudio, [`${relay.url}/whip/${stream}`, mimeType]);
    const viewer = await Page.open(t, browser, origin);
    await viewer.tab.evaluate(plainWatch, `${relay.url}/whep/${stream}`);
    const { inbound } = await viewer.statisticsWhen(`${stream} is heard`, (now) => now.inbound.audio?.totalAudioEnergy > 0);
    assert.equal(inbound.audio.codec, mimeType);
  }));
});

/** Runs in the page: publishes six channels. Chromium offers surround sound only if the page writes it into the offer. */
async function publishSurround(endpoint) {
  const context = new AudioContext({ sampleRate: 48000 });
  const merger = context.createChannelMerger(6);
  for (let channel = 0; channel < 6; channel += 1) {
    const oscillator = new OscillatorNode(context, { frequency: 220 * (channel + 1) });
    oscillator.connect(merger, 0, channel);
    oscillator.start();
  }
  const destination = new MediaStreamAudioDestinationNode(context, { channelCount: 6 });
  merger.connect(destination);
  const peer = new RTCPeerConnection();
  peer.addTransceiver(destination.stream.getTracks()[0], { direction: 'sendonly', streams: [destination.stream] });
  await peer.setLocalDescription(window.surround(await peer.createOffer()));
  await window.join(peer, endpoint);
}

/** Runs in the page: plays six channels. */
async function watchSurround(endpoint) {
  const peer = new RTCPeerConnection();
  peer.ontrack = ({ streams }) => (document.querySelector('video').srcObject = streams[0]);
  peer.addTransceiver('audio', { direction: 'recvonly' });
  await peer.setLocalDescription(window.surround(await peer.createOffer()));
  await window.join(peer, endpoint);
}

/** Runs in the page: defines `surround`, which writes 5.1 instead of stereo into an offer. */
function teachSurround() {
  window.surround = ({ type, sdp }) => ({
    type,
    sdp: sdp
      .replace('opus/48000/2', 'multiopus/48000/6')
      .replace('minptime=10', 'channel_mapping=0,4,1,2,3,5;coupled_streams=2;num_streams=4;minptime=10'),
  });
}

test('surround sound plays', async (t) => {
  const relay = await Relay.start(t);
  const origin = await servePage(t, PLAIN_PAGE);
  const publisher = await Page.open(t, browser, origin);
  await publisher.tab.evaluate(teachSurround);
  await publisher.tab.evaluate(publishSurround, `${relay.url}/whip/surround`);
  const viewer = await Page.open(t, browser, origin);
  await viewer.tab.evaluate(teachSurround);
  await viewer.tab.evaluate(watchSurround, `${relay.url}/whep/surround`);
  const { inbound } = await viewer.statisticsWhen('surround sound is heard', (now) => now.inbound.audio?.totalAudioEnergy > 0);
  assert.equal(inbound.audio.codec, 'audio/multiopus');
});
