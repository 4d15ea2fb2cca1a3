// The codec and the bitrate that the browser sends in.

import { codec as codecName } from './words.js';

const HELPERS = /\/(rtx|red|ulpfec|flexfec-03)$/i;
const START = 1500; // kbit/s

/** The encodings of simulcast, the smallest first, as browsers want them; `share` is of the maximum bitrate. */
const ENCODINGS = [
  { rid: 'q', scaleResolutionDownBy: 4, share: 0.08 },
  { rid: 'h', scaleResolutionDownBy: 2, share: 0.22 },
  { rid: 'f', scaleResolutionDownBy: 1, share: 0.7 },
];

/** Codecs whose encoders send several sizes; without a name the browser takes VP8. */
const SEVERAL = ['', 'vp8', 'h264'];

/** Temporal layers of each size, as scalability modes: the relay can leave out half of the frames, or three of four. */
const MODES = [['L1T2', '2 (L1T2)'], ['L1T3', '3 (L1T3)']];

/** In how many sizes a video of this codec and width is sent. Of more than these, Chromium leaves the largest out. */
export function sizes(codec, width) {
  if (!SEVERAL.includes(codec) || width < 640) return 1;
  return width < 960 ? 2 : 3;
}

/**
 * The `sendEncodings` of a transceiver: the number of sizes, the limit in bits per second, and the scalability mode. 0 and an
 * empty mode leave it to the browser.
 */
export function encodings(count, bitsPerSecond, scalabilityMode) {
  const more = (share) => ({
    ...(bitsPerSecond && { maxBitrate: Math.round(bitsPerSecond * share) }),
    ...(scalabilityMode && { scalabilityMode }),
  });
  if (count === 1) return [more(1)];
  return ENCODINGS.slice(-count).map(({ share, ...encoding }) => ({ ...encoding, ...more(share) }));
}

/** The scalability modes that the browser's encoder of a codec supports, as `[mode, name for people]`. */
export async function scalabilityModes(codec) {
  const contentType = `video/${codec || sendableCodecs()[0]?.[0]}`;
  const isSupported = async (scalabilityMode) => {
    const video = { contentType, width: 640, height: 360, bitrate: START * 1000, framerate: 30, scalabilityMode };
    return (await navigator.mediaCapabilities.encodingInfo({ type: 'webrtc', video })).supported;
  };
  const asked = ['none', ...MODES.map(([mode]) => mode)];
  const [nonsense, ...supported] = await Promise.all(asked.map((mode) => isSupported(mode).catch(() => false)));
  // A browser that does not know the member ignores it: it accepts a mode that does not exist.
  return nonsense ? [] : MODES.filter((_, place) => supported[place]);
}

/** The video codecs that this browser can send, as `[name in SDP, name for people]`, in its own order. */
export function sendableCodecs() {
  const known = globalThis.RTCRtpSender?.getCapabilities?.('video')?.codecs ?? [];
  const names = known.filter(({ mimeType }) => !HELPERS.test(mimeType)).map(({ mimeType }) => mimeType.split('/')[1].toLowerCase());
  return [...new Set(names)].map((name) => [name, codecName(name)]);
}

/** Puts one codec of `audio` or `video` first; the others stay, so that there is always an answer. */
export function prefer(transceiver, kind, codec) {
  if (!codec || !transceiver.setCodecPreferences) return;
  const wanted = ({ mimeType }) => mimeType.toLowerCase() === `${kind}/${codec}`;
  // Browsers want the codecs that they receive here, also when the page only sends; newer ones also accept those that they only send.
  const lists = [RTCRtpReceiver, RTCRtpSender].map((end) => end.getCapabilities(kind)?.codecs ?? []);
  const known = lists.find((list) => list.some(wanted)) ?? [];
  try {
    transceiver.setCodecPreferences([...known.filter(wanted), ...known.filter((candidate) => !wanted(candidate))]);
  } catch {
    // The browser chooses.
  }
}

/** Lets `sender` send at most this number of bits per second from now on; 0 leaves it to the browser. */
export async function limitBitrate(sender, bitsPerSecond) {
  const parameters = sender.getParameters();
  for (const encoding of parameters.encodings) {
    const share = ENCODINGS.find(({ rid }) => rid === encoding.rid)?.share ?? 1;
    if (bitsPerSecond) encoding.maxBitrate = Math.round(bitsPerSecond * share);
    else delete encoding.maxBitrate;
  }
  await sender.setParameters(parameters);
}

/**
 * Chromium begins at 300 kbit/s, shrinks the video to that, and takes half a minute to grow it again. It begins higher
 * when the answer asks for it; on a narrower path its congestion control finds that out in a second.
 */
export function startFast(sdp, bitsPerSecond) {
  const start = Math.min(START, bitsPerSecond ? bitsPerSecond / 1000 : START);
  const codecs = [...sdp.matchAll(/^a=rtpmap:(\d+) (?:VP8|VP9|AV1|H264|H265)\/90000/gm)].map(([, payloadType]) => payloadType);
  return codecs.reduce((text, payloadType) => {
    const parameters = new RegExp(`^(a=fmtp:${payloadType} .*?)\\r?$`, 'm');
    if (parameters.test(text)) return text.replace(parameters, `$1;x-google-start-bitrate=${start}\r`);
    return text.replace(new RegExp(`^(a=rtpmap:${payloadType} .*?)\\r?$`, 'm'), `$1\r\na=fmtp:${payloadType} x-google-start-bitrate=${start}\r`);
  }, sdp);
}
