import { element, pause, query, stream, tokens } from '/assets/page.js';
import { openChat } from '/assets/chat.js';
import { Session, backoff, lost } from '/assets/whip.js';

// For tests and unattended machines: ?audio=0, video=0 ask for the other alone.
const kinds = ['video', 'audio'].filter((kind) => query.get(kind) !== '0');
const endpoint = `${location.origin}/whep/${stream}`;
const video = element('video');
const unmute = element('unmute');

let wake = new AbortController(); // ends the pause before the next try
let current; // { peer, session }
let left = false;

function show(state, message, detail = message) {
  document.body.dataset.state = state;
  element('message').textContent = message;
  element('detail').textContent = detail;
}

/** Connects, and connects again, for as long as the page is open. */
async function watch() {
  for (let tries = 0; !left; tries += 1) {
    let error;
    try {
      if (await connect()) tries = 0;
    } catch (caught) {
      error = caught;
    }
    if (left) return;
    if (error?.status === 401 || error?.status === 403) {
      await askForToken(error);
      tries = -1;
      continue;
    }
    const why = (error?.message ?? 'The connection is lost').replace(/\.?$/, '.');
    const wait = backoff(tries, error);
    wake = new AbortController();
    show('retrying', `Trying again in ${Math.ceil(wait / 1000)} s.`, why);
    await pause(wait, wake.signal);
  }
}

/** Watches until the connection is lost; true if there was one. */
async function connect() {
  show('connecting', 'Connecting.');
  const peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  current = { peer, session: undefined };
  globalThis.sluice = { peer };
  for (const kind of kinds) peer.addTransceiver(kind, { direction: 'recvonly' });
  // A data channel costs the relay more than twice the memory of a viewer, so it is asked for.
  if (query.get('chat') === '1') openChat(peer);
  // A track joins the element with its first packet: until each of its tracks has brought something an element plays
  // none, so a stream of sound alone would be silent. (What keeps lips and voice together is the one msid of the answer.)
  const media = new MediaStream();
  peer.addEventListener('track', ({ track }) => {
    const join = () => {
      media.addTrack(track);
      if (video.srcObject !== media) video.srcObject = media;
    };
    if (track.muted) track.addEventListener('unmute', join, { once: true });
    else join();
  });
  const follow = setInterval(() => showProgress(peer), 500);
  try {
    current.session = await Session.open(peer, endpoint, tokens.read('watch'), { shapeOffer: inStereo });
    if (await lost(peer)) current?.session.forget();
    return connected.has(peer);
  } finally {
    clearInterval(follow);
    await leave();
  }
}

/** Chromium plays Opus in mono unless its own offer says that it wants both channels. */
function inStereo(sdp) {
  const opus = /a=rtpmap:(\d+) opus\/48000\/2/i.exec(sdp)?.[1];
  return opus ? sdp.replace(new RegExp(`(a=fmtp:${opus} (?!.*stereo=).*)`), '$1;stereo=1') : sdp;
}

const connected = new WeakSet();
const counted = new WeakMap();

/** Says whether media flows: a connection alone shows nothing while nobody publishes. */
async function showProgress(peer) {
  if (peer.connectionState === 'connected') connected.add(peer);
  if (!connected.has(peer) || peer.connectionState === 'closed') return;
  let [frames, packets] = [0, 0];
  for (const entry of (await peer.getStats()).values()) {
    if (entry.type !== 'inbound-rtp') continue;
    if (entry.kind === 'video') frames = entry.framesDecoded ?? 0;
    else packets = entry.packetsReceived ?? 0;
  }
  const now = performance.now();
  const before = counted.get(peer) ?? { frames: 0, packets: 0, moved: -Infinity, seen: -Infinity };
  const seen = frames > before.frames ? now : before.seen;
  const moved = seen === now || packets > before.packets ? now : before.moved;
  counted.set(peer, { frames, packets, moved, seen });
  if (peer !== current?.peer) return;
  const flows = now - moved < 2500;
  const pictures = now - seen < 2500;
  document.body.classList.toggle('silent-picture', flows && !pictures);
  if (flows) show('live', 'Live.', pictures ? '' : 'Sound only.');
  else {
    const begun = Number.isFinite(moved);
    const detail = begun ? `"${stream}" has paused.` : `Nobody publishes "${stream}" now.`;
    show('waiting', begun ? 'Paused.' : 'Waiting.', `${detail} It starts here by itself.`);
  }
  if (flows && video.paused) video.play().catch(() => {});
}

function askForToken(error) {
  const tried = error.status === 403 || tokens.read('watch');
  show('refused', tried ? 'This token is not right.' : 'A token is needed.', '');
  const form = element('token-form');
  form.hidden = false;
  element('token').focus();
  return new Promise((resolve) => {
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      tokens.keep('watch', element('token').value);
      element('token').value = '';
      form.hidden = true;
      resolve();
    }, { once: true });
  });
}

async function leave() {
  const { peer, session } = current ?? {};
  current = undefined;
  // DELETE first: closing the peer tells the relay too, and the session would be gone when DELETE arrives.
  await session?.close();
  peer?.close();
}

function setMuted(muted) {
  video.muted = muted;
  unmute.textContent = muted ? 'Unmute' : 'Mute';
  unmute.classList.toggle('primary', muted);
}

const toggleFullscreen = () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen())
  .catch(() => {});

unmute.addEventListener('click', () => setMuted(!video.muted));
element('fullscreen').hidden = !document.fullscreenEnabled;
element('fullscreen').addEventListener('click', toggleFullscreen);
video.addEventListener('dblclick', toggleFullscreen);
addEventListener('keydown', (event) => {
  if (event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'm') setMuted(!video.muted);
  if (event.key === 'f') toggleFullscreen();
});

// Controls hide while nobody moves; the unmute button stays until it was used once.
let idle;
const stir = () => {
  document.body.classList.remove('idle');
  clearTimeout(idle);
  idle = setTimeout(() => !video.muted && document.body.dataset.state === 'live' && document.body.classList.add('idle'), 3000);
};
for (const event of ['pointermove', 'pointerdown', 'keydown']) addEventListener(event, stir);

addEventListener('online', () => wake.abort());
addEventListener('pagehide', () => {
  left = true;
  wake.abort();
  leave();
});
// A page that the browser kept aside has ended its session.
addEventListener('pageshow', (event) => event.persisted && location.reload());

document.title = `${stream} - sluice`;
setMuted(true);
watch();
