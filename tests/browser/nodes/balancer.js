// A load balancer in front of the nodes of a cluster, as simple as they get: each request goes to the next node that is ready.

import { once } from 'node:events';
import http from 'node:http';

const LOOK = 500; // milliseconds between two looks at a node's readiness, and the longest that one may take

export class Balancer {
  /** The POSTs that were answered 201: `{node, at}`, by this process's clock. */
  sessions = [];
  /** Statuses of all answers but those of success. */
  refusals = [];
  #ready = new Set();
  #next = 0;

  /** Opens one for the test `t`, which closes it at its end. */
  static async open(t, nodes) {
    const balancer = new Balancer();
    const server = http.createServer((request, response) => balancer.#forward(request, response)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    balancer.url = `http://127.0.0.1:${server.address().port}`;
    await Promise.all(nodes.map((node) => balancer.#look(node)));
    const looking = nodes.map((node) => setInterval(() => balancer.#look(node), LOOK));
    t.after(() => {
      looking.forEach(clearInterval);
      server.closeAllConnections();
      server.close();
    });
    return balancer;
  }

  async #look(node) {
    const isReady = await fetch(`${node.url}/readyz`, { signal: AbortSignal.timeout(LOOK) }).then(({ ok }) => ok, () => false);
    if (isReady) this.#ready.add(node);
    else this.#ready.delete(node);
  }

  async #forward(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const nodes = [...this.#ready];
    this.#next += 1;
    if (nodes.length === 0) return response.writeHead(503).end();
    const node = nodes[this.#next % nodes.length];
    const { hostname, port } = new URL(node.url);
    const onward = http.request({ hostname, port, method: request.method, path: request.url, headers: request.headers });
    response.on('close', () => onward.destroy());
    onward.on('error', () => response.headersSent ? response.destroy() : response.writeHead(502).end());
    onward.on('response', (answer) => {
      const { statusCode } = answer;
      if (request.method === 'POST' && statusCode === 201) this.sessions.push({ node, at: performance.now() });
      if (statusCode >= 400) this.refusals.push(statusCode);
      response.writeHead(statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.end(Buffer.concat(chunks));
  }
}
