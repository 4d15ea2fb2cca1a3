// The screenshot in README.md: the watch page while it plays the test video.

import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

const place = (path) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
// README.md shows the second file.
const BLESS = process.env.SLUICE_BLESS === '1';
const PLACES = [place('target/tests/watch-page.jpg'), ...(BLESS ? [place('.github/watch-page.jpg')] : [])];
const MOST_BYTES = 200_000;

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

/** Runs in the page: how many different colours a frame of its video has, on a coarse grid. */
function coloursOfVideo() {
  const canvas = new OffscreenCanvas(64, 36).getContext('2d');
  canvas.drawImage(document.querySelector('video'), 0, 0, 64, 36);
  const { data } = canvas.getImageData(0, 0, 64, 36);
  const colours = new Set();
  for (let byte = 0; byte < data.length; byte += 4) colours.add((data[byte] >> 5) * 64 + (data[byte + 1] >> 5) * 8 + (data[byte + 2] >> 5));
  return colours.size;
}

test('the watch page plays the test video as README.md shows it', async (t) => {
  const relay = await Relay.start(t);
  await Page.open(t, browser, `${relay.url}/publish/demo?source=test&autostart=1&codec=vp8&width=1280&height=720`);
  const viewer = await Page.open(t, browser, `${relay.url}/watch/demo`, { context: { viewport: { width: 1100, height: 560 }, colorScheme: 'light' } });
  await viewer.says('live');
  // At first the rate is higher, while the viewer catches up with live; a busy machine does not reach 30.
  await viewer.shows('[data-fact=rate]', BLESS ? /^(29|30|31) fps$/ : /^\d+ fps$/);
  await viewer.shows('[data-fact=loss]', '0.0 %');
  await until('the video is not blank', async () => (await viewer.tab.evaluate(coloursOfVideo)) >= 8);
  const screenshot = await viewer.tab.screenshot({ type: 'jpeg', quality: 90, scale: 'css' });
  assert.ok(screenshot.length < MOST_BYTES, `${screenshot.length} bytes, of at most ${MOST_BYTES}`);
  for (const path of PLACES) {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, screenshot);
  }
});
