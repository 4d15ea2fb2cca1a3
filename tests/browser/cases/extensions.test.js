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

/** Runs in the page before its scripts: offers the extension that Chromium knows and does not offer by itself. */
function offerCaptureTime() {
  for (const name of ['createOffer', 'setLocalDescription']) {
    const original = RTCPeerConnection.prototype[name];
    RTCPeerConnection.prototype[name] = function (...description) {
      for (const transceiver of this.signalingState === 'stable' ? this.getTransceivers() : []) {
        const extensions = transceiver.getHeaderExtensionsToNegotiate();
        extensions.find(({ uri }) => uri.endsWith('/abs-capture-time')).direction = 'sendrecv';
        transceiver.setHeaderExtensionsToNegotiate(extensions);
      }
      return original.apply(this, description);
    };
  }
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
  const prepare = (tab) => tab.addInitScript(offerCaptureTime);
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
