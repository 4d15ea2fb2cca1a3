// Why no media arrives: the session's events (WHEP, server-sent events) say whether the publisher has ended the stream
// or is lost. They are read only while no media arrives, because a browser opens few connections to one host.
//
// Behind a load balancer the request for them also shows whether the session's relay is gone: it is answered 404, or not at
// all while another relay answers other requests.

import { bearer, pause, relay } from './page.js';

const ANSWER = 700; // how long (milliseconds) the session's relay may take to answer, if others answer meanwhile
const AGAIN = 200; // milliseconds until others are asked again

const RELATION = 'urn:ietf:params:whep:ext:core:server-sent-events';

/** The address of this relation in a Link header; nothing if it has none. */
export const linked = (link, relation) => new RegExp(`<([^>]+)>[^<]*rel="${relation}"`).exec(link ?? '')?.[1];

/** The address of the session's events in a Link header; nothing if it has none. */
export const eventsIn = (link) => linked(link, RELATION);

/** Makes an event stream with the events of these names; resolves to where it is read. */
export async function openEvents(address, token, names) {
  const headers = { 'Content-Type': 'application/json', ...bearer(token) };
  const response = await fetch(address, { method: 'POST', headers, body: JSON.stringify(names) });
  if (response.status !== 201) throw new Unanswered(response);
  return new URL(response.headers.get('Location'), address).href;
}

/** Begins to read an event stream. */
export async function fetchEvents(stream, token, signal) {
  const headers = { Accept: 'text/event-stream', ...bearer(token) };
  const response = await fetch(stream, { headers, cache: 'no-store', signal });
  if (!response.ok) throw new Unanswered(response);
  return response;
}

/** The relay answered something else than events. */
class Unanswered extends Error {
  constructor({ status }) {
    super(`the relay answered ${status}`);
    this.status = status;
  }
}

/** Resolves when a relay answers at the address of the page. */
async function otherAnswers(signal) {
  while (!signal.aborted) {
    const within = AbortSignal.any([signal, AbortSignal.timeout(ANSWER)]);
    const answers = await fetch(`${relay}/`, { method: 'HEAD', cache: 'no-store', signal: within }).then(({ ok }) => ok, () => false);
    if (answers) return;
    await pause(AGAIN, signal);
  }
}

/** Calls `take` with the name and the data of each event, until the relay ends the stream or `signal` the reading. */
export async function eachEvent(response, signal, take) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done || signal.aborted) return;
    const blocks = (text + value).split('\n\n');
    text = blocks.pop();
    for (const block of blocks) {
      const field = (name) => new RegExp(`^${name}: ?(.*)$`, 'm').exec(block)?.[1];
      if (field('event')) take(field('event'), field('data') || '{}');
    }
  }
}

/** The events of one session. */
export class PublisherEvents {
  #address;
  #token;
  #tell;
  #stream; // promises where they are read
  #reading; // aborts what is under way

  /** Calls `tell` with "active", "ended", "lost" or, about the session's relay, "gone" while it listens. */
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
    this.#stream ??= openEvents(this.#address, this.#token, ['active', 'inactive']);
    const waiting = new AbortController();
    this.#doubt(AbortSignal.any([signal, waiting.signal]));
    let response;
    try {
      response = await fetchEvents(await this.#stream, this.#token, signal);
    } catch (error) {
      if (error.status === 404 && !signal.aborted) this.#tell('gone');
      throw error;
    } finally {
      waiting.abort();
      if (!response && !signal.aborted) this.#stream = undefined;
    }
    await eachEvent(response, signal, (name, data) => {
      if (name === 'active') this.#tell('active');
      if (name === 'inactive') this.#tell(JSON.parse(data).reason === 'ended' ? 'ended' : 'lost');
    });
  }

  /** Tells that the relay is gone if it does not answer until `signal` aborts, and another one does. */
  async #doubt(signal) {
    await pause(ANSWER, signal);
    await otherAnswers(signal);
    if (!signal.aborted) this.#tell('gone');
  }
}
