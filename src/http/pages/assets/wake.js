// The moments at which a lost connection may work again: the network comes back, the tab wakes.

const EVENTS = [[globalThis, 'online'], [globalThis, 'pageshow'], [document, 'resume'], [document, 'visibilitychange']];

/** Calls `woken` at each such moment, with the type of its event, until `signal` aborts. */
export function onWake(woken, signal) {
  const look = ({ type, persisted }) => {
    if (type === 'visibilitychange' && document.hidden) return;
    if (type === 'pageshow' && !persisted) return;
    woken(type);
  };
  for (const [target, type] of EVENTS) target.addEventListener(type, look, { signal });
}
