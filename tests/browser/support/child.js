// Programs that a test starts. Each is ended by its own process id, at the latest when this process ends.

import { spawn } from 'node:child_process';
import { once } from 'node:events';

const running = new Set();

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** One started program: what it printed, and how it ended. */
export class Child {
  #process;
  #ended;
  output = '';

  /** With `input` the program reads what `write` is given. */
  constructor(command, args, { env = {}, input = false } = {}) {
    this.#process = spawn(command, args, { env: { ...process.env, ...env }, stdio: [input ? 'pipe' : 'ignore', 'pipe', 'pipe'] });
    running.add(this.#process);
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => (this.output += text));
    }
    this.#ended = Promise.race([
      once(this.#process, 'close').then(([code, signal]) => ({ code, signal })),
      once(this.#process, 'error').then(([error]) => ({ error })),
    ]).finally(() => running.delete(this.#process));
  }

  get pid() {
    return this.#process.pid;
  }

  get hasEnded() {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  /** Writes to its standard input. */
  write(text) {
    this.#process.stdin.write(text);
  }

  /** Sends a signal, and waits for nothing. */
  signal(name) {
    this.#process.kill(name);
  }

  /** Resolves to `{code, signal}` once the program has ended by itself or by a signal. */
  ended() {
    return this.#ended;
  }

  /** Sends a signal and resolves to `{code, signal}`; kills the program if it is not gone after `patience` ms. */
  async stop(signal = 'SIGTERM', patience = 20_000) {
    this.#process.kill(signal);
    const killer = setTimeout(() => this.#process.kill('SIGKILL'), patience);
    const end = await this.#ended;
    clearTimeout(killer);
    return end;
  }
}
