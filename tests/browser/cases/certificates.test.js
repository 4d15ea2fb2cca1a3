// A client with an RSA certificate, as older browsers and servers have; the relay's own is ECDSA (P-256).

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { Relay } from '../support/relay.js';

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

/** Runs in the page before its scripts: its connections use an RSA certificate. */
function useRsa() {
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' };
  window.certificate = window.RTCPeerConnection.generateCertificate(algorithm).then((certificate) => {
    window.RTCPeerConnection = class extends window.RTCPeerConnection {
      constructor(configuration) {
        super({ ...configuration, certificates: [certificate] });
        window.hasRsa = true;
      }
    };
  });
}

test('a publisher with an RSA certificate plays', async (t) => {
  const relay = await Relay.start(t);
  const prepare = (tab) => tab.addInitScript(useRsa);
  const publisher = await Page.open(t, browser, `${relay.url}/publish/hall?source=test&width=320&height=180`, { prepare });
  await publisher.tab.evaluate(() => window.certificate);
  await publisher.tab.click('#toggle');
  await publisher.says('live');
  const viewer = await Page.open(t, browser, `${relay.url}/watch/hall`);
  await viewer.framesDecoded(5);
  assert.ok(await publisher.tab.evaluate(() => window.hasRsa));
});
