// Keeps a connection while the network changes, and notices that it is lost: sooner than the browser reports it.
//
// A browser whose address changes, or whose UDP is blocked, sends checks from other addresses only if it gathered these
// before. An ICE restart lets it gather again, within the same session; only if that does not help the connection is lost.

import { onWake } from './wake.js';

const PATIENCE = 4000; // how long one may take to come back, by itself or by a restart of ICE
const SILENCE = 2000; // how long nothing arrives of media that has flowed, until ICE is restarted
const FLOW = 1000; // how long media arrives until it counts as flowing
const LOOK = 500; // how often that is looked at
const CONNECTED = 8000; // how long it may take to connect; the relay waits 10 s, so that its own end does not come between
const DOUBT = 3000; // how long one may be silent after the tab came back: checks come every 2.5 s

/**
 * Resolves when the connection of `session` by `peer` is lost: "ended" if the relay closed it, "left" if `signal` aborted,
 * "blocked" if it never connected, else "broken". `gone` aborts when the session's relay is known to be gone.
 */
export function lost(peer, session, signal, gone = new AbortController().signal) {
  return new Promise((resolve) => {
    const over = new AbortController();
    let connected = false;
    let restarting = false;
    let patience;
    let doubt;
    const end = (how) => {
      for (const timer of [unconnected, patience, doubt]) clearTimeout(timer);
      clearInterval(looking);
      over.abort();
      resolve(how === 'broken' && !connected ? 'blocked' : how);
    };
    const judge = async (before) => {
      patience = undefined;
      if (peer.connectionState !== 'connected' || (await heard(peer)).all === (await before).all) end('broken');
    };
    const restore = async () => {
      if (!connected || restarting || over.signal.aborted) return;
      restarting = true;
      // A connection that was restored meanwhile has its full time again.
      if (peer.connectionState === 'connected') patience = clearTimeout(patience);
      patience ??= setTimeout(judge, PATIENCE, heard(peer));
      await session.restart(over.signal).catch(() => end('broken'));
      restarting = false;
    };
    const look = () => {
      connected ||= peer.connectionState === 'connected';
      const dtls = transports(peer).map(({ state }) => state);
      if (signal.aborted) end('left');
      else if (dtls.includes('closed')) end('ended');
      else if (peer.connectionState === 'failed' || dtls.includes('failed')) end('broken');
      else if (peer.connectionState === 'disconnected') restore();
    };
    const suspect = async (event) => {
      // A browser that was offline has another network now, and what it sends may still go by the old one.
      if (event === 'online' || peer.connectionState !== 'connected') return restore();
      const before = await heard(peer);
      clearTimeout(doubt);
      doubt = setTimeout(async () => (await heard(peer)).all === before.all && restore(), DOUBT);
    };
    const unconnected = setTimeout(() => connected || end('broken'), CONNECTED);
    const flow = new Flow();
    const looking = setInterval(async () => flow.stops((await heard(peer)).bytes) && restore(), LOOK);
    const options = { signal: over.signal };
    peer.addEventListener('connectionstatechange', look, options);
    signal.addEventListener('abort', look, options);
    gone.addEventListener('abort', () => end('broken'), options);
    for (const transport of transports(peer)) transport.addEventListener('statechange', look, options);
    onWake(suspect, over.signal);
    look();
  });
}

/** Media that flows, and stops. */
class Flow {
  #bytes = 0;
  #since = Infinity; // when it began to flow
  #at = -Infinity; // when some was last seen

  /** Whether it has just stopped, by how many bytes have arrived. Reports that come now and then are no flow. */
  stops(bytes) {
    const now = performance.now();
    const isSilent = now - this.#at > SILENCE;
    if (bytes > this.#bytes) {
      if (isSilent) this.#since = now;
      this.#at = now;
      this.#bytes = bytes;
      return false;
    }
    const stopped = isSilent && this.#at - this.#since >= FLOW;
    if (isSilent) this.#since = Infinity;
    return stopped;
  }
}

const transports = (peer) =>
  [...new Set(peer.getTransceivers().flatMap(({ receiver, sender }) => [receiver.transport, sender.transport]))].filter(Boolean);

/** What has arrived: `bytes` of media and its reports, and `all` with the answers to checks; both only grow. */
async function heard(peer) {
  let [bytes, answers] = [0, 0];
  for (const entry of (await peer.getStats()).values()) {
    if (entry.type !== 'candidate-pair') continue;
    bytes += entry.bytesReceived ?? 0;
    answers += entry.responsesReceived ?? 0;
  }
  return { bytes, all: bytes + answers };
}
