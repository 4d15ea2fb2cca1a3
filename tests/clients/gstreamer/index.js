// GStreamer: webrtcbin in Debian's `simple-whip-client`, which trickles its candidates and knows SRTP_AES128_CM_SHA1_80 only.

import { Child } from '../../browser/support/child.js';

const AUDIO = 'audiotestsrc is-live=true wave=sine freq=440 ! audioconvert ! audioresample ! audio/x-raw,channels=2,rate=48000 ! opusenc'
  + ' ! rtpopuspay pt=100 ! application/x-rtp,media=audio,encoding-name=OPUS,payload=100';
const PICTURE = 'videotestsrc is-live=true pattern=smpte ! video/x-raw,width=320,height=180,framerate=15/1 ! videoconvert ! queue';
const VIDEO = {
  VP8: `${PICTURE} ! vp8enc deadline=1 keyframe-max-dist=30 ! rtpvp8pay pt=96 picture-id-mode=15-bit`
    + ' ! application/x-rtp,media=video,encoding-name=VP8,payload=96',
  H264: `${PICTURE} ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 ! video/x-h264,profile=constrained-baseline`
    + ' ! rtph264pay pt=96 config-interval=-1 aggregate-mode=zero-latency ! application/x-rtp,media=video,encoding-name=H264,payload=96',
};

class GStreamer {
  client = 'gstreamer';
  role = 'publisher';

  constructor({ video = 'VP8', audio = true, shown = false }) {
    Object.assign(this, { video, audio, shown });
  }

  /** The program and its arguments: of our own, or as the first page shows them to who copies the command. */
  async command(scene) {
    if (this.shown) {
      const module = await (await fetch(`${scene.url}/assets/commands.js`)).text();
      const { commands } = await import(`data:text/javascript,${encodeURIComponent(module)}`);
      return ['sh', '-c', `exec ${commands(scene.url, scene.stream, '')['gstreamer-client']}`];
    }
    const command = ['whip-client', '--disable-colors', '--url', `${scene.url}/whip/${scene.stream}`];
    if (this.audio) command.push('--audio', AUDIO);
    if (this.video) command.push('--video', VIDEO[this.video]);
    return command;
  }

  async begin(scene) {
    const [program, ...args] = await this.command(scene);
    this.child = new Child(program, args, { env: { LD_LIBRARY_PATH: process.env.GSTREAMER_LIBRARIES ?? '' } });
    scene.after(async () => {
      if (!this.child.hasEnded) await this.child.stop('SIGKILL');
      if (!scene.passed) scene.diagnostic(`whip-client:\n${this.child.output.slice(-3000)}`);
    });
  }

  async prove() {
    return { text: 'media comes in' };
  }

  /** It sends DELETE upon SIGINT. */
  async end() {
    await this.child.stop('SIGINT', 10_000);
  }

  kill() {
    return this.child.stop('SIGKILL');
  }
}

export const publish = (options = {}) => new GStreamer(options);
