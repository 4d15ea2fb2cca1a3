// The relay binary under test, on ports that were free a moment ago.

import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';

import { Child } from './child.js';
import { until } from './until.js';

const BINARY = process.env.RELAY_BINARY ?? new URL('../../../target/debug/sluice', import.meta.url).pathname;

/** A free port below those that the kernel gives to connections, so that no browser takes it before the relay does. */
async function freeTcpPort() {
  const port = 10_000 + Math.floor(Math.random() * 20_000);
  const server = net.createServer();
  const isFree = await new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
  if (!isFree) return freeTcpPort();
  server.close();
  await once(server, 'close');
  return port;
}

/** A port that is free for both TCP and UDP: media uses both. */
async function freeMediaPort() {
  const port = await freeTcpPort();
  const socket = dgram.createSocket('udp4');
  const isBound = await new Promise((resolve) => {
    socket.once('error', () => resolve(false));
    socket.bind(port, '127.0.0.1', () => resolve(true));
  });
  socket.close();
  return isBound ? port : freeMediaPort();
}

/** A running relay. `url` is where its pages and endpoints are, `adminUrl` where it is looked after. */
export class Relay {
  /**
   * Starts a relay for the test `t`, which stops it at its end and prints its log if the test failed. `admin` gives API,
   * metrics and health an address of their own.
   */
  static async start(t, { args = [], env = {}, mediaHost = '127.0.0.1', admin = false } = {}) {
    const relay = new Relay();
    relay.http = `127.0.0.1:${await freeTcpPort()}`;
    relay.media = `${mediaHost}:${await freeMediaPort()}`;
    relay.url = `http://${relay.http}`;
    const adminAddress = admin && `127.0.0.1:${await freeTcpPort()}`;
    relay.adminUrl = admin ? `http://${adminAddress}` : relay.url;
    relay.args = ['--http', relay.http, '--media', relay.media, ...(admin ? ['--admin', adminAddress] : []), ...args];
    relay.env = env;
    t.after(() => relay.#end(t));
    await relay.start();
    return relay;
  }

  /** Starts it on the same ports again. */
  async start() {
    assert.ok(!this.child || this.child.hasEnded, 'the relay still runs');
    const child = new Child(BINARY, this.args, { env: { SLUICE_LOG: 'info,sluice=debug', SLUICE_DRAIN: '0', ...this.env } });
    this.child = child;
    await until('the relay is ready', async () => {
      if (child.hasEnded) return true;
      return (await fetch(`${this.adminUrl}/readyz`)).ok;
    });
    assert.ok(!child.hasEnded, `the relay ended at once:\n${child.output}`);
  }

  /** Starts the same command line a second time. */
  another() {
    return new Child(BINARY, this.args, { env: this.env });
  }

  /** Ends it and returns `{code, signal}`. */
  stop(signal = 'SIGTERM') {
    return this.child.stop(signal);
  }

  /** The sum of all samples of one metric whose labels include `labels`; 0 if there is none. */
  async metric(name, labels = {}) {
    const text = await (await fetch(`${this.adminUrl}/metrics`)).text();
    let sum = 0;
    for (const line of text.split('\n')) {
      const sample = /^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)$/.exec(line);
      if (!sample || sample[1] !== name) continue;
      if (Object.entries(labels).every(([key, value]) => sample[2]?.includes(`${key}="${value}"`))) sum += Number(sample[3]);
    }
    return sum;
  }

  async #end(t) {
    if (!this.child) return;
    if (!this.child.hasEnded) await this.child.stop();
    if (!t.passed) t.diagnostic(`relay log of "${t.name}":\n${this.child.output.slice(-6000)}`);
  }
}
