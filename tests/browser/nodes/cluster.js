// A cluster of real relays and its NATS servers, each on a host of its own, as a test breaks and mends them.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Mesh } from '../support/mesh.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

/** The program of a NATS server. */
export const NATS_SERVER = process.env.NATS_SERVER ?? new URL('../../.tools/nats-server', import.meta.url).pathname;

/** What the nodes show each other. */
const SECRET = 'a-secret-of-the-nodes-of-this-test';

/** The ways in which a host fails, and what ends that. */
export const FAILURES = {
  kill: { name: 'kill -9', fail: (_, one) => one.child.stop('SIGKILL'), mend: (_, one) => one.start() },
  stop: { name: 'SIGSTOP', fail: (_, one) => one.child.signal('SIGSTOP'), mend: (_, one) => one.child.signal('SIGCONT') },
  cut: { name: 'cut off', fail: (mesh, one) => mesh.cut(one.host), mend: (mesh, one) => mesh.heal(one.host) },
};

export class Cluster {
  nodes = [];
  servers = [];

  /**
   * Starts it for the test `t`, which ends it. `delay` is that between two hosts, in milliseconds, each way; `binaries` are
   * the programs of the nodes, where they are others than the one under test.
   */
  static async start(t, { nodes = 3, servers = 1, delay = 10, args = [], env = {}, binaries = [] } = {}) {
    const cluster = new Cluster();
    cluster.mesh = await Mesh.open(t, { delay });
    const hosts = [];
    for (let number = 0; number < servers; number += 1) hosts.push(await cluster.mesh.host());
    cluster.servers = hosts.map((host) => new NatsServer(t, host, hosts));
    await Promise.all(cluster.servers.map((server) => server.start()));
    const urls = hosts.map(({ address }) => `nats://${address}:4222`).join(',');
    const start = async (place) => {
      const host = await cluster.mesh.host();
      const url = `http://${host.address}:8080`;
      const own = ['--cluster', urls, '--node-url', url, '--cluster-secret', SECRET];
      const launch = (...command) => host.launch(...command);
      const node = await Relay.start(t, { httpHost: host.address, mediaHost: host.address, port: 8080, args: [...own, ...args], env, binary: binaries[place], launch });
      // A relay that a row has stopped or cut off does not heed SIGTERM.
      t.after(() => node.child.stop('SIGKILL'));
      return Object.assign(node, { host, letter: 'ABCDE'[place] });
    };
    for (let place = 0; place < nodes; place += 1) cluster.nodes.push(await start(place));
    await cluster.inStep();
    return cluster;
  }

  /** One way of failing, for each of these nodes or servers. */
  async fail(way, ones) {
    await Promise.all(ones.map((one) => FAILURES[way].fail(this.mesh, one)));
  }

  /** Ends that. */
  async mend(way, ones) {
    await Promise.all(ones.map((one) => FAILURES[way].mend(this.mesh, one)));
  }

  /** Waits until these nodes follow the directory, have claimed all their streams, and list the same ones. */
  inStep(nodes = this.nodes, { timeout = 60_000 } = {}) {
    return until('the nodes are in step', async () => {
      const seen = await Promise.all(nodes.map(readNode));
      const lists = new Set(seen.map(({ streams }) => JSON.stringify(streams)));
      const fits = ({ connected, provisional, streams }) => connected && provisional === 0 && streams.every(({ claimed, live }) => claimed && live);
      if (seen.every(fits) && lists.size === 1) return true;
      throw new Error(JSON.stringify(seen));
    }, { every: 50, timeout });
  }

  /** The nodes that have a publisher of the stream now, of these. */
  async origins(stream, nodes = this.nodes) {
    const lists = await Promise.all(nodes.map(async (node) => (await node.ask('/api/streams')).json()));
    return nodes.filter((_, place) => lists[place].some(({ name, live }) => name === stream && live));
  }

  /** The node that sends the stream to this one. */
  async parent(child, stream) {
    const nodes = this.nodes.filter((node) => !node.child.hasEnded);
    const sessions = await Promise.all(nodes.map(async (node) => (await node.ask('/api/sessions')).json()));
    const isLeg = (one) => one.role === 'leg' && one.stream === stream && one.state === 'live' && one.client_address === child.host.address;
    return nodes.find((node, place) => node !== child && sessions[place].some(isLeg));
  }
}

/** What a node says of the directory and of the streams in it. */
async function readNode(node) {
  const [connected, provisional, response] = await Promise.all([
    node.metric('sluice_directory_state', { state: 'connected' }),
    node.metric('sluice_provisional_streams'),
    node.ask('/api/streams?scope=cluster'),
  ]);
  const streams = (await response.json()).map(({ name, node: origin, claimed, live }) => ({ name, origin, claimed, live }));
  return { connected: connected === 1, provisional, streams: streams.sort((one, other) => one.name.localeCompare(other.name)) };
}

/** One server, which keeps its values in files. */
class NatsServer {
  constructor(t, host, hosts) {
    this.host = host;
    this.directory = mkdtempSync(join(tmpdir(), 'sluice-nats-'));
    const routes = hosts.map(({ address }) => `"nats://${address}:6222"`).join(', ');
    const cluster = hosts.length > 1 ? `cluster { name: test, listen: "${host.address}:6222", routes: [${routes}] }` : '';
    writeFileSync(join(this.directory, 'nats.conf'), `
      server_name: "${this.name}"
      listen: "${host.address}:4222"
      http: "${host.address}:8222"
      jetstream { store_dir: "${join(this.directory, 'store')}", sync_interval: always }
      ${cluster}`);
    t.after(async () => {
      await this.child?.stop('SIGKILL');
      if (!t.passed) t.diagnostic(`${this.name}:\n${this.child?.output.slice(-2000)}`);
      rmSync(this.directory, { recursive: true });
    });
  }

  get name() {
    return `nats-${this.host.address}`;
  }

  /** Starts it, also after it was killed, and waits until it can accept writes. */
  async start() {
    this.child = this.host.launch(NATS_SERVER, ['-c', join(this.directory, 'nats.conf')]);
    await until(`${this.name} is ready`, () => this.#get('/healthz?js-enabled-only=true'), { every: 10 });
  }

  /** Whether it accepts writes: where there are more servers, one leads them, and this one has caught up. Throws if not. */
  async accepts() {
    await this.#get('/healthz');
    return true;
  }

  /** The name of the server that leads the replicas of the directory, as this one sees it; none while there is no leader. */
  async leader() {
    const { account_details: accounts = [] } = await this.#get('/jsz?streams=true');
    const streams = accounts.flatMap(({ stream_detail: detail }) => detail ?? []);
    return streams.find(({ name }) => name === 'KV_sluice')?.cluster?.leader;
  }

  async #get(path) {
    const response = await fetch(`http://${this.host.address}:8222${path}`, { signal: AbortSignal.timeout(1000) });
    if (!response.ok) throw new Error(await response.text());
    return response.json();
  }
}
