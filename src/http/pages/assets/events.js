// Why no media arrives: the session's events (WHEP, server-sent events) say whether the publisher has ended the stream
// or is lost. They are read only while no media arrives, because a browser opens few connections to one host.

import { bearer } from './page.js';

const RELATION = 'urn:ietf:params:whep:ext:core:server-sent-events';

/** The address of the session's events in a Link header; nothing if it has none. */
export const eventsIn = (link) => new RegExp(`<([^>]+)>[^<]*rel="${RELATION}"`).exec(link ?? '')?.[1];

/** The events of one session. */
export class PublisherEvents {
  #address;
  #token;
  #tell;
  #stream; // promises where they are read
  #reading; // aborts what is under way

  /** Calls `tell` with "active", "ended" or "lost" while it listens. */
  constructor(address, token, tell) {
    this.#address = address;
    this.#token = token;
    this.#tell = tell;
  }

  /** Listens until `rest` is called. */
  listen() {
    if (this.#reading || !this.#address) return;
    const reading = this.#reading = new AbortController();
    this.#read(reading.signal).catch(() => {}).finally(() => {
      // It is tried again the next time that no media arrives.
      if (this.#reading === reading) this.#reading = undefined;
    });
  }

  rest() {
    this.#reading?.abort();
    this.#reading = undefined;
  }

  async #read(signal) {
    this.#stream ??= this.#open();
    const headers = { Accept: 'text/event-stream', ...bearer(this.#token) };
    let response;
    try {
      response = await fetch(await this.#stream, { headers, cache: 'no-store', signal });
    } finally {
      if (!response?.ok && !signal.aborted) this.#stream = undefined;
    }
    if (!response.ok) return;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return;
      const blocks = (text + value).split('\n\n');
      text = blocks.pop();
      for (const block of blocks) this.#take(block);
    }
  }

  async #open() {
    const headers = { 'Content-Type': 'application/json', ...bearer(this.#token) };
    const response = await fetch(this.#address, { method: 'POST', headers, body: '["active","inactive"]' });
    if (response.status !== 201) throw new Error(`the relay answered ${response.status}`);
    return new URL(response.headers.get('Location'), this.#address).href;
  }

  #take(block) {
    const field = (name) => new RegExp(`^${name}: ?(.*)$`, 'm').exec(block)?.[1];
    const name = field('event');
    if (name === 'active') this.#tell('active');
    if (name === 'inactive') this.#tell(JSON.parse(field('data') || '{}').reason === 'ended' ? 'ended' : 'lost');
  }
}
