// How other programs publish and play a stream: the commands and fields to copy.

// Kept as in the README: what FFmpeg needs so that every browser plays it.
const ENCODE = '-c:v libx264 -preset veryfast -tune zerolatency -profile:v baseline -bf 0 -g 60 -pix_fmt yuv420p '
  + '-c:a libopus -ar 48000 -ac 2';
const RTP = 'application/x-rtp,media';

/** What to copy, by the id of its place on the page. `token` is "" where the relay needs none. */
export function commands(origin, stream, token) {
  const whip = `${origin}/whip/${stream}`;
  const whep = `${origin}/whep/${stream}`;
  const watch = `${origin}/watch/${stream}`;
  const ffmpeg = (input) => `ffmpeg -re ${input} ${ENCODE} ${token && `-authorization ${token} `}-f whip ${whip}`;
  return {
    'obs-server': whip,
    'obs-token': token || 'Leave it empty',
    'ffmpeg-test': ffmpeg('-f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=frequency=440'),
    'ffmpeg-file': ffmpeg('-stream_loop -1 -i video.mp4'),
    'gstreamer-sink': `gst-launch-1.0 whipclientsink name=whip video-caps=video/x-h264 signaller::whip-endpoint=${whip} ${token && `signaller::auth-token=${token} `}`
      + 'videotestsrc is-live=true pattern=ball ! video/x-raw,width=1280,height=720,framerate=30/1 ! whip. '
      + 'audiotestsrc is-live=true wave=ticks ! whip.',
    'gstreamer-client': `whip-client -u ${whip} ${token && `-t ${token} `}`
      + '-V "videotestsrc is-live=true pattern=ball ! video/x-raw,width=1280,height=720,framerate=30/1 ! videoconvert ! queue '
      + `! vp8enc deadline=1 keyframe-max-dist=60 target-bitrate=2000000 ! rtpvp8pay pt=96 ssrc=2 ! queue ! ${RTP}=video,encoding-name=VP8,payload=96" `
      + '-A "audiotestsrc is-live=true wave=ticks ! audioconvert ! audioresample ! queue '
      + `! opusenc ! rtpopuspay pt=111 ssrc=1 ! queue ! ${RTP}=audio,encoding-name=OPUS,payload=111"`,
    'browser-publish': `${origin}/publish/${stream}${token && `#token=${token}`}`,
    'browser-watch': `${watch}${token && '#token=WATCH_TOKEN'}`,
    'browser-embed': `<iframe src="${watch}${token && '#token=WATCH_TOKEN'}" width="640" height="360" allow="autoplay; fullscreen; picture-in-picture"></iframe>`,
    'browser-whep': whep,
  };
}
