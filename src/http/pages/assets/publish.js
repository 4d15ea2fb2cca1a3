// Publishes what is chosen until it is stopped: opens the source, connects, connects again; changes while it runs.

import { addCopyButtons, element, query, relay, stream, tokens } from './page.js';
import { openChat } from './chat.js';
import { encodings, limitBitrate, prefer, scalabilityModes, sendableCodecs, sizes, startFast } from './encoder.js';
import { showFacts } from './facts.js';
import { newPeer } from './ice.js';
import { lost } from './lost.js';
import { Ending, isHopeless, nextTry, refusal, tokenProblem, wantsToken } from './problems.js';
import { backoff, waitToRetry } from './retry.js';
import { Sent } from './sent.js';
import { openSource, prepareSource, showChoices } from './source.js';
import { Session } from './whip.js';

// For tests and unattended machines: ?source=camera|screen|test, autostart=1, width, height, rate, codec=h264|vp8,
// bitrate (bits a second), simulcast=1|0, svc=L1T2|L1T3, audio=0, video=0.
const endpoint = `${relay}/whip/${stream}`;
const STEADY = 10_000; // a connection that lasted this long (milliseconds) starts the waiting times anew

let run; // what is being published: { stopped, media, peer, again }
let modes; // promise that the menu has the scalability modes of the codec

const bitrate = () => Number(element('bitrate').value);

function show(state, message, problem = '') {
  document.body.dataset.state = state;
  if (element('message').textContent !== message) element('message').textContent = message;
  element('problem').textContent = problem;
  element('problem').hidden = !problem;
  if (state !== 'retrying') element('next').textContent = '';
  element('again').hidden = state !== 'retrying';
  element('toggle').textContent = run ? 'Stop' : 'Start';
  element('toggle').classList.toggle('primary', !run);
}

async function start() {
  const own = run = { stopped: new AbortController() };
  const { signal } = own.stopped;
  show('asking', 'Opening the source');
  let media;
  try {
    [media] = await Promise.all([openSource(), modes]);
  } catch (error) {
    if (!signal.aborted) stop('idle', 'Not started', error.message);
    return;
  }
  if (signal.aborted) return media.stop();
  take(media);
  for (let tries = 0; !signal.aborted; tries += 1) {
    const { error, lasted, wanted } = await connect(own);
    if (signal.aborted) return;
    if (lasted > STEADY || wanted) tries = 0;
    if (wanted) continue;
    if (wantsToken(error)) {
      const problem = tokenProblem(error, tokens.read('publish'), 'publishing');
      element('token-field').hidden = false;
      stop('refused', 'A token is needed', problem);
      return element('token').focus();
    }
    if (isHopeless(error) || error.isFinal || error.status === undefined && !(error instanceof Ending)) {
      return stop('idle', 'Stopped', refusal(error));
    }
    show('retrying', error.status === 409 ? 'Busy' : 'Reconnecting', refusal(error));
    const tick = (seconds) => (element('next').textContent = nextTry(seconds));
    await waitToRetry(backoff(tries, error), { signal, now: element('again'), tick });
  }
}

/** Makes `media` what the run sends, and shows it. */
function take(media) {
  const { stopped, media: before } = run;
  run.media = media;
  for (const track of media.stream.getTracks()) {
    if (track.kind === 'video') hint(track);
    track.addEventListener('ended', () => {
      if (!stopped.signal.aborted && run?.media === media) stop('idle', 'Stopped', 'The source has ended.');
    });
  }
  element('preview').srcObject = media.stream;
  element('empty').hidden = true;
  before?.stop();
  applyMutes();
}

/** Publishes until the connection is lost; returns why, how many milliseconds it lasted, and if the user `wanted` that. */
async function connect(own) {
  show('connecting', 'Connecting');
  const peer = newPeer();
  globalThis.sluice = { peer };
  const again = new AbortController(); // ends this connection: the run is stopped, or another is wanted
  const { signal } = again;
  own.stopped.signal.addEventListener('abort', () => again.abort());
  Object.assign(own, { peer, again });
  for (const track of own.media.stream.getTracks()) {
    if (track.kind === 'video') hint(track);
    const sends = track.kind === 'video' ? { sendEncodings: encodings(sizesOf(track), bitrate(), element('scalability').value) } : {};
    const transceiver = peer.addTransceiver(track, { direction: 'sendonly', streams: [own.media.stream], ...sends });
    // Audio is sent twice, in two packets: it is little, and the loss of one is not audible.
    prefer(transceiver, track.kind, track.kind === 'video' ? element('codec').value : 'red');
  }
  if (element('with-chat').checked) openChat(peer);
  let session;
  let began;
  // DELETE first: closing the peer ends it at the relay too, and the session would be gone when DELETE arrives.
  const finish = async () => {
    await session?.close();
    peer.close();
  };
  const connection = () => {
    if (peer.connectionState !== 'connected' || signal.aborted) return;
    began ??= performance.now();
    show('live', 'Live');
  };
  peer.addEventListener('connectionstatechange', connection);
  signal.addEventListener('abort', finish);
  const sent = new Sent(peer, () => session?.viewers());
  const figures = setInterval(async () => showFacts(element('facts'), await sent.figures()), 1000);
  const lasted = () => (began ? performance.now() - began : 0);
  try {
    session = await Session.open(peer, endpoint, tokens.read('publish'), { shapeAnswer: (sdp) => startFast(sdp, bitrate()) });
    connection();
    const how = await lost(peer, session, signal);
    return { error: await session.ending(how), lasted: lasted(), wanted: signal.aborted };
  } catch (error) {
    return { error, lasted: lasted(), wanted: signal.aborted };
  } finally {
    clearInterval(figures);
    showFacts(element('facts'), {});
    signal.removeEventListener('abort', finish);
    await finish();
  }
}

/** Says what matters of a video: "detail" keeps its size. Of such a one Chromium sends at most two sizes, and not the largest. */
function hint(track) {
  track.contentHint = element('source').value === 'camera' || sizesOf(track) > 1 ? 'motion' : 'detail';
}

/** In how many sizes a video is sent. */
function sizesOf(track) {
  const [chosen] = element('size').value.split('x').map(Number);
  return element('simulcast').checked ? sizes(element('codec').value, track.getSettings().width ?? chosen) : 1;
}

function stop(state, message, problem) {
  run?.stopped.abort();
  run?.media?.stop();
  run = undefined;
  element('preview').srcObject = null;
  element('empty').hidden = false;
  show(state, message, problem);
}

/** Another source while it runs: the viewers see the switch and nothing else, unless audio or video comes or goes. */
async function change() {
  showChoices();
  const own = run;
  if (!own?.media) return;
  let media;
  try {
    media = await openSource();
  } catch (error) {
    return run === own && show(document.body.dataset.state, element('message').textContent, error.message);
  }
  if (run !== own) return media.stop();
  take(media);
  const tracks = media.stream.getTracks();
  const senders = own.peer.getSenders().filter(({ track }) => track);
  const fits = tracks.length === senders.length && tracks.every(({ kind }) => senders.some(({ track }) => track.kind === kind));
  if (!fits) return own.again.abort();
  await Promise.all(tracks.map((track) => senders.find((sender) => sender.track.kind === track.kind).replaceTrack(track)));
  element('problem').hidden = true;
}

let ownChoice = query.has('simulcast'); // whether the user has chosen if several sizes are sent

/** Several sizes are sent of a camera: a screen is to be sharp, and the test video is for tests. */
function suggestSimulcast() {
  element('simulcast').checked = ownChoice ? element('simulcast').checked : element('source').value === 'camera';
}

/** Shows the scalability modes of the codec's encoder. */
async function showModes() {
  const menu = element('scalability');
  const known = await scalabilityModes(element('codec').value);
  const { value } = menu;
  menu.replaceChildren(menu.options[0], ...known.map(([mode, text]) => new Option(text, mode)));
  menu.value = known.some(([mode]) => mode === value) ? value : '';
  element('scalability-field').hidden = known.length === 0;
}

const MUTES = [['mute-audio', 'audio', 'Mute audio', 'Unmute audio'], ['mute-video', 'video', 'Hide video', 'Show video']];

function applyMutes() {
  for (const [id, kind, off, on] of MUTES) {
    const muted = element(id).dataset.muted === 'true';
    element(id).textContent = muted ? on : off;
    element(id).classList.toggle('warning', muted);
    const tracks = run?.media?.stream.getTracks().filter((track) => track.kind === kind) ?? [];
    for (const track of tracks) track.enabled = !muted;
  }
}

for (const [id] of MUTES) {
  element(id).addEventListener('click', () => {
    element(id).dataset.muted = element(id).dataset.muted !== 'true';
    applyMutes();
  });
}

/** Shows the address for viewers, which opens their chat if there is one. */
function showLink() {
  const address = `${relay}/watch/${stream}${element('with-chat').checked ? '?chat=1' : ''}`;
  element('watch').href = address;
  element('link').textContent = address;
}

element('form').addEventListener('submit', (event) => {
  event.preventDefault();
  if (element('token').value) {
    tokens.keep('publish', element('token').value);
    element('token').value = '';
    element('token-field').hidden = true;
  }
  if (run) stop('idle', 'Stopped');
  else start();
});
for (const id of ['source', 'camera', 'microphone', 'size']) element(id).addEventListener('change', change);
element('codec').addEventListener('change', async () => {
  modes = showModes();
  await modes;
  run?.again?.abort();
});
for (const id of ['simulcast', 'scalability']) element(id).addEventListener('change', () => run?.again?.abort());
element('simulcast').addEventListener('change', () => (ownChoice = true));
element('source').addEventListener('change', suggestSimulcast);
element('with-chat').addEventListener('change', () => (showLink(), run?.again?.abort()));
element('bitrate').addEventListener('change', () => {
  const sender = run?.peer?.getSenders().find(({ track }) => track?.kind === 'video');
  if (sender) limitBitrate(sender, bitrate()).catch(() => run?.again?.abort());
});
addEventListener('pagehide', () => run && stop('idle', 'Stopped'));

element('name').textContent = stream;
document.title = `Publish ${stream} - sluice`;
for (const [name, text] of sendableCodecs()) element('codec').add(new Option(text, name));
element('codec').value = query.get('codec')?.toLowerCase() ?? '';
if (element('codec').selectedIndex < 0) element('codec').value = '';
const asked = String(Number(query.get('bitrate')) || 0);
if (![...element('bitrate').options].some(({ value }) => value === asked)) element('bitrate').add(new Option(`${asked / 1000} kbit/s`, asked));
element('bitrate').value = asked;
if (query.has('svc')) element('scalability').add(new Option(query.get('svc'), query.get('svc'), true, true));
modes = showModes();
element('with-chat').checked = query.get('chat') === '1';
prepareSource();
element('simulcast').checked = query.get('simulcast') === '1';
suggestSimulcast();
showLink();
addCopyButtons();
applyMutes();
show('idle', 'Ready');
if (query.get('autostart') === '1') start();
