// A browser that publishes and watches through the relay's pages: what both browsers have in common.
//
// A window is whatever has `evaluate(function, argument)` and `close()`.

import { lostOnTheWay, socketDrops } from '../../browser/support/socket_drops.js';
import { until } from '../../browser/support/until.js';

const SIZE = { width: 320, height: 180 };
const ENOUGH = { frames: 30, packets: 25 };

/** Runs in the page: statistics of its latest connection, and how many colours its video element has shown. */
async function look() {
  const page = { says: document.body.dataset.state, message: document.querySelector('#message')?.textContent };
  const peer = window.sluice?.peer;
  if (!peer) return page;
  const reports = [...(await peer.getStats()).values()];
  const codecs = Object.fromEntries(reports.filter(({ type }) => type === 'codec').map(({ id, mimeType }) => [id, mimeType]));
  const rtp = (type) => Object.fromEntries(reports.filter((report) => report.type === type)
    .map((report) => [report.kind, { ...report, codec: codecs[report.codecId]?.split('/')[1] }]));
  const video = document.querySelector('video');
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d');
  [canvas.width, canvas.height] = [32, 18];
  context.drawImage(video, 0, 0, 32, 18);
  const { data } = context.getImageData(0, 0, 32, 18);
  window.colours ??= new Set();
  for (let at = 0; at < data.length; at += 4) window.colours.add([data[at] >> 5, data[at + 1] >> 5, data[at + 2] >> 5].join());
  return {
    ...page, state: peer.connectionState, inbound: rtp('inbound-rtp'), outbound: rtp('outbound-rtp'), reports: rtp('remote-inbound-rtp'),
    colours: window.colours.size, width: video.videoWidth, height: video.videoHeight, firstMedia: window.firstMedia,
  };
}

/** Runs in the page: measures the milliseconds from its POST to the first decoded frame or, without video, audio. */
function timeFirstMedia(wantsVideo) {
  const seen = async () => {
    const peer = window.sluice?.peer;
    const reports = peer ? [...(await peer.getStats()).values()] : [];
    const media = reports.find(({ type, kind }) => type === 'inbound-rtp' && kind === (wantsVideo ? 'video' : 'audio'));
    if (!media || !((wantsVideo ? media.framesDecoded : media.packetsReceived) > 0)) return setTimeout(seen, 10);
    const [post] = performance.getEntriesByType('resource').filter(({ name }) => name.includes('/whep/'));
    window.firstMedia = post && Math.round(performance.now() - post.startTime);
  };
  seen();
}

/** Runs in the page: unmutes it, because Chromium does not decode muted audio. */
function unmute() {
  document.querySelector('#unmute').click();
}

export class BrowserClient {
  /** `open(url)` resolves to a window. */
  constructor(client, role, open, { video = 'any', audio = true }) {
    Object.assign(this, { client, role, open, video, audio });
  }

  async begin(scene) {
    const query = new URLSearchParams(this.role === 'publisher'
      ? { source: 'camera', autostart: 1, rate: 15, ...SIZE, ...(this.video && { codec: this.video.toLowerCase() }) } : {});
    if (!this.video) query.set('video', 0);
    if (!this.audio) query.set('audio', 0);
    const page = this.role === 'publisher' ? 'publish' : 'watch';
    this.dropsBefore = socketDrops();
    this.window = await this.open(`${scene.url}/${page}/${scene.stream}?${query}`);
    if (this.role === 'viewer') {
      this.kinds = scene.kinds(this);
      await this.window.evaluate(timeFirstMedia, this.kinds.includes('video'));
      await this.window.evaluate(unmute);
    }
    await this.#when('it is connected', ({ state }) => state === 'connected');
  }

  async prove(scene) {
    const now = await this.#when(this.role === 'publisher' ? 'it sends' : 'it decodes', (facts) =>
      this.role === 'publisher' ? this.#sends(facts) : this.#plays(facts, {}));
    const media = Object.values(this.role === 'publisher' ? now.outbound : now.inbound);
    const { video, audio } = now.inbound;
    const lost = (video?.packetsLost ?? 0) + (audio?.packetsLost ?? 0);
    if (!scene.loss && lostOnTheWay(lost, this.dropsBefore) > 0) throw new Error(`${lost} packets were lost on loopback`);
    const text = this.role === 'publisher' ? 'receiver reports arrive'
      : [video && `decoded ${video.framesDecoded} frames ${now.width}x${now.height}`, audio && `${audio.packetsReceived} audio packets`]
        .filter(Boolean).join(', ');
    return { text, codecs: media.map(({ codec }) => codec).filter(Boolean), firstMedia: now.firstMedia };
  }

  async more() {
    const before = await this.window.evaluate(look);
    await this.#when('it decodes more', (facts) => this.#plays(facts, before));
  }

  async end() {
    await this.window.close();
  }

  kill() {
    return this.window.close();
  }

  #sends({ outbound, reports }) {
    const reported = (kind) => outbound?.[kind]?.packetsSent > 0 && reports[kind]?.roundTripTimeMeasurements !== 0 && reports[kind] !== undefined;
    return (!this.video || (reported('video') && outbound.video.framesEncoded > 5)) && (!this.audio || reported('audio'));
  }

  /** Enough since `before`: frames of several colours, in space or time, and audio that is not silence. */
  #plays({ inbound, colours }, before) {
    const grown = (kind, counter) => (inbound?.[kind]?.[counter] ?? 0) - (before.inbound?.[kind]?.[counter] ?? 0);
    const frames = !this.kinds.includes('video') || (grown('video', 'framesDecoded') >= ENOUGH.frames && colours >= 3);
    const loud = inbound?.audio?.totalAudioEnergy === undefined || inbound.audio.totalAudioEnergy > 0;
    return frames && (!this.kinds.includes('audio') || (grown('audio', 'packetsReceived') >= ENOUGH.packets && loud));
  }

  #when(what, question) {
    return until(`${this.client}: ${what}`, async () => {
      const facts = await this.window.evaluate(look);
      if (question(facts)) return facts;
      throw new Error(brief(facts));
    });
  }
}

/** What `look` saw, as text. */
function brief({ inbound, outbound, reports, ...rest }) {
  const counted = (all) => Object.fromEntries(Object.entries(all ?? {}).map(([kind, { codec, packetsReceived, packetsSent, framesDecoded, framesEncoded }]) =>
    [kind, { codec, packetsReceived, packetsSent, framesDecoded, framesEncoded }]));
  return JSON.stringify({ ...rest, inbound: counted(inbound), outbound: counted(outbound), reports: Object.keys(reports ?? {}) });
}
