// The quality menu: which encoding of the video is shown. The relay tells what there is by the session's events and takes
// the choice by WHEP's layer selection. Events are read only when there is a reason to: a browser opens few connections to
// one host.

import { eachEvent, fetchEvents, linked, openEvents } from './events.js';
import { bearer } from './page.js';
import * as words from './words.js';

const RELATION = 'urn:ietf:params:whep:ext:core:layer';
const PATIENCE = 3000; // milliseconds to wait for the event
const INTERVAL = 15_000; // milliseconds after which the menu is brought up to date in any case

/** The address of the layer selection in a Link header; nothing if it has none. */
export const layerIn = (link) => linked(link, RELATION);

/** The menu of one session. It hides while there is nothing to choose. */
export class Quality {
  #menu;
  #video;
  #session;
  #token;
  #mediaId;
  #layers = []; // what can be chosen: `{rid, width, height, bitrate}`, the largest first
  #stream; // promise of where events are read
  #ended = new AbortController();
  #looking = false;

  /** `session` has the addresses `events` and `layer`; `video` is the element that shows it. */
  constructor(menu, video, session, token) {
    this.#menu = menu;
    this.#video = video;
    this.#session = session;
    this.#token = token;
    this.#show([]);
    if (!session.events || !session.layer) return;
    const { signal } = this.#ended;
    menu.addEventListener('change', () => this.#choose(), { signal });
    menu.addEventListener('focus', () => this.look(), { signal });
    video.addEventListener('resize', () => (this.#tellCurrent(), this.look()), { signal });
    const timer = setInterval(() => document.hidden || this.look(), INTERVAL);
    signal.addEventListener('abort', () => clearInterval(timer));
    this.look();
  }

  /** Asks the relay what there is now. */
  async look() {
    if (this.#looking || this.#ended.signal.aborted) return;
    this.#looking = true;
    try {
      await this.#read();
    } catch {
      // It is tried again with the next reason.
    } finally {
      this.#looking = false;
    }
  }

  /** The session is over. */
  end() {
    this.#ended.abort();
    this.#show([]);
  }

  async #read() {
    const enough = new AbortController();
    const signal = AbortSignal.any([this.#ended.signal, enough.signal, AbortSignal.timeout(PATIENCE)]);
    this.#stream ??= openEvents(this.#session.events, this.#token, ['layers']);
    let response;
    try {
      response = await fetchEvents(await this.#stream, this.#token, signal);
    } finally {
      if (!response && !signal.aborted) this.#stream = undefined;
    }
    await eachEvent(response, signal, (name, data) => {
      if (name !== 'layers') return;
      const [[mediaId, { layers }]] = Object.entries(JSON.parse(data));
      this.#mediaId = mediaId;
      this.#show(layers.filter(({ rid }, place) => rid && layers.findIndex((other) => other.rid === rid) === place));
      enough.abort();
    });
  }

  #show(layers) {
    const { value, options } = this.#menu;
    this.#layers = layers;
    const rids = ['', ...layers.map(({ rid }) => rid)];
    // An open menu stays as it is, but for its texts.
    const isNew = rids.length !== options.length || rids.some((rid, place) => rid !== options[place].value);
    if (isNew) {
      this.#menu.replaceChildren(...rids.map((rid) => new Option(rid || 'Auto', rid)));
      this.#menu.value = rids.includes(value) ? value : '';
    }
    const size = ({ width, height, rid }) => (width ? words.size(width, height) : rid);
    layers.forEach((layer, place) => (options[place + 1].text = `${size(layer)}, ${words.bitrate(layer.bitrate)}`));
    this.#menu.hidden = layers.length < 2;
    this.#tellCurrent();
    // What was chosen is not there any more.
    if (value && !this.#menu.value && layers.length) this.#choose();
  }

  /** The choice is the relay's, and what it has chosen is what is shown. */
  #tellCurrent() {
    const { videoWidth, videoHeight } = this.#video;
    const isKnown = this.#layers.some(({ width, height }) => width === videoWidth && height === videoHeight);
    this.#menu.options[0].text = isKnown ? `Auto (${words.size(videoWidth, videoHeight)})` : 'Auto';
  }

  async #choose() {
    const rid = this.#menu.value;
    try {
      const response = await fetch(this.#session.layer, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...bearer(this.#token) },
        body: JSON.stringify({ mediaId: this.#mediaId, ...(rid && { rid }) }),
      });
      if (!response.ok) throw new Error(`the relay answered ${response.status}`);
    } catch {
      // The relay goes on as before; the menu says so.
      if (this.#menu.value === rid) this.#menu.value = '';
    }
  }
}
