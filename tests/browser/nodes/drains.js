// The rows about nodes that are asked to end (SIGTERM), and drain: their viewers and the nodes below them leave in time.

import { setTimeout as pause } from 'node:timers/promises';

import { atMost } from '../support/table.js';
import { until } from '../support/until.js';
import { chain } from './failures.js';
import { listen } from './events.js';
import { holds, Missing, none } from './figures.js';
import { longestGap, Scene } from './scene.js';

const DRAIN = 10; // seconds
const NO_GAP = 200;
const drain = { args: ['--drain', String(DRAIN)] };

/** An edge with many viewers, each of which listens to its events. */
export async function edgeDrains(at, { viewers = 200 } = {}) {
  const scene = await Scene.open(at, { nodes: 3, ...drain });
  const { cluster, cluster: { nodes: [a, b] } } = scene;
  await scene.publishLoad(a, 'cam', 30);
  await cluster.inStep();
  scene.load(b, '--whep', `${b.url}/whep/cam`, '--viewers', viewers, '--seconds', 600);
  const listeners = await until('all viewers watch', async () => {
    const sessions = (await (await b.ask('/api/sessions')).json()).filter(({ role, state }) => role === 'viewer' && state === 'live');
    return sessions.length >= viewers && sessions;
  });
  const told = [];
  await Promise.all(listeners.map(({ id }) => listen(at.t, b, id, 'reconnect', ({ url }) => told.push({ at: performance.now(), url }))));

  const asked = performance.now();
  b.child.signal('SIGTERM');
  await until('it is not ready', async () => (await fetch(`${b.url}/readyz`)).status === 503, { every: 10 });
  const unready = performance.now() - asked;
  await b.child.ended();
  if (told.length === 0) throw new Missing('viewers are told to reconnect');
  const times = told.map((one) => one.at - asked);
  return [
    atMost('it is not ready any more after', unready, 500),
    none('viewers that are not told to reconnect', listeners.length - told.length),
    holds('they are told spread over the drain', Math.max(...times) - Math.min(...times) > DRAIN * 500),
    none('of these, told to go to a node that ends too', told.filter(({ url }) => url?.startsWith(b.url)).length),
  ];
}

/** A node ends from which another one, below it, has the stream. */
export async function middleDrains(at) {
  const { cluster, scene, middle, below, viewers } = await chain(at, drain);
  const asked = performance.now();
  middle.child.signal('SIGTERM');
  await middle.child.ended();
  await pause(2000);
  const elsewhere = viewers.filter(({ node }) => node !== middle);
  const facts = await Promise.all(elsewhere.map((viewer) => scene.facts(viewer)));
  return [
    ...elsewhere.map(({ name }, place) => atMost(`longest time without a frame, ${name}`, longestGap(facts[place], asked), NO_GAP)),
    holds('the node below has another parent', (await cluster.parent(below.node, 'cam')) !== middle),
  ];
}

/** The origin ends; its encoder connects to another node as soon as it is closed. */
export async function originDrains(at) {
  const scene = await Scene.open(at, { nodes: 3, ...drain });
  const { cluster, cluster: { nodes: [a, b, c], mesh } } = scene;
  const encoder = scene.publish(a, 'cam', { width: 640 });
  const viewers = [await scene.watch(b, 'cam'), await scene.watch(c, 'cam')];
  await cluster.inStep();
  const firstMedia = await mesh.watchMedia(mesh.own, b.host);
  const asked = performance.now();
  a.child.signal('SIGTERM');
  // FFmpeg goes on when its session is closed; other encoders notice.
  await until('the encoder is closed', async () => a.child.hasEnded || (await cluster.origins('cam', [a])).length === 0, { every: 10 });
  const closed = performance.now();
  await encoder.stop('SIGKILL');
  if (a.child.hasEnded) throw new Missing('an origin that drains closes its encoder before it ends');
  scene.publish(b, 'cam', { width: 480 });
  const reconnect = (await firstMedia()) - performance.timeOrigin - closed;
  await Promise.all(viewers.map((viewer) => scene.firstOf(viewer, 480, 0)));
  await pause(1000);
  const facts = await Promise.all(viewers.map((viewer) => scene.facts(viewer)));
  return viewers.map(({ name }, place) => atMost(`longest time without a frame, ${name}`, longestGap(facts[place], asked), reconnect + 500));
}

/** Two nodes end at once, the one below the other. */
export async function twoDrain(at) {
  const { cluster, scene, middle, below, viewers, origin } = await chain(at, drain);
  const stays = viewers.find(({ node }) => node !== middle && node !== below.node);
  const told = [];
  for (const viewer of viewers.filter((one) => one !== stays)) {
    const id = (await scene.probe.session(viewer.number)).split('/').pop();
    await listen(at.t, viewer.node, id, 'reconnect', ({ url }) => told.push(url));
  }
  const asked = performance.now();
  for (const node of [middle, below.node]) node.child.signal('SIGTERM');
  await Promise.all([middle, below.node].map((node) => node.child.ended()));
  if (told.length === 0) throw new Missing('viewers are told to reconnect');
  const facts = await scene.facts(stays);
  const ending = [middle.url, below.node.url];
  return [
    atMost(`longest time without a frame, ${stays.name}`, longestGap(facts, asked), NO_GAP),
    none('viewers of both that are not told to reconnect', 2 - told.length),
    none('of these, told to go to the other one', told.filter((url) => ending.some((one) => url?.startsWith(one))).length),
    holds('the origin has the stream', (await cluster.origins('cam', [origin])).length === 1),
  ];
}
