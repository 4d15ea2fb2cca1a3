// The impaired link does what it says: otherwise what passes over it proves nothing.

import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';

import { serve } from '../support/http_server.js';
import { Lane } from '../support/lane.js';
import { Link } from '../support/link.js';
import { until } from '../support/until.js';

const RTP = Buffer.from([0x80, 96, 0, 1]);
const RTCP = Buffer.from([0x80, 200, 0, 1]);
const STUN = Buffer.from([0, 1, 0, 0]);
const DTLS = Buffer.from([22, 254, 253, 0]);

/** The arrivals of this many packets, sent one each millisecond. */
const arrivals = (lane, packets, datagram = RTP) => Array.from({ length: packets }, (_, now) => lane.pass(datagram, now));
const lost = (lane, packets) => arrivals(lane, packets).map((times) => times.length === 0);
const share = (losses) => losses.filter(Boolean).length / losses.length;

test('a seed decides which packets are lost, and the share is the one asked for', () => {
  const first = lost(new Lane({ loss: 0.05 }, 3), 20_000);
  assert.deepEqual(lost(new Lane({ loss: 0.05 }, 3), 20_000), first);
  assert.notDeepEqual(lost(new Lane({ loss: 0.05 }, 4), 20_000), first);
  assert.ok(Math.abs(share(first) - 0.05) < 0.005, `${share(first)}`);
});

test('bursts have their mean length and lose their share', () => {
  const losses = lost(new Lane({ burst: { share: 0.05, length: 8 } }, 5), 100_000);
  const bursts = losses.filter((one, place) => one && !losses[place - 1]).length;
  assert.ok(Math.abs(share(losses) - 0.05) < 0.01, `${share(losses)}`);
  const length = losses.filter(Boolean).length / bursts;
  assert.ok(Math.abs(length - 8) < 1, `${length}`);
});

test('handshakes are never lost but in a blackout, and reports only if asked for', () => {
  const lane = new Lane({ loss: 1, duplicate: 1 });
  for (const datagram of [STUN, DTLS, RTCP]) assert.deepEqual(lane.pass(datagram, 0), [0]);
  assert.deepEqual(new Lane({ loss: 1, rtcp: true }).pass(RTCP, 0), []);
  lane.blackout(10);
  for (const datagram of [STUN, DTLS, RTCP, RTP]) assert.deepEqual(lane.pass(datagram, 9), []);
  assert.deepEqual(lane.pass(STUN, 10), [10]);
});

test('delay and jitter keep the order, and reordering does not', () => {
  const late = arrivals(new Lane({ delay: 25, jitter: 10 }, 1), 1000).flat();
  assert.ok(late.every((at, now) => at >= now + 25 && at <= now + 45 && at >= (late[now - 1] ?? 0)));
  const mixed = arrivals(new Lane({ reorder: 0.1, duplicate: 0.1 }, 1), 1000);
  const overtaken = mixed.filter(([at], now) => at > now + 10).length;
  assert.ok(overtaken > 60 && overtaken < 140, `${overtaken}`);
  const doubled = mixed.filter((times) => times.length === 2).length;
  assert.ok(doubled > 60 && doubled < 140, `${doubled}`);
});

test('a rate lets through what it can, and what would wait too long is lost', () => {
  const packet = Buffer.alloc(1250, 0x80);
  const lane = new Lane({ rate: 5_000_000, queue: 50 });
  const passed = arrivals(lane, 1000, packet).flat();
  assert.ok(Math.abs(passed.length - 525) < 10, `${passed.length}`);
  assert.ok(passed.every((at, place) => place === 0 || at - passed[place - 1] > 1.9));
});

test('a client that follows the answer sends by the link, and its offer leads nowhere else', async (t) => {
  const relay = dgram.createSocket('udp4').bind(0, '127.0.0.1');
  await once(relay, 'listening');
  t.after(() => relay.close());
  relay.on('message', (datagram, from) => relay.send(datagram, from.port, from.address));
  let offer = '';
  const url = await serve(t, async (request, response) => {
    for await (const chunk of request) offer += chunk;
    response.writeHead(201, { location: '/session/1' });
    response.end('m=video\r\na=candidate:1 1 udp 1 10.0.0.1 8081 typ host\r\na=candidate:2 1 udp 1 10.0.0.2 8081 typ host\r\n');
  });
  const link = await Link.open(t, { url, media: `127.0.0.1:${relay.address().port}` }, { up: { delay: 20 }, down: { loss: 1 } });
  const body = 'v=0\r\na=candidate:1 1 udp 1 192.168.0.1 5000 typ host\r\na=mid:0\r\n';
  const response = await fetch(`${link.url}/whip/x`, { method: 'POST', body, headers: { 'content-type': 'application/sdp' } });
  assert.equal(offer, 'v=0\r\na=mid:0\r\n');
  assert.equal(response.headers.get('location'), '/session/1');
  const [, host, port] = /^m=video\r\na=candidate:1 1 udp \d+ (\S+) (\d+) typ host\r\n$/.exec(await response.text());

  const client = dgram.createSocket('udp4');
  t.after(() => client.close());
  const answers = [];
  client.on('message', (datagram) => answers.push(datagram[0]));
  const sent = performance.now();
  for (const datagram of [RTP, STUN]) client.send(datagram, port, host);
  await until('what is no media comes back', () => answers.length > 0, { every: 1 });
  assert.ok(performance.now() - sent >= 19);
  assert.deepEqual(answers, [0]);
  assert.deepEqual(link.counts.down, { passed: 1, lost: 1 });
});
