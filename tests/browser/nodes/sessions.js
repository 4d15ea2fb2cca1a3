// The rows about the URLs of sessions, which clients behind a load balancer ask at any node.

import { atMost } from '../support/table.js';
import { until } from '../support/until.js';
import { listen } from './events.js';
import { holds } from './figures.js';
import { Scene } from './scene.js';

/** A session is at one node, and its URLs are asked at another one. */
export async function elsewhere(at) {
  const scene = await Scene.open(at, { nodes: 2 });
  const { cluster: { nodes: [a, b] } } = scene;
  scene.publish(a, 'cam');
  const viewer = await scene.watch(a, 'cam');
  const { pathname } = new URL(await scene.probe.session(viewer.number));
  const id = pathname.split('/').pop();

  const counts = [];
  await listen(at.t, b, id, 'viewercount', (data) => counts.push(data));
  await until('an event comes', () => counts.length > 0);
  const headers = { 'content-type': 'application/json' };
  const layer = await fetch(`${b.url}${pathname}/layer`, { method: 'POST', headers, body: JSON.stringify({ mediaId: '1' }) });
  const asked = performance.now();
  const deleted = await fetch(`${b.url}${pathname}`, { method: 'DELETE' });
  const took = performance.now() - asked;
  const ended = await until('the session has ended', async () => (await (await a.ask(`/api/sessions/${id}`)).json()).ended);
  return [
    holds('its events come', counts.length > 0),
    holds('its layer can be selected', layer.ok),
    atMost('it can be deleted, within', deleted.ok ? took : Infinity, 200),
    holds('it ends as deleted', ended.reason === 'deleted'),
  ];
}

/** The same when the node of the session has failed. */
export async function elsewhereGone(at, { way }) {
  const scene = await Scene.open(at, { nodes: 2 });
  const { cluster, cluster: { nodes: [a, b] } } = scene;
  scene.publish(a, 'cam');
  const viewer = await scene.watch(a, 'cam');
  const { pathname } = new URL(await scene.probe.session(viewer.number));
  await cluster.inStep();
  await cluster.fail(way, [a]);
  const asked = performance.now();
  const { status } = await fetch(`${b.url}${pathname}`, { method: 'DELETE' });
  return [
    holds('the answer is 404 or 503', [404, 503].includes(status)),
    atMost('it comes within', performance.now() - asked, 3500),
  ];
}
