// A client with a certificate of another kind than the relay's own (ECDSA, P-256): RSA, as older browsers and servers have.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { Relay } from '../support/relay.js';

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

/** Runs in the page before its scripts: its connections have a certificate of RSA. */
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

test('a publisher with a certificate of RSA is seen', async (t) => {
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
