// What a user does with the pages: types, clicks, copies a command, enters a token.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { runFfmpeg } from '../support/ffmpeg.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

const listed = (page) => page.tab.evaluate(() => document.querySelector('#streams').innerText);

test('from the first page to a stream that plays, stops and plays again', async (t) => {
  const relay = await Relay.start(t);
  const publisher = await Page.open(t, browser, `${relay.url}/`);
  await publisher.tab.fill('#name', 'my-stream');
  await publisher.tab.click('#names button');
  await publisher.tab.waitForURL(`${relay.url}/publish/my-stream`);
  await publisher.tab.selectOption('#source', 'test');
  await publisher.tab.click('#toggle');
  await publisher.says('live');

  const first = await Page.open(t, browser, `${relay.url}/`);
  await until('the stream is listed', async () => (await listed(first)).includes('my-stream'));
  await first.tab.click('#streams a');
  await first.tab.waitForURL(`${relay.url}/watch/my-stream`);
  await first.framesDecoded(10);
  await first.says('live');

  // A slow DELETE: the connection must not close before its answer.
  await publisher.tab.route('**/session/*', async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 500));
    return route.continue();
  });
  await publisher.tab.click('#toggle');
  await first.says('waiting');
  const session = publisher.sessions[0].split('/').pop();
  const record = await until('the session has ended', async () => {
    const shown = await (await fetch(`${relay.url}/api/sessions/${session}`)).json();
    return shown.ended && shown;
  });
  assert.equal(record.ended.reason, 'deleted', 'it ends by DELETE');
  await publisher.tab.click('#toggle');
  await first.says('live');
  assert.deepEqual([...publisher.console, ...first.console], [], 'the console is empty');
});

for (const [needs, args] of [['no token', []], ['a token', ['--publish-token', 'TOKEN', '--public-watch']]]) {
  test(`the FFmpeg command on the first page publishes where the relay needs ${needs}`, async (t) => {
    const relay = await Relay.start(t, { args });
    const page = await Page.open(t, browser, `${relay.url}/`);
    await page.tab.setChecked('#with-token', args.length > 0);
    const [program, ...words] = (await page.tab.textContent('#ffmpeg-test')).split(' ');
    assert.equal(program, 'ffmpeg');
    runFfmpeg(t, words);
    const viewer = await Page.open(t, browser, `${relay.url}/watch/demo`);
    await viewer.framesDecoded(10);
  });
}

test('the pages ask for the tokens that are needed, and go on with them', async (t) => {
  const relay = await Relay.start(t, { args: ['--publish-token', 'let-me-publish', '--watch-token', 'let-me-watch'] });
  const publisher = await Page.open(t, browser, `${relay.url}/publish/private?source=test&autostart=1&width=640&height=360`);
  await publisher.says('refused');
  const viewer = await Page.open(t, browser, `${relay.url}/watch/private`);
  await viewer.says('refused');

  await viewer.tab.fill('#token', 'let-me-publish');
  await viewer.tab.press('#token', 'Enter');
  await viewer.says('refused');
  await viewer.tab.waitForSelector('#token', { state: 'visible' });
  await viewer.tab.fill('#token', 'let-me-watch');
  await viewer.tab.press('#token', 'Enter');
  await viewer.says('waiting');

  await publisher.tab.fill('#token', 'let-me-publish');
  await publisher.tab.click('#toggle');
  await publisher.says('live');
  await viewer.framesDecoded(10);
  for (const secret of ['let-me-publish', 'let-me-watch']) assert.ok(!relay.child.output.includes(secret), 'tokens are not logged');
});

test('the first page takes the names that the relay takes', async (t) => {
  const relay = await Relay.start(t);
  const page = await Page.open(t, browser, `${relay.url}/`);
  const isTaken = async (name) => {
    await page.tab.fill('#name', name);
    return page.tab.evaluate(() => document.querySelector('#name').checkValidity());
  };
  for (const name of ['demo', 'A_b.c~d-1', '...', '.a', 'a.']) assert.ok(await isTaken(name), name);
  for (const name of ['', '.', '..', 'a b', 'a/b', 'ä']) assert.ok(!await isTaken(name), name);
});

test('the first page lists the streams and follows their changes', async (t) => {
  const relay = await Relay.start(t);
  const page = await Page.open(t, browser, `${relay.url}/`);
  await page.shows('#none', /^No stream is live\./);
  await page.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.tab.fill('#name', 'stage');
  await page.tab.click('#obs .code button');
  assert.equal(await page.tab.evaluate(() => navigator.clipboard.readText()), `${relay.url}/whip/stage`, 'what is shown is copied');
  const publisher = await Page.open(t, browser, `${relay.url}/publish/stage?source=test&autostart=1&codec=vp8&width=640&height=360`);
  await publisher.says('live');
  const viewer = await Page.open(t, browser, `${relay.url}/watch/stage`);
  await viewer.says('live');
  await page.shows('#count', '1 stream live');
  await page.shows('#streams', /stage\s.*640 × 360, VP8 \+ Opus\s.*[1-9]\d* (k|M)?bit\/s\s.*1 viewer\s.*live for \d+ s/s);
  await publisher.leave();
  await page.shows('#streams', /Waiting for a publisher/);
});

test('the list says which token it needs, and takes it', async (t) => {
  const relay = await Relay.start(t, { args: ['--publish-token', 'p', '--admin-token', 'a', '--public-watch'] });
  const page = await Page.open(t, browser, `${relay.url}/`);
  await page.shows('#none', /needs the admin token/);
  assert.equal(await page.tab.isVisible('#token'), false, 'visitors do not see the administrator\'s form');
  await page.tab.click('text=Administrator');
  assert.match(await page.tab.textContent('#ffmpeg-test'), / -authorization TOKEN -f whip /, 'commands have the place of a token');
  for (const [token, words] of [['x', /does not accept this token/], ['p', /does not allow that/], ['a', /^No stream is live/]]) {
    await page.tab.fill('#token', token);
    await page.tab.press('#token', 'Enter');
    await page.shows('#none', words);
  }
  assert.equal(await page.tab.isVisible('#token'), false);
});

test('a list that is on the admin address says so', async (t) => {
  const relay = await Relay.start(t, { admin: true });
  const page = await Page.open(t, browser, `${relay.url}/`);
  await page.shows('#none', /on the relay's admin address/);
});
