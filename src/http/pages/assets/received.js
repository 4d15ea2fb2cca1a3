// What the viewer receives: whether media flows, and its figures.

import { Meter } from './meter.js';
import * as words from './words.js';

const SILENT = 1500; // milliseconds without a packet until media has stopped
const STILL = 2500; // milliseconds without a frame until the video counts as still: a screen may change rarely

/** Follows one connection. `read()` is called four times a second. */
export class Received {
  #peer;
  #meter;
  #video;
  #last = { frames: 0, packets: 0, video: 0 };
  #moved = -Infinity;
  #seen = -Infinity;
  #videoMoved = -Infinity;
  #asked; // when the stream was requested, or when the publisher came that it waited for
  #firstFrame;

  constructor(peer, video, asked = performance.now()) {
    this.#peer = peer;
    this.#meter = new Meter(peer, 'inbound');
    this.#video = video;
    this.#asked = asked;
    this.#awaitFrame();
  }

  /**
   * `{flows, moves, begun, quiet, packets, frames, video, figures}`, or nothing while there is no connection. `moves` is
   * whether frames are decoded, `quiet` the milliseconds since the last packet, `frames` the number of frames on this
   * connection, and `video` whether packets of video arrive.
   */
  async read() {
    if (this.#peer.connectionState === 'new' || this.#peer.connectionState === 'connecting') return undefined;
    const now = await this.#meter.read();
    const { packets, frames } = now;
    if (frames > this.#last.frames) this.#seen = now.at;
    if (packets > this.#last.packets) {
      if (!Number.isFinite(this.#moved) && this.#waited) this.#asked = now.at;
      this.#moved = now.at;
    }
    const video = now.video?.packetsReceived ?? 0;
    if (video > this.#last.video) this.#videoMoved = now.at;
    this.#last = { frames, packets, video };
    const flows = now.at - this.#moved < SILENT;
    const begun = Number.isFinite(this.#moved);
    if (!flows && !begun) this.#waited = true;
    const quiet = now.at - this.#moved;
    const moves = now.at - this.#seen < STILL;
    const figures = this.#figures(now, flows);
    return { flows, begun, quiet, packets, frames, moves, video: now.at - this.#videoMoved < STILL, figures };
  }

  #waited = false;

  #awaitFrame() {
    const first = () => (this.#firstFrame ??= Math.max(0, performance.now() - this.#asked));
    if (this.#video.requestVideoFrameCallback) this.#video.requestVideoFrameCallback(first);
    else this.#video.addEventListener('resize', first, { once: true });
  }

  #figures(now, flows) {
    const { video } = now;
    const freezes = video?.freezeCount;
    return {
      resolution: video?.frameWidth ? words.size(video.frameWidth, video.frameHeight) : undefined,
      rate: flows && video && now.framesPerSecond !== undefined ? `${Math.round(now.framesPerSecond)} fps` : undefined,
      codecs: now.codecs.length ? now.codecs.join(' + ') : undefined,
      bitrate: flows && now.bitsPerSecond !== undefined ? words.bitrate(now.bitsPerSecond) : undefined,
      roundTrip: now.roundTrip !== undefined ? words.milliseconds(now.roundTrip) : undefined,
      loss: now.lossRatio !== undefined ? words.percent(now.lossRatio) : undefined,
      freezes: freezes ? `${freezes} (${words.seconds(video.totalFreezesDuration ?? 0)})` : freezes,
      firstFrame: this.#firstFrame !== undefined ? words.milliseconds(this.#firstFrame / 1000) : undefined,
      buffer: delayed(video),
    };
  }
}

/** How long a frame waits before it is shown, on average. */
function delayed(video) {
  if (!video?.jitterBufferEmittedCount) return undefined;
  return words.milliseconds(video.jitterBufferDelay / video.jitterBufferEmittedCount);
}
