// Hosts in network namespaces of their own, each connected with each other by links of the same delay, which can be cut. The
// host of this process is one of them. Namespaces have no names: they live as long as the programs in them.
//
// Needs the right to make namespaces: tests/nodes gives it.

import { execFileSync } from 'node:child_process';

import { Child } from './child.js';
import { inside, namespace, NO_IPV6 } from './network.js';
import { until } from './until.js';

const NETWORK = '10.78.0';
const ROUTER = new URL('router.py', import.meta.url).pathname;

export class Mesh {
  #router;
  #hosts = [];
  #answers = 0;

  /** Opens one in which each way takes `delay` milliseconds, for the test `t`, which closes it at its end. */
  static async open(t, { delay }) {
    const mesh = new Mesh();
    t.after(() => mesh.#close());
    mesh.#router = new Child('python3', [ROUTER, String(delay)], { input: true });
    mesh.own = await mesh.#join(new Host(`${NETWORK}.1`, process.pid));
    return mesh;
  }

  /** A further host. */
  async host() {
    const child = await namespace();
    const host = new Host(`${NETWORK}.${this.#hosts.length + 1}`, child.pid, child);
    return this.#join(host);
  }

  /** From now on nothing passes between this host and the others; it tells neither side. */
  cut(host, others = this.#others(host)) {
    return this.#all('cut', host, others);
  }

  /** Ends that. */
  heal(host, others = this.#others(host)) {
    return this.#all('heal', host, others);
  }

  /** Returns a function that resolves to when the first media after this call left `from` for `to`: milliseconds since 1970. */
  async watchMedia(from, to) {
    const before = this.#router.output.length;
    await this.#command(`media ${from.address} ${to.address}`);
    const line = new RegExp(`^media ${from.address} ${to.address} (.+)\n`, 'm');
    return async () => Number((await until('media has come', () => line.exec(this.#router.output.slice(before)), { every: 10 }))[1]);
  }

  #others(host) {
    return this.#hosts.filter((other) => other !== host);
  }

  async #all(word, host, others) {
    for (const other of others) await this.#command(`${word} ${host.address} ${other.address}`);
  }

  async #join(host) {
    await this.#command(`host ${host.address} ${host.pid}`);
    const lines = [NO_IPV6, 'ip link set lo up', `ip address add ${host.address}/24 dev mesh`, 'ip link set mesh up', 'ip route add default dev mesh'];
    inside(host, lines);
    this.#hosts.push(host);
    return host;
  }

  async #command(line) {
    this.#router.write(`${line}\n`);
    this.#answers += 1;
    const answers = () => this.#router.output.match(/^done$/gm)?.length ?? 0;
    await until(`the router does ${line}`, () => {
      if (this.#router.hasEnded) throw new Error(this.#router.output);
      return answers() >= this.#answers;
    }, { every: 2, timeout: 5000 });
  }

  async #close() {
    await this.#router?.stop('SIGKILL');
    await Promise.all(this.#hosts.map((host) => host.end()));
    // The interface of this process ends with the router's descriptor, a little later.
    await until('the network has gone', () => !execFileSync('ip', ['-brief', 'link'], { encoding: 'utf8' }).includes('mesh'));
  }
}

/** One host: its address, and the programs that are started there. */
class Host {
  #holder;

  constructor(address, pid, holder) {
    Object.assign(this, { address, pid });
    this.#holder = holder;
  }

  /** Starts a program there, with the arguments of `Child`. */
  launch(program, args, options) {
    return new Child('nsenter', [`--net=/proc/${this.pid}/ns/net`, '--', program, ...args], options);
  }

  end() {
    return this.#holder?.stop('SIGKILL');
  }
}
