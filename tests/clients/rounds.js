// Who publishes to whom. `of` names the clients for whose sake a round is played; `early` viewers come before the
// publisher, `viewers` after it, one after another. With `takeover` the publisher is killed and a second one comes at once.

import * as aiortc from './aiortc/index.js';
import * as chromium from './chromium/index.js';
import * as ffmpeg from './ffmpeg/index.js';
import * as firefox from './firefox/index.js';
import * as gstreamer from './gstreamer/index.js';
import * as libdatachannel from './node-datachannel/index.js';
import * as pion from './pion/index.js';

export const clients = { aiortc, chromium, ffmpeg, firefox, gstreamer, 'node-datachannel': libdatachannel, pion };

/** Played by `tests/run`. */
export const core = ['firefox', 'gstreamer', 'node-datachannel'];

export const rounds = [
  { of: ['firefox'], publisher: firefox.publish(), early: [chromium.watch()], viewers: [firefox.watch(), chromium.watch()] },
  { of: ['firefox'], publisher: chromium.publish(), early: [firefox.watch()], viewers: [firefox.watch()] },
  { of: ['gstreamer'], publisher: gstreamer.publish({ video: 'H264' }), viewers: [chromium.watch()] },
  { of: ['gstreamer'], publisher: gstreamer.publish({ video: 'VP8', audio: false }), viewers: [chromium.watch()] },
  { of: ['gstreamer'], publisher: gstreamer.publish({ shown: true }), viewers: [chromium.watch()] },
  { of: ['aiortc'], publisher: aiortc.publish(), early: [aiortc.watch()], viewers: [aiortc.watch(), firefox.watch()] },
  { of: ['aiortc'], publisher: aiortc.publish({ video: 'H264', audio: false }), viewers: [pion.watch(), aiortc.watch()] },
  { of: ['aiortc'], publisher: aiortc.publish({ video: null }), early: [aiortc.watch()], viewers: [pion.watch(), chromium.watch()] },
  { of: ['pion'], publisher: firefox.publish(), early: [pion.watch()], viewers: [pion.watch()] },
  {
    of: ['node-datachannel'], publisher: libdatachannel.publish(), early: [libdatachannel.watch()], viewers: [chromium.watch(), aiortc.watch()],
    takeover: libdatachannel.publish(),
  },
];
