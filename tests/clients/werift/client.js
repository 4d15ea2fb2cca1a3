// werift as a WHIP publisher, or as a WHEP viewer that looks at every RTP packet.
//
// client.js publish [--video H264] [--audio] URL
// client.js watch [--video any] [--audio] --expect video,audio URL
//
// Prints facts as tests/clients/support/program.js says; it publishes what it receives as RTP on the `ports` that it prints.

import dgram from 'node:dgram';
import { once } from 'node:events';
import { parseArgs } from 'node:util';

import { MediaStreamTrack, RTCPeerConnection, useH264, useOPUS, useVP8 } from 'werift';

import { join, Lines, tell } from '../support/line.js';

const { values: asked, positionals: [role, url] } = parseArgs({
  allowPositionals: true,
  options: { video: { type: 'string' }, audio: { type: 'boolean' }, expect: { type: 'string' } },
});
const kinds = ['audio', 'video'].filter((kind) => asked[kind]);

/** Passes RTP from a port of its own on to a new track; resolves to both. */
async function feed(kind) {
  const track = new MediaStreamTrack({ kind });
  const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1');
  socket.on('message', (packet) => track.writeRtp(packet));
  await once(socket, 'listening');
  return { track, port: socket.address().port };
}

const video = role === 'publish' ? [useH264()] : [useVP8(), useH264()];
const peer = new RTCPeerConnection({ codecs: { audio: [useOPUS()], video }, iceServers: [], bundlePolicy: 'max-bundle' });
peer.connectionStateChange.subscribe((state) => tell(state));
let lines;
const ports = {};
for (const kind of kinds) {
  if (role === 'publish') {
    const { track, port } = await feed(kind);
    ports[kind] = port;
    peer.addTransceiver(track, { direction: 'sendonly' });
  } else {
    peer.addTransceiver(kind, { direction: 'recvonly' }).onTrack.subscribe((track) => track.onReceiveRtp.subscribe((packet) => {
      lines.take(kind, packet.serialize());
    }));
  }
}
if (role === 'publish') tell('ports', ports);
await peer.setLocalDescription(await peer.createOffer());
const { answer, leave } = await join(url, peer.localDescription.sdp);
if (role === 'watch') lines = new Lines(asked.expect.split(','), answer);
await peer.setRemoteDescription({ type: 'answer', sdp: answer });

process.on('SIGTERM', async () => {
  await leave();
  await peer.close();
  process.exit(0);
});
