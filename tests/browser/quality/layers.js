// The rows about layers: a Chromium that publishes three encodings, and one viewer behind a link of limited capacity. Each
// measures some runs, every run with a new viewer. A run counts if the CPU has limited no encoder. Each run is printed with the
// lateness of timers in this process, which simulates the link: the relay takes the delays of a busy machine for a queue, so
// figures of a run with late timers say little about the relay.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';

import { Link, outerAddress } from '../support/link.js';
import { Probe } from '../support/probe.js';
import { KEYFRAMES, LAYERS, SimulcastPublisher, WIDTH } from '../support/simulcast.js';
import { until } from '../support/until.js';

const WIDE = 4_000_000;
const NARROW = 800_000;
const ROUND_TRIP = { up: { delay: 25 }, down: { delay: 25 } };

/** How long the relay may take until it sends the cached frames of a lower layer. */
const DECISION = 700;

/** The link's direction to the viewer. */
const down = (rate, more = {}) => ({ ...ROUND_TRIP.down, rate, queue: 300, ...more });

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor((numbers.length - 1) / 2)];
const round = (number) => Math.round(number * 10) / 10;
const list = (numbers) => numbers.map((number) => Math.round(number)).join(', ');

/** One requirement: `figure` must be at most `limit`. */
const atMost = (what, figure, limit, unit = 'ms') => ({ what, figure: round(figure), limit, unit, passed: figure <= limit });
const medianAndMost = (what, figures, usual, most) => [
  atMost(`${what}, median`, median(figures), usual),
  atMost(`${what}, most`, Math.max(...figures), most),
];

/** Measures `measure(publisher, run)` until `runs` runs count, each with a publisher whose encoders have all of the CPU they need. */
async function repeat(at, options, measure) {
  const { t, relay, runs } = at;
  const counted = [];
  let publisher;
  for (let attempt = 0; counted.length < runs; attempt += 1) {
    if (attempt === 3 * runs) throw new Error(`the CPU limited the publisher in ${attempt - counted.length} of ${attempt} runs`);
    publisher ??= await SimulcastPublisher.open(at, 'layers', options);
    const timers = monitorEventLoopDelay({ resolution: 1 });
    timers.enable();
    const one = await measure(publisher, counted.length);
    timers.disable();
    const seen = `${one.seen}; timers late by ${round(timers.percentile(99) / 1e6 - 1)} ms (p99), at most ${round(timers.max / 1e6 - 1)} ms`;
    if ((await publisher.limitedByCpu()) === 0) {
      t.diagnostic(`run ${counted.length + 1}: ${seen}`);
      counted.push(one);
    } else {
      t.diagnostic(`a run that does not count, because the CPU limited the publisher: ${seen}`);
      await publisher.close();
      publisher = null;
      await until('the stream has ended', async () => (await fetch(`${relay.url}/api/streams/layers`)).status === 404);
    }
  }
  return counted;
}

/** A viewer with a link of its own. */
async function join({ t, relay, viewers, browser, origin }, impairment) {
  const host = viewers ? outerAddress() : undefined;
  const link = await Link.open(t, relay, { ...ROUND_TRIP, down: impairment, ...(host && { host }) });
  const probe = await Probe.open(t, viewers ?? browser, origin);
  const viewer = await probe.watch(`${link.url}/whep/layers`);
  let queued = [];
  link.watch = ({ at, way, queued: wait }) => way === 'down' && queued.push({ at, wait });
  return {
    link,
    facts: () => probe.facts(viewer),
    shows: (question, options) => probe.shows(viewer, question, options),
    /** The longest wait for the link's rate between two times of `performance.now()`. */
    longestQueue: (from, to) => Math.max(0, ...queued.filter(({ at }) => at >= from && at <= to).map(({ wait }) => wait)),
    async leave() {
      await probe.leave(viewer);
      await probe.close();
      link.close();
    },
  };
}

const isTop = (width) => width === WIDTH;
const changes = (shown) => shown.filter(({ width }, place) => place > 0 && width !== shown[place - 1].width).length;
const widths = (shown) => shown.filter(({ width }, place) => place === 0 || width !== shown[place - 1].width).map(({ width }) => width).join(' ');

/** The share of audio between two readings that the viewer made up, in percent. */
function concealed(before, after) {
  const of = (what) => after.inbound.audio[what] - before.inbound.audio[what];
  return ((of('concealedSamples') - of('silentConcealedSamples')) / of('totalSamplesReceived')) * 100;
}

/** Of a viewer of the top layer: what it sees in the 30 s around a fall of its link's capacity. */
async function fall(viewer) {
  await viewer.shows(isTop);
  await pause(10_000);
  const before = await viewer.facts();
  const at = performance.now();
  viewer.link.set({ down: down(NARROW) });
  await pause(20_000);
  const after = await viewer.facts();
  const start = after.timeOf(at);
  const lower = after.shown.find((one) => one.at > start && !isTop(one.width));
  return {
    at,
    shown: after.shown.filter((one) => one.at > start - 1000),
    lower: lower ? lower.at - start : Infinity,
    gap: after.longestWait(start - 500),
    queue: viewer.longestQueue(at + 2000, at + 20_000),
    concealed: concealed(before, after),
  };
}

/** Then the capacity rises again: after how long the top layer is shown, and whether the publisher sent it meanwhile. */
async function rise(viewer, publisher) {
  const sent = async () => (await publisher.encodings()).find(({ rid }) => rid === LAYERS.at(-1).rid).framesSent;
  const at = performance.now();
  viewer.link.set({ down: down(WIDE) });
  let sends = { frames: await sent(), since: at };
  const shown = await viewer.shows(async (width) => {
    const frames = await sent();
    const now = performance.now();
    // The time of the last look at which no new frame had been sent: only from then on can the relay forward the layer.
    sends = frames === sends.frames && now - sends.looked > 400 ? { frames, since: now, looked: now } : { ...sends, frames, looked: now };
    return isTop(width);
  }, { timeout: 15_000, every: 500 }).catch(() => false);
  const facts = await viewer.facts();
  const top = shown && facts.shown.find((one) => one.at > facts.timeOf(at) && isTop(one.width));
  const limitedBy = sends.since > at ? "the publisher's own estimate" : 'the relay';
  return { top: top ? top.at - facts.timeOf(Math.max(at, sends.since)) : Infinity, limitedBy };
}

/** The capacity falls from 4 to 0.8 Mbit/s and rises again. */
export async function capacity(at, { codec }) {
  const runs = await repeat(at, { codec }, async (publisher) => {
    const viewer = await join(at, down(WIDE));
    const fell = await fall(viewer);
    const rose = await rise(viewer, publisher);
    await viewer.leave();
    const seen = `lower layer after ${round(fell.lower)} ms, longest gap ${round(fell.gap)} ms, queue ${round(fell.queue)} ms, audio concealed ${round(fell.concealed)} %, ` +
      `widths ${widths(fell.shown)}; top layer again after ${round(rose.top)} ms, limited by ${rose.limitedBy}`;
    return { seen, ...fell, ...rose };
  });
  const all = (what) => runs.map((run) => run[what]);
  return {
    seen: `lower layer after ${list(all('lower'))} ms; gaps ${list(all('gap'))} ms; queues ${list(all('queue'))} ms; top layer again after ${list(all('top'))} ms`,
    checks: [
      ...medianAndMost('4 to 0.8 Mbit/s: lower layer shown', all('lower'), 1000, 1500),
      ...medianAndMost('longest gap', all('gap'), 500, 1000),
      atMost('longest queue from 2 s on', Math.max(...all('queue')), 100),
      atMost('audio concealed in 30 s', Math.max(...all('concealed')), 2, '%'),
      atMost('0.8 to 4 Mbit/s: top layer shown', Math.max(...all('top')), 5000),
    ],
  };
}

/** What a viewer sees in some seconds after it has settled. */
async function settled(viewer, seconds) {
  const before = await viewer.facts();
  await pause(seconds * 1000);
  const after = await viewer.facts();
  const shown = after.shown.filter(({ at }) => at >= before.now);
  return {
    changes: changes(shown),
    freezes: after.inbound.video.freezeCount - before.inbound.video.freezeCount,
    gap: after.longestWait(before.now),
    shown,
  };
}

const steadyChecks = (runs) => [
  atMost('changes of the layer', Math.max(...runs.map((run) => run.changes)), 0, ''),
  atMost('freezes', Math.max(...runs.map((run) => run.freezes)), 0, ''),
];

/** A constant capacity of 0.9 of what a layer needs: of the largest, and in every other run of the middle one. */
export async function constant(at, { codec }) {
  const runs = await repeat(at, { codec }, async (publisher, run) => {
    const layer = LAYERS.at(run % 2 === 0 ? -1 : -2);
    const audio = publisher.tracks.find(({ kind }) => kind === 'audio').bits_per_second;
    const rate = 0.9 * (publisher.tracks.find(({ rid }) => rid === layer.rid).bits_per_second + audio);
    const viewer = await join(at, down(rate));
    await viewer.shows((width) => width > 0);
    await pause(10_000);
    const one = await settled(viewer, 60);
    await viewer.leave();
    return { ...one, seen: `${(rate / 1e6).toFixed(2)} Mbit/s: ${one.changes} changes, widths ${widths(one.shown)}, ${one.freezes} freezes, longest gap ${round(one.gap)} ms` };
  });
  return { seen: `${runs.length} runs of 60 s`, checks: steadyChecks(runs) };
}

/** Random loss on a link that carries all. */
export async function randomLoss(at, { codec, loss }) {
  const runs = await repeat(at, { codec }, async () => {
    const viewer = await join(at, down(6_000_000, { loss }));
    await viewer.shows(isTop);
    await pause(3000);
    const one = await settled(viewer, 30);
    await viewer.leave();
    return { ...one, seen: `${one.changes} changes, widths ${widths(one.shown)}, ${one.freezes} freezes, longest gap ${round(one.gap)} ms` };
  });
  return { seen: `${runs.length} runs of 30 s`, checks: steadyChecks(runs) };
}

/** The capacity falls halfway between two keyframes of a publisher that answers no request for one. */
export async function ignoredRequests(at, { codec }) {
  const runs = await repeat(at, { codec, replayed: true }, async (publisher) => {
    const viewer = await join(at, down(WIDE));
    await viewer.shows(isTop);
    await pause(2000);
    const { at: last } = await publisher.latestGroup();
    const since = (performance.now() - last) % KEYFRAMES;
    await pause((1.4 * KEYFRAMES - since) % KEYFRAMES);
    const began = performance.now();
    const group = await publisher.latestGroup();
    viewer.link.set({ down: down(NARROW) });
    await pause(KEYFRAMES);
    const facts = await viewer.facts();
    const start = facts.timeOf(began);
    const lower = facts.shown.find((one) => one.at > start && !isTop(one.width))?.at ?? Infinity;
    await viewer.leave();
    const octets = SimulcastPublisher.octetsAt(group, began + DECISION);
    const allowed = DECISION + (octets * 8000) / NARROW;
    const keyframe = group.at + KEYFRAMES - began;
    const gap = facts.longestWait(start - 500);
    const seen = `lower layer after ${round(lower - start)} ms; allowed are ${round(allowed)} ms, for ${octets} octets of the smallest; the next keyframe comes after ${round(keyframe)} ms; longest gap ${round(gap)} ms`;
    return { seen, over: lower - start - allowed, late: lower - start - keyframe };
  });
  return {
    seen: `${runs.length} runs`,
    checks: [
      atMost('lower layer shown later than 0.7 s and the cached octets of the smallest layer', Math.max(...runs.map(({ over }) => over)), 0),
      atMost('lower layer shown later than the next keyframe', Math.max(...runs.map(({ late }) => late)), 0),
    ],
  };
}

/** Joins to three layers and to one, in turns, without a link between. */
export async function joins(at, { codec }) {
  const { t, relay, browser, origin } = at;
  await SimulcastPublisher.open(at, 'single', { codec, layers: [LAYERS.at(-1)] });
  const runs = await repeat(at, { codec }, async () => {
    const probe = await Probe.open(t, browser, origin);
    const join = async (stream, layers) => {
      const viewer = await probe.watch(`${relay.url}/whep/${stream}`);
      await probe.shows(viewer, isTop, { timeout: layers > 1 ? 10_000 : 5000 }).catch(() => {});
      const facts = await probe.facts(viewer);
      await probe.leave(viewer);
      return { first: facts.firstFrame, top: (facts.shown.find(({ width }) => isTop(width))?.at ?? Infinity) - facts.posted, shown: facts.shown };
    };
    // The first connection of a page takes longer, whatever it watches.
    await join('single', 1);
    await pause(1500);
    const several = await join('layers', LAYERS.length);
    await pause(1500);
    const single = await join('single', 1);
    await probe.close();
    return { seen: `first frame ${round(several.first)} ms, on a single layer ${round(single.first)} ms; top layer after ${round(several.top)} ms, widths ${widths(several.shown)}`, first: several.first, single: single.first, top: several.top };
  });
  const all = (what) => runs.map((run) => run[what]);
  return {
    seen: `first frames ${list(all('first'))} ms; on a single layer ${list(all('single'))} ms; top layer ${list(all('top'))} ms`,
    checks: [
      atMost('first frame later than on a single layer, median', median(all('first')) - median(all('single')), 10),
      atMost('first frame, median', median(all('first')), 71),
      atMost('top layer, most', Math.max(...all('top')), 2000),
    ],
  };
}
