// The relay's list of streams, as far as this browser may see it.

import { bearer, tokens } from '/assets/page.js';

/** What may open the list, the likeliest first. */
const token = () => tokens.read('list') || tokens.read('watch');

/** `{streams}`, or `{problem}`: "token", "admin" (the list is on another address) or "unreachable". */
export async function fetchStreams() {
  try {
    const response = await fetch('/api/streams', { headers: bearer(token()), cache: 'no-store' });
    if (response.ok) return { streams: await response.json() };
    if (response.status === 401 || response.status === 403) return { problem: 'token', status: response.status, tried: Boolean(token()) };
    return { problem: response.status === 404 ? 'admin' : 'unreachable' };
  } catch {
    return { problem: 'unreachable' };
  }
}

/** One stream as `{found}`, or `{refused}` where asking again makes no sense. */
export async function fetchStream(name) {
  const { streams, problem } = await fetchStreams();
  return { found: streams?.find((stream) => stream.name === name), refused: problem === 'token' || problem === 'admin' };
}
