// One stream with its publisher and its viewers, at a relay of its own: what a round plays on.

import { Link, outerAddress } from '../../browser/support/link.js';
import { Relay } from '../../browser/support/relay.js';
import { until } from '../../browser/support/until.js';
import { recordOffers } from './front.js';

const CONNECTED = /session connected session=(\S+) role="(\w+)" stream=\S+ .*srtp=(\w+)/g;
const ENDED = /^(\S+) .*session ended session=(\S+) .* lived_ms=(\d+) (?:.* media_ms=(\d+))?/gm;

export class Scene {
  #after = [];
  passed = false;
  /** What went wrong around it, to be printed. */
  diagnostics = [];

  constructor(name, { video, audio, token }, loss = 0) {
    this.loss = loss;
    this.token = token;
    this.name = name;
    this.stream = 'clients';
    this.tracks = { video: Boolean(video), audio: Boolean(audio) };
  }

  /** Which kinds a client that asks for these gets of this stream. */
  kinds(client) {
    return ['video', 'audio'].filter((kind) => client[kind] && this.tracks[kind]);
  }

  /** The media port is open on all addresses, as it is by default: libnice pairs no loopback address with another. */
  async open() {
    const log = { SLUICE_LOG: 'warn,rtc=error,sluice=info,sluice::worker::engine::viewer_pause=debug' };
    const access = this.token ? { SLUICE_PUBLISH_TOKEN: this.token, SLUICE_PUBLIC_WATCH: 'true', SLUICE_ADMIN_TOKEN: 'of-the-test' } : {};
    this.relay = await Relay.start(this, { mediaHost: '0.0.0.0', env: { ...log, ...access } });
    this.url = process.env.KEEP_OFFERS ? await recordOffers(this, this.relay.url, process.env.KEEP_OFFERS) : this.relay.url;
    if (this.loss > 0) this.url = await this.#lossy();
  }

  after(work) {
    this.#after.push(work);
  }

  diagnostic(text) {
    this.diagnostics.push(text);
  }

  async close() {
    for (const work of this.#after.reverse()) {
      try {
        await work();
      } catch (error) {
        this.diagnostic(`at the end: ${error.message}`);
      }
    }
  }

  async #lossy() {
    const way = { delay: 25, loss: this.loss };
    const link = await Link.open(this, this.relay, { up: way, down: way, host: outerAddress() });
    return link.url;
  }

  sessions(role, state) {
    return this.relay.metric('sluice_sessions', { role, ...(state && { state }) });
  }

  /** The `[session, role, profile]` of each session that has connected, in their order. */
  connected() {
    return [...this.relay.child.output.matchAll(CONNECTED)].map(([, ...facts]) => facts);
  }

  /** Whether a viewer was taken for gone. */
  wasPaused(session) {
    return this.relay.child.output.includes(`viewer paused: it was not heard for 7 s session=${session}`);
  }

  /** The `{created, firstMedia}` of a session that has ended: when its POST came and its first packet came or left. */
  moments(session) {
    const line = [...this.relay.child.output.matchAll(ENDED)].find(([, , ended]) => ended === session);
    if (!line) return {};
    const created = Date.parse(line[1]) - Number(line[3]);
    return { created, firstMedia: line[4] && created + Number(line[4]) };
  }

  /** Waits until all media that was announced comes in. */
  mediaComesIn() {
    return until('all tracks come in', async () => {
      for (const kind of this.kinds(this.tracks)) {
        if ((await this.relay.metric('sluice_rtp_packets_total', { direction: 'in', kind })) < 5) return false;
      }
      return true;
    });
  }

  /** The codecs of the live stream. */
  async codecs() {
    const streams = await (await this.relay.ask('/api/streams')).json();
    return streams.find(({ name }) => name === this.stream)?.codecs ?? [];
  }

  /** What the relay itself warned of. */
  warnings() {
    return this.relay.child.output.split('\n').filter((line) => /\b(WARN|ERROR) sluice|panicked/.test(line));
  }
}
