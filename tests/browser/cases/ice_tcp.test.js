// Browsers on networks that block UDP: Chromium publishes and watches by TCP alone.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { launchChromium, Page } from '../support/chromium.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

// With this policy the browser opens no UDP socket, as on a network that blocks UDP.
const browser = await launchChromium(['--webrtc-ip-handling-policy=disable_non_proxied_udp', '--ignore-certificate-errors']);
after(() => browser.close());

/** The protocol of the pair that carries the media of the page. */
const transport = (page) =>
  page.tab.evaluate(async () => {
    const reports = await window.peerConnections.at(-1).getStats();
    const { selectedCandidatePairId } = [...reports.values()].find((report) => report.type === 'transport');
    return reports.get(reports.get(selectedCandidatePairId).remoteCandidateId).protocol;
  });

test('a publisher and a viewer without UDP connect by TCP, and the viewer plays video and audio', async (t) => {
  const relay = await Relay.start(t, { args: ['--workers', '4'] });
  const publisher = await Page.open(t, browser, `${relay.url}/publish/tcp?source=test&autostart=1&width=320&height=180&rate=15`);
  const viewer = await Page.open(t, browser, `${relay.url}/watch/tcp`);
  await viewer.framesDecoded(30);
  await viewer.hears();
  assert.deepEqual([await transport(publisher), await transport(viewer)], ['tcp', 'tcp']);
  assert.ok((await relay.metric('sluice_ice_tcp_connections')) >= 2);
});

test('the HTTP port takes media too: its candidate answers checks, also where HTTPS is served', async (t) => {
  for (const args of [[], ['--tls-self-signed']]) {
    const relay = await Relay.start(t, { args: ['--media-on-http', ...args], admin: true });
    const url = args.length ? relay.url.replace('http:', 'https:') : relay.url;
    const publisher = await Page.open(t, browser, `${url}/publish/tcp?source=test&autostart=1&width=320&height=180&rate=15`);
    await publisher.says('live');
    const answered = () =>
      publisher.tab.evaluate(async (port) => {
        const reports = [...(await window.peerConnections.at(-1).getStats()).values()];
        const candidate = reports.find((report) => report.type === 'remote-candidate' && report.port === port);
        const pair = reports.find((report) => report.type === 'candidate-pair' && report.remoteCandidateId === candidate?.id);
        return (pair?.responsesReceived ?? 0) > 0;
      }, Number(relay.http.split(':')[1]));
    await until('an answer at the HTTP port', answered);
  }
});
