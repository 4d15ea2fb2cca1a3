// Clients whose network changes while they watch or publish: the session continues, by checks from the new address where
// the browser sends them, else by an ICE restart (PATCH) of the page. Each test prints what it took.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EXECUTABLE, launchChromium, Page } from '../support/chromium.js';
import { Network, RELAY, wayOf } from '../support/network.js';
import { Relay } from '../support/relay.js';
import { until } from '../support/until.js';

const PUBLISH = 'source=test&autostart=1&width=320&height=180&rate=30';
// A page that may use cameras gathers at each network by itself; the others have one socket, which follows the route.
const CAMERA = ['camera', 'microphone'];
const MOVED = 1500; // milliseconds from the first check on the new path until media moves; a second, and what a busy machine adds
const GAP = 8000; // milliseconds without a frame; the page would open another session after that

/** A publisher and a viewer, of which `role` is the client behind the router, `client` its page. */
class Scene {
  restarts = 0;

  static async open(t, role, { onlyWifi = false, permissions = role === 'publisher' ? CAMERA : [] } = {}) {
    const scene = new Scene();
    scene.network = await Network.open(t, { onlyWifi });
    scene.relay = await Relay.start(t, { httpHost: RELAY, mediaHost: RELAY, admin: true, args: ['--tls-self-signed', '--workers', '4'] });
    const url = scene.relay.url.replace('http:', 'https:');
    const launch = async (executablePath) => {
      const browser = await launchChromium(['--ignore-certificate-errors'], { executablePath });
      t.after(() => browser.close());
      return browser;
    };
    const [behind, beside] = await Promise.all([launch(scene.network.programAtClient(EXECUTABLE)), launch(EXECUTABLE)]);
    const open = (own, path) => Page.open(t, own === role ? behind : beside, url + path, own === role ? { context: { permissions } } : {});
    scene.publisher = await open('publisher', `/publish/hall?${PUBLISH}`);
    await scene.publisher.says('live');
    scene.viewer = await open('viewer', '/watch/hall');
    await scene.viewer.framesDecoded(30);
    await scene.viewer.noteFrames();
    scene.client = scene[role];
    scene.client.tab.on('request', (request) => (scene.restarts += request.method() === 'PATCH'));
    return scene;
  }

  /** The client leaves the network that its media takes. */
  async leaveNetwork(t) {
    const way = wayOf((await this.path()).remote);
    await this.measure(t, () => this.network.leave(way), ({ remote }) => ![way, undefined].includes(wayOf(remote)));
  }

  /** The router drops the UDP of the client. */
  async blockUdp(t) {
    await this.measure(t, () => this.network.block(['udp']), ({ protocol }) => protocol === 'tcp');
  }

  get session() {
    return this.client.sessions.at(-1).split('/').pop();
  }

  /** Where the relay sends the client's media. */
  async path() {
    return (await (await fetch(`${this.relay.adminUrl}/api/sessions/${this.session}`)).json()).path;
  }

  /** Changes the network, and waits until media takes a path that satisfies `isNew`. Prints what it took. */
  async measure(t, change, isNew) {
    const { session } = this;
    const checks = await this.network.watchChecks();
    const changed = Date.now();
    change();
    await until('the path has moved', async () => isNew(await this.path()));
    await this.viewer.framesDecoded(30);
    const gap = await this.viewer.longestGap(changed);
    const first = checks().find((check) => check.at > changed && isNew(check)).at;
    // Two programs read the clock: the relay's time may be the earlier one.
    const moved = Math.max(first, this.moves(session).find((at) => at >= changed));
    const by = this.restarts ? `ICE restart (PATCH: ${this.restarts})` : 'checks alone';
    const [arrival, move] = [first - changed, moved - first].map(Math.round);
    t.diagnostic(`by ${by}: first check from there after ${arrival} ms, media moved ${move} ms later; longest time without a frame ${Math.round(gap)} ms`);
    assert.ok(move <= MOVED && gap <= GAP, `moved ${move} ms after the check, gap ${gap} ms`);
    assert.deepEqual([this.client.sessions.length, (await this.client.statistics()).count], [1, 1], 'the session continues');
  }

  /** When the relay moved media of the session to another path, by its log. */
  moves(session) {
    const lines = this.relay.child.output.matchAll(/^(\S+Z) DEBUG \S+ path moved session=(\S+)/gm);
    return [...lines].filter(([, , of]) => of === session).map(([, at]) => Date.parse(at));
  }
}

for (const role of ['viewer', 'publisher']) {
  test(`a ${role} that leaves one of two networks continues over the other`, async (t) => {
    const scene = await Scene.open(t, role);
    await scene.leaveNetwork(t);
  });

  test(`a ${role} that leaves its only network continues over one that it gets then`, async (t) => {
    const scene = await Scene.open(t, role, { onlyWifi: true });
    await scene.leaveNetwork(t);
  });

  test(`a ${role} whose UDP is blocked continues over TCP`, async (t) => {
    const scene = await Scene.open(t, role);
    await scene.blockUdp(t);
  });
}

test('a viewer that may use cameras, and so gathers at each network, continues over one that it gets then', async (t) => {
  const scene = await Scene.open(t, 'viewer', { onlyWifi: true, permissions: CAMERA });
  await scene.leaveNetwork(t);
});
