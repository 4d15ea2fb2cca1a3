// The test video: moving, with a clock to read the delay from and a beep with each flash, one a second.
//
// Chromium draws no canvas of a page in the background, and this page is there as soon as the user opens the watch
// page. So a worker makes the frames if the browser allows it, else a canvas and an oscillator of the page do.

/** `{stream, stop}` of a video of that size and rate, named `name`. */
export function testVideo({ width, height, rate, audio, video, name }) {
  const make = globalThis.MediaStreamTrackGenerator && globalThis.OffscreenCanvas ? fromWorker : fromPage;
  return make({ width, height, rate, audio, video, name });
}

function fromWorker(options) {
  const worker = new Worker(new URL('./test-video-worker.js', import.meta.url), { type: 'module' });
  const tracks = [options.video && 'video', options.audio && 'audio']
    .filter(Boolean).map((kind) => new MediaStreamTrackGenerator({ kind }));
  const sinks = Object.fromEntries(tracks.map((track) => [track.kind, track.writable]));
  worker.postMessage({ options, sinks }, Object.values(sinks));
  return {
    stream: new MediaStream(tracks),
    stop() {
      worker.terminate();
      tracks.forEach((track) => track.stop());
    },
  };
}

function fromPage({ width, height, rate, audio, video, name }) {
  const stream = new MediaStream();
  const ends = [];
  if (video) {
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    const context = canvas.getContext('2d', { alpha: false });
    let frame = 0;
    draw(context, { name, frame, now: Date.now() });
    const timer = setInterval(() => draw(context, { name, frame: frame += 1, now: Date.now() }), 1000 / rate);
    const [track] = canvas.captureStream(rate).getTracks();
    stream.addTrack(track);
    ends.push(() => (clearInterval(timer), track.stop()));
  }
  if (audio) {
    const context = new AudioContext();
    const [oscillator, volume, out] = [context.createOscillator(), context.createGain(), context.createMediaStreamDestination()];
    volume.gain.value = 0;
    oscillator.connect(volume).connect(out);
    oscillator.start();
    const beep = setInterval(() => {
      const at = context.currentTime;
      volume.gain.setValueAtTime(0.2, at);
      volume.gain.setValueAtTime(0, at + 0.1);
    }, 1000);
    context.resume();
    stream.addTrack(out.stream.getTracks()[0]);
    ends.push(() => (clearInterval(beep), context.close()));
  }
  return { stream, stop: () => ends.forEach((end) => end()) };
}

/** Draws one frame; `now` is wall-clock milliseconds. */
export function draw(context, { name, frame, now }) {
  const { width, height } = context.canvas;
  const unit = height / 18;
  const colours = ['#f1f3f5', '#ffd43b', '#3bc9db', '#51cf66', '#cc5de8', '#ff6b6b', '#4c6ef5'];
  colours.forEach((colour, index) => {
    context.fillStyle = colour;
    context.fillRect(Math.floor(index * width / 7), 0, Math.ceil(width / 7), height);
  });
  context.fillStyle = '#0f1416';
  context.fillRect(0, height * 0.3, width, height * 0.7);
  // A wave that travels, and a ball on it: every frame differs everywhere, as a camera's do.
  const phase = now / 700;
  for (let line = 0; line < 5; line += 1) {
    context.strokeStyle = `hsl(${186 + line * 12} 70% ${62 - line * 8}%)`;
    context.lineWidth = unit / 4;
    context.beginPath();
    for (let x = 0; x <= width; x += width / 64) {
      const y = height * (0.74 + line * 0.045) + Math.sin(x / width * 9 + phase + line) * unit * 0.9;
      context.lineTo(x, y);
    }
    context.stroke();
  }
  const along = (now / 4000) % 1;
  context.fillStyle = '#ffd43b';
  context.beginPath();
  context.arc(along * width, height * 0.74 + Math.sin(along * 9 + phase) * unit * 0.9 - unit, unit, 0, 7);
  context.fill();
  // The flash goes with the beep.
  if (now % 1000 < 100) {
    context.fillStyle = '#ffffff';
    context.fillRect(width - unit * 3, height * 0.3 + unit, unit * 2, unit * 2);
  }
  const time = new Date(now);
  const digits = [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
  context.fillStyle = '#ffffff';
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.font = `600 ${unit * 3}px ui-monospace, monospace`;
  context.fillText(`${digits}.${String(time.getMilliseconds()).padStart(3, '0')}`, width / 2, height * 0.47);
  context.font = `${unit}px ui-monospace, monospace`;
  context.fillStyle = '#97a8ac';
  context.fillText(`${name}   ${width}x${height}   frame ${frame}`, width / 2, height * 0.6);
}
