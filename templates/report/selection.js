// selection: the runs that are chosen: those that the filter of the table of runs finds. A click in a legend and a
// rectangle drawn on a figure change the filter, every figure and statement follows it, and it is kept in the page's
// address, as #filter=n_head%3D8, so that it can be sent.
const selection = { text: '', chosen: new Set(all_indexes), listeners: [], set: () => {} };

selection.of = list => list.filter(i => selection.chosen.has(i));
selection.all = () => selection.chosen.size === runs.length;

// The words of the filter without those that compare one of these columns.
selection.without = keys => selection.text.split(/\s+/).filter(word => word && !keys.some(key => new RegExp(`^${key}(<=|>=|!=|<|>|=)`).test(word)));

// Whether a value is one of those that the filter asks for, as in n_head=4|8.
selection.values_of = key => {
  const word = selection.text.split(/\s+/).find(w => w.startsWith(key + '='));
  return word ? word.slice(key.length + 1).split('|') : [];
};
selection.has = (key, value) => selection.values_of(key).includes(String(value));

// Chooses the runs with this value too, or, if they are chosen, no longer.
selection.toggle = (key, value) => {
  const values = selection.values_of(key), text = String(value);
  const next = values.includes(text) ? values.filter(v => v !== text) : [...values, text];
  selection.set([...selection.without([key]), ...(next.length ? [`${key}=${next.join('|')}`] : [])].join(' '));
};
selection.can = value => !/[\s|]/.test(String(value));

// A part of the page is there while it has something of the chosen runs: any() says whether it has.
selection.shows = (node, any) => {
  const follow = () => { node.hidden = !any(); };
  follow();
  selection.listeners.push(follow);
};

// ---- the address --------------------------------------------------------------------------------

const address = {
  filter: () => {
    const part = location.hash.slice(1).split('&').find(p => p.startsWith('filter='));
    try { return part ? decodeURIComponent(part.slice(7)) : ''; } catch { return ''; }
  },
  section: () => location.hash.slice(1).split('&').find(p => p && !p.startsWith('filter=')) || '',
  keep: () => {
    const parts = [address.section(), selection.text && 'filter=' + encodeURIComponent(selection.text)].filter(Boolean);
    try { history.replaceState(null, '', '#' + parts.join('&')); } catch { /* a page that has no address of its own */ }
  },
};

// Called by the table after each change of its filter. Only where other runs are chosen is anything drawn again.
selection.changed = (text, indexes) => {
  const same = text.trim() === selection.text && indexes.length === selection.chosen.size && indexes.every(i => selection.chosen.has(i));
  if (same) return;
  selection.text = text.trim();
  selection.chosen = new Set(indexes);
  address.keep();
  for (const listener of selection.listeners) listener();
};

// A click on a section's link leaves the filter in the address; an address that somebody types brings its own.
addEventListener('hashchange', () => {
  const wanted = address.filter();
  if (wanted && wanted !== selection.text) selection.set(wanted);
  else address.keep();
});
