// The row about a crowd that comes to an edge at once.

import { setTimeout as pause } from 'node:timers/promises';

import { atMost } from '../support/table.js';
import { none } from './figures.js';
import { Scene } from './scene.js';

const RATE = 10; // packets a second of the stream

/** Viewers join an edge, within ten seconds, for a stream that it does not carry. */
export async function crowd(at, { viewers = 2000 } = {}) {
  // All of them have one address, which 2,000 viewers elsewhere do not.
  const scene = await Scene.open(at, { nodes: 2, args: ['--rate-limit', '0', '--connections-per-client', '0'] });
  const { cluster, cluster: { nodes: [a, b] } } = scene;
  await scene.publishLoad(a, 'cam', RATE);
  await cluster.inStep();

  const requested = () => a.metric('sluice_keyframe_requests_total', { direction: 'out' });
  const [before, began] = [await requested(), performance.now()];
  const loads = [];
  for (let part = 0; part < 10; part += 1) {
    loads.push(scene.load(b, '--whep', `${b.url}/whep/cam`, '--viewers', viewers / 10, '--seconds', 12, '--json'));
    await pause(1000);
  }
  await Promise.all(loads.map((child) => child.ended()));
  const legs = await a.metric('sluice_cluster_legs');
  const seconds = (performance.now() - began) / 1000;
  const reports = loads.map(({ output }) => JSON.parse(/^\{.*\}$/m.exec(output)?.[0] ?? '{}'));
  const refused = (await Promise.all(['429', '5xx', '503'].map((status) => b.metric('sluice_http_requests_total', { status, route: 'whep' })))).reduce((sum, one) => sum + one);
  const joined = reports.reduce((sum, report) => sum + (report.joined ?? 0), 0);
  return [
    { what: 'legs at the origin: 1', figure: legs, passed: legs === 1 },
    atMost('keyframe requests a second at the origin', ((await requested()) - before) / seconds, 1, ''),
    none('viewers that do not join', viewers - joined),
    none('answers 429 and 5xx of the edge', refused),
    atMost('first packet of 99 % of the viewers', Math.max(...reports.map((report) => report.join_ms?.p99 ?? Infinity)), 2000),
  ];
}
