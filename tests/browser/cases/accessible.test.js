// The pages by keyboard, for screen readers and in dark mode: axe-core looks for what assistive technology cannot use.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import axe from 'axe-core';

import { launchChromium, Page } from '../support/chromium.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

const ALL = { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] };
const COLOURS = { type: 'rule', values: ['color-contrast', 'link-in-text-block'] };

/** What axe-core finds wrong with the page as it is now, one line for each. */
async function violations(page, runOnly) {
  await page.tab.evaluate(axe.source);
  const { violations: found } = await page.tab.evaluate((rules) => window.axe.run(document, { runOnly: rules, resultTypes: ['violations'] }), runOnly);
  return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 100)).join(' ')}`);
}

test('axe finds nothing on any page, light or dark, while media plays and while it waits', async (t) => {
  const relay = await Relay.start(t);
  const publisher = await Page.open(t, browser, `${relay.url}/publish/seen?source=test&autostart=1&width=320&height=180&rate=5`);
  await publisher.says('live');
  const places = [['/', 'ready'], ['/watch/seen', 'live'], ['/watch/nobody?chat=1', 'waiting'], ['/watch/no%20name', undefined]];
  const pages = [publisher];
  for (const [path, state] of places) {
    const page = await Page.open(t, browser, relay.url + path);
    if (path === '/') await page.shows('#streams', /seen/);
    else if (state) await page.says(state);
    else await page.shows('main', /A stream name has/);
    pages.push(page);
  }
  for (const page of pages) {
    assert.deepEqual(await violations(page, ALL), [], page.tab.url());
    await page.tab.emulateMedia({ colorScheme: 'dark' });
    assert.deepEqual(await violations(page, COLOURS), [], `${page.tab.url()} in the dark`);
  }
  await pages[1].tab.check('#with-token');
  await pages[1].tab.click('#tab-ffmpeg');
  assert.deepEqual(await violations(pages[1], COLOURS), [], 'the place of the token');
});

/** Presses Tab until the element has the focus, and sees that the focus can be seen. */
async function tabTo(page, selector) {
  for (let presses = 0; presses < 40; presses += 1) {
    if (await page.tab.evaluate((wanted) => document.activeElement?.matches(wanted), selector)) {
      const outline = await page.tab.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
      assert.notEqual(outline, 'none', `the focus shows on ${selector}`);
      return;
    }
    await page.tab.keyboard.press('Tab');
  }
  assert.fail(`Tab does not reach ${selector}`);
}

test('everything is done with the keyboard alone', async (t) => {
  const relay = await Relay.start(t);
  const publisher = await Page.open(t, browser, `${relay.url}/`);
  const keys = (page, ...names) => names.reduce((before, name) => before.then(() => page.tab.keyboard.press(name)), Promise.resolve());
  await tabTo(publisher, '#tab-obs');
  await keys(publisher, 'ArrowRight');
  assert.ok(await publisher.tab.isVisible('#ffmpeg-test'), 'the arrow keys go through the programs');
  await keys(publisher, 'End');
  assert.ok(await publisher.tab.isVisible('#browser-embed'));
  await publisher.tab.reload();
  await tabTo(publisher, '#name');
  await keys(publisher, 'Control+A');
  await publisher.tab.keyboard.type('by-hand');
  await keys(publisher, 'Enter');
  await publisher.tab.waitForURL(`${relay.url}/publish/by-hand`);
  await tabTo(publisher, '#source');
  await publisher.tab.keyboard.type('Test');
  await tabTo(publisher, '#toggle');
  await keys(publisher, 'Enter');
  await publisher.says('live');

  const viewer = await Page.open(t, browser, `${relay.url}/`);
  await viewer.shows('#streams', /by-hand/);
  await tabTo(viewer, '#streams a');
  await keys(viewer, 'Enter');
  await viewer.says('live');
  const muted = () => viewer.tab.evaluate(() => document.querySelector('video').muted);
  await tabTo(viewer, '#unmute');
  await keys(viewer, 'Space');
  assert.equal(await muted(), false);
  await keys(viewer, 'm');
  assert.equal(await muted(), true);
  await keys(viewer, 'f');
  await until('it fills the screen', () => viewer.tab.evaluate(() => document.fullscreenElement?.id === 'player'));

  // Screen readers announce the message when it changes.
  const live = await viewer.tab.evaluate(() => document.querySelector('#message').closest('[aria-live]')?.ariaLive);
  assert.equal(live, 'polite');
});
