// One direction of an impaired link: which datagrams arrive, and when. Pure and seeded: the same seed loses the same
// packets. tests/sim/net/lane.rs has the same model for the core in virtual time.
//
// Only media (RTP, and RTCP if asked for) is lost, doubled or overtaken; STUN and DTLS are delayed with it and lost only in
// a blackout, so that no lost handshake counts as bad video.

/** Random numbers of [0, 1) from a seed (mulberry32). */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The protocol of a datagram, from its first two bytes (RFC 7983, RFC 5761). */
export function kindOf(datagram) {
  if (datagram[0] < 4) return 'stun';
  if (datagram[0] < 128 || datagram[0] > 191) return 'dtls';
  return datagram[1] >= 192 && datagram[1] <= 223 ? 'rtcp' : 'rtp';
}

/** What a lane does to what passes: times in milliseconds, shares of 1. */
export const CLEAN = {
  loss: 0, // share of packets lost, each by itself
  burst: null, // {share, length}: Gilbert-Elliott, lost in runs of this mean length
  delay: 0,
  jitter: 0, // at most this much more delay, in order
  reorder: 0, // share of packets that are overtaken
  reorderBy: 15, // by this much
  duplicate: 0, // share of packets that arrive twice
  rate: 0, // bits a second; 0 for no limit
  queue: 200, // packets that would wait longer than this for the rate are lost
  rtcp: false, // RTCP is lost like RTP
};

export class Lane {
  /** Counts of media: how many came in, how many were lost. */
  passed = 0;
  lost = 0;
  #impairment;
  #random;
  #inBurst = false;
  #darkUntil = -Infinity;
  #busyUntil = -Infinity;
  #latest = -Infinity;

  constructor(impairment = {}, seed = 1) {
    this.#random = random(seed);
    this.set(impairment);
  }

  /** Changes what the lane does from here on. */
  set(impairment) {
    for (const key of Object.keys(impairment)) if (!(key in CLEAN)) throw new Error(`a lane has no ${key}`);
    this.#impairment = { ...CLEAN, ...impairment };
  }

  /** Nothing at all passes until then. */
  blackout(until) {
    this.#darkUntil = until;
  }

  /** How long what passes at `now` waits for the rate. */
  queued(now) {
    return Math.max(0, this.#busyUntil - now);
  }

  /** When the copies of a datagram sent at `now` arrive: none if it is lost. */
  pass(datagram, now) {
    const kind = kindOf(datagram);
    const { delay, jitter, reorder, reorderBy, duplicate, rate, queue, rtcp } = this.#impairment;
    const media = kind === 'rtp' || (rtcp && kind === 'rtcp');
    if (media) this.passed += 1;
    // The same draws for each packet, whatever becomes of it: its fate does not depend on that of others.
    const [lossDraw, jitterDraw, reorderDraw, duplicateDraw] = Array.from({ length: 4 }, this.#random);
    if (now < this.#darkUntil || (media && this.#loses(lossDraw))) {
      if (media) this.lost += 1;
      return [];
    }
    let sent = now;
    if (rate > 0) {
      if (media && this.#busyUntil - now > queue) {
        this.lost += 1;
        return [];
      }
      sent = this.#busyUntil = Math.max(this.#busyUntil, now) + (datagram.length * 8000) / rate;
    }
    const inOrder = Math.max(this.#latest, sent + delay + jitter * jitterDraw);
    this.#latest = inOrder;
    const arrival = media && reorderDraw < reorder ? inOrder + reorderBy : inOrder;
    return media && duplicateDraw < duplicate ? [arrival, arrival + 1] : [arrival];
  }

  #loses(draw) {
    const { loss, burst } = this.#impairment;
    if (!burst) return draw < loss;
    const leave = 1 / burst.length;
    const enter = (leave * burst.share) / (1 - burst.share);
    this.#inBurst = this.#inBurst ? draw >= leave : draw < enter;
    return this.#inBurst;
  }
}
