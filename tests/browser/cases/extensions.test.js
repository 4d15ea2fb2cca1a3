// Header extensions between two Chromiums: what the publisher says of its packets reaches the viewer, and the viewer tells
// the relay what its network carries.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

/** Runs in the page before its scripts: offers an extension that Chromium knows and does not offer by itself. */
function offerExtension(name) {
  for (const method of ['createOffer', 'setLocalDescription']) {
    const original = RTCPeerConnection.prototype[method];
    RTCPeerConnection.prototype[method] = function (...description) {
      for (const transceiver of this.signalingState === 'stable' ? this.getTransceivers() : []) {
        const extensions = transceiver.getHeaderExtensionsToNegotiate();
        const wanted = extensions.find(({ uri }) => uri.endsWith(name));
        if (wanted) wanted.direction = 'sendrecv';
        transceiver.setHeaderExtensionsToNegotiate(extensions);
      }
      return original.apply(this, description);
    };
  }
}

const offering = (name) => (tab) => tab.addInitScript(offerExtension, name);

/** Runs in the page before its scripts: remembers what is known of each frame before it is decoded. */
function rememberFrames() {
  window.framesSeen = [];
  const lookOn = (receiver) => {
    const { readable, writable } = receiver.createEncodedStreams();
    const transform = (frame, controller) => {
      const { frameId, dependencies } = frame.getMetadata();
      if (receiver.track.kind === 'video') window.framesSeen.push({ type: frame.type, frameId, dependencies });
      controller.enqueue(frame);
    };
    readable.pipeThrough(new TransformStream({ transform })).pipeTo(writable);
  };
  window.RTCPeerConnection = class extends window.RTCPeerConnection {
    constructor(configuration) {
      super({ ...configuration, encodedInsertableStreams: true });
      this.addEventListener('track', ({ receiver }) => lookOn(receiver));
    }
  };
}

/** Runs in the page: what the packets say from which sound and pictures are played now. */
function readSources() {
  const receivers = window.peerConnections.at(-1).getReceivers();
  return {
    now: performance.timeOrigin + performance.now(),
    ...Object.fromEntries(receivers.map((receiver) => [receiver.track.kind, { ...receiver.getSynchronizationSources()[0] }])),
  };
}

/** From 1900, where NTP counts from, to 1970, in milliseconds. */
const NTP_EPOCH = 2_208_988_800_000;

test('a viewer knows how loud the sound is and when sound and pictures were captured, and the relay what its network carries', async (t) => {
  const relay = await Relay.start(t);
  const prepare = offering('/abs-capture-time');
  const publisher = await Page.open(t, browser, `${relay.url}/publish/cam?source=test&autostart=1&width=640&height=360`, { prepare });
  await publisher.statisticsWhen('pictures are sent', (now) => now.outbound.video?.framesEncoded > 5);
  const viewer = await Page.open(t, browser, `${relay.url}/watch/cam`, { prepare });
  await viewer.framesDecoded(60);
  await viewer.hears();

  const sources = await until('packets say when they were captured', async () => {
    const read = await viewer.tab.evaluate(readSources);
    return read.video?.captureTimestamp && read.audio?.audioLevel > 0 && read;
  });
  const age = sources.now - (sources.video.captureTimestamp - NTP_EPOCH);
  assert.ok(age > -50 && age < 2000, `the picture is ${age} ms old`);
  assert.ok(sources.audio.audioLevel <= 1);

  const estimate = await until('the viewer tells what its network carries', async () => {
    const id = viewer.sessions.at(-1).split('/').at(-1);
    return (await (await fetch(`${relay.url}/api/sessions/${id}`)).json()).estimated_bits_per_second;
  });
  assert.ok(estimate > 100_000, `${estimate} bits a second`);
  const { inbound } = await viewer.statistics();
  assert.equal(inbound.video.packetsLost, 0);
});

// Small, so that two encoders and three decoders keep up on a slow machine.
const SMALL = 'source=test&autostart=1&width=320&height=180&rate=15';
const DESCRIPTOR = '#dependency-descriptor-rtp-header-extension';

for (const codec of ['vp9', 'av1']) {
  test(`what ${codec} frames need reaches viewers, also those that come late, and another publisher may say nothing of it`, async (t) => {
    const relay = await Relay.start(t);
    const publish = (prepare) => Page.open(t, browser, `${relay.url}/publish/cam?${SMALL}&codec=${codec}`, { prepare });
    const watch = () =>
      Page.open(t, browser, `${relay.url}/watch/cam`, {
        prepare: async (tab) => {
          await offering(DESCRIPTOR)(tab);
          await tab.addInitScript(rememberFrames);
        },
      });
    const framesSeen = (viewer) => viewer.tab.evaluate(() => window.framesSeen);
    const first = await publish(offering(DESCRIPTOR));
    await first.statisticsWhen('pictures are sent', (now) => now.outbound.video?.framesEncoded > 5);
    const early = await watch();
    await early.framesDecoded(45);
    const late = await watch();
    for (const viewer of [late, early]) {
      const { inbound } = await viewer.framesDecoded(30);
      // A slow machine shows frames late or drops them once they are decoded; one that cannot be decoded is asked for anew.
      assert.equal(inbound.video.pliCount, 0);
      assert.equal(inbound.video.packetsLost, 0);
      const frames = await framesSeen(viewer);
      assert.ok(frames.length >= 30 && frames[0].type === 'key', JSON.stringify(frames.slice(0, 2)));
      assert.ok(frames.every(({ frameId }) => Number.isInteger(frameId)), 'each frame says what it is');
      for (const [at, { type, frameId, dependencies }] of frames.entries()) {
        if (at > 0) assert.equal(frameId, frames[at - 1].frameId + 1, 'none is missing');
        assert.equal(dependencies.length > 0, type === 'delta', `${type} ${frameId} needs ${dependencies}`);
      }
    }
    const before = (await framesSeen(early)).at(-1).frameId;
    await first.leave();
    const silent = await publish();
    for (const viewer of [early, late]) {
      await viewer.framesDecoded(30, { timeout: 60_000 });
      assert.equal((await framesSeen(viewer)).at(-1).frameId, undefined);
    }
    await silent.leave();
    await publish(offering(DESCRIPTOR));
    for (const viewer of [early, late]) {
      const { count } = await viewer.framesDecoded(30, { timeout: 60_000 });
      assert.equal(count, 1, 'in one connection');
    }
    const frames = await framesSeen(early);
    assert.ok(frames.at(-1).frameId > before, `${frames.at(-1).frameId} behind ${before}`);
  });
}
