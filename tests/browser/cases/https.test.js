// HTTPS of the relay itself: a browser publishes and watches over it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { Relay } from '../support/relay.js';

let browser;
before(async () => (browser = await launchChromium(['--ignore-certificate-errors'])));
after(() => browser.close());

test('a phone on the local network publishes from the page and others watch, with a self-signed certificate', async (t) => {
  const relay = await Relay.start(t, { args: ['--tls-self-signed'], admin: true });
  const url = relay.url.replace('http:', 'https:');
  const publisher = await Page.open(t, browser, `${url}/publish/phone?source=camera&autostart=1`);
  assert.ok(await publisher.tab.evaluate(() => window.isSecureContext), 'cameras need a secure context');
  await publisher.says('live');
  const viewer = await Page.open(t, browser, `${url}/watch/phone`);
  await viewer.framesDecoded(10);
  await viewer.hears();
  for (const session of [...publisher.sessions, ...viewer.sessions]) assert.match(session, /^https:\/\//);
  const first = await Page.open(t, browser, `${url}/`);
  await first.shows('#obs .code >> nth=0', new RegExp(`${url}/whip/`));
  // The viewer's event stream passes through TLS too.
  await publisher.leave();
  await viewer.says('waiting');
  assert.ok(await relay.metric('sluice_tls_handshakes_total', { outcome: 'completed' }) > 0);
});
