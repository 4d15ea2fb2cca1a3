// FFmpeg (the binary of PyPI's imageio-ffmpeg): H.264 and Opus by its own WHIP muxer. It ignores keyframe requests.

import { publishWithFfmpeg } from '../../browser/support/ffmpeg.js';

class Ffmpeg {
  client = 'ffmpeg';
  role = 'publisher';

  constructor(options) {
    this.options = options;
    this.video = options.video !== false;
    this.audio = options.audio !== false;
  }

  async begin(scene) {
    this.child = publishWithFfmpeg(scene, `${scene.url}/whip/${scene.stream}`, { keyframes: 30, ...this.options });
  }

  async prove() {
    return { text: 'media comes in' };
  }

  async end() {
    await this.child.stop('SIGINT');
  }

  kill() {
    return this.child.stop('SIGKILL');
  }
}

export const publish = (options = {}) => new Ffmpeg(options);
