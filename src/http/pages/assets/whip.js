// A session with the relay, the same for WHIP and WHEP: POST an offer, take the answer, DELETE at the end.

import { fetchEnding } from './api.js';
import { eventsIn } from './events.js';
import { learnServers } from './ice.js';
import { bearer } from './page.js';
import { layerIn } from './quality.js';

/** The relay refused a request. `status` is 0 if it could not be reached. */
export class Refused extends Error {
  constructor(status, detail, retryAfter) {
    super(detail);
    this.status = status;
    /** Seconds to wait, if the relay named a time (Retry-After). */
    this.retryAfter = retryAfter;
  }
}

const same = (sdp) => sdp;

export class Session {
  #location;
  #token;
  #closing; // the promise of the DELETE, so that every caller of close waits for it
  /** Where its events are read, if the relay has any. */
  events;
  /** Where the layer of its video is selected, if the relay can. */
  layer;

  /** Connects `peer`, whose transceivers are set up, through `endpoint`. Throws Refused. */
  static async open(peer, endpoint, token, { shapeOffer = same, shapeAnswer = same } = {}) {
    const offer = await peer.createOffer();
    await peer.setLocalDescription({ type: 'offer', sdp: shapeOffer(offer.sdp) });
    // Candidates need not be waited for: the relay answers to where checks come from.
    const response = await request(endpoint, {
      method: 'POST',
      headers: { 'Content-Type': 'application/sdp', ...bearer(token) },
      body: peer.localDescription.sdp,
    });
    learnServers(response.headers.get('Link'));
    const session = new Session();
    session.#location = new URL(response.headers.get('Location'), endpoint).href;
    session.#token = token;
    const [events, layer] = [eventsIn, layerIn].map((find) => find(response.headers.get('Link')));
    session.events = events && new URL(events, endpoint).href;
    session.layer = layer && new URL(layer, endpoint).href;
    if (peer.signalingState === 'closed') {
      session.close();
      throw new DOMException('stopped meanwhile', 'AbortError');
    }
    try {
      await peer.setRemoteDescription({ type: 'answer', sdp: shapeAnswer(await response.text()) });
    } catch (error) {
      session.close();
      throw error;
    }
    return session;
  }

  /** Ends the session; works while the page is being left, too. Resolves at the relay's answer, or after a second. */
  close() {
    this.#closing ??= this.#delete();
    return this.#closing;
  }

  async #delete() {
    if (!this.#location) return;
    const location = this.#location;
    this.#location = undefined;
    const deleted = fetch(location, { method: 'DELETE', keepalive: true, headers: bearer(this.#token) });
    await Promise.race([deleted.catch(() => {}), new Promise((resolve) => setTimeout(resolve, 1000))]);
  }

  /** The number of viewers of this session's stream; nothing if the relay does not answer. */
  async viewers() {
    if (!this.#location) return undefined;
    try {
      const response = await fetch(`${this.#location}/stream`, { headers: bearer(this.#token), cache: 'no-store' });
      return response.ok ? (await response.json()).viewers : undefined;
    } catch {
      return undefined;
    }
  }

  /** The relay has ended the session, so there is nothing to delete. Resolves to the reason, if the relay gives it. */
  async ended() {
    const id = this.#location.split('/').pop();
    this.#location = undefined;
    return fetchEnding(id);
  }
}

async function request(url, options) {
  let response;
  try {
    response = await fetch(url, { ...options, cache: 'no-store', signal: AbortSignal.timeout(10_000) });
  } catch {
    throw new Refused(0, 'The relay cannot be reached.');
  }
  if (response.status === 201) return response;
  const problem = await response.json().catch(() => ({}));
  const retryAfter = Number(response.headers.get('Retry-After')) || undefined;
  throw new Refused(response.status, problem.detail ?? `The relay answered ${response.status}.`, retryAfter);
}
