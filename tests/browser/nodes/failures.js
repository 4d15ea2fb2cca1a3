// The rows about nodes that fail: what viewers elsewhere see, and those of the node itself.

import { setTimeout as pause } from 'node:timers/promises';

import { Page } from '../support/chromium.js';
import { atMost } from '../support/table.js';
import { until } from '../support/until.js';
import { Balancer } from './balancer.js';
import { FAILURES } from './cluster.js';
import { holds, Missing } from './figures.js';
import { longestGap, Scene } from './scene.js';

/** The origin fails; its encoder posts to another node a second later. */
export async function originGone(at, { way }) {
  const scene = await Scene.open(at, { nodes: 3 });
  const { cluster, cluster: { nodes: [a, b, c], mesh } } = scene;
  const encoder = scene.publish(a, 'cam', { width: 640 });
  const viewers = [await scene.watch(c, 'cam'), await scene.watch(b, 'cam')];
  await cluster.inStep();

  const firstMedia = await mesh.watchMedia(mesh.own, b.host);
  await cluster.fail(way, [a]);
  await encoder.stop('SIGKILL');
  await pause(1000);
  scene.publish(b, 'cam', { width: 480 });
  const sent = await firstMedia();
  const seen = await Promise.all(viewers.map((viewer) => scene.firstOf(viewer, 480, sent)));
  await pause(2000);
  const facts = await Promise.all(viewers.map((viewer) => scene.facts(viewer)));
  return viewers.flatMap(({ name }, place) => [
    atMost(`first frame after the encoder's first packet, ${name}`, seen[place].video, 500),
    atMost(`first audio after the encoder's first packet, ${name}`, seen[place].audio, 500),
    holds(`the session goes on, ${name}`, facts[place].states.at(-1)[1] === 'connected'),
  ]);
}

/** The origin and its encoder fail; a standby is at another node. */
export async function standby(at, { way }) {
  const scene = await Scene.open(at, { nodes: 3 });
  const { cluster, cluster: { nodes: [a, b, c] } } = scene;
  const encoder = scene.publish(a, 'cam', { width: 640 });
  const viewer = await scene.watch(c, 'cam');
  scene.publish(b, 'cam', { width: 480, path: '?standby=1' });
  const [session] = await until('the standby is connected', async () => {
    const sessions = await (await b.ask('/api/sessions')).json();
    const own = sessions.filter(({ role, srtp_profile: profile }) => role === 'publisher' && profile);
    return own.length > 0 && own;
  });
  if (session.state !== 'waiting') throw new Missing('a standby waits while the publisher is at another node');
  await cluster.inStep();

  const failed = performance.now();
  await cluster.fail(way, [a]);
  await encoder.stop('SIGKILL');
  await scene.firstOf(viewer, 480, 0);
  await pause(1000);
  return [atMost(`longest time without a frame, ${viewer.name}`, longestGap(await scene.facts(viewer), failed), 2000)];
}

/** An edge fails whose viewer came through a load balancer with the page. */
export async function edgeGone(at, { way }) {
  const scene = await Scene.open(at, { nodes: 3 });
  const { cluster, cluster: { nodes: [a, b, c], mesh } } = scene;
  scene.publish(a, 'cam');
  await scene.live(a, 'cam');
  await cluster.inStep();
  return [await pageMoves({ ...at, mesh }, [b, c], way)];
}

/** A node fails from which another one, below it, has the stream. */
export async function middleGone(at, { way }) {
  const { cluster, scene, middle, below } = await chain(at);
  const failed = performance.now();
  await cluster.fail(way, [middle]);
  await pause(5000);
  return [atMost(`longest time without a frame, ${below.name}`, longestGap(await scene.facts(below), failed), 1500)];
}

/** Four nodes with a stream at the first one, of which one has it by way of another one: `middle` and the viewer `below`. */
export async function chain(at, options = {}) {
  const scene = await Scene.open(at, { nodes: 4, ...options });
  const { cluster, cluster: { nodes: [a, ...others] } } = scene;
  const encoder = scene.publish(a, 'cam');
  await scene.live(a, 'cam');
  await cluster.inStep();
  const viewers = [];
  for (const node of others) viewers.push(await scene.watch(node, 'cam'));
  const below = viewers.at(-1);
  const parent = await cluster.parent(below.node, 'cam');
  if (parent === a) throw new Error('the last node has the stream from the origin, although two others carry it');
  return { scene, cluster, encoder, origin: a, viewers, middle: parent, below };
}

/** A page watches `cam` through a load balancer in front of these nodes, of which the one that serves it fails. */
export async function pageMoves({ t, browser, mesh, prepare }, nodes, way) {
  const balancer = await Balancer.open(t, nodes);
  const page = await Page.open(t, browser, `${balancer.url}/watch/cam`, { prepare });
  await page.framesDecoded(60);
  await page.noteFrames();
  await page.framesDecoded(15);
  const { node } = balancer.sessions.at(-1);
  const failed = Date.now();
  await FAILURES[way].fail(mesh, node);
  await until('the page has a session at another node', () => balancer.sessions.at(-1).node !== node, { every: 20 });
  await page.framesDecoded(30);
  return atMost('longest time without a frame, the page', await page.longestGap(failed), 3000);
}
