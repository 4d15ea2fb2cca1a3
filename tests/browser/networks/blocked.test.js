// A client that reaches the relay by HTTP only: its page says why, in the words of the relay.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EXECUTABLE, launchChromium, Page } from '../support/chromium.js';
import { Network, RELAY } from '../support/network.js';
import { Relay } from '../support/relay.js';

test('the pages of a viewer and of a publisher whose UDP and TCP are blocked show what the relay has seen', async (t) => {
  const network = await Network.open(t, { onlyWifi: true });
  const relay = await Relay.start(t, { httpHost: RELAY, mediaHost: RELAY, admin: true, args: ['--media-on-http', 'false'] });
  const port = relay.media.split(':')[1];
  network.block(['udp', 'tcp'], port);
  const browser = await launchChromium([], { executablePath: network.programAtClient(EXECUTABLE) });
  t.after(() => browser.close());
  const viewer = await Page.open(t, browser, `${relay.url}/watch/hall`);
  const publisher = await Page.open(t, browser, `${relay.url}/publish/hall?source=test&autostart=1&width=320&height=180&rate=15`);
  const wanted = new RegExp(`^No network path to the relay was found\\. .* The relay reports: No valid check of the client arrived by UDP or TCP: it posted its offer from 10\\.77\\.1\\.2 and was given ${relay.media} by UDP, and ${relay.media} by TCP; open these ports`);
  await viewer.shows('#detail', wanted);
  await publisher.shows('#problem', wanted);
  const sessions = await (await fetch(`${relay.adminUrl}/api/sessions`)).json();
  const ended = sessions.filter(({ ended }) => ended).map(({ role, ended }) => `${role} ${ended.reason}`);
  assert.deepEqual([...new Set(ended)].sort(), ['publisher never_connected', 'viewer never_connected']);
});
