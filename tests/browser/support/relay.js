// The relay binary under test, on free ports.

import assert from 'node:assert/strict';

import { Child } from './child.js';
import { until } from './until.js';

/** The relay's program. */
export const BINARY = process.env.RELAY_BINARY ?? new URL('../../../target/debug/sluice', import.meta.url).pathname;

/** A running relay. `url` is where its pages and endpoints are, `adminUrl` where it is looked after. */
export class Relay {
  /**
   * Starts a relay for the test `t`, which stops it at its end and prints its log if the test failed. `admin` gives API,
   * metrics and health an address of their own. `launch` starts the program where there is another network; there, `port` may be
   * that of HTTP, and the next one that of media.
   */
  static async start(t, { args = [], env = {}, httpHost = '127.0.0.1', mediaHost = '127.0.0.1', admin = false, port = 0, binary = BINARY, launch } = {}) {
    const relay = new Relay();
    relay.binary = binary;
    relay.launch = launch ?? ((...command) => new Child(...command));
    // The relay takes free ports itself: one that is free a moment before may be taken when it starts.
    relay.args = ['--http', `${httpHost}:${port}`, '--media', `${mediaHost}:${port && port + 1}`, ...(admin ? ['--admin', '127.0.0.1:0'] : []), ...args];
    relay.env = env;
    t.after(() => relay.#end(t));
    await relay.start();
    return relay;
  }

  /** Starts it; after the first time, on the same ports again. */
  async start() {
    assert.ok(!this.child || this.child.hasEnded, 'the relay still runs');
    const child = this.launch(this.binary, this.args, { env: { SLUICE_LOG: 'info,sluice=debug', SLUICE_DRAIN: '0', ...this.env } });
    this.child = child;
    await until('the relay is ready', async () => {
      if (child.hasEnded) return true;
      this.#read(child.output);
      return (await fetch(`${this.adminUrl}/readyz`)).ok;
    });
    assert.ok(!child.hasEnded, `the relay ended at once:\n${child.output}`);
  }

  /** Takes the addresses from what it prints when it listens. */
  #read(printed) {
    const [, http, media] = /listening on (\S+) and, for media, on (\S+)\/udp/.exec(printed);
    const [, admin] = /Metrics +https?:\/\/(\S+)\/metrics/.exec(printed);
    Object.assign(this, { http, media, url: `http://${http}`, adminUrl: `http://${admin}` });
    const addresses = { '--http': http, '--media': media, '--admin': admin };
    this.args = this.args.map((arg, place, args) => addresses[args[place - 1]] ?? arg);
  }

  /** Starts the same command line a second time. */
  another() {
    return new Child(BINARY, this.args, { env: this.env });
  }

  /** Ends it and returns `{code, signal}`. */
  stop(signal = 'SIGTERM') {
    return this.child.stop(signal);
  }

  /** Asks it as its administrator. */
  ask(path) {
    const token = this.env.SLUICE_ADMIN_TOKEN;
    return fetch(`${this.adminUrl}${path}`, { headers: token ? { Authorization: `Bearer ${token}` } : {} });
  }

  /** The sum of all samples of one metric whose labels include `labels`; 0 if there is none. */
  async metric(name, labels = {}) {
    const text = await (await this.ask('/metrics')).text();
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
