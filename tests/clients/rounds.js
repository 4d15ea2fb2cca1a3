// Who publishes to whom. `of` names the client for whose sake a round is played; `early` viewers come before the publisher,
// `viewers` after it, one after another. With `takeover` the publisher is killed and a second one comes at once. tests/run
// plays those that are `core`.

import * as aiortc from './aiortc/index.js';
import * as chromium from './chromium/index.js';
import * as ffmpeg from './ffmpeg/index.js';
import * as firefox from './firefox/index.js';
import * as gstreamer from './gstreamer/index.js';
import * as libdatachannel from './node-datachannel/index.js';
import * as pion from './pion/index.js';
import * as werift from './werift/index.js';

export const clients = { aiortc, chromium, ffmpeg, firefox, gstreamer, 'node-datachannel': libdatachannel, pion, werift };

export const rounds = [
  { of: 'firefox', core: true, publisher: firefox.publish(), early: [chromium.watch()], viewers: [firefox.watch(), chromium.watch()] },
  { of: 'firefox', core: true, publisher: chromium.publish(), early: [firefox.watch()], viewers: [firefox.watch()] },
  { of: 'firefox', publisher: firefox.publish({ video: 'VP9', audio: false }), viewers: [chromium.watch(), firefox.watch()] },
  { of: 'firefox', publisher: firefox.publish({ video: null }), early: [firefox.watch()], viewers: [chromium.watch()] },
  { of: 'firefox', publisher: chromium.publish({ video: 'AV1' }), viewers: [firefox.watch({ audio: false }), firefox.watch({ video: null })] },

  { of: 'gstreamer', core: true, publisher: gstreamer.publish({ video: 'H264' }), viewers: [chromium.watch()] },
  { of: 'gstreamer', core: true, publisher: gstreamer.publish({ video: 'VP8', audio: false }), viewers: [chromium.watch()] },
  { of: 'gstreamer', core: true, publisher: gstreamer.publish({ shown: true }), viewers: [chromium.watch()] },
  { of: 'gstreamer', publisher: gstreamer.publish({ video: 'VP8' }), early: [firefox.watch()], viewers: [aiortc.watch(), pion.watch()] },
  { of: 'gstreamer', publisher: gstreamer.publish({ video: null }), viewers: [firefox.watch()] },

  {
    of: 'node-datachannel', core: true, publisher: libdatachannel.publish(), early: [libdatachannel.watch()], viewers: [chromium.watch()],
    takeover: libdatachannel.publish(),
  },
  { of: 'node-datachannel', publisher: libdatachannel.publish({ audio: false }), viewers: [aiortc.watch(), pion.watch()] },
  { of: 'node-datachannel', publisher: libdatachannel.publish({ video: null }), viewers: [firefox.watch()] },
  { of: 'node-datachannel', publisher: chromium.publish({ video: 'H264' }), viewers: [libdatachannel.watch()] },

  { of: 'aiortc', publisher: aiortc.publish(), early: [aiortc.watch()], viewers: [aiortc.watch(), firefox.watch()] },
  { of: 'aiortc', publisher: aiortc.publish({ video: 'H264', audio: false }), viewers: [pion.watch(), chromium.watch()] },
  { of: 'aiortc', publisher: aiortc.publish({ video: null }), early: [aiortc.watch()], viewers: [pion.watch(), chromium.watch()] },
  { of: 'aiortc', publisher: ffmpeg.publish(), early: [aiortc.watch()], viewers: [aiortc.watch({ audio: false }), libdatachannel.watch()] },

  { of: 'pion', publisher: pion.publish(), early: [pion.watch()], viewers: [aiortc.watch(), pion.watch()], takeover: pion.publish() },
  { of: 'pion', publisher: pion.publish({ audio: false }), viewers: [chromium.watch()] },
  { of: 'pion', publisher: pion.publish({ video: null }), viewers: [firefox.watch()] },
  { of: 'pion', publisher: firefox.publish(), early: [pion.watch()], viewers: [pion.watch()] },

  { of: 'werift', publisher: werift.publish(), early: [werift.watch()], viewers: [chromium.watch(), werift.watch()] },
  { of: 'werift', publisher: firefox.publish({ audio: false }), early: [werift.watch()], viewers: [werift.watch()] },
  { of: 'werift', publisher: werift.publish({ video: null }), viewers: [aiortc.watch(), werift.watch()] },
];
