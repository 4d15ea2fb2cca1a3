// The quality menu of the watch page: it lists the encodings of the video, and what is chosen is shown.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

const SIZES = ['960 × 540', '480 × 270', '240 × 135'];
const OPTIONS = '?source=test&autostart=1&simulcast=1&codec=vp8&width=960&height=540&rate=10';

test('the menu lists the sizes of the video, and the chosen one is shown until another is', async (t) => {
  const relay = await Relay.start(t);
  await Page.open(t, browser, `${relay.url}/publish/hall${OPTIONS}`);
  const viewer = await Page.open(t, browser, `${relay.url}/watch/hall`);
  const choices = () => viewer.tab.locator('#quality option').allTextContents();
  const shows = (width) => until(`a video ${width} wide is shown`, async () => {
    const size = await viewer.frameSize();
    if (size.width !== width) throw new Error(`${size.width} × ${size.height}: ${await choices()}`);
    return true;
  }, { timeout: 30_000 });
  await until('the menu lists three sizes', async () => {
    await viewer.tab.focus('#quality').catch(() => {});
    const [auto, ...sizes] = (await choices()).slice(0, -1);
    if (sizes.length !== 3 || !sizes.every((text, place) => text.startsWith(SIZES[place]))) throw new Error(`${[auto, ...sizes]}`);
    return true;
  }, { timeout: 30_000 });
  await shows(960);
  await until('it says the rate of each', async () => {
    for (const text of (await choices()).slice(1, -1)) assert.match(text, /^\d+ × \d+, [1-9].* [kM]bit\/s$/);
    return true;
  });
  await viewer.tab.selectOption('#quality', 'q');
  await shows(240);
  await viewer.tab.selectOption('#quality', 'h');
  await shows(480);
  await until('Auto names no size while another choice is made', async () => (await choices())[0] === 'Auto');
  await viewer.tab.selectOption('#quality', '');
  await shows(960);
  await until('it says which one Auto is', async () => (await choices())[0] === 'Auto (960 × 540)');
  assert.equal((await choices()).at(-1), 'Audio only');
  await viewer.tab.selectOption('#quality', 'audio only');
  await until('no video is sent', async () => {
    const { inbound: before } = await viewer.statistics();
    const { inbound: now } = await viewer.statisticsWhen('audio has come for a second', ({ inbound }) => inbound.audio.packetsReceived > before.audio.packetsReceived + 50);
    return now.video.packetsReceived === before.video.packetsReceived;
  });
  await viewer.shows('#detail', 'Audio only.');
  await viewer.says('live');
  await viewer.tab.selectOption('#quality', 'q');
  await shows(240);
  await viewer.framesDecoded(5);
  assert.equal((await viewer.statistics()).count, 1, 'all on one connection');
  assert.deepEqual(viewer.console, []);
});

test('a video in one size has no menu, and a page of another relay works without it', async (t) => {
  const relay = await Relay.start(t);
  await Page.open(t, browser, `${relay.url}/publish/hall?source=test&autostart=1&width=320&height=180&rate=15`);
  const viewer = await Page.open(t, browser, `${relay.url}/watch/hall`);
  await viewer.says('live');
  await viewer.framesDecoded(30);
  assert.equal(await viewer.tab.isVisible('#quality'), false);
  assert.deepEqual(viewer.console, []);
});
