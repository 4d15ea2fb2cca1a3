// Chat over the data channel with the label "channel": the publisher's messages reach every viewer that has opened the
// chat; a viewer's messages reach the publisher if the relay allows it.

import { element, onSubmit } from './page.js';

const LINES = 50;

const PARTS = `
  <div id="chat-lines" role="log" aria-label="Messages" tabindex="0"></div>
  <form class="row" id="chat-form">
    <input class="grow" id="chat-text" type="text" maxlength="500" autocomplete="off" aria-label="Write a message" placeholder="Write a message">
    <button class="small" type="submit">Send</button>
  </form>
  <p class="quiet" id="chat-mute">Only the publisher can write: this relay does not forward messages of viewers.</p>`;

/** Opens the channel on a peer that has not made its offer yet, and shows the messages on it. */
export function openChat(peer) {
  const channel = peer.createDataChannel('channel');
  const { form, text } = build(element('chat'));
  text.disabled = true;
  channel.addEventListener('open', () => (text.disabled = false));
  channel.addEventListener('close', () => (text.disabled = true));
  channel.addEventListener('message', ({ data }) => typeof data === 'string' && show(data, 'theirs'));
  onSubmit(form, () => {
    const message = text.value.trim();
    if (!message || channel.readyState !== 'open') return;
    channel.send(message);
    show(message, 'own');
    text.value = '';
  });
}

/** Fills the section; the relay has written into the page whether it forwards viewers' messages. */
function build(section) {
  if (!section.childElementCount) section.innerHTML = PARTS;
  section.hidden = false;
  const isMute = section.dataset.replies === 'no';
  const form = element('chat-form');
  form.hidden = isMute;
  element('chat-mute').hidden = !isMute;
  return { form, text: element('chat-text') };
}

function show(message, whose) {
  const line = document.createElement('p');
  line.className = whose;
  line.textContent = message;
  const lines = element('chat-lines');
  lines.append(line);
  while (lines.childElementCount > LINES) lines.firstElementChild.remove();
  line.scrollIntoView({ block: 'nearest' });
}
