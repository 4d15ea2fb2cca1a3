// The relay's list of streams. If the relay requires tokens, the list needs the admin token.

import { bearer, relay, tokens } from './page.js';

/**
 * `{streams}`, or `{problem}`: "token" (with `tried` if one was sent, and the relay's `detail`), "admin" (the list is on an
 * address of its own) or "unreachable".
 */
export async function fetchStreams() {
  const token = tokens.read('admin');
  try {
    const response = await fetch(`${relay}/api/streams`, { headers: bearer(token), cache: 'no-store' });
    if (response.ok) return { streams: await response.json() };
    if (response.status === 404) return { problem: 'admin' };
    if (response.status !== 401 && response.status !== 403) return { problem: 'unreachable' };
    const { detail = '' } = await response.json().catch(() => ({}));
    return { problem: 'token', status: response.status, tried: Boolean(token), detail };
  } catch {
    return { problem: 'unreachable' };
  }
}

/** Why a session has ended, such as "replaced"; nothing if the relay does not say. */
export async function fetchEnding(session) {
  try {
    const response = await fetch(`${relay}/api/sessions/${session}`, {
      headers: bearer(tokens.read('admin')), cache: 'no-store', signal: AbortSignal.timeout(1000),
    });
    return response.ok ? (await response.json()).ended?.reason : undefined;
  } catch {
    return undefined;
  }
}
