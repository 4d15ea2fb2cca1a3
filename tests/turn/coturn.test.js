// coturn as a TURN server in front of the relay: Chromium connects through it alone, with the credentials of the 201.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Child } from '../browser/support/child.js';
import { launchChromium } from '../browser/support/chromium.js';
import { Relay } from '../browser/support/relay.js';
import { byTurnAlone, playing, selectedPair } from '../browser/support/turn.js';
import { until } from '../browser/support/until.js';

const SECRET = 'a secret of coturn and the relay';

let browser;
before(async () => (browser = await launchChromium()));
after(() => browser.close());

/** A port that is free now. */
const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

/** Starts coturn and resolves to its port, once that accepts connections. */
async function startCoturn(t) {
  const port = await freePort();
  const directory = mkdtempSync(join(tmpdir(), 'sluice-coturn-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const coturn = new Child(`${process.env.COTURN}/usr/bin/turnserver`, [
    '-n', '--no-cli', '--no-tls', '--no-dtls', '--log-file=stdout', '--use-auth-secret', `--static-auth-secret=${SECRET}`, '--realm=example.org',
    '--listening-ip=127.0.0.1', '--relay-ip=127.0.0.1', `--listening-port=${port}`, '--allow-loopback-peers',
    `--userdb=${join(directory, 'users')}`, `--pidfile=${join(directory, 'pid')}`,
  ], { env: { LD_LIBRARY_PATH: `${process.env.COTURN}/usr/lib/x86_64-linux-gnu` } });
  t.after(() => coturn.stop());
  await until('coturn listens', () => {
    assert.ok(!coturn.hasEnded, coturn.output);
    return new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
      socket.unref().on('connect', () => socket.end());
    });
  });
  return port;
}

for (const transport of ['udp', 'tcp']) {
  test(`Chromium publishes and watches through coturn alone, which it reaches by ${transport}`, async (t) => {
    const port = await startCoturn(t);
    const server = `turn:127.0.0.1:${port}?transport=${transport}`;
    const relay = await Relay.start(t, { args: ['--turn=false', '--ice-server', server], env: { SLUICE_TURN_SECRET: SECRET } });
    const pages = await playing(t, browser, relay.url, byTurnAlone);
    assert.deepEqual(await Promise.all(pages.map(selectedPair)), [`relay by ${transport}`, `relay by ${transport}`]);
  });
}
