// A publisher of several encodings for measurements: Chromium, with video as restless as its bitrates need, and on request
// with encoders that answer no keyframe request.

import { until } from './until.js';

/** The encodings, the smallest first. */
export const LAYERS = [
  { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
  { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 500_000 },
  { rid: 'f', scaleResolutionDownBy: 1, maxBitrate: 1_500_000 },
];
export const WIDTH = 640;
const HEIGHT = 360;
const RATE = 15;

/** Between two keyframes of a replayed publisher. */
export const KEYFRAMES = 10_000;

/**
 * The worker makes the frames and the tone. As a transform of a sender it records what the encoders make between two
 * keyframes, and from then on sends that again and again, whatever they are asked for.
 */
const WORKER = `
  const GROUP = ${(KEYFRAMES / 1000) * RATE};
  let recording = false;
  onmessage = ({ data }) => {
    if (data.video) frames(data.video.getWriter());
    if (data.audio) tone(data.audio.getWriter());
    recording ||= data === 'record';
  };

  function frames(writer) {
    const noise = new OffscreenCanvas(800, 520);
    const pixels = noise.getContext('2d').createImageData(800, 520);
    for (let place = 0; place < pixels.data.length; place += 4) {
      pixels.data.fill(Math.random() * 256, place, place + 3);
      pixels.data[place + 3] = 40;
    }
    noise.getContext('2d').putImageData(pixels, 0, 0);
    const canvas = new OffscreenCanvas(${WIDTH}, ${HEIGHT});
    const context = canvas.getContext('2d', { alpha: false });
    const began = performance.now();
    let last = -1;
    setInterval(() => {
      const elapsed = performance.now() - began;
      const number = Math.floor((elapsed * ${RATE}) / 1000);
      if (number === last || writer.desiredSize <= 0) return;
      last = number;
      for (let bar = 0; bar < 8; bar += 1) {
        context.fillStyle = 'hsl(' + (bar * 45 + number) + ' 60% 50%)';
        context.fillRect(((bar * 80 + number * 3) % 640) - 80, 0, 160, 360);
      }
      context.drawImage(noise, -(number * 7) % 160, -(number * 5) % 160);
      const frame = new VideoFrame(canvas, { timestamp: Math.round(elapsed * 1000) });
      writer.write(frame).catch(() => frame.close());
    }, 1000 / ${RATE} / 4);
  }

  function tone(writer) {
    const began = performance.now();
    let sent = 0;
    setInterval(() => {
      for (; sent < Math.floor((performance.now() - began) / 10); sent += 1) {
        const data = Float32Array.from({ length: 480 }, (_, place) => 0.2 * Math.sin(((sent * 480 + place) * 2 * Math.PI * 440) / 48_000));
        const samples = { format: 'f32-planar', sampleRate: 48_000, numberOfFrames: 480, numberOfChannels: 1, timestamp: sent * 10_000, data };
        const audio = new AudioData(samples);
        writer.write(audio).catch(() => audio.close());
      }
    }, 10);
  }

  onrtctransform = async ({ transformer }) => {
    const writer = transformer.writable.getWriter();
    const encodings = new Map();
    for await (const frame of transformer.readable) {
      const { synchronizationSource: ssrc, width } = frame.getMetadata();
      if (!encodings.has(ssrc)) encodings.set(ssrc, { group: [], place: 0 });
      const encoding = encodings.get(ssrc);
      const { group } = encoding;
      if (group.length === GROUP) {
        if (encoding.place === 0) postMessage({ width, at: performance.timeOrigin + performance.now(), octets: group.map((one) => one.byteLength) });
        frame.data = group[encoding.place].slice(0);
        encoding.place = (encoding.place + 1) % GROUP;
      } else if (recording && (group.length > 0 || frame.type === 'key')) {
        group.push(frame.data.slice(0));
      }
      writer.write(frame);
    }
  };
`;

/** Runs in the page. */
async function publish({ endpoint, worker, codec, layers, replayed }) {
  const peer = (window.peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' }));
  const source = (window.source = new Worker(URL.createObjectURL(new Blob([worker]))));
  const [audio, video] = ['audio', 'video'].map((kind) => new MediaStreamTrackGenerator({ kind }));
  video.contentHint = 'motion';
  const streams = [new MediaStream([audio, video])];
  peer.addTransceiver(audio, { direction: 'sendonly', streams });
  const sendEncodings = layers.map((layer) => ({ scalabilityMode: 'L1T1', ...layer }));
  const transceiver = peer.addTransceiver(video, { direction: 'sendonly', streams, sendEncodings });
  const { codecs } = RTCRtpSender.getCapabilities('video');
  transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => [`video/${codec}`, 'video/rtx'].includes(mimeType.toLowerCase())));
  // Else an encoder that lacks CPU makes smaller frames, which are other encodings to the relay.
  await transceiver.sender.setParameters({ ...transceiver.sender.getParameters(), degradationPreference: 'maintain-resolution' });
  window.groups = [];
  if (replayed) {
    // The descriptors would describe the frames of the encoders, and not those that are sent.
    const extensions = transceiver.getHeaderExtensionsToNegotiate();
    for (const one of extensions) if (/descriptor|allocation/.test(one.uri)) one.direction = 'stopped';
    transceiver.setHeaderExtensionsToNegotiate(extensions);
    transceiver.sender.transform = new RTCRtpScriptTransform(source);
    source.onmessage = ({ data }) => window.groups.push(data);
  }
  source.postMessage({ audio: audio.writable, video: video.writable }, [audio.writable, video.writable]);
  await peer.setLocalDescription();
  const headers = { 'content-type': 'application/sdp' };
  const response = await fetch(endpoint, { method: 'POST', headers, body: peer.localDescription.sdp });
  const text = await response.text();
  if (response.status !== 201) throw new Error(`${response.status} ${text}`);
  // Otherwise Chromium begins at 300 kbit/s and takes many seconds to send all encodings at their rates.
  const answer = text.replace(/^(a=fmtp:|a=rtpmap:)(\d+) (?:VP8\/90000|(.*profile-level-id.*))\r$/gm, (line, _, payloadType, parameters) =>
    (parameters ? `a=fmtp:${payloadType} ${parameters};` : `${line}\na=fmtp:${payloadType} `) + 'x-google-start-bitrate=3000\r');
  await peer.setRemoteDescription({ type: 'answer', sdp: answer });
}

/** Runs in the page: makes the encoders begin a group of frames, and the worker record it. */
async function record() {
  window.source.postMessage('record');
  const sender = window.peer.getSenders().find(({ track }) => track.kind === 'video');
  const parameters = sender.getParameters();
  await sender.setParameters(parameters, { encodingOptions: parameters.encodings.map(() => ({ keyFrame: true })) });
}

/** Runs in the page: what is sent of each encoding. */
async function readEncodings() {
  const reports = [...(await window.peer.getStats()).values()];
  const video = reports.filter(({ type, kind }) => type === 'outbound-rtp' && kind === 'video');
  return video.map(({ rid, framesSent, bytesSent, qualityLimitationDurations }) =>
    ({ rid, framesSent, bytesSent, cpu: qualityLimitationDurations.cpu }));
}

/** A publisher in a tab of its own. */
export class SimulcastPublisher {
  /** Publishes to a stream of the relay, and waits until all `layers` arrive there at their rates. */
  static async open({ t, browser, relay, origin }, stream, { codec, layers = LAYERS, replayed = false }) {
    const publisher = new SimulcastPublisher();
    const context = await browser.newContext();
    publisher.#context = context;
    t.after(() => publisher.close());
    publisher.tab = await context.newPage();
    await publisher.tab.goto(origin);
    await publisher.tab.evaluate(publish, { endpoint: `${relay.url}/whip/${stream}`, worker: WORKER, codec, layers, replayed });
    publisher.tracks = await until('all encodings arrive at their rates', async () => {
      const { tracks } = await (await fetch(`${relay.url}/api/streams/${stream}`)).json();
      const video = tracks.filter(({ kind }) => kind === 'video');
      const full = video.filter(({ width, bits_per_second: bits }) => width && layers.some((layer) =>
        width === WIDTH / layer.scaleResolutionDownBy && bits > layer.maxBitrate * 0.8));
      if (full.length < layers.length) throw new Error(JSON.stringify(video.map((one) => [one.rid, one.width, one.bits_per_second])));
      return tracks;
    }, { timeout: 60_000 });
    if (replayed) {
      await publisher.tab.evaluate(record);
      const count = layers.length;
      await until('the recorded frames are sent', () => publisher.tab.evaluate((all) => new Set(window.groups.map(({ width }) => width)).size === all, count), { timeout: 60_000 });
    }
    return publisher;
  }

  #context;

  async close() {
    await this.#context?.close();
    this.#context = null;
  }

  encodings() {
    return this.tab.evaluate(readEncodings);
  }

  /** Seconds in which any encoding was limited by the CPU. */
  async limitedByCpu() {
    return Math.max(...(await this.encodings()).map(({ cpu }) => cpu));
  }

  /** Of a replayed publisher: when its latest group of frames began, by `performance.now()` here, and the octets of each frame of its smallest encoding. */
  async latestGroup() {
    const groups = await this.tab.evaluate(() => window.groups);
    const smallest = Math.min(...groups.map(({ width }) => width));
    const { at, octets } = groups.findLast(({ width }) => width === smallest);
    return { at: at - performance.timeOrigin, octets };
  }

  /** How many octets of the smallest encoding have been sent at a time since its latest keyframe. */
  static octetsAt({ at, octets }, now) {
    return octets.slice(0, Math.ceil(((now - at) / 1000) * RATE)).reduce((sum, one) => sum + one, 0);
  }
}
