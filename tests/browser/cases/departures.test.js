// The watch page when its publisher leaves: it says how, dims the last frame, and plays when there is another publisher.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { publishWithFfmpeg } from '../support/ffmpeg.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

/** Runs in the page: records each message and when it was shown. */
function noteMessages() {
  const message = document.querySelector('#message');
  const detail = document.querySelector('#detail');
  const note = () => {
    const last = window.notes.at(-1);
    const now = { at: Date.now(), text: message.textContent, detail: detail.textContent };
    if (last?.text !== now.text || last.detail !== now.detail) window.notes.push(now);
  };
  window.notes = [];
  note();
  const observer = new MutationObserver(note);
  for (const element of [message, detail]) observer.observe(element, { childList: true, characterData: true, subtree: true });
}

const notes = (page) => page.tab.evaluate(() => window.notes);
const words = async (page) => (await notes(page)).map(({ text }) => text);
const opacity = (page) => page.tab.evaluate(() => Number(getComputedStyle(document.querySelector('video')).opacity));

test('a stream that its publisher ends is shown as ended within a second, and plays when it is published again', async (t) => {
  const relay = await Relay.start(t);
  const publisher = await Page.open(t, browser, `${relay.url}/publish/hall?source=test&autostart=1&width=320&height=180&rate=15`);
  const viewer = await Page.open(t, browser, `${relay.url}/watch/hall`);
  await viewer.framesDecoded(15);
  await viewer.shows('#message', 'Playing');
  await viewer.tab.evaluate(noteMessages);
  for (let round = 1; round <= 2; round += 1) {
    let deleted;
    publisher.tab.on('request', (request) => request.method() === 'DELETE' && (deleted ??= Date.now()));
    await publisher.tab.click('#toggle');
    await viewer.shows('#message', 'Ended', { every: 20 });
    const shown = (await notes(viewer)).at(-1).at;
    assert.ok(shown - deleted < 1000, `${shown - deleted} ms`);
    await until('the frame is dimmed', async () => (await opacity(viewer)) < 0.5);
    // The browser asks for a keyframe after three seconds without one; nothing is shown again.
    const { inbound } = await viewer.statistics();
    const { inbound: later } = await viewer.statisticsWhen('the browser asks for a keyframe',
      (now) => now.inbound.video.pliCount > inbound.video.pliCount);
    assert.equal(later.video.packetsReceived, inbound.video.packetsReceived);
    await publisher.tab.click('#toggle');
    await viewer.shows('#message', 'Playing');
    await viewer.framesDecoded(5);
    assert.equal(await opacity(viewer), 1);
    assert.deepEqual((await words(viewer)).slice(-2), ['Ended', 'Playing']);
  }
  assert.deepEqual(await words(viewer), ['Playing', 'Ended', 'Playing', 'Ended', 'Playing'], 'and nothing else between');
});

test('a page that is left open on an ended stream takes its place again rarely, and at once when asked', async (t) => {
  const relay = await Relay.start(t, { args: ['--grace', '2'] });
  const open = () => Page.open(t, browser, `${relay.url}/publish/hall?source=test&autostart=1&width=320&height=180&rate=15`);
  const publisher = await open();
  const viewer = await Page.open(t, browser, `${relay.url}/watch/hall`);
  await viewer.framesDecoded(15);
  await publisher.tab.click('#toggle');
  await viewer.shows('#message', 'Ended');
  await viewer.shows('#next', /^Trying again in [2-4]\d seconds\.$/);
  assert.equal(await viewer.text('#message'), 'Ended');
  assert.equal(viewer.sessions.length, 1);
  await publisher.tab.click('#toggle');
  await until('it is published again', () => publisher.sessions.length > 1);
  await viewer.tab.click('#again');
  await viewer.shows('#message', 'Playing');
  assert.equal(viewer.sessions.length, 2);
});

test('a publisher that is killed is shown as lost, and the stream goes on with the next', async (t) => {
  const relay = await Relay.start(t);
  const child = publishWithFfmpeg(t, `${relay.url}/whip/hall`);
  const viewer = await Page.open(t, browser, `${relay.url}/watch/hall`);
  await viewer.framesDecoded(15);
  await viewer.shows('#message', 'Playing');
  await viewer.tab.evaluate(noteMessages);
  await child.stop('SIGKILL');
  await viewer.shows('#message', 'Waiting for the publisher', { every: 20 });
  assert.ok((await opacity(viewer)) < 0.5);
  await viewer.shows('#message', 'Publisher lost, waiting', { timeout: 10_000 });
  assert.ok((await opacity(viewer)) < 0.5);
  publishWithFfmpeg(t, `${relay.url}/whip/hall`);
  await viewer.shows('#message', 'Playing');
  await viewer.framesDecoded(5);
  const all = await notes(viewer);
  assert.deepEqual(all.map(({ text, detail }) => [text, detail]), [
    ['Playing', ''],
    ['Waiting for the publisher', 'No media of "hall" arrives.'],
    ['Publisher lost, waiting', 'The relay lost the publisher of "hall". Playback continues when it returns.'],
    ['Playing', ''],
  ]);
});

test('a viewer that joins between two distant keyframes shows that a keyframe may be missing, not that there is no video', async (t) => {
  const relay = await Relay.start(t, { args: ['--fast-start', '0'] });
  const first = await Page.open(t, browser, `${relay.url}/watch/hall`);
  await until('the first viewer is there before the only keyframe', () => relay.metric('sluice_sessions', { role: 'viewer', state: 'connected' }));
  publishWithFfmpeg(t, `${relay.url}/whip/hall`, { keyframes: 100_000 });
  await first.framesDecoded(150, { timeout: 30_000 }); // more than the relay keeps of a stream in any case
  const late = await Page.open(t, browser, `${relay.url}/watch/hall`);
  await late.shows('#detail', 'Audio only: this stream has no video, or its next keyframe is still to come.');
  await late.shows('#message', 'Playing');
});
