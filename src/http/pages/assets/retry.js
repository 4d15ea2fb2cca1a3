// When to try again: as the relay says, else later each time, by chance a little earlier or later, so that a thousand
// viewers of a relay that restarts do not come back in one moment.

import { onWake } from './wake.js';

const FIRST = 500;
const LONGEST = 10_000;
const RARELY = 30_000; // without a publisher, until a viewer takes its place again
const ELSEWHERE = 300; // all viewers of a relay that is gone come to the others
const HOPELESS = 15_000; // what is wrong with a request stays wrong for a while

/** How long to wait before the next try, in milliseconds; `isGiven`: the relay named the time. */
export function backoff(tries, error) {
  if (error?.retryAfter) return { wait: error.retryAfter * 1000 * (1 + Math.random() / 10), isGiven: true };
  if (error?.isAbsence) return { wait: RARELY * (1 + Math.random() / 3), isGiven: false };
  if (error?.status >= 400 && error.status < 500 && error.status !== 408) return { wait: HOPELESS, isGiven: false };
  return { wait: Math.min(FIRST * 2 ** tries, LONGEST) * (0.75 + Math.random() / 2), isGiven: false };
}

/** The same where the relay of the session is gone and another one answers. */
export const elsewhere = () => ({ wait: Math.random() * ELSEWHERE, isGiven: false });

/**
 * Waits that long. Ends at once when `signal` aborts, when `now` (a button) is clicked and, unless the relay named the
 * time, when the network or the tab comes back. Calls `tick` with the whole seconds left.
 */
export function waitToRetry({ wait, isGiven }, { signal, now, tick }) {
  return new Promise((resolve) => {
    const over = new AbortController();
    const until = performance.now() + wait;
    const look = () => {
      const left = until - performance.now();
      if (left <= 0 || signal.aborted) end();
      else tick?.(Math.ceil(left / 1000));
    };
    const end = () => {
      clearInterval(timer);
      clearTimeout(last);
      over.abort();
      resolve();
    };
    const timer = setInterval(look, 250);
    const last = setTimeout(end, wait);
    signal.addEventListener('abort', end, { signal: over.signal });
    now?.addEventListener('click', end, { signal: over.signal });
    // Timers of a tab that sleeps are late, so even a time from Retry-After may be over when it wakes.
    onWake(isGiven ? look : end, over.signal);
    look();
  });
}
