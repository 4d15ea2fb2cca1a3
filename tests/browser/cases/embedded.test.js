// A page of another origin publishes and watches with a few lines of its own: no script of ours, only CORS and the RFCs.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { servePage } from '../support/http_server.js';
import { PLAIN_PAGE, plainPublish, plainWatch } from '../support/plain_client.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

test('a page of another origin publishes and watches, and ends its sessions by DELETE', async (t) => {
  const relay = await Relay.start(t);
  const origin = await servePage(t, PLAIN_PAGE);
  const publisher = await Page.open(t, browser, origin);
  const published = await publisher.tab.evaluate(plainPublish, `${relay.url}/whip/embedded`);
  const viewer = await Page.open(t, browser, origin);
  const watched = await viewer.tab.evaluate(plainWatch, `${relay.url}/whep/embedded`);

  const { inbound, transport } = await viewer.framesDecoded(60);
  assert.deepEqual([inbound.video.frameWidth, inbound.video.frameHeight], [640, 480]);
  assert.equal(viewer.lostOnTheWay(inbound.video), 0);
  assert.equal(transport.srtpCipher, 'SRTP_AEAD_AES_128_GCM');
  await viewer.statisticsWhen('the beeps of the fake microphone are heard', (now) => now.inbound.audio?.totalAudioEnergy > 0);

  for (const [page, session] of [[viewer, watched], [publisher, published]]) {
    const remove = (url) => fetch(url, { method: 'DELETE' }).then((response) => response.status);
    assert.equal(await page.tab.evaluate(remove, session), 200);
    assert.equal(await page.tab.evaluate(remove, session), 404);
    // Sooner than a browser notices a silent peer: the relay closed the connection.
    await page.statisticsWhen('the connection is closed', (now) => now.transport.dtlsState === 'closed', { timeout: 3_000 });
  }
  await until('no session is left', async () => (await relay.metric('sluice_sessions')) === 0);
});
