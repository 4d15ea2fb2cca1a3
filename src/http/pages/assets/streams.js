// The list of streams on the first page. A row is changed, not replaced: the user may be about to click.

import { element, relay } from './page.js';
import * as words from './words.js';

const rows = new Map(); // by the stream's name

/** Shows these streams, those that are live first. */
export function showStreams(streams) {
  const sorted = [...streams].sort((one, other) => other.live - one.live || one.name.localeCompare(other.name));
  for (const [name, row] of rows) {
    if (sorted.some((stream) => stream.name === name)) continue;
    row.item.remove();
    rows.delete(name);
  }
  sorted.forEach((stream, index) => {
    const row = rows.get(stream.name) ?? newRow(stream.name);
    rows.set(stream.name, row);
    fill(row, stream);
    const list = element('streams');
    if (list.children[index] !== row.item) list.insertBefore(row.item, list.children[index] ?? null);
  });
}

function newRow(name) {
  const item = element('stream-row').content.firstElementChild.cloneNode(true);
  const parts = Object.fromEntries([...item.querySelectorAll('[data-part]')].map((part) => [part.dataset.part, part]));
  parts.name.textContent = name;
  parts.watch.href = `${relay}/watch/${name}`;
  parts.watch.setAttribute('aria-label', `Watch ${name}`);
  return { item, parts };
}

function fill({ item, parts }, { live, viewers, codecs, seconds, tracks = [] }) {
  const video = tracks.find(({ kind }) => kind === 'video');
  const bits = tracks.reduce((sum, track) => sum + (track.bits_per_second ?? 0), 0);
  item.classList.toggle('live', live);
  const texts = {
    media: live ? [video?.width && words.size(video.width, video.height), ordered(codecs).join(' + ')].filter(Boolean).join(', ')
      : 'Waiting for a publisher',
    bitrate: live && tracks.length ? words.bitrate(bits) : '',
    viewers: words.count(viewers, 'viewer'),
    time: live && seconds !== undefined ? `live for ${words.duration(seconds)}` : '',
  };
  for (const [part, text] of Object.entries(texts)) if (parts[part].textContent !== text) parts[part].textContent = text;
}

const AUDIO = /opus|g722|pcm/i;

/** The names of the codecs, that of the video first. */
const ordered = (codecs) => [...codecs].sort((one, other) => AUDIO.test(one) - AUDIO.test(other)).map(words.codec);
