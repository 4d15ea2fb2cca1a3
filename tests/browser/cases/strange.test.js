// Browsers and frames that allow little: the pages work without storage, and the watch page in a sandbox.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { servePage } from '../support/http_server.js';
import { Relay } from '../support/relay.js';

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

const TOKENS = ['--publish-token', 'p', '--watch-token', 'w', '--admin-token', 'a'];
const publish = (t, relay, options) =>
  Page.open(t, browser, `${relay.url}/publish/hall?source=test&autostart=1&width=320&height=180&rate=15`, options);

/** Runs in the page before its scripts: what a browser does that blocks site data. */
function blockStorage() {
  const refuse = { get: () => { throw new DOMException('The document is sandboxed or site data is blocked.', 'SecurityError'); } };
  for (const name of ['sessionStorage', 'localStorage', 'indexedDB', 'caches']) Object.defineProperty(window, name, refuse);
}

test('all pages work where site data is blocked, and take typed tokens', async (t) => {
  const relay = await Relay.start(t, { args: TOKENS });
  const blocked = { prepare: (tab) => tab.addInitScript(blockStorage) };
  const publisher = await publish(t, relay, blocked);
  await publisher.shows('#message', 'A token is needed');
  await publisher.tab.fill('#token', 'p');
  await publisher.tab.click('#toggle');
  await publisher.says('live');

  const viewer = await Page.open(t, browser, `${relay.url}/watch/hall`, blocked);
  await viewer.shows('#message', 'A token is needed');
  await viewer.tab.fill('#token', 'w');
  await viewer.tab.press('#token', 'Enter');
  await viewer.shows('#message', 'Playing');
  await viewer.framesDecoded(5);
  for (const page of [publisher, viewer]) assert.deepEqual(page.console.filter((line) => line.startsWith('uncaught')), []);
});

test('a publisher sees the number of its viewers with its own token', async (t) => {
  const relay = await Relay.start(t, { args: TOKENS });
  const publisher = await publish(t, relay);
  await publisher.tab.fill('#token', 'p');
  await publisher.tab.click('#toggle');
  await publisher.shows('[data-fact=viewers]', '0');
  await Page.open(t, browser, `${relay.url}/watch/hall#token=w`);
  await publisher.shows('[data-fact=viewers]', '1');
});

const FRAME = (url, sandbox) => `<!doctype html><title>Elsewhere</title><iframe sandbox="${sandbox}" width="640" height="360" src="${url}"></iframe>`;

test('the watch page plays in a sandbox that allows scripts alone, and takes a token there', async (t) => {
  const relay = await Relay.start(t, { args: TOKENS });
  const publisher = await publish(t, relay, {});
  await publisher.tab.fill('#token', 'p');
  await publisher.tab.click('#toggle');
  await publisher.says('live');

  for (const hash of ['#token=w', '']) {
    const page = await Page.open(t, browser, await servePage(t, FRAME(`${relay.url}/watch/hall${hash}`, 'allow-scripts')));
    const [, frame] = page.tab.frames();
    assert.equal(await frame.evaluate(() => self.origin), 'null');
    if (!hash) {
      await frame.fill('#token', 'w');
      await frame.press('#token', 'Enter');
    }
    await frame.waitForSelector('body[data-state=live]');
    await frame.waitForFunction(() => document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames > 10);
    assert.deepEqual(page.console.filter((line) => /uncaught|CORS|Content Security/.test(line)), []);
  }
});
