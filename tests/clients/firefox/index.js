// Firefox ESR (Debian), through the relay's own pages. Debian's build has no H.264: Firefox fetches OpenH264 from Cisco at run
// time, which a closed network refuses.

import { BrowserClient } from '../support/browser.js';
import { Firefox } from './firefox.js';

let firefox;

async function open(url) {
  firefox ??= Firefox.launch();
  return (await firefox).open(url);
}

export const publish = ({ video = 'VP8', audio } = {}) => new BrowserClient('firefox', 'publisher', open, { video, audio });
export const watch = ({ video, audio } = {}) => new BrowserClient('firefox', 'viewer', open, { video, audio });

export async function close() {
  await (await firefox?.catch(() => {}))?.close();
}
