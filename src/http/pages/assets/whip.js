// A session with the relay, the same for WHIP and WHEP: POST an offer, take the answer, PATCH to restart ICE, DELETE at the
// end.

import { fetchEnding } from './api.js';
import { eventsIn } from './events.js';
import { serversIn } from './ice.js';
import { bearer, pause } from './page.js';
import { Ending } from './problems.js';
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

const FRAGMENT = 'application/trickle-ice-sdpfrag';
const AGAIN = 500; // milliseconds until a restart is asked for again that did not reach the relay

export class Session {
  #location;
  #token;
  #peer;
  #shapeOffer;
  #closing; // the promise of the DELETE, so that every caller of close waits for it
  /** Where its events are read, if the relay has any. */
  events;
  /** Where the layer of its video is selected, if the relay can. */
  layer;

  /** Connects `peer`, whose transceivers are set up, through `endpoint`. Throws Refused. */
  static async open(peer, endpoint, token, { shapeOffer = same, shapeAnswer = same } = {}) {
    const offer = await peer.createOffer();
    const sdp = shapeOffer(offer.sdp);
    // The offer names no candidates: the relay answers to where checks come from.
    const response = await request(endpoint, {
      method: 'POST',
      headers: { 'Content-Type': 'application/sdp', ...bearer(token) },
      body: sdp,
    });
    const session = new Session();
    // A node of a cluster that is full redirects to another one.
    const answered = response.url || endpoint;
    session.#location = new URL(response.headers.get('Location'), answered).href;
    session.#token = token;
    session.#peer = peer;
    session.#shapeOffer = shapeOffer;
    const [events, layer] = [eventsIn, layerIn].map((find) => find(response.headers.get('Link')));
    session.events = events && new URL(events, answered).href;
    session.layer = layer && new URL(layer, answered).href;
    if (peer.signalingState === 'closed') {
      session.close();
      throw new DOMException('stopped meanwhile', 'AbortError');
    }
    try {
      // The answer names servers, so candidates are gathered from here on.
      peer.setConfiguration({ ...peer.getConfiguration(), iceServers: serversIn(response.headers.get('Link')) });
      await peer.setLocalDescription({ type: 'offer', sdp });
      await peer.setRemoteDescription({ type: 'answer', sdp: shapeAnswer(await response.text()) });
    } catch (error) {
      session.close();
      throw error;
    }
    return session;
  }

  /**
   * Restarts ICE (RFC 9725, 4.3.2): the session continues from the network that the browser has now. Asks again until
   * `signal` aborts while the relay cannot be reached or is busy. Throws Refused, for example if the session has ended.
   */
  async restart(signal) {
    const peer = this.#peer;
    const { sdp } = await peer.createOffer({ iceRestart: true });
    await peer.setLocalDescription({ type: 'offer', sdp: this.#shapeOffer(sdp) });
    const credentials = ['ice-ufrag', 'ice-pwd'].map((name) => lines(peer.localDescription.sdp, name)[0]);
    while (!signal.aborted) {
      try {
        const response = await request(this.#location, {
          method: 'PATCH',
          headers: { 'Content-Type': FRAGMENT, 'If-Match': '*', ...bearer(this.#token) },
          body: credentials.join(''),
        });
        const answer = restarted(peer.remoteDescription.sdp, await response.text());
        if (!signal.aborted) await peer.setRemoteDescription({ type: 'answer', sdp: answer });
        return;
      } catch (error) {
        if (![0, 429, 503].includes(error.status)) throw error;
        await pause(error.retryAfter ? error.retryAfter * 1000 : AGAIN, signal);
      }
    }
  }

  /** Ends the session; works while the page is being left, too. Resolves at the relay's answer, or after a second. */
  close() {
    this.#closing ??= this.#delete();
    return this.#closing;
  }

  /** Resolves to what the relay answers: `{explanation}` if it can tell why no media has passed. */
  async #delete() {
    if (!this.#location) return {};
    const location = this.#location;
    this.#location = undefined;
    const deleted = fetch(location, { method: 'DELETE', keepalive: true, headers: bearer(this.#token) });
    const answered = deleted.then((response) => response.json()).catch(() => ({}));
    return Promise.race([answered, pause(1000).then(() => ({}))]);
  }

  /** Why the connection is lost, by what `lost` resolves to and what the relay says of the session. The session is over then. */
  async ending(how) {
    if (how === 'ended') return new Ending(how, { reason: await this.#reason() });
    return new Ending(how, how === 'blocked' ? await this.close() : {});
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

  /** Why the relay has ended the session, if it says so; there is nothing to delete then. */
  async #reason() {
    const id = this.#location?.split('/').pop();
    this.#location = undefined;
    return id && fetchEnding(id);
  }
}

/** The lines of this attribute, with their ends. */
const lines = (sdp, name) => sdp.match(new RegExp(`^a=${name}:.*\\r\\n`, 'gm')) ?? [];

/** An answer with the credentials and candidates of a fragment. The first of bundled sections has the candidates. */
function restarted(answer, fragment) {
  const [[ufrag], [pwd], candidates] = ['ice-ufrag', 'ice-pwd', 'candidate'].map((name) => lines(fragment, name));
  return answer
    .replace(/^a=candidate:.*\r\n/gm, '')
    .replace(/^a=ice-ufrag:.*\r\n/gm, ufrag)
    .replace(/^a=ice-pwd:.*\r\n/gm, pwd)
    .replace(pwd, pwd + candidates.join(''));
}

async function request(url, options) {
  let response;
  try {
    response = await fetch(url, { ...options, cache: 'no-store', signal: AbortSignal.timeout(10_000) });
  } catch {
    throw new Refused(0, 'The relay cannot be reached.');
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const retryAfter = Number(response.headers.get('Retry-After')) || undefined;
  throw new Refused(response.status, problem.detail ?? `The relay answered ${response.status}.`, retryAfter);
}
