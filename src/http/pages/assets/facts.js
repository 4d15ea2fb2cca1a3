// A list of figures: what the HTML names in `data-fact`, this fills in; what is not known shows as a dash.

/** Fills the figures below `list` from `values`, and touches only those that have changed. */
export function showFacts(list, values) {
  for (const place of list.querySelectorAll('[data-fact]')) {
    const text = String(values[place.dataset.fact] ?? '–');
    if (place.textContent !== text) place.textContent = text;
  }
}
