// What the publisher sends, in figures.

import { Meter } from './meter.js';
import * as words from './words.js';

const LIMITS = { none: 'Nothing', cpu: 'This computer', bandwidth: 'The network', other: 'The browser' };

export class Sent {
  #meter;
  #began = performance.now();
  #asked = 0;
  #viewers;
  #askViewers;

  /** `viewers` asks how many there are. */
  constructor(peer, viewers) {
    this.#meter = new Meter(peer, 'outbound');
    this.#askViewers = viewers;
  }

  async figures() {
    this.#countViewers();
    const now = await this.#meter.read();
    const { video } = now;
    return {
      resolution: video?.frameWidth ? words.size(video.frameWidth, video.frameHeight) : undefined,
      rate: video && now.framesPerSecond !== undefined ? `${Math.round(now.framesPerSecond)} fps` : undefined,
      bitrate: now.bitsPerSecond !== undefined ? words.bitrate(now.bitsPerSecond) : undefined,
      codecs: now.codecs.length ? now.codecs.join(' + ') : undefined,
      roundTrip: now.roundTrip !== undefined ? words.milliseconds(now.roundTrip) : undefined,
      loss: now.lossRatio !== undefined ? words.percent(now.lossRatio) : undefined,
      limit: LIMITS[video?.qualityLimitationReason],
      viewers: this.#viewers,
      time: words.duration((performance.now() - this.#began) / 1000),
    };
  }

  /** Every other second. */
  async #countViewers() {
    const now = performance.now();
    if (now - this.#asked < 2000) return;
    this.#asked = now;
    this.#viewers = await this.#askViewers();
  }
}
