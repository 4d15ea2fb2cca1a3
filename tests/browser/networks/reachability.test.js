// `sluice check-reachability` from another machine, by what the network between lets pass.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Child } from '../support/child.js';
import { Network, RELAY } from '../support/network.js';
import { BINARY, Relay } from '../support/relay.js';

const CASES = [
  { what: 'open', blocked: [], code: 0, udp: true, tcp: true, says: /by UDP/ },
  { what: 'blocking UDP', blocked: ['udp'], code: 1, udp: false, tcp: true, says: /by TCP only/ },
  { what: 'blocking UDP and TCP', blocked: ['udp', 'tcp'], code: 1, udp: false, tcp: false, says: /cannot connect/ },
];

for (const { what, blocked, code, udp, tcp, says } of CASES) {
  test(`check-reachability through a network ${what} says how viewers connect, and exits with ${code}`, async (t) => {
    const network = await Network.open(t, { onlyWifi: true });
    const relay = await Relay.start(t, { httpHost: RELAY, mediaHost: RELAY, admin: true, args: ['--media-on-http', 'false'] });
    network.block(blocked, relay.media.split(':')[1]);
    const child = new Child(network.programAtClient(BINARY), ['check-reachability', relay.url]);
    assert.equal((await child.ended()).code, code, child.output);
    for (const [name, isReachable] of [['UDP', udp], ['TCP', tcp]]) {
      assert.match(child.output, new RegExp(`^${relay.media} by ${name}: ${isReachable ? 'reachable, \\d+ ms' : 'not reachable'}`, 'm'));
    }
    assert.match(child.output.trim().split('\n').at(-1), says);
  });
}

test('check-reachability of a relay whose HTTP port is blocked says so, and exits with 1', async (t) => {
  const network = await Network.open(t, { onlyWifi: true });
  const relay = await Relay.start(t, { httpHost: RELAY, mediaHost: RELAY, admin: true });
  network.block(['udp', 'tcp']);
  const child = new Child(network.programAtClient(BINARY), ['check-reachability', relay.url]);
  assert.equal((await child.ended()).code, 1, child.output);
  assert.match(child.output, /did not answer in time/);
});
