// Chromium, one per test file, and what its peer connections know about themselves.

import { chromium } from 'playwright-core';

import { lostOnTheWay, socketDrops } from './socket_drops.js';
import { until } from './until.js';

/** The browser's program. */
export const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';

// The first line is what WebRTC needs without hardware and on loopback; the rest keeps Chromium from calling home, which
// a closed network refuses, many connections at a time.
const FLAGS = [
  '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--allow-loopback-in-peer-connection',
  '--autoplay-policy=no-user-gesture-required', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

/** A flag without which Chromium sends two encodings of video that is no larger than 640 x 360. */
export const THREE_ENCODINGS = '--force-fieldtrials=WebRTC-LegacySimulcastLayerLimit/Disabled/';

/** Starts Chromium, with more flags if there are any; the caller closes it in an `after` hook. */
export function launchChromium(flags = [], { executablePath = EXECUTABLE } = {}) {
  return chromium.launch({ executablePath, args: [...FLAGS, ...flags], timeout: 60_000 });
}

/** Runs in the page before its scripts: remembers each peer connection the page makes. */
function rememberPeerConnections() {
  window.peerConnections = [];
  window.RTCPeerConnection = class extends window.RTCPeerConnection {
    constructor(...args) {
      super(...args);
      window.peerConnections.push(this);
    }
  };
}

/** Runs in the page: the statistics of its latest peer connection, as one plain object. */
async function readStatistics() {
  const peer = window.peerConnections?.at(-1);
  if (!peer) return null;
  const reports = [...(await peer.getStats()).values()];
  const codecs = Object.fromEntries(reports.filter((r) => r.type === 'codec').map((r) => [r.id, r.mimeType]));
  const rtp = (type) =>
    Object.fromEntries(reports.filter((r) => r.type === type).map((r) => [r.kind, { ...r, codec: codecs[r.codecId] }]));
  return {
    count: window.peerConnections.length,
    state: peer.connectionState,
    transport: reports.find((r) => r.type === 'transport'),
    inbound: rtp('inbound-rtp'),
    outbound: rtp('outbound-rtp'),
    remoteInbound: rtp('remote-inbound-rtp'),
    remoteOutbound: rtp('remote-outbound-rtp'),
  };
}

/** Runs in the watch page: notes when each frame is shown. */
function noteFrames() {
  const video = document.querySelector('video');
  window.shown = [];
  const note = () => {
    window.shown.push(performance.timeOrigin + performance.now());
    video.requestVideoFrameCallback(note);
  };
  video.requestVideoFrameCallback(note);
}

/** One page of the relay in a context of its own, and questions about what it plays and sends. */
export class Page {
  /**
   * Opens `url` for the test `t`, which closes it at its end and prints its console if the test failed. `context` is for
   * Playwright's context (a phone, say); `prepare` is called with the tab before it goes anywhere.
   */
  static async open(t, browser, url, { context = {}, prepare } = {}) {
    const page = new Page();
    page.context = await browser.newContext({ permissions: ['camera', 'microphone'], ...context });
    page.tab = await page.context.newPage();
    page.console = [];
    page.dropsBefore = socketDrops();
    page.sessions = [];
    page.tab.on('response', (response) => {
      const isSession = response.status() === 201 && /\/wh[ie]p\//.test(response.url());
      const location = isSession && response.headers().location;
      if (location) page.sessions.push(new URL(location, response.url()).href);
    });
    page.tab.on('console', (message) => page.console.push(message.text()));
    page.tab.on('pageerror', (error) => page.console.push(`uncaught: ${error.message}`));
    t.after(async () => {
      if (!t.passed) t.diagnostic(`console of ${url}:\n${page.console.slice(-60).join('\n')}`);
      await page.context.close();
    });
    await page.tab.addInitScript(rememberPeerConnections);
    await prepare?.(page.tab);
    await page.tab.goto(url);
    return page;
  }

  statistics() {
    return this.tab.evaluate(readStatistics);
  }

  /** Waits until the statistics of the latest connection satisfy `question`, and returns them. */
  statisticsWhen(what, question, options) {
    return until(what, async () => {
      const statistics = await this.statistics();
      return statistics && question(statistics) ? statistics : false;
    }, options);
  }

  /** Waits until `more` frames were decoded after this call, on whichever connection is the latest, and returns the statistics. */
  async framesDecoded(more, options) {
    const before = await this.statistics();
    return this.statisticsWhen(`${more} more decoded frames`, (now) => {
      const start = before && now.count === before.count ? (before.inbound.video?.framesDecoded ?? 0) : 0;
      return (now.inbound.video?.framesDecoded ?? 0) >= start + more;
    }, options);
  }

  /** From now on the watch page notes when it shows frames, for `longestGap`. */
  noteFrames() {
    return this.tab.evaluate(noteFrames);
  }

  /** The longest time between two frames since `from`, milliseconds since 1970. */
  async longestGap(from) {
    const shown = (await this.tab.evaluate(() => window.shown)).filter((at) => at >= from - 200);
    return Math.max(...shown.slice(1).map((at, place) => at - shown[place]));
  }

  /** How many packets of this inbound stream are missing, without those that were dropped at a socket of this machine. */
  lostOnTheWay({ packetsLost }) {
    return lostOnTheWay(packetsLost, this.dropsBefore);
  }

  /** The size of the frames that the page's video element shows. */
  frameSize() {
    return this.tab.evaluate(() => {
      const video = document.querySelector('video');
      return { width: video.videoWidth, height: video.videoHeight };
    });
  }

  /** Unmutes the watch page and waits until audio that is not silence is played. */
  async hears() {
    await this.tab.click('#unmute');
    await this.statisticsWhen('audio is played', (now) => now.inbound.audio?.totalAudioEnergy > 0);
  }

  /** Waits until the page is in this state, e.g. `live` or `waiting`. */
  says(state, options) {
    return until(`the page says ${state}`, async () => (await this.tab.evaluate(() => document.body.dataset.state)) === state, options);
  }

  /** The text that the element shows. */
  text(selector) {
    return this.tab.locator(selector).innerText();
  }

  /** Waits until the element shows this text, or text that matches. */
  shows(selector, words, options) {
    const fits = (text) => (words instanceof RegExp ? words.test(text) : text === words);
    return until(`${selector} shows ${words}`, async () => {
      const text = (await this.text(selector)).trim();
      if (!fits(text)) throw new Error(`it shows "${text}"`);
      return true;
    }, options);
  }

  /** Goes to another page, as a user that leaves does: `pagehide` fires, and the connection ends. */
  leave() {
    return this.tab.goto('about:blank');
  }
}
