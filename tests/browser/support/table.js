// Rows of a table that are measured one after the other, outside of node:test.

/** One requirement of a row: `figure` must be at most `limit`. */
export const atMost = (what, figure, limit, unit = 'ms') => ({ what, figure: Math.round(figure), limit, unit, passed: figure <= limit });

/** What `node:test` gives a test, for a row. */
export class Scope {
  passed = true;
  #after = [];

  constructor(name) {
    this.name = name;
  }

  after(hook) {
    this.#after.push(hook);
  }

  diagnostic(text) {
    console.log(text.replace(/^/gm, '    '));
  }

  async end() {
    for (const hook of this.#after.reverse()) await hook();
  }
}
