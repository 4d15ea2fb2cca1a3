// Chromium (Debian), through the relay's own pages; tests/browser looks closer.

import { launchChromium } from '../../browser/support/chromium.js';
import { BrowserClient } from '../support/browser.js';

let chromium;

async function open(url) {
  chromium ??= launchChromium();
  const context = await (await chromium).newContext({ permissions: ['camera', 'microphone'] });
  const tab = await context.newPage();
  await tab.goto(url);
  return { evaluate: (run, argument) => tab.evaluate(run, argument), close: () => tab.goto('about:blank').then(() => context.close()) };
}

export const publish = ({ video = 'VP8', audio } = {}) => new BrowserClient('chromium', 'publisher', open, { video, audio });
export const watch = ({ video, audio } = {}) => new BrowserClient('chromium', 'viewer', open, { video, audio });

export async function close() {
  await (await chromium?.catch(() => {}))?.close();
}
