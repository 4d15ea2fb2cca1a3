// STUN and TURN servers that the relay names with each answer. Their credentials are those of one session.

/** A new connection, which gathers no candidates before it knows the servers of its session. */
export const newPeer = () => new RTCPeerConnection({ bundlePolicy: 'max-bundle' });

/** The servers of a Link header (RFC 9725, 4.6). */
export function serversIn(link) {
  const found = [...(link ?? '').matchAll(/<((?:stun|turn)s?:[^>]+)>([^<]*)/g)];
  return found.map(([, urls, parameters]) => {
    const { username, credential } = Object.fromEntries([...parameters.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));
    return username ? { urls, username, credential } : { urls };
  });
}
