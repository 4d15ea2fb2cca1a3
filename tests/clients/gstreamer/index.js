// GStreamer: webrtcbin in Debian's `simple-whip-client`, which trickles its candidates and supports SRTP_AES128_CM_SHA1_80 only.

import { Child } from '../../browser/support/child.js';

const AUDIO = 'audiotestsrc is-live=true wave=sine freq=440 ! audioconvert ! audioresample ! audio/x-raw,channels=2,rate=48000 ! opusenc'
  + ' ! rtpopuspay pt=100 ! application/x-rtp,media=audio,encoding-name=OPUS,payload=100';
const TEST_VIDEO = 'videotestsrc is-live=true pattern=smpte ! video/x-raw,width=320,height=180,framerate=15/1 ! videoconvert ! queue';
const VIDEO = {
  VP8: `${TEST_VIDEO} ! vp8enc deadline=1 keyframe-max-dist=30 ! rtpvp8pay pt=96 picture-id-mode=15-bit`
    + ' ! application/x-rtp,media=video,encoding-name=VP8,payload=96',
  H264: `${TEST_VIDEO} ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 ! video/x-h264,profile=constrained-baseline`
    + ' ! rtph264pay pt=96 config-interval=-1 aggregate-mode=zero-latency ! application/x-rtp,media=video,encoding-name=H264,payload=96',
};

const WHIP_CLIENT = { LD_LIBRARY_PATH: process.env.GSTREAMER_LIBRARIES ?? '' };

export class GStreamer {
  role = 'publisher';

  /** `shown` is the id of the command that the first page shows, if it is to be that; then it may have a token to publish. */
  constructor({ client = 'gstreamer', video = 'VP8', audio = true, shown, token = '', env = WHIP_CLIENT }) {
    Object.assign(this, { client, video, audio, shown, token, env });
  }

  /** The program and its arguments: of our own, or as the first page shows them for copying. */
  async command(scene) {
    if (this.shown) {
      const module = await (await fetch(`${scene.url}/assets/commands.js`)).text();
      const { commands } = await import(`data:text/javascript,${encodeURIComponent(module)}`);
      return ['sh', '-c', `exec ${commands(scene.url, scene.stream, this.token)[this.shown]}`];
    }
    const command = ['whip-client', '--disable-colors', '--url', `${scene.url}/whip/${scene.stream}`];
    if (this.audio) command.push('--audio', AUDIO);
    if (this.video) command.push('--video', VIDEO[this.video]);
    return command;
  }

  async begin(scene) {
    const [program, ...args] = await this.command(scene);
    this.child = new Child(program, args, { env: this.env });
    scene.after(async () => {
      if (!this.child.hasEnded) await this.child.stop('SIGKILL');
      if (!scene.passed) scene.diagnostic(`${program} ${args.join(' ')}:\n${this.child.output.slice(-3000)}`);
    });
  }

  async prove() {
    return { text: 'media comes in' };
  }

  /** Upon SIGINT it sends DELETE. */
  async end() {
    await this.child.stop('SIGINT', 10_000);
  }

  kill() {
    return this.child.stop('SIGKILL');
  }
}

export const publish = (options = {}) => new GStreamer(options);
