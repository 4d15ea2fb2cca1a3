// STUN and TURN servers that the relay names with each answer. Connecting through them takes longer, so the first try
// goes without them; if it finds no path, the next one uses them.

let servers = [];

/** A new connection, with the servers that are known by now. */
export const newPeer = () => new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceServers: servers });

/** Remembers the servers of a Link header (RFC 9725, 4.6). */
export function learnServers(link) {
  const found = [...(link ?? '').matchAll(/<((?:stun|turn)s?:[^>]+)>([^<]*)/g)];
  servers = found.map(([, urls, parameters]) => {
    const { username, credential } = Object.fromEntries([...parameters.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));
    return username ? { urls, username, credential } : { urls };
  });
}
