// A line of chat over the data channel with the label "channel": the publisher's words reach every viewer who asked for
// the chat; a viewer's reach the publisher where the relay allows it.

import { element } from '/assets/page.js';

const LINES = 50;

/** Opens the channel on a peer that has not made its offer yet, and shows what is said on it. */
export function openChat(peer) {
  const channel = peer.createDataChannel('channel');
  const form = element('chat-form');
  const text = element('chat-text');
  element('chat').hidden = false;
  text.disabled = true;
  channel.addEventListener('open', () => (text.disabled = false));
  channel.addEventListener('close', () => (text.disabled = true));
  channel.addEventListener('message', ({ data }) => typeof data === 'string' && show(data, 'theirs'));
  form.onsubmit = (event) => {
    event.preventDefault();
    const said = text.value.trim();
    if (!said || channel.readyState !== 'open') return;
    channel.send(said);
    show(said, 'own');
    text.value = '';
  };
}

function show(said, whose) {
  const line = document.createElement('li');
  line.className = whose;
  line.textContent = said;
  const lines = element('chat-lines');
  lines.append(line);
  while (lines.childElementCount > LINES) lines.firstElementChild.remove();
  line.scrollIntoView({ block: 'nearest' });
}
