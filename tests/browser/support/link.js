// An impaired link between real clients and the relay: a UDP proxy for media, and an HTTP front that leads clients to it by
// taking the candidates out of their offers and putting the proxy's port into the answers.

import dgram from 'node:dgram';
import { once } from 'node:events';
import http from 'node:http';
import { networkInterfaces } from 'node:os';

import { Lane, kindOf } from './lane.js';

const HOST = '127.0.0.1';
const BUFFER = 4 << 20;

/** An address of this machine that is not loopback: Firefox uses no loopback address. */
export function outerAddress() {
  const addresses = Object.values(networkInterfaces()).flat();
  const found = addresses.find(({ family, internal }) => family === 'IPv4' && !internal);
  if (!found) throw new Error('this machine has only loopback addresses, which Firefox does not use');
  return found.address;
}

/** One link. `url` stands for the relay's; `up` leads from clients to the relay, `down` back. Each session that is made
 * through it has sockets of its own and shares the lanes' fate, not their order. */
export class Link {
  /** Called with {at, way, kind, datagram, lost, queued} of each datagram that comes in; `queued` is how long the next one would wait. */
  watch = null;
  /** Status of each POST. */
  posts = [];
  #target;
  #media;
  #server;
  #impairment = { up: {}, down: {} };
  #seed;
  #sessions = [];

  /** Opens a link to a relay for the test `t`, which closes it at its end. */
  static async open(t, relay, { up = {}, down = {}, seed = 1, host = HOST } = {}) {
    const link = new Link();
    link.host = host;
    link.#target = new URL(relay.url);
    const [to, port] = relay.media.split(':');
    link.#media = { host: to === '0.0.0.0' ? host : to, port: Number(port) };
    link.#impairment = { up, down };
    link.#seed = seed;
    link.#server = http.createServer((request, response) => link.#forward(request, response)).listen(0, HOST);
    await once(link.#server, 'listening');
    link.url = `http://${HOST}:${link.#server.address().port}`;
    t.after(() => link.close());
    return link;
  }

  /** Changes what the lanes do from now on, for present and later sessions. */
  set({ up, down }) {
    if (up) this.#impairment.up = up;
    if (down) this.#impairment.down = down;
    for (const session of this.#sessions) {
      if (up) session.up.set(up);
      if (down) session.down.set(down);
    }
  }

  /** Nothing passes in either direction for this many milliseconds. Returns the end, by `performance.now()`. */
  blackout(milliseconds) {
    const until = performance.now() + milliseconds;
    for (const { up, down } of this.#sessions) {
      up.blackout(until);
      down.blackout(until);
    }
    return until;
  }

  /** Media packets that came in and that were lost, by direction. */
  get counts() {
    const sum = (way, what) => this.#sessions.reduce((total, session) => total + session[way][what], 0);
    return {
      up: { passed: sum('up', 'passed'), lost: sum('up', 'lost') },
      down: { passed: sum('down', 'passed'), lost: sum('down', 'lost') },
    };
  }

  close() {
    this.#server.closeAllConnections();
    this.#server.close();
    for (const session of this.#sessions) session.close();
    this.#sessions = [];
  }

  async #forward(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    let body = Buffer.concat(chunks);
    const joins = request.method === 'POST' && /^\/(whip|whep)\//.test(request.url);
    if (joins) body = Buffer.from(body.toString().replace(/^a=candidate:.*\r?\n/gm, ''));
    const headers = { ...request.headers, host: this.#target.host, 'content-length': body.length };
    const { hostname, port } = this.#target;
    const onward = http.request({ hostname, port, method: request.method, path: request.url, headers });
    onward.on('error', () => response.destroy());
    onward.end(body);
    const [answer] = await once(onward, 'response').catch(() => []);
    if (!answer) return;
    const parts = [];
    for await (const chunk of answer) parts.push(chunk);
    let text = Buffer.concat(parts);
    if (joins) this.posts.push(answer.statusCode);
    if (joins && answer.statusCode === 201) {
      const session = await Session.open(this, this.#media, this.#impairment, this.#seed + this.#sessions.length * 2);
      this.#sessions.push(session);
      text = Buffer.from(throughPort(text.toString(), this.host, session.port));
    }
    const { 'transfer-encoding': _, ...kept } = answer.headers;
    response.writeHead(answer.statusCode, { ...kept, 'content-length': text.length });
    response.end(text);
  }
}

/** The answer with one candidate in place of each section's, for this port. */
function throughPort(answer, host, port) {
  const candidate = `a=candidate:1 1 udp 2130706431 ${host} ${port} typ host\r\n`;
  return answer.replace(/(?:^a=candidate:.*\r?\n)+/gm, candidate);
}

/** The sockets of one session: one that clients reach, and one for each client address that the relay sees. */
class Session {
  #client = dgram.createSocket({ type: 'udp4', recvBufferSize: BUFFER, sendBufferSize: BUFFER });
  #towardsRelay = new Map();

  static async open(link, media, impairment, seed) {
    const session = new Session();
    session.link = link;
    session.media = media;
    session.up = new Lane(impairment.up, seed);
    session.down = new Lane(impairment.down, seed + 1);
    session.#client.on('message', (datagram, from) => session.#onClient(datagram, from));
    session.#client.bind(0, link.host);
    await once(session.#client, 'listening');
    session.port = session.#client.address().port;
    session.upQueue = new Queue();
    session.downQueue = new Queue();
    return session;
  }

  close() {
    for (const socket of [this.#client, ...this.#towardsRelay.values()]) socket.close();
    this.upQueue.close();
    this.downQueue.close();
  }

  #onClient(datagram, from) {
    const name = `${from.address}:${from.port}`;
    let socket = this.#towardsRelay.get(name);
    if (!socket) {
      socket = dgram.createSocket({ type: 'udp4', recvBufferSize: BUFFER, sendBufferSize: BUFFER });
      socket.on('message', (answer) => this.#pass('down', answer, (whole) => this.#client.send(whole, from.port, from.address)));
      this.#towardsRelay.set(name, socket);
    }
    this.#pass('up', datagram, (whole) => socket.send(whole, this.media.port, this.media.host));
  }

  #pass(way, datagram, send) {
    const now = performance.now();
    const arrivals = this[way].pass(datagram, now);
    const queued = this[way].queued(now);
    this.link.watch?.({ at: now, way, kind: kindOf(datagram), datagram, lost: arrivals.length === 0, queued });
    const queue = way === 'up' ? this.upQueue : this.downQueue;
    for (const at of arrivals) {
      if (at <= now) send(datagram);
      else queue.add(at, () => send(datagram));
    }
  }
}

/** Calls that are due later, in the order of their times. */
class Queue {
  #waiting = [];
  #timer = null;

  add(at, call) {
    // Nearly always the last one.
    let place = this.#waiting.length;
    while (place > 0 && this.#waiting[place - 1].at > at) place -= 1;
    this.#waiting.splice(place, 0, { at, call });
    if (place === 0) this.#arm();
  }

  close() {
    clearTimeout(this.#timer);
    this.#waiting = [];
  }

  #arm() {
    clearTimeout(this.#timer);
    if (this.#waiting.length === 0) return;
    this.#timer = setTimeout(() => this.#run(), Math.max(0, this.#waiting[0].at - performance.now()));
  }

  #run() {
    const now = performance.now() + 0.5;
    let due = 0;
    while (due < this.#waiting.length && this.#waiting[due].at <= now) due += 1;
    for (const { call } of this.#waiting.splice(0, due)) call();
    this.#arm();
  }
}
