// A cluster with publishers and measuring viewers, as the rows use it.

import { publishWithFfmpeg } from '../support/ffmpeg.js';
import { numbered, Probe } from '../support/probe.js';
import { BINARY } from '../support/relay.js';
import { until } from '../support/until.js';
import { Cluster } from './cluster.js';

// The test video is cut to these sizes: the width of a frame says which publisher it is of.
const SIZES = { 640: '640:360', 480: '480:270', 320: '320:180' };

export class Scene {
  /** Starts it for the row `t`; `options` are those of the cluster. */
  static async open({ t, browser, origin }, options) {
    const scene = new Scene();
    scene.t = t;
    scene.cluster = await Cluster.start(t, options);
    scene.probe = await Probe.open(t, browser, origin);
    return scene;
  }

  /** Publishes numbered frames of this width, a keyframe each second, and audio; `stop()` of what it returns ends it. */
  publish(node, stream, { width = 640, path = '' } = {}) {
    const filter = `${numbered()},crop=${SIZES[width]}:0:0`;
    return publishWithFfmpeg(this.t, `${node.url}/whip/${stream}${path}`, { keyframes: 30, filter });
  }

  /** Publishes what `sluice load` can watch, with one viewer, at this rate of packets. */
  async publishLoad(node, stream, packets) {
    this.load(node, '--whip', `${node.url}/whip/${stream}`, '--whep', `${node.url}/whep/${stream}`, '--viewers', '1', '--seconds', '600', '--packets-per-second', packets, '--burst', '1');
    await this.live(node, stream);
  }

  /** Starts `sluice load` at a node, so that its packets pass no router. */
  load(node, ...args) {
    const child = node.host.launch(BINARY, ['load', ...args.map(String)]);
    this.t.after(() => child.stop('SIGKILL'));
    return child;
  }

  /** A viewer that has shown frames. */
  async watch(node, stream) {
    const number = await this.probe.watch(`${node.url}/whep/${stream}`);
    await until(`${node.letter} sends frames of ${stream}`, async () => (await this.probe.facts(number)).shown.length >= 15);
    return { number, node, stream, name: `viewer of ${stream} at ${node.letter}` };
  }

  /** What a viewer has seen until now. */
  facts({ number }) {
    return this.probe.facts(number);
  }

  /** How long after `sent`, milliseconds since 1970, a viewer got the first audio, and was shown the first frame of this width. */
  firstOf(viewer, width, sent) {
    let audio;
    return until(`${viewer.name} shows frames of another publisher`, async () => {
      const { clock, shown, inbound } = await this.facts(viewer);
      const heard = inbound.audio?.lastPacketReceivedTimestamp;
      if (heard >= sent) audio ??= heard - sent;
      const frame = shown.find((one) => one.width === width);
      return frame && audio !== undefined && { audio, video: frame.at + clock - sent };
    }, { every: 20 });
  }

  /** Waits until the node has a live publisher of the stream. */
  live(node, stream) {
    return until(`${stream} is live at ${node.letter}`, async () => {
      const list = await (await node.ask('/api/streams')).json();
      return list.some(({ name, live }) => name === stream && live);
    }, { every: 50 });
  }
}

/** The longest time without a frame that a viewer saw since `from`, a time of this process, in milliseconds. */
export const longestGap = (facts, from) => facts.longestWait(facts.timeOf(from));

/** How often a viewer saw an earlier frame after a later one of the same publisher. */
export function stepsBack({ shown }) {
  const newest = new Map();
  let steps = 0;
  for (const { number, width } of shown) {
    steps += Number(number < (newest.get(width) ?? 0));
    newest.set(width, number);
  }
  return steps;
}
