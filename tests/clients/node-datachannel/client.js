// libdatachannel as a WHIP publisher with OBS's offer, or as a WHEP viewer that looks at every RTP packet.
//
// client.js publish [--video H264] [--audio] URL
// client.js watch [--video any] [--audio] --expect video,audio URL
//
// Prints facts as tests/clients/support/program.js says. Like OBS, the publisher does not encode (it receives RTP on the
// `ports` that it prints), answers NACKs in-band, ignores keyframe requests, and loses what arrives before the connection
// is up.

import dgram from 'node:dgram';
import { once } from 'node:events';
import { parseArgs } from 'node:util';

import rtc from 'node-datachannel';

import { join, Lines, tell } from '../support/line.js';

const { values: asked, positionals: [role, url] } = parseArgs({
  allowPositionals: true,
  options: { video: { type: 'string' }, audio: { type: 'boolean' }, expect: { type: 'string' } },
});

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

const peer = new rtc.PeerConnection('sluice', { iceServers: [] });
peer.onStateChange((state) => tell(state));
const kinds = ['audio', 'video'].filter((kind) => asked[kind]);
const tracks = {};
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
const { answer, leave } = await join(url, peer.localDescription().sdp);
peer.setRemoteDescription(answer, 'answer');
if (role === 'watch') {
  const lines = new Lines(asked.expect.split(','), answer);
  setInterval(() => {
    for (const kind of kinds) for (const packet of queues[kind].splice(0)) lines.take(kind, packet);
  }, 5);
}

process.on('SIGTERM', async () => {
  await leave();
  peer.close();
  process.exit(0);
});
