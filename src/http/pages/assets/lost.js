// Notices that a connection is lost: sooner than the browser reports it after the network or the tab came back.

import { onWake } from './wake.js';

const PATIENCE = 4000; // how long a disconnected one may take to come back by itself
const CONNECTED = 8000; // how long it may take to connect; the relay waits 10 s, so that its own end does not come between
const DOUBT = 4000; // how long one may be silent after the network or the tab came back: checks come every 2.5 s

/**
 * Resolves when `peer` is lost: "ended" if the relay closed it, "left" if `signal` aborted, "blocked" if it never
 * connected, else "broken".
 */
export function lost(peer, signal) {
  return new Promise((resolve) => {
    const over = new AbortController();
    let connected = false;
    let patience;
    let doubt;
    const end = (how) => {
      clearTimeout(unconnected);
      clearTimeout(patience);
      clearTimeout(doubt);
      over.abort();
      resolve(how === 'broken' && !connected ? 'blocked' : how);
    };
    const look = () => {
      connected ||= peer.connectionState === 'connected';
      const dtls = transports(peer).map(({ state }) => state);
      if (signal.aborted) end('left');
      else if (dtls.includes('closed')) end('ended');
      else if (peer.connectionState === 'failed' || dtls.includes('failed')) end('broken');
      else if (peer.connectionState === 'disconnected') patience ??= setTimeout(end, PATIENCE, 'broken');
      else patience = clearTimeout(patience);
    };
    const suspect = async () => {
      if (peer.connectionState === 'disconnected') return end('broken');
      if (peer.connectionState !== 'connected') return;
      const before = await heard(peer);
      clearTimeout(doubt);
      doubt = setTimeout(async () => {
        if (!over.signal.aborted && (await heard(peer)) === before) end('broken');
      }, DOUBT);
    };
    const unconnected = setTimeout(() => connected || end('broken'), CONNECTED);
    const options = { signal: over.signal };
    peer.addEventListener('connectionstatechange', look, options);
    signal.addEventListener('abort', look, options);
    for (const transport of transports(peer)) transport.addEventListener('statechange', look, options);
    onWake(suspect, over.signal);
    look();
  });
}

const transports = (peer) =>
  [...new Set(peer.getTransceivers().flatMap(({ receiver, sender }) => [receiver.transport, sender.transport]))].filter(Boolean);

/** Bytes of media and answers to checks that have arrived, as one sum that grows with each of them. */
async function heard(peer) {
  let sum = 0;
  for (const entry of (await peer.getStats()).values()) {
    if (entry.type === 'candidate-pair') sum += (entry.bytesReceived ?? 0) + (entry.responsesReceived ?? 0);
  }
  return sum;
}
