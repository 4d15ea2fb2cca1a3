#!/usr/bin/env node
// Makes the recordings beside this file anew: what FFmpeg's `-f rtp` sends of nine small pictures or some sound, each
// packet behind its length in two octets (RFC 4571), timestamps counted from the first. `FFMPEG=ffmpeg tests/media/record.mjs [NAME...]`
//
// Every fourth picture is a keyframe: 0, 4 and 8. Packets are small, so that keyframes take several. Encoders are free to
// change from version to version, so the places of the keyframes in tests/recorded/keyframes.rs belong to these very files.

import dgram from 'node:dgram';
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';

const FFMPEG = process.env.FFMPEG ?? new URL('../.tools/ffmpeg', import.meta.url).pathname;

const PICTURES = ['-f', 'lavfi', '-i', 'testsrc=size=64x64:rate=10', '-frames:v', '9', '-pix_fmt', 'yuv420p', '-g', '4', '-keyint_min', '4'];
const SOUND = ['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000', '-t', '0.1'];
const X264 = [...PICTURES, '-c:v', 'libx264', '-crf', '36', '-preset', 'ultrafast', '-tune', 'zerolatency'];
const X265 = [...PICTURES, '-c:v', 'libx265', '-crf', '36', '-preset', 'ultrafast', '-x265-params'];
const x265 = 'log-level=none:info=0:scenecut=0:keyint=4:min-keyint=4:repeat-headers=1';
const LIBVPX = ['-b:v', '30k', '-deadline', 'realtime', '-cpu-used', '8', '-auto-alt-ref', '0', '-strict', 'experimental'];
// With this flag an encoder leaves parameter sets to the SDP.
const GLOBAL_HEADER = ['-flags:v', '+bitexact+global_header'];

const RECORDINGS = {
  'h264-baseline': [...X264, '-profile:v', 'baseline'],
  'h264-mode0': [...X264, '-profile:v', 'baseline', '-x264-params', 'slice-max-size=150:sliced-threads=0', '-rtpflags', 'skip_rtcp+h264_mode0'],
  'h264-high-delimiters': [...PICTURES, '-c:v', 'libx264', '-crf', '36', '-profile:v', 'high', '-bf', '2', '-x264-params', 'aud=1:scenecut=0:open-gop=0'],
  'h264-without-parameter-sets': [...X264, ...GLOBAL_HEADER],
  'h265': [...X265, `${x265}:bframes=0`],
  'h265-open-gop': [...X265, `${x265}:open-gop=1:bframes=2:aud=1`],
  'h265-without-parameter-sets': [...X265, `${x265.replace('headers=1', 'headers=0')}:bframes=0`, ...GLOBAL_HEADER],
  'vp8': [...PICTURES, '-c:v', 'libvpx', ...LIBVPX],
  'vp9': [...PICTURES, '-c:v', 'libvpx-vp9', ...LIBVPX],
  'vp9-profile-1': [...PICTURES, '-pix_fmt', 'yuv444p', '-c:v', 'libvpx-vp9', ...LIBVPX],
  'av1-libaom': [...PICTURES, '-c:v', 'libaom-av1', '-b:v', '30k', '-usage', 'realtime', '-cpu-used', '8', '-strict', 'experimental'],
  'av1-svt': [...PICTURES, '-c:v', 'libsvtav1', '-preset', '10', '-crf', '55', '-svtav1-params', 'keyint=4', '-strict', 'experimental'],
  'opus': [...SOUND, '-c:a', 'libopus', '-ac', '2', '-b:a', '16k'],
  'pcmu': [...SOUND, '-ar', '8000', '-c:a', 'pcm_mulaw'],
  'pcma': [...SOUND, '-ar', '8000', '-c:a', 'pcm_alaw'],
  'g722': [...SOUND, '-ar', '16000', '-c:a', 'g722'],
};

async function record(name, args) {
  const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const packets = [];
  socket.on('message', (packet) => packets.push(packet));
  const own = args.includes('-rtpflags') ? [] : ['-rtpflags', 'skip_rtcp'];
  const exact = args.includes('-flags:v') ? [] : ['-flags:v', '+bitexact'];
  const url = `rtp://127.0.0.1:${socket.address().port}?pkt_size=172`;
  const all = ['-hide_banner', '-loglevel', 'error', '-nostdin', ...args, ...own, ...exact, '-fflags', '+bitexact', '-threads', '1', '-f', 'rtp', '-ssrc', '1', '-seq', '65530', '-sdp_file', '/dev/null', url];
  const [code] = await once(spawn(FFMPEG, all, { stdio: 'inherit', env: { ...process.env, SVT_LOG: '1' } }), 'exit');
  if (code !== 0) throw new Error(`FFmpeg cannot make ${name}`);
  await new Promise((resolve) => setTimeout(resolve, 200));
  socket.close();
  const first = packets[0].readUInt32BE(4);
  for (const packet of packets) packet.writeUInt32BE((packet.readUInt32BE(4) - first) >>> 0, 4);
  const framed = packets.flatMap((packet) => [Buffer.from([packet.length >> 8, packet.length & 0xff]), packet]);
  writeFileSync(new URL(`${name}.rtp`, import.meta.url), Buffer.concat(framed));
  console.log(`${name}: ${packets.length} packets`);
}

const wanted = process.argv.slice(2);
for (const [name, args] of Object.entries(RECORDINGS)) {
  if (wanted.length === 0 || wanted.includes(name)) await record(name, args);
}
