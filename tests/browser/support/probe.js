// A viewer that measures: a short WHEP client that records when each frame is shown and which one it is. The publisher
// draws the number of each frame into it, as black and white bars.

import { until } from './until.js';

export const BITS = 12;
const CELL = 20;

/** An FFmpeg filter that draws the number of each frame into the upper left corner, the lowest bit first. */
export function numbered() {
  const bar = (x, width, color, when) => `drawbox=x=${x}:y=0:w=${width}:h=${CELL}:color=${color}:t=fill${when}`;
  const bits = Array.from({ length: BITS }, (_, bit) =>
    bar(bit * CELL, CELL, 'white', `:enable='gte(mod(n,${2 ** (bit + 1)}),${2 ** bit})'`));
  return [bar(0, BITS * CELL, 'black', ''), ...bits].join(',');
}

/** The page: `watch(endpoint)` joins and returns the viewer's number, `facts(number)` returns what it saw. */
export const PROBE_PAGE = `<!doctype html><title>probe</title><body><script>
  const BITS = ${BITS}, CELL = ${CELL};
  const viewers = [];

  function watch(endpoint) {
    const viewer = { shown: [], states: [] };
    const number = viewers.push(viewer) - 1;
    viewer.joined = join(viewer, endpoint);
    return viewer.joined.then(() => number);
  }

  async function join(viewer, endpoint) {
    const peer = viewer.peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    const video = viewer.video = document.createElement('video');
    video.autoplay = video.playsInline = true;
    video.width = 320;
    video.volume = 0.01;
    document.body.append(video);
    viewer.media = new MediaStream();
    peer.ontrack = ({ track }) => {
      viewer.media.addTrack(track);
      video.srcObject = viewer.media;
    };
    peer.onconnectionstatechange = () => viewer.states.push([performance.now(), peer.connectionState]);
    for (const kind of ['audio', 'video']) peer.addTransceiver(kind, { direction: 'recvonly' });
    note(viewer);
    await peer.setLocalDescription();
    viewer.posted = performance.now();
    const headers = { 'content-type': 'application/sdp' };
    const response = await fetch(endpoint, { method: 'POST', headers, body: peer.localDescription.sdp });
    const answer = await response.text();
    if (response.status !== 201) throw new Error(response.status + ' ' + answer);
    viewer.session = new URL(response.headers.get('location'), endpoint).href;
    await peer.setRemoteDescription({ type: 'answer', sdp: answer });
  }

  function note(viewer) {
    const canvas = new OffscreenCanvas(BITS, 1).getContext('2d', { willReadFrequently: true });
    const { video, shown } = viewer;
    const onFrame = (now, { presentationTime, presentedFrames, width }) => {
      canvas.drawImage(video, 0, CELL / 4, BITS * CELL, CELL / 2, 0, 0, BITS, 1);
      const pixels = canvas.getImageData(0, 0, BITS, 1).data;
      let number = 0;
      for (let bit = 0; bit < BITS; bit += 1) number |= (pixels[bit * 4] > 127) << bit;
      shown.push([presentationTime, number, presentedFrames, width]);
      video.requestVideoFrameCallback(onFrame);
    };
    video.requestVideoFrameCallback(onFrame);
  }

  async function facts(number) {
    const { peer, posted, shown, states } = viewers[number];
    const reports = [...(await peer.getStats()).values()];
    const inbound = Object.fromEntries(reports.filter((r) => r.type === 'inbound-rtp').map((r) => [r.kind, r]));
    const pair = reports.find((r) => r.type === 'candidate-pair' && r.nominated);
    return { posted, shown, states, inbound, roundTrip: pair?.currentRoundTripTime, clock: performance.timeOrigin, now: performance.now() };
  }

  function leave(number) {
    const { peer, video, session } = viewers[number];
    fetch(session, { method: 'DELETE' });
    peer.close();
    video.remove();
  }
</script>`;

/** One tab with any number of measuring viewers. */
export class Probe {
  /** In Chromium, or in Firefox, whose windows `open(url)` opens. */
  static async open(t, browser, origin) {
    const probe = new Probe();
    t.after(() => probe.close());
    if (browser.open) {
      probe.#window = probe.tab = await browser.open(origin);
      return probe;
    }
    probe.#window = await browser.newContext();
    probe.tab = await probe.#window.newPage();
    await probe.tab.goto(origin);
    return probe;
  }

  #window;

  async close() {
    await this.#window?.close();
    this.#window = null;
  }

  /** A viewer joins; returns its number. */
  watch(endpoint) {
    return this.tab.evaluate((url) => watch(url), endpoint);
  }

  /** The address of a viewer's session. */
  session(viewer) {
    return this.tab.evaluate((number) => viewers[number].session, viewer);
  }

  async facts(viewer) {
    return new Facts(await this.tab.evaluate((number) => facts(number), viewer));
  }

  /** Waits until the width of the newest frame that a viewer shows is what `question` asks for; `options` are those of `until`. */
  shows(viewer, question, options) {
    return until('the wanted size is shown', async () => question((await this.facts(viewer)).shown.at(-1)?.width), options);
  }

  leave(viewer) {
    return this.tab.evaluate((number) => leave(number), viewer);
  }
}

/** What one viewer saw; times in milliseconds. */
export class Facts {
  constructor(raw) {
    Object.assign(this, raw);
    this.shown = raw.shown.map(([at, number, presented, width]) => ({ at, number, presented, width }));
  }

  /** From the POST to the first frame. */
  get firstFrame() {
    return this.shown.length ? this.shown[0].at - this.posted : Infinity;
  }

  /** The longest time between two frames, of those shown from `from` to `to`, times of the page. */
  longestGap(from = -Infinity, to = Infinity) {
    const within = this.shown.filter(({ at }) => at >= from && at <= to);
    let longest = 0;
    for (let place = 1; place < within.length; place += 1) longest = Math.max(longest, within[place].at - within[place - 1].at);
    return longest;
  }

  /** The longest time without a new frame from `from`, a time of the page, until these facts were read. */
  longestWait(from) {
    return Math.max(this.longestGap(from), this.now - (this.shown.at(-1)?.at ?? from));
  }

  /** The number of the frame that was on the screen at a time of the page. */
  numberAt(time) {
    return this.shown.findLast(({ at }) => at <= time)?.number;
  }

  /** A time of `performance.now()` of this process as a time of the page. */
  timeOf(now) {
    return now + performance.timeOrigin - this.clock;
  }
}
