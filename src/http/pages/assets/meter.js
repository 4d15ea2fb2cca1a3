// Statistics of a connection: the browser counts since the beginning, a user wants the rates of now.

import { codec } from './words.js';

const WINDOW = 4000; // milliseconds that "now" lasts

export class Meter {
  #peer;
  #direction;
  #past = [];

  /** `direction` is "inbound" for what `peer` receives, "outbound" for what it sends. */
  constructor(peer, direction) {
    this.#peer = peer;
    this.#direction = direction;
  }

  /**
   * The newest statistics. `video` and `audio` are the browser's own entries, absent until there are any; of several
   * encodings of a video the largest. `bitsPerSecond`, `lossRatio` and `framesPerSecond` are of the last seconds and absent where not known.
   */
  async read() {
    const report = await this.#peer.getStats();
    const now = { at: performance.now(), bytes: 0, packets: 0, lost: 0, frames: 0, freezes: 0 };
    const reading = { codecs: [] };
    for (const entry of report.values()) {
      if (entry.type === `${this.#direction}-rtp`) {
        const isLargest = (entry.frameWidth ?? 0) >= (reading[entry.kind]?.frameWidth ?? 0);
        if (isLargest) reading[entry.kind] = entry;
        now.bytes += entry.bytesReceived ?? entry.bytesSent ?? 0;
        now.packets += entry.packetsReceived ?? entry.packetsSent ?? 0;
        now.lost += entry.packetsLost ?? 0;
        if (entry.kind === 'video' && isLargest) now.frames = entry.framesDecoded ?? entry.framesEncoded ?? 0;
        const type = report.get(entry.codecId)?.mimeType;
        if (type && !reading.codecs.includes(codec(type))) reading.codecs[entry.kind === 'video' ? 'unshift' : 'push'](codec(type));
      } else if (entry.type === 'remote-inbound-rtp') {
        now.lost += entry.packetsLost ?? 0;
        reading.roundTrip ??= entry.roundTripTime;
      } else if (entry.type === 'candidate-pair' && (entry.nominated || entry.selected) && entry.state === 'succeeded') {
        reading.roundTrip = entry.currentRoundTripTime ?? reading.roundTrip;
      }
    }
    return { ...reading, ...now, ...this.#rates(now) };
  }

  #rates(now) {
    this.#past = this.#past.filter(({ at }) => now.at - at <= WINDOW);
    this.#past.push(now);
    const [then] = this.#past;
    const time = (now.at - then.at) / 1000;
    if (time < 0.4) return {};
    const packets = now.packets - then.packets;
    const lost = Math.max(0, now.lost - then.lost);
    // A receiver counts what came; what was lost comes on top. A sender's count has it already.
    const all = this.#direction === 'inbound' ? packets + lost : packets;
    return {
      bitsPerSecond: Math.max(0, now.bytes - then.bytes) * 8 / time,
      framesPerSecond: Math.max(0, now.frames - then.frames) / time,
      lossRatio: all > 0 ? Math.min(1, lost / all) : undefined,
    };
  }
}
