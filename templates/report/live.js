// live: the page of what is still training loads itself again, while somebody looks at it and does not use it just then.
// The address keeps the chosen runs; where the page was, and what was set in its controls, is kept here.
const REFRESH = 15, STILL = 5; // seconds: from one load to the next, and since the page was used last

const live = { used: 0, set_by_hand: new Set(), box: by_id('reload') };
const kept_as = 'diecast ' + location.pathname;

// The page's controls by name; those of the filter and of a file's name are in the address.
live.controls = () => {
  const by = new Map();
  for (const node of document.querySelectorAll('main select, main input:not([type=search]), main details')) {
    const own = node.getAttribute('aria-label') || (node.closest('label') || node).textContent.trim().slice(0, 40);
    const name = `${(node.closest('section') || {}).id} ${node.tagName === 'DETAILS' ? node.id : own}`;
    if (!by.has(name)) by.set(name, node);
  }
  return by;
};
live.value_of = node => (node.tagName === 'DETAILS' ? node.open : node.type === 'checkbox' ? node.checked : node.value);

live.state = () => ({
  y: scrollY,
  controls: [...live.controls()].filter(([name]) => live.set_by_hand.has(name)).map(([name, node]) => [name, live.value_of(node)]),
  sorted: tables.filter(table => table.by_hand).map(table => [table.node.parentElement.id, table.key, table.direction]),
});

live.restore = state => {
  const by = live.controls();
  for (const [name, value] of state.controls) {
    const node = by.get(name);
    if (!node || live.value_of(node) === value) continue;
    if (node.tagName === 'DETAILS') node.open = value;
    else if (node.type === 'checkbox') node.checked = value;
    else node.value = value;
    for (const kind of ['input', 'change']) node.dispatchEvent(new Event(kind));
    live.set_by_hand.add(name);
  }
  for (const [id, key, direction] of state.sorted) {
    const table = tables.find(t => t.node.parentElement.id === id && t.columns.some(c => c.key === key));
    for (let n = 0; table && n < 2 && (table.key !== key || table.direction !== direction); n++) table.sort(key, true);
  }
  scrollTo({ top: state.y, behavior: 'instant' });
};

// Whether it is time, `loaded` seconds after the page was.
live.due = loaded => live.box.checked && !document.hidden && !by_id('large').open && loaded >= REFRESH && loaded - live.used >= STILL;

const seconds_here = () => performance.now() / 1000;
const note = event => {
  live.used = seconds_here();
  if (event.type !== 'change' && event.type !== 'toggle') return;
  for (const [name, node] of live.controls()) if (node === event.target) live.set_by_hand.add(name);
};

try {
  const state = sessionStorage.getItem(kept_as);
  sessionStorage.removeItem(kept_as);
  if (state) live.restore(JSON.parse(state));
} catch { /* no storage for this page, or nothing that is ours */ }

window.report.live = live;
if (live.box) {
  by_id('refresh').textContent = REFRESH;
  for (const kind of ['pointerdown', 'pointermove', 'wheel', 'keydown', 'change', 'toggle']) addEventListener(kind, note, { capture: true, passive: true });
  const again = () => {
    if (!live.due(seconds_here())) return;
    try { sessionStorage.setItem(kept_as, JSON.stringify(live.state())); } catch { /* as above */ }
    location.reload();
  };
  setInterval(again, 1000);
}
