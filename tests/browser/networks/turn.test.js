// A client that reaches nothing but the HTTPS port: by ICE-TCP, and by TURN inside TLS where the network lets out nothing else.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EXECUTABLE, launchChromium, Page } from '../support/chromium.js';
import { Network, RELAY } from '../support/network.js';
import { Relay } from '../support/relay.js';
import { byTurnAlone, selectedPair } from '../support/turn.js';

/** Maximum milliseconds from a viewer's POST to its first frame. */
const FIRST_FRAME = 3_000;
const VISITS = 5;

/** Runs in the page: notes when the first frame is shown. */
function noteFirstFrame() {
  document.addEventListener('DOMContentLoaded', () => document.querySelector('video')?.requestVideoFrameCallback((now) => (window.firstFrame = now)));
}

/** Milliseconds from the POST of the page to its first frame. */
const firstFrame = (page) => page.tab.evaluate(() => {
  const post = performance.getEntriesByType('resource').find(({ name }) => name.includes('/whep/'));
  return Math.round(window.firstFrame - post.startTime);
});

for (const [how, { prepare }, expected] of [['anything', { prepare: () => {} }, 'direct by tcp'], ['TURN alone', byTurnAlone, 'relay by tls']]) {
  test(`a viewer that reaches nothing but the HTTPS port and may use ${how} shows the first frame within 3 s`, async (t) => {
    const network = await Network.open(t, { onlyWifi: true });
    const relay = await Relay.start(t, { httpHost: RELAY, mediaHost: RELAY, admin: true, args: ['--media-on-http', '--tls-self-signed'] });
    network.block(['udp']);
    network.block(['tcp'], relay.media.split(':')[1]);
    const browser = await launchChromium(['--ignore-certificate-errors'], { executablePath: network.programAtClient(EXECUTABLE) });
    t.after(() => browser.close());
    const url = relay.url.replace('http:', 'https:');
    const publisher = await Page.open(t, browser, `${url}/publish/cam?source=test&autostart=1&width=320&height=180&rate=15`, { prepare });
    await publisher.says('live');
    const times = [];
    while (times.length < VISITS) {
      const prepareViewer = async (tab) => {
        await tab.addInitScript(noteFirstFrame);
        await prepare(tab);
      };
      const viewer = await Page.open(t, browser, `${url}/watch/cam`, { prepare: prepareViewer });
      await viewer.framesDecoded(10);
      times.push(await firstFrame(viewer));
      assert.equal(await selectedPair(viewer), expected);
      await viewer.leave();
    }
    assert.equal(await selectedPair(publisher), expected);
    t.diagnostic(`milliseconds from the POST to the first frame: ${times.join(', ')}`);
    assert.ok(Math.max(...times) < FIRST_FRAME, `${times} ms`);
  });
}
