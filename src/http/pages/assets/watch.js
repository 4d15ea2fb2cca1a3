// Watches one stream for as long as the page is open: connects, shows the state, connects again.

import { element, onSubmit, query, relay, stream, tokens } from './page.js';
import { openChat } from './chat.js';
import { PublisherEvents } from './events.js';
import { showFacts } from './facts.js';
import { newPeer } from './ice.js';
import { lost } from './lost.js';
import { play } from './player.js';
import { Ending, isHopeless, nextTry, refusal, tokenProblem, wantsToken } from './problems.js';
import { Quality } from './quality.js';
import { Received } from './received.js';
import { backoff, elsewhere, waitToRetry } from './retry.js';
import { Session } from './whip.js';

// For tests and unattended machines: ?audio=0, video=0 ask for the other alone.
const kinds = ['video', 'audio'].filter((kind) => query.get(kind) !== '0');
const endpoint = `${relay}/whep/${stream}`;
const STEADY = 10_000; // a connection that lasted this long (milliseconds) starts the waiting times anew

const QUIET = 300; // milliseconds without a packet until the relay is asked why
const STEADY_FLOW = 5000; // milliseconds of media after which the page no longer listens to events
const PAUSED = 6000; // milliseconds without a packet until it is a pause: by then the relay has reported a lost publisher
const FIRST_FRAME = 2000; // milliseconds that audio waits for the first frame
const STRAY = 500; // milliseconds that packets may still come of a publisher that has left

const left = new AbortController();
let current; // { peer, session, events, quality, gone }
let hadVideo = false; // whether this page has shown a frame
let absence; // how the publisher has left: { why: "ended" or "lost", peer, at, packets }; nothing while it sends

/** `state` is for style and tests, `message` for the user, `detail` for the place of the missing video. */
function show(state, message, detail = '') {
  document.body.dataset.state = state;
  if (element('message').textContent !== message) element('message').textContent = message;
  if (element('detail').textContent !== detail) element('detail').textContent = detail;
  if (state !== 'retrying') element('next').textContent = '';
  element('again').hidden = state !== 'retrying' && state !== 'ended';
}

const NOBODY = ['waiting', 'Waiting for the publisher', `"${stream}" is not live. Playback starts when a publisher connects.`];
const ABSENT = {
  ended: ['waiting', 'Ended', `The publisher has ended "${stream}". Playback starts again with the next publisher.`],
  lost: ['waiting', 'Publisher lost, waiting', `The relay lost the publisher of "${stream}". Playback continues when it returns.`],
};

/** An event about the publisher. That it is back is shown by its media only. Or the relay of the session is gone. */
function onPublisher(own, why) {
  if (own !== current || why === 'active') return;
  if (why === 'gone') return own.gone.abort();
  absence = { why, peer: own.peer, at: performance.now(), packets: own.packets };
  show(...ABSENT[why]);
  own.events.rest();
}

/** Whether media has come since the publisher left; packets that were under way then do not count. */
function isBack(peer, packets) {
  if (absence.peer !== peer) return packets > 0;
  if (performance.now() - absence.at < STRAY) absence.packets = packets;
  return packets > absence.packets;
}

/** There is one connection at a time: each try ends before the next begins. */
async function watch() {
  for (let tries = 0; !left.signal.aborted; tries += 1) {
    const { error, lasted, isGone } = await connect();
    if (left.signal.aborted) return;
    if (lasted > STEADY) tries = 0;
    if (wantsToken(error)) {
      await askForToken(error);
      tries = -1;
    } else if (isHopeless(error) || error.isFinal) {
      show('ended', 'Ended', refusal(error));
      await new Promise((resolve) => element('again').addEventListener('click', resolve, { once: true }));
      tries = -1;
    } else {
      const pause = isGone ? elsewhere() : backoff(tries, error);
      if (error?.status === 409) show('retrying', 'Waiting for the publisher', `"${stream}" is not live.`);
      else if (error.isAbsence) show('retrying', ...(absence ? ABSENT[absence.why].slice(1) : NOBODY.slice(1)));
      else if (!absence || !(error instanceof Ending)) show('retrying', 'Reconnecting', refusal(error));
      const tick = (seconds) => (element('next').textContent = nextTry(seconds));
      await waitToRetry(pause, { signal: left.signal, now: element('again'), tick });
    }
  }
}

/** Watches until the connection is lost; returns why, and for how many milliseconds there was one. */
async function connect() {
  if (!absence) show('connecting', 'Connecting', `Connecting to "${stream}".`);
  const peer = newPeer();
  const own = current = { peer, session: undefined, events: undefined, quality: undefined, packets: 0, stalled: 0, shown: 0, resumed: undefined, gone: new AbortController() };
  globalThis.sluice = { peer };
  for (const kind of kinds) peer.addTransceiver(kind, { direction: 'recvonly' });
  // A data channel costs the relay more than twice the memory of a viewer, so it is asked for.
  if (query.get('chat') === '1') openChat(peer);
  gather(peer);
  const received = new Received(peer, element('video'));
  const follow = setInterval(() => showProgress(own, received), 250);
  let began;
  peer.addEventListener('connectionstatechange', () => peer.connectionState === 'connected' && (began ??= performance.now()));
  const lasted = () => (began ? performance.now() - began : 0);
  try {
    own.session = await Session.open(peer, endpoint, tokens.read('watch'), { shapeOffer: inStereo });
    own.events = new PublisherEvents(own.session.events, tokens.read('watch'), (why) => onPublisher(own, why));
    own.quality = new Quality(element('quality'), element('video'), own.session, tokens.read('watch'));
    const how = await lost(peer, own.session, left.signal, own.gone.signal);
    return { error: await own.session.ending(how), lasted: lasted(), isGone: own.gone.signal.aborted };
  } catch (error) {
    return { error, lasted: lasted(), isGone: false };
  } finally {
    clearInterval(follow);
    await leave();
  }
}

/**
 * Puts the tracks of `peer` on the screen. A track joins the element with its first packet: an element plays nothing
 * until each of its tracks has brought a packet, so a stream of audio alone would be silent. (Audio and video stay in
 * step by the one msid of the answer.)
 */
function gather(peer) {
  const media = new MediaStream();
  peer.addEventListener('track', ({ track }) => {
    const join = () => {
      media.addTrack(track);
      play(media);
    };
    if (track.muted) track.addEventListener('unmute', join, { once: true });
    else join();
  });
}

/** Chromium plays Opus in mono unless its own offer says that it wants both channels. */
function inStereo(sdp) {
  const opus = /a=rtpmap:(\d+) opus\/48000\/2/i.exec(sdp)?.[1];
  return opus ? sdp.replace(new RegExp(`(a=fmtp:${opus} (?!.*stereo=).*)`), '$1;stereo=1') : sdp;
}

/** Shows whether media flows: a connection alone shows nothing without a publisher. */
async function showProgress(own, received) {
  const { peer, events } = own;
  const progress = await received.read();
  if (own !== current || !progress || peer.connectionState === 'closed') return;
  const { flows, moves, begun, quiet, packets, frames, video, figures } = progress;
  own.packets = packets;
  own.quality?.tellAudioAlone(flows && frames > 0 && !moves && !video);
  showFacts(element('facts'), figures);
  hadVideo ||= frames > 0;
  if (!flows || (absence && !isBack(peer, packets))) Object.assign(own, { shown: frames, resumed: undefined });
  else own.resumed ??= performance.now();
  const audioAlone = own.resumed !== undefined && frames === own.shown;
  const early = audioAlone && performance.now() - own.resumed < FIRST_FRAME;
  // Audio comes first: the message stays until there is a frame.
  const held = own.resumed === undefined || (early && hadVideo);
  if (absence && held) return show(...ABSENT[absence.why]);
  absence = undefined;
  if (begun && quiet > QUIET) {
    own.stalled = performance.now();
    events?.listen();
  } else if (performance.now() - own.stalled > STEADY_FLOW) {
    events?.rest();
  }
  if (flows && held) return;
  element('player').classList.toggle('without-frames', flows && !moves);
  if (flows) show('live', 'Playing', moves || early ? '' : withoutFrames(video, audioAlone));
  else if (peer.connectionState === 'disconnected') show('connecting', 'Interrupted', 'The connection is interrupted.');
  else if (quiet > PAUSED && begun) show('waiting', 'Waiting for the publisher', `"${stream}" is paused. Playback continues when it does.`);
  else if (begun) show('waiting', 'Waiting for the publisher', `No media of "${stream}" arrives.`);
  else show(...NOBODY);
}

/** The relay sends video from a keyframe on: until then a viewer cannot tell a stream that has none. */
function withoutFrames(video, audioAlone) {
  if (video) return 'Waiting for the next keyframe of the video.';
  if (!audioAlone || !kinds.includes('video')) return 'Audio only.';
  return 'Audio only: this stream has no video, or its next keyframe is still to come.';
}

function askForToken(error) {
  show('refused', 'A token is needed', tokenProblem(error, tokens.read('watch'), 'watching'));
  const form = element('token-form');
  form.hidden = false;
  element('token').focus();
  return new Promise((resolve) => {
    onSubmit(form, () => {
      tokens.keep('watch', element('token').value);
      element('token').value = '';
      form.hidden = true;
      resolve();
    });
  });
}

async function leave() {
  const { peer, session, events, quality, gone } = current ?? {};
  current = undefined;
  events?.rest();
  quality?.end();
  // DELETE first: closing the peer ends it at the relay too, and the session would be gone when DELETE arrives.
  const closed = session?.close();
  if (!gone?.signal.aborted) await closed;
  peer?.close();
}

addEventListener('pagehide', () => {
  left.abort();
  leave();
});
// A page that the browser kept aside has ended its session.
addEventListener('pageshow', (event) => event.persisted && location.reload());

element('name').textContent = stream;
document.title = `${stream} - sluice`;
document.body.classList.toggle('embedded', window !== window.top);
watch();
