// The lines of README, "More than one machine", run as they are.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';

import { Page } from '../support/chromium.js';
import { Child } from '../support/child.js';
import { BINARY } from '../support/relay.js';
import { until } from '../support/until.js';
import { NATS_SERVER } from './cluster.js';
import { holds } from './figures.js';

const README = new URL('../../../README.md', import.meta.url).pathname;
const PATH = `${dirname(BINARY)}:${dirname(NATS_SERVER)}:${process.env.PATH}`;

/** Three nodes and a NATS server, started, published to and asked by these lines. */
export async function readme({ t, browser }) {
  const [, section] = /^## More than one machine\n(.*?)^## /ms.exec(readFileSync(README, 'utf8'));
  const [starts, asks] = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, lines]) => lines);
  const [publish, watch] = ['publish', 'watch'].map((what) => new RegExp(`http:\\S+/${what}/[^\`]+`).exec(section)[0]);
  // The programs end with their namespace, and so do the files that they leave in /tmp.
  const alone = ['--pid', '--kill-child', '--mount', '--fork', 'bash', '-euc'];
  const child = new Child('unshare', [...alone, `mount -t tmpfs none /tmp\n${starts}\nwait`], { env: { PATH } });
  t.after(async () => {
    await child.stop('SIGKILL');
    if (!t.passed) t.diagnostic(child.output.slice(-3000));
  });
  await until('the first node answers', async () => (await fetch(new URL('/readyz', publish))).ok);
  const page = await Page.open(t, browser, publish);
  await page.says('live');
  const viewer = await Page.open(t, browser, watch);
  const { inbound } = await viewer.framesDecoded(10);
  const [nodes, streams] = await until('the other nodes list three nodes and the stream', () => {
    const answers = asks.trim().split('\n').map((line) => JSON.parse(execFileSync('bash', ['-euc', line], { encoding: 'utf8', stdio: 'pipe' })));
    return answers[0].length === 3 && answers[1].length === 1 && answers;
  });
  return [
    holds('a viewer at the second node has frames', inbound.video.framesDecoded >= 10),
    holds('the second node lists all three', new Set(nodes.map(({ url }) => url)).size === 3),
    holds('the third node lists the stream of the first', streams[0].name === 'cam' && streams[0].url === new URL(publish).origin),
    holds('there are at most ten lines', `${starts}${asks}`.trim().split('\n').length <= 10),
  ];
}
