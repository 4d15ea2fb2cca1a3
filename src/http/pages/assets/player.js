// The video element of the watch page and its buttons: mute, full screen, picture in picture; made for phones too.

import { element } from './page.js';

const player = element('player');
const video = element('video');
const mute = element('unmute');
const fullscreen = element('fullscreen');
const float = element('float');

/** Plays `media`; where the browser wants a tap first (a phone that saves power), a button asks for it. */
export function play(media) {
  if (media && video.srcObject !== media) video.srcObject = media;
  video.play().then(() => (element('play').hidden = true), ({ name }) => (element('play').hidden = name !== 'NotAllowedError'));
}

function setMuted(muted) {
  video.muted = muted;
  mute.querySelector('span').textContent = muted ? 'Unmute' : 'Mute';
  mute.classList.toggle('primary', muted);
}

function toggleFullscreen() {
  const change = document.fullscreenElement ? document.exitFullscreen() : player.requestFullscreen?.() ?? video.webkitEnterFullscreen();
  change?.catch(() => {}); // refused without a click, or in a frame that does not allow it
}

function toggleFloat() {
  const change = document.pictureInPictureElement ? document.exitPictureInPicture() : video.requestPictureInPicture();
  change.catch(() => {}); // there is no frame yet
}

mute.addEventListener('click', () => setMuted(!video.muted));
element('play').addEventListener('click', () => play());
// The small window has a pause button of its own.
video.addEventListener('pause', () => (element('play').hidden = document.body.dataset.state !== 'live'));
video.addEventListener('playing', () => (element('play').hidden = true));
fullscreen.hidden = !(document.fullscreenEnabled || video.webkitEnterFullscreen);
fullscreen.addEventListener('click', toggleFullscreen);
float.hidden = !document.pictureInPictureEnabled;
float.addEventListener('click', toggleFloat);
video.addEventListener('dblclick', toggleFullscreen);

addEventListener('keydown', (event) => {
  if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'm') setMuted(!video.muted);
  if (event.key === 'f' && !fullscreen.hidden) toggleFullscreen();
  if (event.key === 'p' && !float.hidden) toggleFloat();
});

// The buttons hide while the pointer rests; the unmute button stays until it was used once.
let idle;
const stir = () => {
  player.classList.remove('idle');
  clearTimeout(idle);
  idle = setTimeout(() => !video.muted && document.body.dataset.state === 'live' && player.classList.add('idle'), 3000);
};
for (const event of ['pointermove', 'pointerdown', 'keydown']) addEventListener(event, stir);

setMuted(true);
