// Which clients publish to which. `of` names the client that a round tests; `early` viewers join before the publisher,
// `viewers` after it, one after another. With `stay` they watch for that number of seconds more, in which the relay must not
// take a client for gone, however seldom it sends reports. With `takeover` the publisher is killed and a second one joins at
// once. With `loss` that share of packets is lost in both directions of each client. tests/run plays the `core` rounds; a
// `rare` round is played only when its client is named.

import * as aiortc from './aiortc/index.js';
import * as chromium from './chromium/index.js';
import * as ffmpeg from './ffmpeg/index.js';
import * as firefox from './firefox/index.js';
import * as gstreamer from './gstreamer/index.js';
import * as libdatachannel from './node-datachannel/index.js';
import * as pion from './pion/index.js';
import * as werift from './werift/index.js';
import * as whipclientsink from './whipclientsink/index.js';

export const clients = { aiortc, chromium, ffmpeg, firefox, gstreamer, 'node-datachannel': libdatachannel, pion, werift, whipclientsink };

export const rounds = [
  { of: 'firefox', core: true, publisher: firefox.publish(), early: [chromium.watch()], viewers: [firefox.watch(), chromium.watch()] },
  { of: 'firefox', core: true, publisher: chromium.publish(), early: [firefox.watch()], viewers: [firefox.watch()] },
  { of: 'firefox', core: true, loss: 0.05, publisher: chromium.publish(), viewers: [firefox.watch()], takeover: chromium.publish() },
  { of: 'firefox', publisher: firefox.publish({ video: 'VP9', audio: false }), viewers: [chromium.watch(), firefox.watch()] },
  { of: 'firefox', publisher: firefox.publish({ video: null }), early: [firefox.watch()], viewers: [chromium.watch()], stay: 16 },
  { of: 'firefox', publisher: chromium.publish({ video: 'AV1' }), viewers: [firefox.watch({ audio: false }), firefox.watch({ video: null })] },

  { of: 'gstreamer', core: true, publisher: gstreamer.publish({ video: 'H264' }), viewers: [chromium.watch()] },
  { of: 'gstreamer', core: true, publisher: gstreamer.publish({ video: 'VP8', audio: false }), viewers: [chromium.watch()] },
  { of: 'gstreamer', core: true, publisher: gstreamer.publish({ shown: 'gstreamer-client', token: 'to-publish' }), viewers: [chromium.watch()] },
  { of: 'gstreamer', publisher: gstreamer.publish({ video: 'VP8' }), early: [firefox.watch()], viewers: [aiortc.watch(), pion.watch()], stay: 16 },
  { of: 'gstreamer', publisher: gstreamer.publish({ video: null }), viewers: [firefox.watch()] },

  {
    of: 'node-datachannel', core: true, publisher: libdatachannel.publish(), early: [libdatachannel.watch()], viewers: [chromium.watch()],
    takeover: libdatachannel.publish(),
  },
  { of: 'node-datachannel', publisher: libdatachannel.publish({ audio: false }), viewers: [aiortc.watch(), pion.watch()] },
  { of: 'node-datachannel', publisher: libdatachannel.publish({ video: null }), viewers: [firefox.watch()] },
  { of: 'node-datachannel', publisher: chromium.publish({ video: 'H264' }), viewers: [libdatachannel.watch()], stay: 16 },

  { of: 'aiortc', publisher: aiortc.publish(), early: [aiortc.watch()], viewers: [aiortc.watch(), firefox.watch()] },
  { of: 'aiortc', publisher: aiortc.publish({ video: 'H264', audio: false }), viewers: [pion.watch(), chromium.watch()], stay: 16 },
  { of: 'aiortc', publisher: aiortc.publish({ video: null }), early: [aiortc.watch()], viewers: [pion.watch(), chromium.watch()] },
  { of: 'aiortc', publisher: ffmpeg.publish(), early: [aiortc.watch()], viewers: [aiortc.watch({ audio: false }), libdatachannel.watch()] },

  { of: 'pion', publisher: pion.publish(), early: [pion.watch()], viewers: [aiortc.watch(), pion.watch()], takeover: pion.publish() },
  { of: 'pion', publisher: pion.publish({ audio: false }), viewers: [chromium.watch()] },
  { of: 'pion', publisher: pion.publish({ video: null }), viewers: [firefox.watch()] },
  { of: 'pion', publisher: firefox.publish(), early: [pion.watch()], viewers: [pion.watch()] },

  { of: 'werift', publisher: werift.publish(), early: [werift.watch()], viewers: [chromium.watch(), werift.watch()] },
  { of: 'werift', publisher: firefox.publish({ audio: false }), early: [werift.watch()], viewers: [werift.watch()], stay: 16 },
  { of: 'werift', publisher: werift.publish({ video: null }), viewers: [aiortc.watch(), werift.watch()], stay: 16 },

  { of: 'whipclientsink', rare: true, publisher: whipclientsink.publish(), early: [pion.watch()], viewers: [chromium.watch()] },
];
