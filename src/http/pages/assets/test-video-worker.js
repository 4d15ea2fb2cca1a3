// Makes the frames and the tone of the test video away from the page, so that they go on when it is in the background.

import { draw } from './test-video.js';

const SAMPLES = 480; // 10 ms at 48 kHz

onmessage = ({ data: { options, sinks } }) => {
  const began = performance.now();
  if (sinks.video) frames(sinks.video.getWriter(), options, began);
  if (sinks.audio) tone(sinks.audio.getWriter(), began);
};

function frames(writer, { width, height, rate, name }, began) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { alpha: false });
  let last = -1;
  setInterval(() => {
    // The clock says which frame is due, so that a late timer drops frames instead of slowing time down.
    const elapsed = performance.now() - began;
    const number = Math.floor(elapsed * rate / 1000);
    if (number === last || writer.desiredSize <= 0) return;
    last = number;
    draw(context, { name, frame: number, now: Date.now() });
    const frame = new VideoFrame(canvas, { timestamp: Math.round(elapsed * 1000) });
    writer.write(frame).catch(() => frame.close());
  }, 1000 / rate / 2);
}

function tone(writer, began) {
  let sent = 0;
  setInterval(() => {
    const due = Math.floor((performance.now() - began) / 10);
    // After a pause the missed time is left out.
    if (due - sent > 20) sent = due - 1;
    for (; sent < due; sent += 1) {
      const samples = new Float32Array(SAMPLES);
      const flash = (Date.now() - (due - sent) * 10) % 1000 < 100;
      for (let index = 0; flash && index < SAMPLES; index += 1) {
        samples[index] = 0.2 * Math.sin((sent * SAMPLES + index) * 2 * Math.PI * 880 / 48_000);
      }
      const data = new AudioData({
        format: 'f32-planar', sampleRate: 48_000, numberOfFrames: SAMPLES, numberOfChannels: 1,
        timestamp: sent * 10_000, data: samples,
      });
      writer.write(data).catch(() => data.close());
    }
  }, 10);
}
