import { addCopyButtons, element, pause, query, stream, tokens } from '/assets/page.js';
import { openChat } from '/assets/chat.js';
import { testPicture } from '/assets/picture.js';
import { Refused, Session, backoff, lost } from '/assets/whip.js';

// For tests and unattended machines: ?source=camera|screen|test, autostart=1, width, height, rate, codec=h264|vp8,
// audio=0, video=0.
const options = {
  width: Number(query.get('width')) || 1280,
  height: Number(query.get('height')) || 720,
  rate: Number(query.get('rate')) || 30,
  codec: query.get('codec')?.toLowerCase(),
  audio: query.get('audio') !== '0',
  video: query.get('video') !== '0',
};

const endpoint = `${location.origin}/whip/${stream}`;
const form = element('form');
const source = element('source');
const toggle = element('toggle');

let run; // AbortController of what is being published
let media; // { stream, stop }

function show(state, message) {
  document.body.dataset.state = state;
  element('message').textContent = message;
  const running = Boolean(run);
  toggle.textContent = running ? 'Stop' : 'Start';
  toggle.classList.toggle('primary', !running);
  for (const control of form.querySelectorAll('select')) control.disabled = running;
}

/** Opens what was chosen. */
async function capture() {
  if (source.value === 'test') return testPicture({ ...options, name: stream });
  if (!navigator.mediaDevices) throw new Error('This page is not a secure context: only the test picture works here.');
  const size = { width: { ideal: options.width }, height: { ideal: options.height }, frameRate: { ideal: options.rate } };
  const chosen = (id) => (element(id).value ? { deviceId: { exact: element(id).value } } : {});
  const taken = source.value === 'screen'
    ? await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: options.rate } }, audio: options.audio })
    : await navigator.mediaDevices.getUserMedia({
      video: options.video && { ...size, ...chosen('camera') },
      audio: options.audio && chosen('microphone'),
    });
  if (source.value === 'camera') await listDevices();
  return { stream: taken, stop: () => taken.getTracks().forEach((track) => track.stop()) };
}

/** Devices have names only once one was allowed. */
async function listDevices() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  for (const [id, kind] of [['camera', 'videoinput'], ['microphone', 'audioinput']]) {
    const known = devices.filter((device) => device.kind === kind && device.deviceId);
    const value = element(id).value;
    element(id).replaceChildren(...known.map((device) => new Option(device.label || kind, device.deviceId)));
    if (known.some((device) => device.deviceId === value)) element(id).value = value;
    element(id).disabled = true;
  }
  element('devices').hidden = false;
}

function explain(error) {
  switch (error.name) {
    case 'NotAllowedError': return 'The browser did not allow it: allow camera and microphone for this page, then start again.';
    case 'NotFoundError': return 'There is no camera or microphone: choose the test picture.';
    case 'NotReadableError': return 'Another program uses the camera or microphone: close it, then start again.';
    case 'OverconstrainedError': return 'The chosen device is gone: choose another.';
    default: return error.message;
  }
}

async function start() {
  run = new AbortController();
  const { signal } = run;
  show('asking', 'Opening the source.');
  try {
    media = await capture();
  } catch (error) {
    return stop('idle', explain(error));
  }
  if (signal.aborted) return media.stop();
  element('preview').srcObject = media.stream;
  element('empty').hidden = true;
  for (const track of media.stream.getTracks()) {
    track.addEventListener('ended', () => signal.aborted || stop('idle', 'The source has ended.'));
  }
  for (let tries = 0; !signal.aborted; tries += 1) {
    let error;
    try {
      if (await publish(signal)) tries = 0;
    } catch (caught) {
      error = caught;
    }
    if (signal.aborted) return;
    if (error?.status === 401 || error?.status === 403) {
      element('token-field').hidden = false;
      element('token').focus();
      return stop('refused', error.status === 403 || tokens.read('publish') ? 'This token is not right.' : 'Publishing needs a token.');
    }
    if (error && !(error instanceof Refused)) return stop('idle', error.message);
    const wait = backoff(tries, error);
    const why = error ? error.message : 'The connection is lost.';
    show('retrying', `${why.replace(/\.?$/, '.')} Trying again in ${Math.ceil(wait / 1000)} s.`);
    await pause(wait, signal);
  }
}

/** Publishes until the connection is lost; true if there was one. */
async function publish(signal) {
  show('connecting', 'Connecting.');
  const peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  globalThis.sluice = { peer };
  for (const track of media.stream.getTracks()) {
    if (track.kind === 'video') track.contentHint = source.value === 'camera' ? 'motion' : 'detail'; // detail keeps the size
    const transceiver = peer.addTransceiver(track, { direction: 'sendonly', streams: [media.stream] });
    if (track.kind === 'video') prefer(transceiver, options.codec);
  }
  if (element('with-chat').checked) openChat(peer);
  let session;
  let connected = false;
  // DELETE first: closing the peer tells the relay too, and the session would be gone when DELETE arrives.
  const finish = async () => {
    await session?.close();
    peer.close();
  };
  const connection = () => {
    if (peer.connectionState !== 'connected' || signal.aborted) return;
    connected = true;
    show('live', 'Live.');
  };
  peer.addEventListener('connectionstatechange', connection);
  signal.addEventListener('abort', finish);
  const facts = setInterval(() => showFacts(peer), 1000);
  try {
    session = await Session.open(peer, endpoint, tokens.read('publish'), { shapeAnswer: startFast });
    connection();
    if (await Promise.race([lost(peer), pause(2 ** 31 - 1, signal)])) session.forget();
    return connected;
  } finally {
    clearInterval(facts);
    element('facts').textContent = '';
    signal.removeEventListener('abort', finish);
    finish();
  }
}

/**
 * Chromium begins at 300 kbit/s, shrinks the picture to that, and takes half a minute to grow it again. It begins higher
 * when the answer asks for it; where the way is narrower, its congestion control finds that out in a second.
 */
function startFast(sdp) {
  const codecs = [...sdp.matchAll(/^a=rtpmap:(\d+) (?:VP8|VP9|AV1|H264|H265)\/90000/gm)].map(([, payloadType]) => payloadType);
  return codecs.reduce((text, payloadType) => {
    const parameters = new RegExp(`^(a=fmtp:${payloadType} .*?)\\r?$`, 'm');
    if (parameters.test(text)) return text.replace(parameters, '$1;x-google-start-bitrate=1500\r');
    return text.replace(new RegExp(`^(a=rtpmap:${payloadType} .*?)\\r?$`, 'm'), `$1\r\na=fmtp:${payloadType} x-google-start-bitrate=1500\r`);
  }, sdp);
}

/** Puts one codec first; the others stay, so that there is always an answer. */
function prefer(transceiver, codec) {
  const known = RTCRtpReceiver.getCapabilities?.('video')?.codecs;
  if (!codec || !known || !transceiver.setCodecPreferences) return;
  const wanted = (candidate) => candidate.mimeType.toLowerCase() === `video/${codec}`;
  transceiver.setCodecPreferences([...known.filter(wanted), ...known.filter((candidate) => !wanted(candidate))]);
}

/** Viewers who are to chat ask for it in their address. */
function showLink() {
  const path = `/watch/${stream}${element('with-chat').checked ? '?chat=1' : ''}`;
  element('watch').href = path;
  element('link').textContent = location.origin + path;
}

let before;
async function showFacts(peer) {
  let bytes = 0;
  let picture = '';
  let delay = '';
  const report = await peer.getStats();
  for (const entry of report.values()) {
    if (entry.type === 'outbound-rtp') {
      bytes += entry.bytesSent;
      const codec = report.get(entry.codecId)?.mimeType?.split('/')[1];
      if (entry.kind === 'video' && entry.frameWidth) {
        picture = `${codec} ${entry.frameWidth}x${entry.frameHeight}, ${Math.round(entry.framesPerSecond ?? 0)} fps`;
      }
    }
    if (entry.type === 'candidate-pair' && entry.nominated && entry.currentRoundTripTime !== undefined) {
      delay = `${Math.round(entry.currentRoundTripTime * 1000)} ms round trip`;
    }
  }
  const now = performance.now();
  const rate = before?.peer === peer ? `${Math.round((bytes - before.bytes) * 8 / (now - before.now))} kbit/s` : '';
  before = { peer, bytes, now };
  element('facts').textContent = [picture, rate, delay].filter(Boolean).join(', ');
}

function stop(state, message) {
  run?.abort();
  run = undefined;
  media?.stop();
  media = undefined;
  element('preview').srcObject = null;
  element('empty').hidden = false;
  show(state, message);
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  if (element('token').value) {
    tokens.keep('publish', element('token').value);
    element('token').value = '';
    element('token-field').hidden = true;
  }
  if (run) stop('idle', 'Stopped.');
  else start();
});
source.addEventListener('change', () => (element('devices').hidden = source.value !== 'camera' || !element('camera').length));
addEventListener('pagehide', () => run && stop('idle', 'Stopped.'));

element('stream').textContent = stream;
document.title = `Publish ${stream} - sluice`;
element('with-chat').checked = query.get('chat') === '1';
element('with-chat').addEventListener('change', showLink);
showLink();
addCopyButtons();
if (!window.isSecureContext) {
  source.querySelectorAll('[value="camera"], [value="screen"]').forEach((option) => (option.disabled = true));
  source.value = 'test';
  element('insecure').hidden = false;
  const port = location.port ? `:${location.port}` : '';
  element('insecure').textContent = 'Browsers give cameras and screens only to secure pages, and this one came over plain http from '
    + `another machine. Open http://localhost${port}/publish/${stream} on the machine of the relay, or put https in front of it. `
    + 'The test picture works here.';
}
if (source.querySelector(`[value="${CSS.escape(query.get('source') ?? '')}"]:not(:disabled)`)) source.value = query.get('source');
show('idle', 'Ready.');
if (query.get('autostart') === '1') start();
