// The first page: the name of a stream, the streams there are, and how other programs take part.

import { fetchStreams } from './api.js';
import { commands } from './commands.js';
import { addCopyButtons, element, relay, tokens } from './page.js';
import { showStreams } from './streams.js';
import { makeTabs } from './tabs.js';
import { count, sentence } from './words.js';

const form = element('names');
const name = element('name');
const withToken = element('with-token');

function fill() {
  const stream = name.validity.valid ? name.value : 'demo';
  element('watch').href = `${relay}/watch/${stream}`;
  element('obs-token-field').classList.toggle('blank', !withToken.checked);
  for (const [id, text] of Object.entries(commands(relay, stream, withToken.checked ? 'TOKEN' : ''))) mark(element(id), text);
}

/** Writes a command, with the token's place shown. */
function mark(place, text) {
  const parts = text.split(/((?:WATCH_)?TOKEN)/).map((part) => {
    if (!part.endsWith('TOKEN')) return part;
    return Object.assign(document.createElement('mark'), { textContent: part });
  });
  place.replaceChildren(...parts);
}

const BY_NAME = 'You can still publish and watch a stream by its name: enter one above.';

/** Why there is no list, as text for the user. */
function explain({ problem, status, tried, detail }) {
  if (problem === 'unreachable') return 'The relay cannot be reached. Is it running, and are you online?';
  if (problem === 'admin') return `The list of streams is on the relay's admin address. ${BY_NAME}`;
  if (status === 403) return `${sentence(detail || 'This token does not open the list of streams')} ${BY_NAME}`;
  return tried ? 'The relay does not accept this token. Check it and try again.' : `The list of streams needs the admin token. ${BY_NAME}`;
}

const NOBODY = 'No stream is live. Start one above, or from another program as shown below.';

function say(place, text) {
  if (place.textContent !== text) place.textContent = text;
  place.hidden = !text;
}

let refreshed; // the timer of the list, while there is one to be had
async function list() {
  const answer = await fetchStreams();
  const { streams = [], problem } = answer;
  showStreams(streams);
  const live = streams.filter((stream) => stream.live).length;
  say(element('count'), live ? `${count(live, 'stream')} live` : '');
  say(element('none'), problem ? explain(answer) : streams.length ? '' : NOBODY);
  const needsToken = problem === 'token';
  // Visitors do not see the form for administrators: it opens by its link.
  const isAsked = location.hash === '#administrator' || answer.tried;
  element('administrator').hidden = !needsToken || isAsked;
  element('token-form').hidden = !needsToken || !isAsked;
  if (!needsToken && problem !== 'admin') return;
  clearInterval(refreshed);
  // If the list needs a token, publishing does too.
  if (needsToken && !answer.tried) withToken.checked = true;
  fill();
}

function follow() {
  clearInterval(refreshed);
  refreshed = setInterval(() => document.hidden || list(), 2000);
  list();
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  location.href = `${relay}/publish/${name.value}`;
});
element('watch').addEventListener('click', (event) => form.reportValidity() || event.preventDefault());
name.addEventListener('input', fill);
withToken.addEventListener('change', fill);
element('token-form').addEventListener('submit', (event) => {
  event.preventDefault();
  tokens.keep('admin', element('token').value);
  element('token').value = '';
  follow();
});

addEventListener('hashchange', async () => {
  await list();
  if (!element('token-form').hidden) element('token').focus();
});

fill();
makeTabs(element('programs'));
addCopyButtons();
follow();
document.addEventListener('visibilitychange', () => document.hidden || list());
// Metrics may be on an address of their own.
fetch(`${relay}/metrics`, { method: 'HEAD' }).then((response) => (element('metrics').hidden = !response.ok), () => {});
