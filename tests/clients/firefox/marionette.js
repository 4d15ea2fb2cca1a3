// Marionette, the way into Firefox that Firefox itself brings: JSON over TCP, each message behind its length.
//
// `[0, id, command, parameters]` goes out, `[1, id, error, result]` comes back, one at a time.

import { once } from 'node:events';
import { connect } from 'node:net';

export class Marionette {
  #socket;
  #waiting = new Map();
  #received = Buffer.alloc(0);
  #last = 0;

  /** Connects to the Marionette of a Firefox on this machine. */
  static async connect(port) {
    const marionette = new Marionette();
    marionette.#socket = connect(port, '127.0.0.1');
    const hello = new Promise((resolve) => marionette.#waiting.set('hello', { resolve }));
    marionette.#socket.on('data', (bytes) => marionette.#take(bytes));
    marionette.#socket.on('close', () => marionette.#lose(new Error('Firefox has closed the connection')));
    marionette.#socket.on('error', (error) => marionette.#lose(error));
    await once(marionette.#socket, 'connect');
    await hello;
    return marionette;
  }

  /** Sends a command; resolves to its result. */
  send(command, parameters = {}) {
    this.#last += 1;
    const id = this.#last;
    const text = JSON.stringify([0, id, command, parameters]);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#socket.write(`${Buffer.byteLength(text)}:${text}`);
    });
  }

  close() {
    this.#socket.destroy();
  }

  #take(bytes) {
    this.#received = Buffer.concat([this.#received, bytes]);
    for (;;) {
      const colon = this.#received.indexOf(':');
      if (colon < 0) return;
      const end = colon + 1 + Number(this.#received.subarray(0, colon));
      if (this.#received.length < end) return;
      this.#answer(JSON.parse(this.#received.subarray(colon + 1, end).toString()));
      this.#received = this.#received.subarray(end);
    }
  }

  #answer(message) {
    const [id, error, result] = Array.isArray(message) ? message.slice(1) : ['hello', null, message];
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) waiting?.reject(new Error(`${error.error}: ${error.message}`));
    else waiting?.resolve(result);
  }

  #lose(error) {
    for (const { reject } of this.#waiting.values()) reject?.(error);
    this.#waiting.clear();
  }
}
