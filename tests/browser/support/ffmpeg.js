// FFmpeg as a WHIP publisher: H.264 and Opus in real time. Like OBS it ignores keyframe requests.

import { Child } from './child.js';

const EXECUTABLE = process.env.FFMPEG ?? new URL('../../.tools/ffmpeg', import.meta.url).pathname;

export const WIDTH = 640;
export const HEIGHT = 360;

const videoSource = (rate) => ['-re', '-f', 'lavfi', '-i', `testsrc2=size=${WIDTH}x${HEIGHT}:rate=${rate}`];
const AUDIO_SOURCE = ['-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000'];
const VIDEO_CODEC = ['-c:v', 'libx264', '-tune', 'zerolatency', '-bf', '0', '-pix_fmt', 'yuv420p'];
const AUDIO_CODEC = ['-c:a', 'libopus', '-ar', '48000', '-ac', '2'];

/**
 * Publishes to `url` until the test `t` ends or `stop()` is called. `keyframes` is the distance between two of them in
 * frames, `rate` their number a second, `profile` the H.264 profile; the fastest preset uses nothing that any but the baseline has. `filter` is put
 * behind the test video, `bitrate` is in bits a second, `output` are further options of the video.
 */
export function publishWithFfmpeg(t, url, options = {}) {
  const { video = true, audio = true, keyframes = 60, profile = 'baseline', filter, bitrate, rate = 30, output = [] } = options;
  const preset = profile === 'baseline' ? 'ultrafast' : 'superfast';
  const args = ['-hide_banner', '-nostdin', '-loglevel', 'verbose', '-nostats'];
  if (video) args.push(...videoSource(rate));
  if (audio) args.push(...AUDIO_SOURCE);
  if (video) args.push(...VIDEO_CODEC, '-preset', preset, '-profile:v', profile, '-g', String(keyframes));
  if (video) args.push(...output);
  if (video && filter) args.push('-vf', filter);
  if (video && bitrate) args.push('-b:v', bitrate, '-minrate', bitrate, '-maxrate', bitrate, '-bufsize', bitrate / 5);
  if (audio) args.push(...AUDIO_CODEC);
  args.push('-f', 'whip', url);
  return runFfmpeg(t, args.map(String));
}

/** Runs FFmpeg with these arguments until the test `t` ends. */
export function runFfmpeg(t, args) {
  const child = new Child(EXECUTABLE, args);
  t.after(async () => {
    // FFmpeg whose relay has gone does not heed SIGINT.
    if (!child.hasEnded) await child.stop('SIGKILL');
    if (!t.passed) t.diagnostic(`FFmpeg:\n${child.output.slice(-3000)}`);
  });
  return child;
}
