// Header extensions between two Chromiums: what the publisher sends in them reaches the viewer, and the viewer's REMB
// reaches the relay.

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

/** Runs in the page before its scripts: records the metadata of each frame before it is decoded. */
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

/** Runs in the page: what the packets that are played now say in their header extensions. */
function readSources() {
  const receivers = window.peerConnections.at(-1).getReceivers();
  return {
    now: performance.timeOrigin + performance.now(),
    ...Object.fromEntries(receivers.map((receiver) => [receiver.track.kind, { ...receiver.getSynchronizationSources()[0] }])),
  };
}

/** From 1900, where NTP counts from, to 1970, in milliseconds. */
const NTP_EPOCH = 2_208_988_800_000;

test("a viewer gets the audio level and the capture times, and the relay the viewer's bandwidth estimate", async (t) => {
  const relay = await Relay.start(t);
  const prepare = offering('/abs-capture-time');
  const publisher = await Page.open(t, browser, `${relay.url}/publish/cam?source=test&autostart=1&width=640&height=360`, { prepare });
  await publisher.statisticsWhen('video is sent', (now) => now.outbound.video?.framesEncoded > 5);
  const viewer = await Page.open(t, browser, `${relay.url}/watch/cam`, { prepare });
  await viewer.framesDecoded(60);
  await viewer.hears();

  const sources = await until('packets say when they were captured', async () => {
    const read = await viewer.tab.evaluate(readSources);
    return read.video?.captureTimestamp && read.audio?.audioLevel > 0 && read;
  });
  const age = sources.now - (sources.video.captureTimestamp - NTP_EPOCH);
  assert.ok(age > -50 && age < 2000, `the frame is ${age} ms old`);
  assert.ok(sources.audio.audioLevel <= 1);

  const estimate = await until('the viewer sends its bandwidth estimate', async () => {
    const id = viewer.sessions.at(-1).split('/').at(-1);
    return (await (await fetch(`${relay.url}/api/sessions/${id}`)).json()).estimated_bits_per_second;
  });
  assert.ok(estimate > 100_000, `${estimate} bits a second`);
  const { inbound } = await viewer.statistics();
  assert.equal(viewer.lostOnTheWay(inbound.video), 0);
});

// Small, so that two encoders and three decoders keep up on a slow machine.
const SMALL = 'source=test&autostart=1&width=320&height=180&rate=15';
const DESCRIPTOR = '#dependency-descriptor-rtp-header-extension';

for (const codec of ['vp9', 'av1']) {
  test(`the dependency descriptor of ${codec} reaches early and late viewers, and a publisher may go without it`, async (t) => {
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
    await first.statisticsWhen('video is sent', (now) => now.outbound.video?.framesEncoded > 5);
    const early = await watch();
    const begun = [await early.framesDecoded(1)];
    await early.framesDecoded(45);
    const late = await watch();
    begun.push(await late.framesDecoded(1));
    const both = [early, late];
    const decoded = (options) => Promise.all(both.map((viewer) => viewer.framesDecoded(30, options)));
    for (const [number, { inbound }] of (await decoded()).entries()) {
      // A slow machine begins late, shows frames late or drops decoded ones; for one that cannot be decoded it sends a
      // keyframe request.
      assert.equal(inbound.video.pliCount, begun[number].inbound.video.pliCount);
      assert.equal(both[number].lostOnTheWay(inbound.video), 0);
      const frames = await framesSeen(both[number]);
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
    await decoded({ timeout: 60_000 });
    for (const viewer of both) assert.equal((await framesSeen(viewer)).at(-1).frameId, undefined);
    await silent.leave();
    await publish(offering(DESCRIPTOR));
    for (const { count } of await decoded({ timeout: 60_000 })) assert.equal(count, 1, 'in one connection');
    const frames = await framesSeen(early);
    assert.ok(frames.at(-1).frameId > before, `${frames.at(-1).frameId} behind ${before}`);
  });
}
