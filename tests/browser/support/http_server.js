// A small HTTP server of the test's own, on a free port: another origin than the relay's.

import { once } from 'node:events';
import { createServer } from 'node:http';

/** Serves `answer(request, response)` until the test `t` ends; resolves to its URL. */
export async function serve(t, answer) {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

/** Serves one page, whatever is asked for. */
export const servePage = (t, page) => serve(t, (_, response) => response.setHeader('content-type', 'text/html').end(page));
