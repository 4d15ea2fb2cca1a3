// TURN of the relay itself, for browsers that can use nothing else; those that can do not end on it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

// A certificate that nobody has signed is accepted for HTTPS, and for TURN inside TLS.
const INSECURE = '--ignore-certificate-errors';
// With this policy the browser opens no UDP socket, as on a network that blocks UDP.
const WITHOUT_UDP = '--webrtc-ip-handling-policy=disable_non_proxied_udp';
const PUBLISH = 'source=test&autostart=1&width=320&height=180&rate=15';

let browser;
before(async () => (browser = await launchChromium([INSECURE])));
after(() => browser.close());

/** Runs in the page: its connections use relay candidates alone, as where only TURN passes. */
function useTurnAlone() {
  window.RTCPeerConnection = class extends window.RTCPeerConnection {
    constructor(configuration) {
      super({ ...configuration, iceTransportPolicy: 'relay' });
    }
  };
}

/** The pair that carries the media of the page: the kind of the local candidate, and how it is reached. */
const selectedPair = (page) =>
  page.tab.evaluate(async () => {
    const reports = await window.peerConnections.at(-1).getStats();
    const { selectedCandidatePairId } = [...reports.values()].find((report) => report.type === 'transport');
    const { localCandidateId, remoteCandidateId } = reports.get(selectedCandidatePairId);
    const { candidateType, relayProtocol } = reports.get(localCandidateId);
    return relayProtocol ? `${candidateType} by ${relayProtocol}` : `direct by ${reports.get(remoteCandidateId).protocol}`;
  });

/** Opens a publisher and a viewer of the relay at `url` and waits until the viewer plays. */
async function playing(t, browser, url, options) {
  const publisher = await Page.open(t, browser, `${url}/publish/cam?${PUBLISH}`, options);
  const viewer = await Page.open(t, browser, `${url}/watch/cam`, options);
  await viewer.framesDecoded(30);
  await viewer.hears();
  return [publisher, viewer];
}

for (const [where, args, expected] of [
  ['the media port', [], 'relay by tcp'],
  ['the HTTP port', ['--media-on-http'], 'relay by tcp'],
  ['the HTTPS port', ['--media-on-http', '--tls-self-signed'], 'relay by tls'],
]) {
  test(`clients that can use nothing but TURN publish and watch through it on ${where}`, async (t) => {
    const relay = await Relay.start(t, { args: ['--workers', '4', ...args], admin: true });
    const url = expected.endsWith('tls') ? relay.url.replace('http:', 'https:') : relay.url;
    const pages = await playing(t, browser, url, { prepare: (tab) => tab.addInitScript(useTurnAlone) });
    assert.deepEqual(await Promise.all(pages.map(selectedPair)), [expected, expected]);
    assert.equal(await relay.metric('sluice_turn_allocations'), 2);
    for (const page of pages) await page.leave();
    await until('the allocations end with their sessions', async () => (await relay.metric('sluice_turn_allocations')) === 0);
  });
}

test('a client that has UDP ends on UDP, and one that has ICE-TCP on that, although both are offered TURN', async (t) => {
  const withoutUdp = await launchChromium([INSECURE, WITHOUT_UDP]);
  t.after(() => withoutUdp.close());
  for (const args of [[], ['--media-on-http', '--tls-self-signed']]) {
    for (const [chromium, expected] of [[browser, 'direct by udp'], [withoutUdp, 'direct by tcp']]) {
      const relay = await Relay.start(t, { args: ['--workers', '4', ...args], admin: true });
      const url = args.length > 0 ? relay.url.replace('http:', 'https:') : relay.url;
      const pages = await playing(t, chromium, url);
      assert.deepEqual(await Promise.all(pages.map(selectedPair)), [expected, expected], args.join(' '));
    }
  }
});
