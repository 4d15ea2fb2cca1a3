// ICE restart and trickled candidates by PATCH (RFC 9725 4.3), with Chromium on the other end: media goes on under new
// credentials, and a restart that the relay refuses changes nothing.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { Relay } from '../support/relay.js';

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

const FRAGMENT = 'application/trickle-ice-sdpfrag';
const ufrag = (sdp) => /a=ice-ufrag:(\S+)/.exec(sdp)[1];

/** Runs in the page: new credentials of its own, as the fragment that asks for a restart. */
async function newCredentials() {
  const { peer } = globalThis.sluice;
  peer.restartIce();
  await peer.setLocalDescription();
  const [ufragLine] = /a=ice-ufrag:.*/.exec(peer.localDescription.sdp);
  const [pwdLine] = /a=ice-pwd:.*/.exec(peer.localDescription.sdp);
  return `${ufragLine}\r\n${pwdLine}\r\n`;
}

/** Runs in the page: the answer that it had, with the relay's new credentials. */
async function takeCredentials(fragment) {
  const { peer } = globalThis.sluice;
  let { sdp } = peer.remoteDescription;
  for (const name of ['ice-ufrag', 'ice-pwd']) {
    const [line] = new RegExp(`a=${name}:.*`).exec(fragment);
    sdp = sdp.replaceAll(new RegExp(`a=${name}:.*`, 'g'), line.trim());
  }
  await peer.setRemoteDescription({ type: 'answer', sdp });
}

test('ICE is restarted while media passes, by the viewer and by the publisher', async (t) => {
  const relay = await Relay.start(t);
  const publisher = await Page.open(t, browser, `${relay.url}/publish/hall?source=test&autostart=1&width=320&height=180&rate=15`);
  await publisher.says('live');
  const viewer = await Page.open(t, browser, `${relay.url}/watch/hall`);
  await viewer.framesDecoded(5);
  for (const page of [viewer, publisher]) {
    const session = page.sessions.at(-1);
    const patch = (ifMatch, body) => fetch(session, { method: 'PATCH', headers: { 'Content-Type': FRAGMENT, 'If-Match': ifMatch }, body });
    const before = (await page.statistics()).transport;
    const tag = (await fetch(session)).headers.get('etag');
    assert.equal((await patch(tag, 'a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n')).status, 204);
    const fragment = await page.tab.evaluate(newCredentials);
    const restarted = await patch('*', fragment);
    assert.deepEqual([restarted.status, restarted.headers.get('content-type')], [200, FRAGMENT]);
    assert.notEqual(restarted.headers.get('etag'), tag);
    assert.equal((await patch(tag, fragment)).status, 412, 'the old tag is stale');
    const answer = await restarted.text();
    assert.notEqual(ufrag(answer), before.iceLocalUsernameFragment);
    await page.tab.evaluate(takeCredentials, answer);
    await page.statisticsWhen('it is connected with its new credentials',
      ({ transport, state }) => state === 'connected' && transport.iceLocalUsernameFragment === ufrag(fragment) && transport.selectedCandidatePairId !== before.selectedCandidatePairId);
    await viewer.framesDecoded(30);
  }
  assert.equal(viewer.sessions.length + publisher.sessions.length, 2, 'no client had to connect again');
  const { inbound, count } = await viewer.statistics();
  assert.deepEqual([viewer.lostOnTheWay(inbound.video), count], [0, 1], 'nothing was lost, over one connection');
});
