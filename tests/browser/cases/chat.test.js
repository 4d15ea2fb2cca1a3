// A line of chat over a data channel, on the pages that the relay serves.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { Relay } from '../support/relay.js';

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

const line = (page, text) => page.tab.locator('#chat-lines .theirs', { hasText: text }).waitFor({ timeout: 30_000 });

async function say(page, text) {
  await page.tab.locator('#chat-text:enabled').fill(text, { timeout: 30_000 });
  await page.tab.locator('#chat-form button').click();
}

test('the publisher chats with viewers, and they answer where the relay allows it', async (t) => {
  const relay = await Relay.start(t, { args: ['--viewer-messages'] });
  const publisher = await Page.open(t, browser, `${relay.url}/publish/talk?source=test&autostart=1&chat=1&width=320&height=180`);
  const viewers = [];
  for (let number = 0; number < 2; number += 1) {
    viewers.push(await Page.open(t, browser, `${relay.url}/watch/talk?chat=1`));
    await viewers.at(-1).framesDecoded(5);
  }
  await say(publisher, 'good evening');
  for (const viewer of viewers) await line(viewer, 'good evening');
  await say(viewers[0], 'hello from the hall');
  await line(publisher, 'hello from the hall');
});

test("a viewer whose messages the relay would drop cannot write, and still reads the publisher's", async (t) => {
  const relay = await Relay.start(t);
  const publisher = await Page.open(t, browser, `${relay.url}/publish/talk?source=test&autostart=1&chat=1&width=320&height=180`);
  const viewer = await Page.open(t, browser, `${relay.url}/watch/talk?chat=1`);
  await viewer.framesDecoded(5);
  await viewer.tab.getByText('Only the publisher can write').waitFor();
  assert.equal(await viewer.tab.locator('#chat-form').isVisible(), false);
  await say(publisher, 'good evening');
  await line(viewer, 'good evening');
});
