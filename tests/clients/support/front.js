// An HTTP front of the relay that keeps each offer that passes: `KEEP_OFFERS=DIRECTORY tests/clients/run` makes the
// offers of tests/golden. It passes everything on unchanged.

import { mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';

import { serve } from '../../browser/support/http_server.js';

/** Serves as `relay` does, until the scene ends; resolves to its URL. */
export function recordOffers(scene, relay, directory) {
  mkdirSync(directory, { recursive: true });
  let count = 0;
  return serve(scene, (incoming, response) => {
    const body = [];
    incoming.on('data', (bytes) => body.push(bytes));
    incoming.on('end', () => {
      const [, protocol] = /^\/(whip|whep)\//.exec(incoming.url) ?? [];
      if (incoming.method === 'POST' && protocol) {
        count += 1;
        const name = scene.name.replace(/[^A-Za-z0-9]+/g, '-').toLowerCase();
        const agent = (incoming.headers['user-agent'] ?? 'none').split(/[ /]/)[0].toLowerCase();
        writeFileSync(join(directory, `${name}.${count}.${agent}.${protocol}.offer.sdp`), Buffer.concat(body));
      }
      const { method, headers } = incoming;
      const onward = request(relay + incoming.url, { method, headers }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      onward.on('error', () => response.destroy());
      onward.end(Buffer.concat(body));
    });
  });
}
