// The shortest WHIP and WHEP clients, on a page of another origin, written from the RFC and not from the relay's pages. Everything here runs in Chromium.

/** Runs in the page: publishes the fake camera and microphone; resolves to the session's URL. */
export async function plainPublish(endpoint) {
  const peer = new RTCPeerConnection();
  const camera = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 }, audio: true });
  for (const track of camera.getTracks()) peer.addTransceiver(track, { direction: 'sendonly', streams: [camera] });
  await peer.setLocalDescription();
  return window.join(peer, endpoint);
}

/** Runs in the page: publishes VP8 of the fake camera in three encodings, and no audio; resolves to the session's URL. */
export async function plainSimulcast(endpoint) {
  const peer = new RTCPeerConnection();
  const camera = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 360 } });
  const encoding = ([rid, scaleResolutionDownBy, maxBitrate]) => ({ rid, scaleResolutionDownBy, maxBitrate });
  const sendEncodings = [['q', 4, 80_000], ['h', 2, 200_000], ['f', 1, 500_000]].map(encoding);
  const video = peer.addTransceiver(camera.getVideoTracks()[0], { direction: 'sendonly', streams: [camera], sendEncodings });
  const { codecs } = RTCRtpReceiver.getCapabilities('video');
  const rank = ({ mimeType }) => (mimeType === 'video/VP8' ? 0 : 1);
  video.setCodecPreferences([...codecs].sort((one, other) => rank(one) - rank(other)));
  await peer.setLocalDescription();
  return window.join(peer, endpoint);
}

/** Runs in the page: plays a stream in the page's video element; resolves to the session's URL. */
export async function plainWatch(endpoint) {
  const peer = new RTCPeerConnection();
  const video = document.querySelector('video');
  video.srcObject = new MediaStream();
  peer.ontrack = ({ track }) => video.srcObject.addTrack(track);
  for (const kind of ['audio', 'video']) peer.addTransceiver(kind, { direction: 'recvonly' });
  await peer.setLocalDescription();
  return window.join(peer, endpoint);
}

/** The page, for a server of another origin than the relay's. */
export const PLAIN_PAGE = `<!doctype html><title>plain</title><video autoplay playsinline></video><script>
  window.join = async (peer, endpoint) => {
    const headers = { 'content-type': 'application/sdp' };
    const response = await fetch(endpoint, { method: 'POST', headers, body: peer.localDescription.sdp });
    const answer = await response.text();
    if (response.status !== 201) throw new Error(response.status + ' ' + answer);
    await peer.setRemoteDescription({ type: 'answer', sdp: answer });
    return new URL(response.headers.get('location'), endpoint).href;
  };
</script>`;
