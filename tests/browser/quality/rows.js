// The rows of the table: each measures one promise with a real FFmpeg and a real browser, and returns what it measured and what
// is required. `tests/quality` holds the figures; cases/quality.test.js runs shorter ones with room for a busy machine.

import { setTimeout as pause } from 'node:timers/promises';

import { publishWithFfmpeg } from '../support/ffmpeg.js';
import { Link, outerAddress } from '../support/link.js';
import { numbered, Probe } from '../support/probe.js';
import { atMost } from '../support/table.js';
import { until } from '../support/until.js';

const FRAME = 1000 / 30;
const ROUND_TRIP = { up: { delay: 25 }, down: { delay: 25 } };

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor((numbers.length - 1) / 2)];
const round = (number) => Math.round(number);

const publish = (t, url, options = {}) => publishWithFfmpeg(t, url, { keyframes: 300, filter: numbered(), ...options });

/** Publishes VP8, which Firefox decodes without a download, from Chromium's own page; `stop()` ends it as a crash does. */
async function publishWithChromium(t, browser, url, stream) {
  const context = await browser.newContext();
  const tab = await context.newPage();
  let open = true;
  const stop = async () => {
    if (open) await context.close();
    open = false;
  };
  t.after(stop);
  await tab.goto(`${url}/publish/${stream}?source=test&autostart=1&codec=vp8&width=640&height=360`);
  return { stop };
}

/** Waits until a stream has been live for a while. */
const live = (relay, stream, seconds = 2) =>
  until(`${stream} is live`, async () => (await (await fetch(`${relay.url}/api/streams/${stream}`)).json()).seconds > seconds);

/**
 * FFmpeg starts late, by the time that connecting takes, and sends its media 5 % too fast until it has caught up. A viewer
 * that watches meanwhile takes that rate for the publisher's clock, and for minutes expects frames too early, with and
 * without loss. Rows about loss begin after that time, except the one that measures this.
 */
const OWN_PACE = 10;

/** A viewer that has shown frames. */
async function watching(probe, endpoint, frames = 10) {
  const viewer = await probe.watch(endpoint);
  await until('frames are shown', async () => (await probe.facts(viewer)).shown.length >= frames);
  return viewer;
}

/** Waits until the viewer shows this frame of the group of frames. */
const atFrame = (probe, viewer, frame, group) =>
  until(`frame ${frame} of ${group}`, async () => {
    const number = (await probe.facts(viewer)).shown.at(-1).number % group;
    return number >= frame && number < frame + 45;
  }, { every: 20 });

/** Joins, waits, and compares with a viewer that joined earlier. */
async function join(probe, endpoint, early, { stays = false } = {}) {
  const viewer = await probe.watch(endpoint);
  await until('the first frame', async () => (await probe.facts(viewer)).shown.length > 0);
  await pause(900);
  const before = [await probe.facts(viewer), await probe.facts(early)];
  await pause(600);
  const [late, reference] = [await probe.facts(viewer), await probe.facts(early)];
  const moment = late.shown[0].at + 1000;
  const behind = (reference.numberAt(moment) - late.numberAt(moment)) * FRAME;
  const audioBehind = audioDelay(before[0], late) - audioDelay(before[1], reference);
  if (stays) return { viewer };
  await probe.leave(viewer);
  return { first: late.firstFrame, behind, audioBehind };
}

/** How long audio waited in the viewer's jitter buffer between two readings, in milliseconds. */
function audioDelay(before, after) {
  const grown = (what) => after.inbound.audio[what] - (before.inbound.audio?.[what] ?? 0);
  return (grown('jitterBufferDelay') / grown('jitterBufferEmittedCount')) * 1000;
}

/** By how many milliseconds a viewer plays audio before its video, by the publisher's clock. */
async function lipSync(probe, viewer) {
  // Chromium has this value after the second sender report of each track.
  const { audio, video } = await until('sender reports have come', async () => {
    const { inbound } = await probe.facts(viewer);
    return inbound.audio.estimatedPlayoutTimestamp && inbound.video.estimatedPlayoutTimestamp ? inbound : false;
  });
  return audio.estimatedPlayoutTimestamp - audio.timestamp - (video.estimatedPlayoutTimestamp - video.timestamp);
}

/** POST to the first frame, at four places between two keyframes that are 10 s apart, and the same with keyframes only. */
export async function joins({ t, relay, browser, origin }, { frames = [45, 110, 180, 245] } = {}) {
  publish(t, `${relay.url}/whip/joins`);
  publish(t, `${relay.url}/whip/keyframes`, { keyframes: 1 });
  const probe = await Probe.open(t, browser, origin);
  const early = await watching(probe, `${relay.url}/whep/joins`);
  const other = await watching(probe, `${relay.url}/whep/keyframes`);
  const [late, keyframesOnly] = [[], []];
  for (const frame of frames) {
    await atFrame(probe, early, frame, 300);
    late.push(await join(probe, `${relay.url}/whep/joins`, early));
    keyframesOnly.push(await join(probe, `${relay.url}/whep/keyframes`, other));
  }
  const stayed = await join(probe, `${relay.url}/whep/joins`, early, { stays: true });
  const apart = (await lipSync(probe, stayed.viewer)) - (await lipSync(probe, early));
  const first = late.map((one) => one.first);
  const only = keyframesOnly.map((one) => one.first);
  // The relay's own metric must agree: two early viewers, each one that joined, and the one that stayed.
  const viewers = first.length + only.length + 3;
  const counted = await relay.metric('sluice_first_frame_seconds_count');
  const metric = ((await relay.metric('sluice_first_frame_seconds_sum')) / counted) * 1000;
  const worst = (what) => Math.max(...late.map((one) => Math.abs(one[what])));
  return {
    seen: `joins ${first.map(round).join(', ')} ms; keyframes only ${only.map(round).join(', ')} ms; by the relay's metric ${round(metric)} ms on average`,
    checks: [
      atMost('slowest first frame', Math.max(...first), 300),
      atMost('median first frame', median(first), 150),
      atMost('more than with keyframes only (median)', median(first) - median(only), 50),
      atMost('video behind live 1 s later', worst('behind'), 300),
      atMost('audio behind live 1 s later', worst('audioBehind'), 300),
      atMost('audio and video apart, compared with an earlier viewer', Math.abs(apart), 60),
      atMost('viewers that the metric has not counted', Math.abs(viewers - counted), 0, ''),
      atMost('first frame sent, by the metric', metric, 150),
    ],
  };
}

/** Freezes and gaps of a viewer over some seconds, from its statistics and from the frames that it showed. */
async function steady(probe, viewer, seconds, events = async () => {}) {
  const before = await probe.facts(viewer);
  await Promise.all([pause(seconds * 1000), events()]);
  const after = await probe.facts(viewer);
  const of = (what) => (after.inbound.video[what] ?? 0) - (before.inbound.video?.[what] ?? 0);
  return {
    freezes: of('freezeCount'),
    frozen: of('totalFreezesDuration') * 1000,
    gap: after.longestGap(before.now),
    requests: of('pliCount'),
    nacks: of('nackCount'),
    lost: of('packetsLost'),
    resent: of('retransmittedPacketsReceived'),
    frames: of('framesDecoded'),
    roundTrip: after.roundTrip * 1000,
  };
}

const summary = (one) =>
  `${one.freezes} freezes, ${round(one.frozen)} ms frozen, longest gap ${round(one.gap)} ms, ${one.requests} keyframe requests, ${one.frames} frames, ${one.resent} resent, round trip ${round(one.roundTrip)} ms`;

/** A viewer behind a link that loses packets towards it. */
export async function downstreamLoss({ t, relay, browser, origin }, { loss, gap, seconds, requests, seed = 1 }) {
  const stream = `down-${loss * 100}`;
  publish(t, `${relay.url}/whip/${stream}`);
  const link = await Link.open(t, relay, { ...ROUND_TRIP, down: { ...ROUND_TRIP.down, loss }, seed });
  const probe = await Probe.open(t, browser, origin);
  await live(relay, stream, OWN_PACE);
  const viewer = await watching(probe, `${link.url}/whep/${stream}`, 1);
  const one = await steady(probe, viewer, seconds);
  return {
    seen: `${summary(one)}; link lost ${link.counts.down.lost} of ${link.counts.down.passed}`,
    checks: [
      atMost('freezes', one.freezes, 0, ''),
      atMost('longest gap', one.gap, gap),
      atMost('keyframe requests', one.requests, requests, ''),
    ],
  };
}

/** A publisher behind a link that loses its packets; the viewer's own link loses none. */
export async function upstreamLoss({ t, relay, browser, origin }, { loss, gap, seconds, seed = 1, after = OWN_PACE }) {
  const link = await Link.open(t, relay, { ...ROUND_TRIP, up: { ...ROUND_TRIP.up, loss }, seed });
  publish(t, `${link.url}/whip/up`);
  const probe = await Probe.open(t, browser, origin);
  await live(relay, 'up', after);
  const viewer = await watching(probe, `${relay.url}/whep/up`, 1);
  const one = await steady(probe, viewer, seconds);
  return {
    seen: `${summary(one)}; link lost ${link.counts.up.lost} of ${link.counts.up.passed}`,
    checks: [atMost('freezes', one.freezes, 0, ''), atMost('longest gap', one.gap, gap)],
  };
}

/**
 * FFmpeg with video alone behind a link that loses its packets: it reads one datagram of the relay for each frame that it
 * sends, so every other datagram delays a NACK.
 */
export async function videoAlone({ t, relay, browser, origin }, { loss, rate, frozen, seconds, seed = 1 }) {
  const link = await Link.open(t, relay, { ...ROUND_TRIP, up: { ...ROUND_TRIP.up, loss }, seed });
  let sent = 0;
  link.watch = ({ way, kind }) => (sent += Number(way === 'down' && kind !== 'rtp'));
  publish(t, `${link.url}/whip/alone`, { audio: false, rate, keyframes: rate * 10 });
  const probe = await Probe.open(t, browser, origin);
  await live(relay, 'alone', OWN_PACE);
  const viewer = await watching(probe, `${relay.url}/whep/alone`, 1);
  const before = sent;
  const one = await steady(probe, viewer, seconds);
  const checks = [
    frozen === 0 ? atMost('freezes', one.freezes, 0, '') : atMost('frozen', one.frozen, frozen),
    atMost('datagrams to the publisher', sent - before, rate * seconds, ''),
  ];
  return { seen: `${summary(one)}; link lost ${link.counts.up.lost} of ${link.counts.up.passed}`, checks };
}

/** The publisher's link begins to lose packets while a viewer watches. */
export async function lossBegins({ t, relay, browser, origin }, { loss, gap, seconds, seed = 1 }) {
  const link = await Link.open(t, relay, { ...ROUND_TRIP, seed });
  publish(t, `${link.url}/whip/begins`);
  const probe = await Probe.open(t, browser, origin);
  await live(relay, 'begins', OWN_PACE);
  const viewer = await watching(probe, `${relay.url}/whep/begins`, 60);
  const one = await steady(probe, viewer, seconds, () => link.set({ up: { ...ROUND_TRIP.up, loss } }));
  return {
    seen: `${summary(one)}; link lost ${link.counts.up.lost} of ${link.counts.up.passed}`,
    checks: [atMost('freezes', one.freezes, 0, ''), atMost('longest gap', one.gap, gap)],
  };
}

/** Firefox behind a link that loses packets towards it, or behind a publisher whose link does. */
export async function firefoxLoss({ t, relay, browser, firefox, origin }, { up = 0, down = 0, gap, seconds, seed = 1 }) {
  const publishers = await Link.open(t, relay, { ...ROUND_TRIP, up: { ...ROUND_TRIP.up, loss: up }, seed });
  const viewers = await Link.open(t, relay, { ...ROUND_TRIP, down: { ...ROUND_TRIP.down, loss: down }, seed, host: outerAddress() });
  await publishWithChromium(t, browser, publishers.url, 'fox');
  const probe = await Probe.open(t, firefox, origin);
  await live(relay, 'fox', 4);
  const viewer = await watching(probe, `${viewers.url}/whep/fox`, 30);
  const one = await steady(probe, viewer, seconds);
  const lost = publishers.counts.up.lost + viewers.counts.down.lost;
  return {
    seen: `${summary(one)}; links lost ${lost} of ${publishers.counts.up.passed} and ${viewers.counts.down.passed}`,
    checks: [atMost('freezes', one.freezes, 0, ''), atMost('longest gap', one.gap, gap), atMost('keyframe requests', one.requests, 2, '')],
  };
}

/** The publisher that Firefox watches is killed and returns after 2 s. */
export const firefoxBack = ({ firefox, ...at }) =>
  publisherBack(at, { viewers: firefox, publish: (url, stream) => publishWithChromium(at.t, at.browser, url, stream) });

/** The publisher is killed and returns after 2 s. */
export async function publisherBack(
  { t, relay, browser, origin },
  { viewers = browser, publish: begin = (url, stream) => publish(t, `${url}/whip/${stream}`) } = {},
) {
  const first = await begin(relay.url, 'back');
  const probe = await Probe.open(t, viewers, origin);
  const viewer = await watching(probe, `${relay.url}/whep/back`, 60);
  await first.stop('SIGKILL');
  await pause(2000);
  const link = await Link.open(t, relay);
  let began;
  link.watch = ({ at, way, kind }) => way === 'up' && kind === 'rtp' && (began ??= at);
  await begin(link.url, 'back');
  await until('the publisher is back', () => began, { every: 10 });
  await pause(3000);
  const facts = await probe.facts(viewer);
  const start = facts.timeOf(began);
  const next = facts.shown.find(({ at }) => at > start);
  const gap = next ? facts.longestGap(next.at) : Infinity;
  return {
    seen: `new frame ${round(next ? next.at - start : Infinity)} ms after the first packet, answer ${link.posts.join()}, states ${facts.states.map(([, state]) => state).join()}, then longest gap ${round(gap)} ms`,
    checks: [
      atMost('new frame after the first packet', next ? next.at - start : Infinity, 500),
      atMost('refusals', link.posts.filter((status) => status !== 201).length, 0, ''),
      atMost('lost connections', facts.states.filter(([, state]) => ['failed', 'closed'].includes(state)).length, 0, ''),
    ],
  };
}

/** The viewer's network is down for 4 s, at 6 Mbit/s. */
export async function blackout({ t, relay, browser, origin }) {
  publish(t, `${relay.url}/whip/dark`, { filter: `noise=alls=40:allf=t,${numbered()}`, bitrate: 6_000_000 });
  const link = await Link.open(t, relay, ROUND_TRIP);
  const probe = await Probe.open(t, browser, origin);
  const viewer = await watching(probe, `${link.url}/whep/dark`, 30);
  await atFrame(probe, viewer, 60, 300);
  const lit = link.blackout(4000);
  await pause(4000 + 6000);
  const facts = await probe.facts(viewer);
  const end = facts.timeOf(lit);
  const next = facts.shown.find(({ at }) => at > end);
  const rate = (facts.inbound.video.bytesReceived * 8) / (facts.now - facts.posted) / 1000;
  return {
    seen: `frame ${round(next ? next.at - end : Infinity)} ms after, then longest gap ${round(next ? facts.longestGap(next.at) : Infinity)} ms; ${facts.inbound.video.pliCount} keyframe requests, ${rate.toFixed(1)} Mbit/s received`,
    checks: [atMost('frame after the network is back', next ? next.at - end : Infinity, 500)],
  };
}
