// What the pages share: the stream's name and the token from their own address, copying, waiting.

/** The stream that this page is about: the last part of its path. */
export const stream = decodeURIComponent(location.pathname.split('/').pop());

/** Where the relay is: what its paths begin with, below which it may stand behind a proxy. No slash at the end. */
export const relay = new URL('..', import.meta.url).href.slice(0, -1);

export const query = new URLSearchParams(location.search);

export const element = (id) => document.getElementById(id);

export const pause = (milliseconds, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });

/**
 * The token for `action` ("publish" or "watch"): from `#token=` of the address, which no server sees, or typed in
 * before in this tab.
 */
export const tokens = {
  read(action) {
    const fragment = new URLSearchParams(location.hash.slice(1)).get('token');
    return fragment || sessionStorage.getItem(`sluice-${action}-token`) || '';
  },
  keep(action, token) {
    sessionStorage.setItem(`sluice-${action}-token`, token.trim());
    // What was typed wins over what the address had.
    if (location.hash) history.replaceState(null, '', location.pathname + location.search);
  },
};

export const bearer = (token) => (token ? { Authorization: `Bearer ${token}` } : {});

/** Puts a Copy button into each block of code. */
export function addCopyButtons() {
  for (const block of document.querySelectorAll('.code')) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'small';
    button.textContent = 'Copy';
    button.addEventListener('click', async () => {
      const said = (await copy(block.querySelector('pre'))) ? 'Copied' : 'Press Ctrl+C';
      button.textContent = said;
      setTimeout(() => (button.textContent = 'Copy'), 1600);
    });
    block.append(button);
  }
}

async function copy(pre) {
  try {
    await navigator.clipboard.writeText(pre.textContent);
    return true;
  } catch {
    // No clipboard outside secure contexts: select the text, so that one key copies it.
    getSelection().selectAllChildren(pre);
    return document.execCommand('copy');
  }
}
