// The row about nodes of two versions in one cluster.

import { BINARY } from '../support/relay.js';
import { atMost } from '../support/table.js';
import { until } from '../support/until.js';
import { holds, none } from './figures.js';
import { longestGap, Scene } from './scene.js';

/** A publisher stays at a node of the earlier version, while the others are changed to this version and back. */
export async function rolling(at, before) {
  const scene = await Scene.open(at, { nodes: 3, binaries: [before, before, before] });
  const { cluster, cluster: { nodes: [a, b, c] } } = scene;
  scene.publish(a, 'cam');
  const viewers = [await scene.watch(a, 'cam')];
  await cluster.inStep();

  const began = performance.now();
  const took = [];
  for (const [binary, width] of [[BINARY, 480], [before, 320]]) {
    for (const node of [b, c]) {
      await node.child.stop();
      node.binary = binary;
      await node.start();
      const started = performance.now();
      await cluster.inStep();
      took.push(performance.now() - started);
    }
    // A publisher of the one version takes a stream from the other one.
    const [from, to] = [b, a].map((node) => ({ node, stream: `taken-${width}` }));
    scene.publish(from.node, from.stream, { width });
    await scene.live(from.node, from.stream);
    await cluster.inStep();
    scene.publish(to.node, to.stream, { width });
    await until('the first publisher is replaced', async () => (await cluster.origins(to.stream)).every((node) => node === to.node));
    await cluster.inStep();
  }
  const facts = await Promise.all(viewers.map((viewer) => scene.facts(viewer)));
  const origins = await cluster.origins('cam');
  return [
    ...viewers.map(({ name }, place) => atMost(`longest time without a frame, ${name}`, longestGap(facts[place], began), 200)),
    none('packets that are lost', Math.max(...facts.map(({ inbound }) => inbound.video.packetsLost))),
    holds('the publisher stays where it is', origins.length === 1 && origins[0] === a),
    atMost('nodes in step after a start of one', Math.max(...took), 5000),
  ];
}
