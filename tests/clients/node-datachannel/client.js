// libdatachannel as a WHIP publisher with OBS's offer, or as a WHEP viewer that looks at every RTP packet.
//
// client.js publish [--video H264] [--audio] URL
// client.js watch [--video any] [--audio] --expect video,audio URL
//
// Tells facts as tests/clients/support/program.js says. As OBS, the publisher sends what was encoded before (it comes as
// RTP on the `ports` that it tells), answers NACKs in-band, is deaf to keyframe requests and loses what comes before the
// connection stands.

import dgram from 'node:dgram';
import { once } from 'node:events';
import { parseArgs } from 'node:util';

import rtc from 'node-datachannel';

const { values: asked, positionals: [role, url] } = parseArgs({
  allowPositionals: true,
  options: { video: { type: 'string' }, audio: { type: 'boolean' }, expect: { type: 'string' } },
});

const began = performance.now();
const tell = (fact, more = {}) => console.log(JSON.stringify({ fact, ...more }));
const fail = (why) => tell('failed', { why });

const ENOUGH = 100; // packets of each kind
const SOURCES = { audio: 0x0b5a0d10, video: 0x0b5b1de0 };
const PAYLOAD_TYPES = { audio: 111, video: 96 };

/** What OBS writes into its offer, see plugins/obs-webrtc/whip-output.cpp. */
function describe(kind, mid) {
  const media = kind === 'audio' ? new rtc.Audio(mid, 'SendOnly') : new rtc.Video(mid, 'SendOnly');
  if (kind === 'audio') media.addOpusCodec(PAYLOAD_TYPES.audio, 'minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1');
  else media.addH264Codec(PAYLOAD_TYPES.video, 'profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1');
  media.addSSRC(SOURCES[kind], 'obs', 'obs-stream', `obs-stream-${kind}`);
  return media;
}

/** Passes RTP from a port of its own on to the track, as that payload type and source; resolves to the port. */
async function feed(track, kind) {
  const config = new rtc.RtpPacketizationConfig(SOURCES[kind], 'obs', PAYLOAD_TYPES[kind], kind === 'audio' ? 48000 : 90000);
  const reporter = new rtc.RtcpSrReporter(config);
  reporter.addToChain(new rtc.RtcpNackResponder());
  track.setMediaHandler(reporter);
  const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1');
  socket.on('message', (packet) => {
    if (!track.isOpen()) return;
    packet[1] = (packet[1] & 0x80) | PAYLOAD_TYPES[kind];
    packet.writeUInt32BE(SOURCES[kind], 8);
    track.sendMessageBinary(packet);
  });
  await once(socket, 'listening');
  return socket.address().port;
}

/** Counts the packets of one kind and holds them against the answer. */
class Line {
  constructor(kind, answer) {
    const section = answer.split(/^m=/m).find((text) => text.startsWith(kind));
    this.kind = kind;
    this.source = Number(/^a=ssrc:(\d+)/m.exec(section)[1]);
    this.codecs = Object.fromEntries([...section.matchAll(/^a=rtpmap:(\d+) ([^/]+)/gm)].map(([, number, name]) => [number, name]));
    this.extensions = [...section.matchAll(/^a=extmap:(\d+)/gm)].map(([, id]) => Number(id));
    this.count = 0;
  }

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
    if (this.count === 1) tell('media', { kind: this.kind, codec, after_ms: Math.round(performance.now() - began) });
    return undefined;
  }
}

/** The ids of the one-byte header extensions of a packet (RFC 8285 4.2). */
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

const peer = new rtc.PeerConnection('sluice', { iceServers: [] });
peer.onStateChange((state) => tell(state));
const kinds = ['audio', 'video'].filter((kind) => asked[kind]);
const tracks = {};
let told = 0;
const queues = {};
const gathered = new Promise((resolve) => peer.onGatheringStateChange((state) => state === 'complete' && resolve()));

for (const [mid, kind] of kinds.entries()) {
  if (role === 'publish') {
    tracks[kind] = peer.addTrack(describe(kind, String(mid)));
    continue;
  }
  const media = kind === 'audio' ? new rtc.Audio(String(mid), 'RecvOnly') : new rtc.Video(String(mid), 'RecvOnly');
  if (kind === 'audio') media.addOpusCodec(111);
  else {
    media.addVP8Codec(97);
    media.addH264Codec(96, 'profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1');
  }
  tracks[kind] = peer.addTrack(media);
  tracks[kind].setMediaHandler(new rtc.RtcpReceivingSession());
  queues[kind] = [];
  tracks[kind].onMessage((packet) => queues[kind].push(packet));
}
if (role === 'publish') {
  const ports = await Promise.all(kinds.map(async (kind) => [kind, await feed(tracks[kind], kind)]));
  tell('ports', Object.fromEntries(ports));
}
peer.setLocalDescription('offer');
await gathered;
const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/sdp' }, body: peer.localDescription().sdp });
const answer = await response.text();
if (response.status !== 201) fail(`${response.status} ${answer}`);
peer.setRemoteDescription(answer, 'answer');
const session = new URL(response.headers.get('location'), url);

const expected = role === 'watch' ? asked.expect.split(',') : [];
const lines = Object.fromEntries(expected.map((kind) => [kind, new Line(kind, answer)]));
if (role === 'watch') setInterval(() => {
  for (const line of Object.values(lines)) for (const packet of queues[line.kind].splice(0)) line.take(packet);
  const all = Object.values(lines);
  if (told !== Math.min(...all.map(({ count }) => Math.floor(count / ENOUGH)))) {
    told += 1;
    tell('proof', { text: `${all.map(({ kind, count }) => `${count} packets of ${kind}`).join(', ')}, none lost` });
  }
}, 10);

process.on('SIGTERM', async () => {
  await fetch(session, { method: 'DELETE' });
  peer.close();
  process.exit(0);
});
