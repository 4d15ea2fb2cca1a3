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

const kept = new Map(); // what the user entered, if the browser stores nothing: site data blocked, or a sandbox

/**
 * The token for `action` ("publish" or "watch"): from `#token=` of the address, which no server sees, or typed in
 * before in this tab.
 */
export const tokens = {
  read(action) {
    const fragment = new URLSearchParams(location.hash.slice(1)).get('token');
    const name = `sluice-${action}-token`;
    if (fragment || kept.has(name)) return fragment || kept.get(name);
    try {
      return sessionStorage.getItem(name) || '';
    } catch {
      return '';
    }
  },
  keep(action, token) {
    const name = `sluice-${action}-token`;
    kept.set(name, token.trim());
    try {
      sessionStorage.setItem(name, token.trim());
    } catch {
      // The page itself knows it for as long as it is open.
    }
    // What was typed wins over what the address had.
    if (location.hash) history.replaceState(null, '', location.pathname + location.search);
  },
};

export const bearer = (token) => (token ? { Authorization: `Bearer ${token}` } : {});

/** Calls `done` when the form is filled in and sent; a sandbox that allows no forms fires no "submit". */
export function onSubmit(form, done) {
  form.querySelector('[type=submit]').onclick = (event) => {
    event.preventDefault();
    if (form.reportValidity()) done();
  };
}

/** Puts a Copy button into each block of code. */
export function addCopyButtons() {
  for (const block of document.querySelectorAll('.code')) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'small';
    button.textContent = 'Copy';
    button.addEventListener('click', async () => {
      const label = (await copy(block.querySelector('pre'))) ? 'Copied' : 'Press Ctrl+C';
      button.textContent = label;
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
