// What the JavaScript clients that are programs have in common: facts, and a look at every RTP packet of a viewer.

const ENOUGH = 100; // packets of each kind

export const tell = (fact, more = {}) => console.log(JSON.stringify({ fact, ...more }));
export const fail = (why) => tell('failed', { why });

let posted;

/** POSTs the offer; resolves to `{answer, leave}`, of which the latter ends the session. */
export async function join(url, offer) {
  posted = performance.now();
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/sdp' }, body: offer });
  const answer = await response.text();
  if (response.status !== 201) fail(`${response.status} ${answer}`);
  const session = new URL(response.headers.get('location'), url);
  return { answer, leave: () => fetch(session, { method: 'DELETE' }) };
}

/** Compares the packets of each expected kind with the answer, and reports each time that enough have arrived. */
export class Lines {
  #reported = 0;

  constructor(expected, answer) {
    this.lines = Object.fromEntries(expected.map((kind) => [kind, new Line(kind, answer)]));
  }

  /** An RTP packet, decrypted. */
  take(kind, packet) {
    const line = this.lines[kind];
    if (!line) return fail(`${kind} comes although the stream has none`);
    const codec = line.take(packet);
    if (codec) tell('media', { kind, codec, after_ms: Math.round(performance.now() - posted) });
    const all = Object.values(this.lines);
    if (Math.min(...all.map(({ count }) => count)) < ENOUGH * (this.#reported + 1)) return undefined;
    this.#reported += 1;
    return tell('proof', { text: `${all.map((one) => `${one.count} packets of ${one.kind}`).join(', ')}, none lost` });
  }
}

class Line {
  constructor(kind, answer) {
    const section = answer.split(/^m=/m).find((text) => text.startsWith(kind));
    this.kind = kind;
    this.source = Number(/^a=ssrc:(\d+)/m.exec(section)[1]);
    this.codecs = Object.fromEntries([...section.matchAll(/^a=rtpmap:(\d+) ([^/]+)/gm)].map(([, number, name]) => [number, name]));
    this.extensions = [...section.matchAll(/^a=extmap:(\d+)/gm)].map(([, id]) => Number(id));
    this.count = 0;
  }

  /** Returns the codec of the first packet. */
  take(packet) {
    const type = packet[1] & 0x7f;
    if (type >= 64 && type < 96) return undefined; // RTCP
    const codec = this.codecs[type];
    const source = packet.readUInt32BE(8);
    const sequence = packet.readUInt16BE(2);
    if (codec === 'rtx') return undefined;
    if (!codec) return fail(`${this.kind} has payload type ${type}, which was not agreed`);
    if (source !== this.source) return fail(`${this.kind} comes from ${source} instead of ${this.source}`);
    if (this.next !== undefined && sequence !== this.next) return fail(`${this.kind} jumps from ${this.next} to ${sequence}`);
    this.next = (sequence + 1) & 0xffff;
    for (const id of extensionsOf(packet)) if (!this.extensions.includes(id)) fail(`${this.kind} has an extension ${id}, which was not agreed`);
    this.count += 1;
    return this.count === 1 ? codec : undefined;
  }
}

/** The ids of the one-byte header extensions of a packet (RFC 8285 4.2); -1 for what is none. */
function extensionsOf(packet) {
  if (!(packet[0] & 0x10)) return [];
  let at = 12 + 4 * (packet[0] & 0x0f);
  if (packet.readUInt16BE(at) !== 0xbede) return [-1];
  const end = at + 4 + 4 * packet.readUInt16BE(at + 2);
  const ids = [];
  for (at += 4; at < end; at += 1) {
    if (packet[at] === 0) continue;
    ids.push(packet[at] >> 4);
    at += (packet[at] & 0x0f) + 1;
  }
  return ids;
}
