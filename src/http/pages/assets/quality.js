// The quality menu: which encoding of the video is shown, or none. The session's `layers` event lists the encodings, and WHEP's
// layer selection takes the choice. Events are read only when there is a reason to: a browser opens few connections to one host.

import { eachEvent, fetchEvents, linked, openEvents } from './events.js';
import { bearer } from './page.js';
import * as words from './words.js';

const RELATION = 'urn:ietf:params:whep:ext:core:layer';
const AUDIO = 'audio only'; // the value of the choice without video: no name of an encoding has a space
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
  #audioAlone = false; // no video arrives

  /** `session` has the addresses `events` and `layer`; `video` is the element that shows it. */
  constructor(menu, video, session, token) {
    this.#menu = menu;
    this.#video = video;
    this.#session = session;
    this.#token = token;
    this.#clear();
    if (!session.events || !session.layer) return;
    const { signal } = this.#ended;
    menu.addEventListener('change', () => this.#choose(), { signal });
    menu.addEventListener('focus', () => this.look(), { signal });
    video.addEventListener('resize', () => (this.#label(), this.look()), { signal });
    const timer = setInterval(() => document.hidden || this.look(), INTERVAL);
    signal.addEventListener('abort', () => clearInterval(timer));
    this.look();
  }

  /** Asks the relay which encodings there are now. */
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
    this.#clear();
  }

  /** Takes in whether audio arrives and no video. */
  tellAudioAlone(audioAlone) {
    if (audioAlone === this.#audioAlone || this.#ended.signal.aborted) return;
    this.#audioAlone = audioAlone;
    this.#label();
  }

  /** A new session begins without a choice. */
  #clear() {
    this.#menu.replaceChildren();
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
      // The relay does not know the rates of encodings that have just begun.
      if (layers.every(({ bitrate }) => bitrate)) enough.abort();
    });
  }

  #show(layers) {
    const { value, options } = this.#menu;
    this.#layers = layers;
    const rids = ['', ...layers.map(({ rid }) => rid), AUDIO];
    // An open menu stays as it is, but for its texts.
    const isNew = rids.length !== options.length || rids.some((rid, place) => rid !== options[place].value);
    if (isNew) {
      this.#menu.replaceChildren(...rids.map((rid) => new Option(rid, rid)));
      this.#menu.value = rids.includes(value) ? value : '';
    }
    this.#menu.hidden = layers.length < 2;
    this.#label();
    // What was chosen is not there any more.
    if (value && !this.#menu.value && layers.length) this.#choose();
  }

  /** Names the choices. What is shown is named beside Auto, and beside a chosen size that the network does not carry. */
  #label() {
    const { options, value } = this.#menu;
    const { videoWidth, videoHeight } = this.#video;
    const size = ({ width, height, rid }) => (width ? words.size(width, height) : rid);
    const isKnown = this.#layers.some(({ width, height }) => width === videoWidth && height === videoHeight);
    const shown = this.#audioAlone ? AUDIO : isKnown && words.size(videoWidth, videoHeight);
    options[0].text = shown && !value ? `Auto (${shown})` : 'Auto';
    this.#layers.forEach((layer, place) => {
      const isOther = layer.rid === value && shown && shown !== size(layer);
      const rate = layer.bitrate ? `, ${words.bitrate(layer.bitrate)}` : '';
      options[place + 1].text = `${size(layer)}${rate}${isOther ? ` (now ${shown})` : ''}`;
    });
    options[options.length - 1].text = 'Audio only';
  }

  async #choose() {
    const { value } = this.#menu;
    const chosen = value === AUDIO ? { audioOnly: true } : value && { rid: value };
    this.#label();
    try {
      const response = await fetch(this.#session.layer, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...bearer(this.#token) },
        body: JSON.stringify({ mediaId: this.#mediaId, ...chosen }),
      });
      if (!response.ok) throw new Error(`the relay answered ${response.status}`);
    } catch {
      // The relay goes on as before; the menu says so.
      if (this.#menu.value === value) this.#menu.value = '';
      this.#label();
    }
  }
}
