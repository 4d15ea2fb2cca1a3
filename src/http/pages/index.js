// The first page: the name of a stream, the streams there are, and how other programs take part.

import { fetchStreams } from '/assets/api.js';
import { commands } from '/assets/commands.js';
import { addCopyButtons, element, tokens } from '/assets/page.js';
import { showStreams } from '/assets/streams.js';
import { makeTabs } from '/assets/tabs.js';
import { count } from '/assets/words.js';

const form = element('names');
const name = element('name');
const withToken = element('with-token');

function fill() {
  const stream = name.validity.valid ? name.value : 'demo';
  element('watch').href = `/watch/${stream}`;
  element('obs-token-field').classList.toggle('blank', !withToken.checked);
  for (const [id, text] of Object.entries(commands(location.origin, stream, withToken.checked ? 'TOKEN' : ''))) mark(element(id), text);
}

/** Writes a command, with the token's place shown. */
function mark(place, text) {
  const parts = text.split(/((?:WATCH_)?TOKEN)/).map((part) => {
    if (!part.endsWith('TOKEN')) return part;
    return Object.assign(document.createElement('mark'), { textContent: part });
  });
  place.replaceChildren(...parts);
}

const PROBLEMS = {
  admin: 'The list of streams is on the relay\'s admin address. Streams are published and watched by their names here all the same.',
  unreachable: 'The relay cannot be reached. Is it running, and are you online?',
};

function say(text) {
  if (element('none').textContent !== text) element('none').textContent = text;
  element('none').hidden = !text;
}

let guessed = false;
async function list() {
  const { streams, problem, status, tried } = await fetchStreams();
  element('token-form').hidden = problem !== 'token';
  showStreams(streams ?? []);
  const live = streams?.filter((stream) => stream.live).length;
  const heading = live ? `${count(live, 'stream')} live` : '';
  if (element('count').textContent !== heading) element('count').textContent = heading;
  if (problem === 'token') {
    // Where watching needs a token, publishing does too.
    if (!guessed) withToken.checked = guessed = true;
    fill();
    say(status === 403 ? 'This token does not open the list of streams. Use another.'
      : tried ? 'The relay does not know this token. Check it and try again.' : 'The list of streams needs a token.');
  } else {
    say(PROBLEMS[problem] ?? (streams.length ? '' : 'Nobody publishes now. Start a stream above, or from another program as shown below.'));
  }
  if (problem === 'admin') clearInterval(refreshed);
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  location.href = `/publish/${name.value}`;
});
element('watch').addEventListener('click', (event) => form.reportValidity() || event.preventDefault());
name.addEventListener('input', fill);
withToken.addEventListener('change', fill);
element('token-form').addEventListener('submit', (event) => {
  event.preventDefault();
  tokens.keep('list', element('token').value);
  element('token').value = '';
  list();
});

fill();
makeTabs(element('programs'));
addCopyButtons();
const refreshed = setInterval(() => document.hidden || list(), 2000);
document.addEventListener('visibilitychange', () => document.hidden || list());
list();
// Metrics may be on an address of their own.
fetch('/metrics', { method: 'HEAD' }).then((response) => (element('metrics').hidden = !response.ok), () => {});
