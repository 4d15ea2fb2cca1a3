// Tabs (WAI-ARIA pattern): one panel shows, the arrow keys go from tab to tab.

/** Makes the `role=tablist` element work; each tab names its panel in `aria-controls`. */
export function makeTabs(list) {
  const tabs = [...list.querySelectorAll('[role=tab]')];
  const choose = (chosen) => {
    for (const tab of tabs) {
      const is = tab === chosen;
      tab.setAttribute('aria-selected', is);
      tab.tabIndex = is ? 0 : -1;
      document.getElementById(tab.getAttribute('aria-controls')).hidden = !is;
    }
  };
  const steps = { ArrowRight: 1, ArrowLeft: -1 };
  list.addEventListener('click', ({ target }) => tabs.includes(target) && choose(target));
  list.addEventListener('keydown', (event) => {
    const at = tabs.indexOf(document.activeElement);
    const to = { Home: 0, End: tabs.length - 1 }[event.key] ?? (event.key in steps ? at + steps[event.key] : undefined);
    if (to === undefined) return;
    event.preventDefault();
    const tab = tabs[(to + tabs.length) % tabs.length];
    tab.focus();
    choose(tab);
  });
  choose(tabs[0]);
}
