// Plays the rounds of the named clients, or all, and prints a row for each client in each round; see `run`.

import { setTimeout as delay } from 'node:timers/promises';

import { clients, rounds } from './rounds.js';
import { Scene } from './support/scene.js';
import { until } from '../browser/support/until.js';

const COLUMNS = [['publisher', 16], ['client', 26], ['role', 10], ['codecs', 14], ['srtp', 16], ['first media', 12], ['result', 0]];
const line = (cells) => console.log(cells.map((cell, at) => String(cell).padEnd(COLUMNS[at][1])).join(' ').trimEnd());

let passed = 0;
let failed = 0;

/** One client in a round: the facts of its row. */
class Row {
  constructor(participant, came = '') {
    Object.assign(this, { participant, came, codecs: [], text: 'was not reached' });
  }

  print(publisher, scene) {
    const { client, role } = this.participant;
    const { created, firstMedia } = scene.moments(this.session?.[0]);
    // There is nothing to see before the publisher has joined.
    const since = this.came === 'early' ? scene.moments(publisher.session?.[0]).created : created;
    const took = (!this.came && this.firstMedia) || Math.round(firstMedia - since);
    const ok = this.error === undefined && this.proved;
    ok ? (passed += 1) : (failed += 1);
    const name = this.came ? `${client} (${this.came})` : client;
    const result = ok ? `ok: ${this.text}` : `FAILED: ${this.error?.message ?? this.text}`;
    line([publisher.participant.client, name, role, this.codecs.join('+'), this.session?.[2] ?? '', took ? `${took} ms` : '', result]);
  }
}

async function play(round) {
  const { publisher, early = [], viewers = [], takeover, stay } = round;
  const scene = new Scene(`${round.of} ${rounds.indexOf(round)}`, publisher, round.loss);
  const rows = {
    early: early.map((viewer) => new Row(viewer, 'early')), publisher: new Row(publisher),
    viewers: viewers.map((viewer) => new Row(viewer)), takeover: takeover ? [new Row(takeover, 'again')] : [],
  };
  const all = [rows.publisher, ...rows.early, ...rows.viewers, ...rows.takeover];
  let current;
  const begin = async (row) => {
    current = row;
    const before = scene.connected().length;
    await row.participant.begin(scene);
    row.session = await until('its session is connected', () => scene.connected()[before]);
  };
  const prove = async (row) => {
    current = row;
    const { text, codecs = [], firstMedia } = await row.participant.prove(scene);
    Object.assign(row, { text, firstMedia, codecs: codecs.length > 0 ? codecs : await scene.codecs() });
    row.proved = true;
  };
  try {
    await scene.open();
    for (const row of rows.early) await begin(row);
    await begin(rows.publisher);
    await scene.mediaComesIn();
    await prove(rows.publisher);
    for (const row of rows.early) await prove(row);
    for (const row of rows.viewers) {
      await begin(row);
      await prove(row);
    }
    if (stay) {
      await delay(stay * 1000);
      for (const viewer of [...rows.early, ...rows.viewers]) {
        current = viewer;
        if (scene.wasPaused(viewer.session[0])) throw new Error(`it was paused within ${stay} s although it was there`);
        await viewer.participant.more();
        viewer.text += `, and more after ${stay} s`;
      }
    }
    for (const row of rows.takeover) {
      current = rows.publisher;
      await publisher.kill();
      await begin(row);
      await prove(row);
      for (const viewer of [...rows.early, ...rows.viewers]) {
        current = viewer;
        await viewer.participant.more();
        viewer.text += ', and more after the takeover';
      }
    }
    for (const row of [...rows.viewers, ...rows.early, ...(takeover ? rows.takeover : [rows.publisher])]) {
      current = row;
      await row.participant.end();
    }
    await until('the relay has no session left', async () => (await scene.sessions('viewer')) + (await scene.sessions('publisher')) === 0, { timeout: 15_000 });
    current = undefined;
    const warnings = scene.warnings();
    if (warnings.length > 0) throw new Error(`the relay warns: ${warnings[0]}`);
    scene.passed = true;
  } catch (error) {
    (current ?? rows.publisher).error = error;
    scene.diagnostic(error.stack);
  }
  await scene.close();
  for (const row of all) row.print(rows.publisher, scene);
  if (!scene.passed) console.log(scene.diagnostics.join('\n').replace(/^/gm, '    '));
}

const [option, ...rest] = process.argv.slice(2);
const names = option === '--needed' ? rest : process.argv.slice(2);
const known = ['core', ...new Set(rounds.map(({ of }) => of))];
const unknown = names.find((name) => !known.includes(name));
if (unknown) {
  console.log(`no client is called ${unknown}: use ${known.join(' ')}`);
  process.exit(64);
}
const chosen = rounds.filter(({ of, core, rare }) => (names.length === 0 && !rare) || names.includes(of) || (core && names.includes('core')));
if (option === '--needed') {
  const all = chosen.flatMap(({ publisher, early = [], viewers = [], takeover = [] }) => [publisher, early, viewers, takeover].flat());
  console.log([...new Set(all.map(({ client }) => client))].join('\n'));
  process.exit();
}
line(COLUMNS.map(([title]) => title));
for (const round of chosen) await play(round);
await Promise.all(Object.values(clients).map((client) => client.close?.()));
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
