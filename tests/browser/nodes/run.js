// Measures the rows and prints the table: `tests/nodes`, or some rows by their beginnings: `tests/nodes directory origin-gone-kill`.
// `tests/nodes core` measures the short rows that tests/run measures too.

import { launchChromium } from '../support/chromium.js';
import { servePage } from '../support/http_server.js';
import { inside } from '../support/network.js';
import { PROBE_PAGE } from '../support/probe.js';
import { Scope } from '../support/table.js';
import { FAILURES } from './cluster.js';
import * as drains from './drains.js';
import * as failures from './failures.js';
import { Missing } from './figures.js';
import { readme } from './readme.js';
import { rolling } from './rolling.js';
import * as sessions from './sessions.js';
import { crowd } from './crowd.js';
import * as directory from './directory.js';

/** What a row needs: a sentence, and whether it is there. */
const EARLIER = { what: 'RELAY_BINARY_BEFORE names the program of an earlier commit', isThere: Boolean(process.env.RELAY_BINARY_BEFORE) };

/** Rows for each way of failing. */
const each = (name, event, measure) =>
  Object.entries(FAILURES).map(([way, { name: how }]) => [`${name}-${way}`, `${event} (${how})`, (at) => measure(at, { way })]);

const TABLE = [
  ['readme', 'the lines of README, More than one machine', readme],
  ['session', 'the URLs of a session are asked at another node', (at) => sessions.elsewhere(at)],
  ...each('session-gone', 'the same, its node gone', sessions.elsewhereGone),
  ...each('origin', 'origin gone, its encoder posts to another node 1 s later', failures.originGone),
  ...each('standby', 'origin gone, a standby publisher on another node', failures.standby),
  ...each('edge', 'edge gone', failures.edgeGone),
  ...each('middle', 'middle node gone', failures.middleGone),
  ...each('directory', 'directory gone for 60 s', (at, { way }) => directory.directoryGone(at, { way, seconds: 60 })),
  ...each('directory-3', 'three servers of the directory gone for 60 s', (at, { way }) => directory.directoryGone(at, { way, seconds: 60, servers: 3 })),
  ...each('leader', 'leader of three servers of the directory gone', directory.leaderGone),
  ['directory-node-cut', 'one node cut off from the directory for 30 s', (at) => directory.nodeCut(at, { seconds: 30 })],
  ['directory-origin-cut', 'origin cut off from the directory, another node claims its stream', (at) => directory.originCut(at)],
  ['drain-edge', 'SIGTERM of an edge with 200 viewers', (at) => drains.edgeDrains(at)],
  ['drain-middle', 'SIGTERM of a middle node', (at) => drains.middleDrains(at)],
  ['drain-origin', 'SIGTERM of an origin', (at) => drains.originDrains(at)],
  ['drain-two', 'SIGTERM of two nodes at once, one below the other', (at) => drains.twoDrain(at)],
  ['rolling', 'nodes of an earlier commit and of this one, changed one after the other', (at) => rolling(at, process.env.RELAY_BINARY_BEFORE), EARLIER],
  ['crowd', '2,000 viewers join an edge in 10 s for a stream that it does not carry', (at) => crowd(at)],
];

const CORE = [
  ['core-readme', 'the lines of README, More than one machine', readme],
  ['core-origin', 'origin gone, its encoder posts to another node 1 s later (kill -9)', (at) => failures.originGone(at, { way: 'kill' })],
  ['core-directory', 'directory gone for 4 s (kill -9)', (at) => directory.directoryGone(at, { way: 'kill', seconds: 4 })],
];

const wanted = process.argv.slice(2);
const means = (word, name) => name.startsWith(word);
for (const word of wanted) {
  const all = [...TABLE, ...CORE].map(([name]) => name);
  if (!all.some((name) => means(word, name))) throw new Error(`no row is called ${word}: use ${all.join(' ')}`);
}
const chosen = wanted.length === 0 ? TABLE : [...TABLE, ...CORE].filter(([name]) => wanted.some((word) => means(word, name)));

const columns = (...cells) => console.log(cells.map((cell, place) => String(cell).padEnd([86, 74, 10, 7][place])).join(' ').trimEnd());

const required = ({ what, limit, unit }) => (limit === undefined ? what : `${what}: ${limit ? 'at most ' : ''}${limit} ${unit}`);

inside(process, ['ip link set lo up']);
const browser = await launchChromium();
const page = new Scope('page');
const origin = await servePage(page, PROBE_PAGE);
const counts = { holds: 0, fails: 0, skipped: 0 };
columns('event', 'must be', 'measured', 'ok');
for (const [name, event, measure, need] of chosen) {
  if (need && !need.isThere) {
    columns(`${name}: ${event}`, need.what, 'no', 'skipped');
    counts.skipped += 1;
    continue;
  }
  const t = new Scope(name);
  try {
    for (const [place, check] of (await measure({ t, browser, origin })).entries()) {
      t.passed &&= check.passed;
      columns(place === 0 ? `${name}: ${event}` : '', required(check), `${check.figure} ${check.unit ?? ''}`, check.passed ? 'ok' : 'FAIL');
    }
    counts[t.passed ? 'holds' : 'fails'] += 1;
  } catch (error) {
    const isMissing = error instanceof Missing;
    columns(`${name}: ${event}`, isMissing ? error.message : 'it can be measured', 'no', isMissing ? 'skipped' : 'FAIL');
    if (!isMissing) console.log(error.stack, error.cause ?? '');
    t.passed = isMissing;
    counts[isMissing ? 'skipped' : 'fails'] += 1;
  }
  await t.end();
}
await browser.close();
await page.end();
console.log(`${counts.holds} rows hold, ${counts.fails} fail, ${counts.skipped} are skipped`);
process.exitCode = counts.fails === 0 && counts.skipped === 0 ? 0 : 1;
