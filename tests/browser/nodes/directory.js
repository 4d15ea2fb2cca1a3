// The rows about the failures of nodes and of the directory: each measures what viewers see with real relays, NATS servers,
// FFmpeg and Chromium, and returns what is required and what was measured.

import { setTimeout as pause } from 'node:timers/promises';

import { atMost } from '../support/table.js';
import { until } from '../support/until.js';
import { holds, none } from './figures.js';
import { longestGap, Scene, stepsBack } from './scene.js';

/** No gap: frames are 33 ms apart, and a browser on a busy machine shows some of them later. */
const NO_GAP = 200;
/** A viewer of a stream that the node knows has a frame after this time. */
const JOIN = 2000;

/** All servers of the directory fail for some seconds: one server, or three. */
export async function directoryGone(at, { way, seconds, servers = 1 }) {
  const scene = await Scene.open(at, { nodes: 2, servers });
  const { cluster, cluster: { nodes: [a, b] } } = scene;
  scene.publish(a, 'cam');
  const viewers = [await scene.watch(a, 'cam'), await scene.watch(b, 'cam')];
  await cluster.inStep();

  const failed = performance.now();
  await cluster.fail(way, cluster.servers);
  const publisher = scene.publish(b, 'new');
  const late = await scene.watch(b, 'cam');
  await scene.live(b, 'new');
  viewers.push(await scene.watch(b, 'new'));
  const statuses = await Promise.all(cluster.nodes.flatMap((node) => ['/healthz', '/readyz'].map(async (path) => (await node.ask(path)).status)));
  await pause(Math.max(0, seconds * 1000 - (performance.now() - failed)));
  const isLive = !publisher.hasEnded;

  await cluster.mend(way, cluster.servers);
  await until('the directory accepts writes', () => Promise.any(cluster.servers.map((server) => server.accepts())), { every: 10 });
  const back = performance.now();
  await cluster.inStep();
  const inStep = performance.now() - back;
  const facts = await Promise.all(viewers.map((viewer) => scene.facts(viewer)));
  return [
    ...viewers.map(({ name }, place) => atMost(`longest time without a frame, ${name}`, longestGap(facts[place], failed), NO_GAP)),
    atMost(`first frame of a new ${late.name} meanwhile`, (await scene.facts(late)).firstFrame, JOIN),
    holds('a new publisher is taken meanwhile', isLive),
    none('answers of /healthz and /readyz other than 200', statuses.filter((status) => status !== 200).length),
    // Three servers elect a leader first.
    atMost('all nodes in step again', inStep, servers > 1 ? 12_000 : way === 'kill' ? 2000 : 5000),
  ];
}

/** The one of three servers fails that leads the directory. */
export async function leaderGone(at, { way }) {
  const scene = await Scene.open(at, { nodes: 2, servers: 3 });
  const { cluster, cluster: { nodes: [a, b] } } = scene;
  scene.publish(a, 'cam');
  const viewers = [await scene.watch(a, 'cam'), await scene.watch(b, 'cam')];
  await cluster.inStep();
  const name = await until('a server leads', () => cluster.servers[0].leader());
  const leader = cluster.servers.find((server) => server.name === name);

  const failed = performance.now();
  await cluster.fail(way, [leader]);
  scene.publish(b, 'new');
  await scene.live(b, 'new');
  await until('the new stream is listed by both', async () => (await listed(cluster.nodes)).every((names) => names.includes('new')), { every: 50 });
  await cluster.inStep();
  const inStep = performance.now() - failed;
  await pause(3000);
  const facts = await Promise.all(viewers.map((viewer) => scene.facts(viewer)));
  await cluster.mend(way, [leader]);
  return [
    ...viewers.map(({ name: viewer }, place) => atMost(`longest time without a frame, ${viewer}`, longestGap(facts[place], failed), NO_GAP)),
    atMost('all nodes in step, with a stream that began meanwhile', inStep, 12_000),
  ];
}

/** The names of the streams that each node lists for the cluster. */
const listed = (nodes) => Promise.all(nodes.map(async (node) => (await (await node.ask('/api/streams?scope=cluster')).json()).map(({ name }) => name)));

/** One node is cut off from the directory, not from clients and other nodes. */
export async function nodeCut(at, { seconds }) {
  const scene = await Scene.open(at, { nodes: 2 });
  const { cluster, cluster: { nodes: [a, b], mesh, servers: [server] } } = scene;
  scene.publish(a, 'cam');
  scene.publish(b, 'other');
  const viewers = [];
  for (const [node, stream] of [[a, 'cam'], [b, 'other'], [b, 'cam'], [a, 'other']]) viewers.push(await scene.watch(node, stream));
  await cluster.inStep();

  const failed = performance.now();
  await mesh.cut(b.host, [server.host]);
  scene.publish(b, 'new');
  await scene.live(b, 'new');
  viewers.push(await scene.watch(b, 'new'));
  const late = await scene.watch(b, 'cam');
  await pause(Math.max(0, seconds * 1000 - (performance.now() - failed)));
  const ready = (await b.ask('/readyz')).ok;
  await mesh.heal(b.host, [server.host]);
  const back = performance.now();
  await cluster.inStep();
  const inStep = performance.now() - back;
  const facts = await Promise.all(viewers.map((viewer) => scene.facts(viewer)));
  return [
    ...viewers.map(({ name }, place) => atMost(`longest time without a frame, ${name}`, longestGap(facts[place], failed), NO_GAP)),
    atMost(`first frame of a new ${late.name} meanwhile`, (await scene.facts(late)).firstFrame, JOIN),
    holds('the node that is cut off stays ready', ready),
    atMost('all nodes in step again', inStep, 5000),
  ];
}

/** The node of a publisher is cut off from the directory until another node has claimed its stream. */
export async function originCut(at) {
  const scene = await Scene.open(at, { nodes: 2 });
  const { cluster, cluster: { nodes: [a, b], mesh, servers: [server] } } = scene;
  scene.publish(a, 'cam', { width: 640 });
  const viewers = [await scene.watch(a, 'cam')];
  await cluster.inStep();

  await mesh.cut(a.host, [server.host]);
  await until('the lease of the origin has expired', async () => {
    const [cam] = (await (await b.ask('/api/streams?scope=cluster')).json()).filter(({ name }) => name === 'cam');
    return !cam?.live;
  });
  scene.publish(b, 'cam', { width: 480 });
  await scene.live(b, 'cam');
  viewers.push(await scene.watch(b, 'cam'));
  const origins = await cluster.origins('cam');
  await pause(3000);
  await mesh.heal(a.host, [server.host]);
  const healed = performance.now();
  await until('one origin is left', async () => (await cluster.origins('cam')).length === 1, { every: 50 });
  const alone = performance.now() - healed;
  await cluster.inStep();
  await pause(2000);
  const facts = await Promise.all(viewers.map((viewer) => scene.facts(viewer)));
  return [
    holds('both nodes had a publisher while it was cut off', origins.length === 2),
    atMost('one origin is left after', alone, 12_000),
    holds('it is the one whose publisher started later', (await cluster.origins('cam')).includes(b)),
    ...viewers.map(({ name }, place) => none(`steps back within one publisher, ${name}`, stepsBack(facts[place]))),
  ];
}
