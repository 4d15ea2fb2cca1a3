// TURN of the relay itself: browsers that can use nothing else use it, and others do not end on it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchChromium } from '../support/chromium.js';
import { Relay } from '../support/relay.js';
import { byTurnAlone, playing, selectedPair } from '../support/turn.js';
import { until } from '../support/until.js';

// A self-signed certificate is accepted for HTTPS, and for TURN inside TLS.
const INSECURE = '--ignore-certificate-errors';
// With this policy the browser opens no UDP socket, as on a network that blocks UDP.
const WITHOUT_UDP = '--webrtc-ip-handling-policy=disable_non_proxied_udp';
const HTTPS = ['--media-on-http', '--tls-self-signed'];

let browser;
before(async () => (browser = await launchChromium([INSECURE])));
after(() => browser.close());

async function start(t, args) {
  const relay = await Relay.start(t, { args: ['--workers', '4', ...args], admin: true });
  return [relay, args === HTTPS ? relay.url.replace('http:', 'https:') : relay.url];
}

for (const [port, args, expected] of [
  ['media port', [], 'relay by tcp'],
  ['HTTP port', ['--media-on-http'], 'relay by tcp'],
  ['HTTPS port', HTTPS, 'relay by tls'],
]) {
  test(`clients that can use nothing but TURN publish and watch by TURN on the ${port}`, async (t) => {
    const [relay, url] = await start(t, args);
    const pages = await playing(t, browser, url, byTurnAlone);
    assert.deepEqual(await Promise.all(pages.map(selectedPair)), [expected, expected]);
    const allocations = () => relay.metric('sluice_turn_allocations');
    assert.ok((await allocations()) >= 2);
    for (const page of pages) await page.leave();
    await until('the allocations end with their sessions', async () => (await allocations()) === 0);
  });
}

for (const [protocol, flags] of [['udp', []], ['tcp', [WITHOUT_UDP]]]) {
  test(`clients that can connect directly by ${protocol} do so, although the relay offers TURN`, async (t) => {
    const chromium = await launchChromium([INSECURE, ...flags]);
    t.after(() => chromium.close());
    for (const args of [[], HTTPS]) {
      const [, url] = await start(t, args);
      const pages = await playing(t, chromium, url);
      const pairs = () => Promise.all(pages.map(selectedPair));
      await until('both are direct', async () => (await pairs()).every((pair) => pair === `direct by ${protocol}`)).catch(async () =>
        assert.fail(`${args.join(' ')}: ${await pairs()}`));
    }
  });
}
