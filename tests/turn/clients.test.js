// The relay's own TURN server with clients of other projects: Pion by TLS, and Firefox, whose ICE-TCP is off, by TCP.

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { launchChromium, Page } from '../browser/support/chromium.js';
import { outerAddress } from '../browser/support/link.js';
import { Relay } from '../browser/support/relay.js';
import { until } from '../browser/support/until.js';
import { Firefox } from '../clients/firefox/firefox.js';
import { Program } from '../clients/support/program.js';

let browser;
before(async () => (browser = await launchChromium(['--ignore-certificate-errors'])));
after(() => browser.close());

const publish = (t, url) => Page.open(t, browser, `${url}/publish/cam?source=test&autostart=1&width=320&height=180&rate=15`);

test('Pion watches by TURN inside TLS alone, and checks the certificate of the server', async (t) => {
  const state = mkdtempSync(join(tmpdir(), 'sluice-turn-'));
  t.after(() => rmSync(state, { recursive: true }));
  const args = ['--media-on-http', '--tls-self-signed', '--state-dir', state];
  const relay = await Relay.start(t, { args, admin: true });
  const url = relay.url.replace('http:', 'https:');
  await (await publish(t, url)).says('live');
  const certificate = readdirSync(state, { recursive: true }).find((name) => /\.pem$/.test(name));
  const pion = new Program(t, process.env.PION_CLIENT, ['watch', '--turn', '--video', 'any', '--audio', '--expect', 'video,audio', `${url}/whep/cam`], {
    SSL_CERT_FILE: join(state, certificate),
  });
  await pion.fact('connected');
  await pion.fact('proof');
  assert.ok((await relay.metric('sluice_turn_allocations')) >= 1);
  await pion.end();
});

test('Firefox watches by TURN over TCP alone', async (t) => {
  // Firefox uses no loopback address.
  const host = outerAddress();
  const relay = await Relay.start(t, { httpHost: host, mediaHost: host, admin: true });
  await (await publish(t, relay.url)).says('live');
  const firefox = await Firefox.launch({ 'media.peerconnection.ice.relay_only': true });
  t.after(() => firefox.close());
  const viewer = await firefox.open(`${relay.url}/watch/cam`);
  const stats = () => viewer.evaluate(async () => {
    const reports = [...((await window.sluice?.peer?.getStats())?.values() ?? [])];
    const pair = reports.find(({ type, selected }) => type === 'candidate-pair' && selected);
    return {
      frames: reports.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video')?.framesDecoded ?? 0,
      type: reports.find(({ id }) => id === pair?.localCandidateId)?.candidateType,
    };
  });
  await until('30 frames', async () => (await stats()).frames >= 30, { timeout: 30_000 });
  assert.equal((await stats()).type, 'relay');
});
