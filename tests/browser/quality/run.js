// Runs the rows and prints the table: `tests/quality`, or some rows: `tests/quality joins blackout`. QUALITY_SEED chooses which
// packets are lost. `tests/quality layers` measures the rows about layers, `--runs=3` in three runs each.

import { launchChromium, THREE_ENCODINGS } from '../support/chromium.js';
import { servePage } from '../support/http_server.js';
import { PROBE_PAGE } from '../support/probe.js';
import { Relay } from '../support/relay.js';
import { Scope } from '../support/table.js';
import { Firefox } from '../../clients/firefox/firefox.js';
import * as layers from './layers.js';
import * as rows from './rows.js';

const seed = Number(process.env.QUALITY_SEED ?? 1);

const TABLE = [
  ['joins', 'POST to the first frame, keyframe every 10 s, four joins', (at) => rows.joins(at)],
  ['loss-5', '5 % loss towards the viewer, 50 ms round trip', (at) => rows.downstreamLoss(at, { loss: 0.05, gap: 150, seconds: 25, requests: 2, seed })],
  ['loss-10', '10 % loss towards the viewer, 50 ms round trip', (at) => rows.downstreamLoss(at, { loss: 0.1, gap: 250, seconds: 25, requests: 2, seed })],
  ['upstream', '5 % loss from the publisher, 50 ms round trip', (at) => rows.upstreamLoss(at, { loss: 0.05, gap: 150, seconds: 25, seed })],
  ...[[30, 0.02, 0], [15, 0.02, 0], [30, 0.05, 1000], [15, 0.05, 1000]].map(([rate, loss, frozen]) => [
    `video-${rate}-${loss * 100}`,
    `FFmpeg with ${rate} frames a second and no audio, ${loss * 100} % loss from it`,
    (at) => rows.videoAlone(at, { rate, loss, frozen, seconds: 25, seed }),
  ]),
  ['early', 'the same, watched while FFmpeg catches up after its late start', (at) => rows.upstreamLoss(at, { loss: 0.05, gap: 200, seconds: 25, seed, after: 2 })],
  ['begins', '5 % loss from the publisher that begins while a viewer watches', (at) => rows.lossBegins(at, { loss: 0.05, gap: 200, seconds: 15, seed })],
  ['back', 'publisher killed, back after 2 s', (at) => rows.publisherBack(at)],
  ['blackout', "viewer's network down for 4 s, 6 Mbit/s, keyframe every 10 s", (at) => rows.blackout(at)],
  ['firefox-loss', 'Firefox: 5 % loss towards it, 50 ms round trip', (at) => rows.firefoxLoss(at, { down: 0.05, gap: 150, seconds: 25, seed })],
  ['firefox-upstream', 'Firefox: 5 % loss from the publisher', (at) => rows.firefoxLoss(at, { up: 0.05, gap: 150, seconds: 25, seed })],
  ['firefox-back', 'Firefox: publisher killed, back after 2 s', (at) => rows.firefoxBack(at)],
];

/** Measured only if named, since they take an hour and a half: all by `layers`, or some by their beginnings. */
const LAYERS = [
  ...['vp8', 'h264'].flatMap((codec) => [
    [`layers-capacity-${codec}`, `${codec}: the viewer's link falls from 4 to 0.8 Mbit/s and rises again`, (at) => layers.capacity(at, { codec })],
    [`layers-constant-${codec}`, `${codec}: a link of 0.9 of what a layer needs`, (at) => layers.constant(at, { codec })],
    ...[0.02, 0.05].map((loss) => [`layers-loss-${loss * 100}-${codec}`, `${codec}: ${loss * 100} % random loss at 6 Mbit/s`, (at) => layers.randomLoss(at, { codec, loss })]),
    [`layers-ignored-${codec}`, `${codec}: from 4 to 0.8 Mbit/s, publisher that ignores keyframe requests`, (at) => layers.ignoredRequests(at, { codec })],
    [`layers-joins-${codec}`, `${codec}: a viewer of three layers joins`, (at) => layers.joins(at, { codec })],
  ]),
  ['layers-firefox-capacity', "Firefox: the viewer's link falls from 4 to 0.8 Mbit/s and rises again", (at) => layers.capacity({ ...at, viewers: at.firefox }, { codec: 'vp8' })],
  ['layers-firefox-loss', 'Firefox: 2 % random loss at 6 Mbit/s', (at) => layers.randomLoss({ ...at, viewers: at.firefox }, { codec: 'vp8', loss: 0.02 })],
];

const options = process.argv.slice(2);
const wanted = options.filter((word) => !word.startsWith('--'));
const runs = Number(options.find((word) => word.startsWith('--runs='))?.slice('--runs='.length) ?? 10);
const means = (name, row) => row === name || (row.startsWith('layers') && row.startsWith(name));
for (const name of wanted) {
  const all = [...TABLE, ...LAYERS].map(([row]) => row);
  if (!all.some((row) => means(name, row))) throw new Error(`no row is called ${name}: use ${all.join(' ')}`);
}
const chosen = wanted.length === 0 ? TABLE : [...TABLE, ...LAYERS].filter(([row]) => wanted.some((name) => means(name, row)));

const browser = await launchChromium([THREE_ENCODINGS]);
let firefox;
let failed = 0;
for (const [name, what, measure] of chosen) {
  const t = new Scope(name);
  console.log(`${name}: ${what}`);
  try {
    const wantsFirefox = name.includes('firefox');
    const relay = await Relay.start(t, { mediaHost: wantsFirefox ? '0.0.0.0' : '127.0.0.1' });
    const origin = await servePage(t, PROBE_PAGE);
    if (wantsFirefox) firefox ??= await Firefox.launch();
    const { seen, checks } = await measure({ t, relay, browser, firefox, origin, runs });
    console.log(`    ${seen}`);
    for (const { what, figure, limit, unit, passed } of checks) {
      console.log(`    ${passed ? 'pass' : 'FAIL'}  ${what}: ${figure} ${unit} (at most ${limit})`);
      failed += Number(!passed);
    }
  } catch (error) {
    console.log(`    FAIL  ${error.stack}`);
    failed += 1;
    t.passed = false;
  }
  await t.end();
}
await Promise.all([browser.close(), firefox?.close()]);
console.log(failed === 0 ? 'every row holds' : `${failed} requirements fail`);
process.exitCode = failed === 0 ? 0 : 1;
