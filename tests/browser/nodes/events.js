// The events of a session (WHEP, server-sent events), read at any node.

/** Calls `take` with the data of each event of this name that the session's event stream has; resolves once it is read. */
export async function listen(t, node, id, name, take) {
  const headers = { 'content-type': 'application/json' };
  const made = await fetch(`${node.url}/session/${id}/events`, { method: 'POST', headers, body: JSON.stringify([name]) });
  if (made.status !== 201) throw new Error(`event stream: ${made.status} ${await made.text()}`);
  const over = new AbortController();
  t.after(() => over.abort());
  const response = await fetch(new URL(made.headers.get('location'), node.url), { signal: over.signal });
  if (!response.ok) throw new Error(`event stream: ${response.status} ${await response.text()}`);
  read(response, name, take).catch(() => {});
}

async function read(response, name, take) {
  let text = '';
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (text + part).split('\n\n');
    text = blocks.pop();
    for (const block of blocks) {
      const [, event] = /^event: ?(.*)$/m.exec(block) ?? [];
      const [, data] = /^data: ?(.*)$/m.exec(block) ?? [];
      if (event === name) take(JSON.parse(data || '{}'));
    }
  }
}
