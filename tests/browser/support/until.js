// Waiting on conditions: the only way these tests wait. A deadline is generous, since it costs nothing when all is well.

import { setTimeout as pause } from 'node:timers/promises';

/**
 * Asks `question` again and again until its answer is truthy, and returns that answer. An error it throws counts as
 * "not yet". After `timeout` milliseconds fails with `what`, the last answer and the last error.
 */
export async function until(what, question, { timeout = 30_000, every = 100 } = {}) {
  const deadline = Date.now() + timeout;
  let answer;
  let error;
  for (;;) {
    try {
      error = undefined;
      answer = await question();
      if (answer) return answer;
    } catch (thrown) {
      error = thrown;
    }
    if (Date.now() >= deadline) {
      const seen = error ? `last error: ${error.message}` : `last answer: ${JSON.stringify(answer)}`;
      throw new Error(`waited ${timeout / 1000} s for: ${what} (${seen})`);
    }
    await pause(every);
  }
}
