import { addCopyButtons, bearer, element, tokens } from '/assets/page.js';

const form = element('names');
const name = element('name');
const watch = element('watch');

function fill() {
  const stream = name.validity.valid ? name.value : 'demo';
  const whip = `${location.origin}/whip/${stream}`;
  const encode = '-c:v libx264 -preset veryfast -tune zerolatency -profile:v baseline -bf 0 -g 60 -pix_fmt yuv420p '
    + '-c:a libopus -ar 48000 -ac 2';
  watch.href = `/watch/${stream}`;
  element('whip').textContent = whip;
  element('whep').textContent = `${location.origin}/whep/${stream}`;
  element('ffmpeg-test').textContent = 'ffmpeg -re -f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=frequency=440 '
    + `${encode} -f whip ${whip}`;
  element('ffmpeg-file').textContent = `ffmpeg -re -stream_loop -1 -i video.mp4 ${encode} -f whip ${whip}`;
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  location.href = `/publish/${name.value}`;
});
watch.addEventListener('click', (event) => {
  if (form.reportValidity()) return;
  event.preventDefault();
});
name.addEventListener('input', fill);

element('token-form').addEventListener('submit', (event) => {
  event.preventDefault();
  tokens.keep('watch', element('token').value);
  list();
});

function row({ name, live, viewers, codecs }) {
  const item = document.createElement('li');
  const add = (tag, className, text) => {
    const child = document.createElement(tag);
    child.className = className;
    child.textContent = text;
    item.append(child);
    return child;
  };
  add('span', live ? 'dot live' : 'dot', '');
  add('span', 'name', name);
  const watching = viewers === 1 ? '1 viewer' : `${viewers} viewers`;
  add('span', 'facts quiet', live ? `${codecs.join(', ')}, ${watching}` : `waits for a publisher, ${watching}`);
  add('a', 'button small', 'Watch').href = `/watch/${name}`;
  return item;
}

let shown = '';
async function list() {
  try {
    const response = await fetch('/api/streams', { headers: bearer(tokens.read('watch')) });
    const refused = response.status === 401 || response.status === 403;
    element('token-form').hidden = !refused;
    const streams = response.ok ? await response.json() : [];
    const text = JSON.stringify(streams);
    // A list that has not changed is left alone: somebody may be about to click.
    if (text !== shown) element('streams').replaceChildren(...streams.map(row));
    shown = text;
    element('none').hidden = streams.length > 0 || refused;
    element('none').textContent = 'None yet.';
  } catch {
    element('none').hidden = false;
    element('none').textContent = 'The relay cannot be reached.';
  }
}

fill();
addCopyButtons();
list();
setInterval(() => document.hidden || list(), 2000);
// Metrics may be on an address of their own.
fetch('/metrics', { method: 'HEAD' }).then((response) => (element('metrics').hidden = !response.ok), () => {});
