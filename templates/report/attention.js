// attention: attention maps of one run, or of two side by side: the mean over each layer, and each head.
const looking = all_indexes.filter(i => A.runs[i]);
const maps = []; // on the page: { canvas, map, title, draw }
const attention_look = { a: null, b: null, what: innerWidth < NARROW ? 'means' : 'heads' };

const map_seen = new IntersectionObserver(entries => {
  for (const entry of entries) if (entry.isIntersecting) entry.target.map.draw();
}, { rootMargin: '600px' });

function open_map(item) {
  const n = item.map.tokens.length, canvas = el('canvas');
  const said = el('p', { class: 'words', role: 'status' }, 'A click, a tap or the arrow keys go from cell to cell.');
  Object.entries({ tabindex: 0, role: 'img', 'aria-label': 'attention of ' + item.title }).forEach(([key, value]) => canvas.setAttribute(key, value));
  walk_cells(canvas, item.map, said);
  by_id('large-map').replaceChildren(el('b', {}, item.title), canvas, said);
  draw_map(canvas, item.map, Math.max(8, Math.min(36, Math.floor(Math.min(innerWidth * 0.9 - 80, innerHeight * 0.8 - 80) / n))));
  map_tip(canvas, item.map);
  by_id('large').item = item;
  tip.hidden = true;
  by_id('large').append(tip); // above the dialog
  by_id('large').showModal();
  canvas.focus();
}

function add_map(parent, caption, title, map, of) {
  const canvas = el('canvas', { role: 'img', 'aria-label': 'attention of ' + title });
  const item = Object.assign({ canvas, map, title, caption, drawn: false }, of);
  item.draw = () => {
    map_seen.unobserve(item.figure);
    draw_map(canvas, map, cell_size(map.tokens.length));
    item.drawn = true;
  };
  item.figure = el('figure', { click: () => open_map(item) }, el('figcaption', {},
    el('button', { type: 'button', class: 'name', 'aria-label': 'Enlarge ' + title }, caption),
    el('span', { class: 'savers' }, map_buttons(title, () => [item]))), canvas);
  item.figure.map = item;
  map_tip(canvas, map);
  parent.append(item.figure);
  maps.push(item);
  map_seen.observe(item.figure);
}

// A column of maps: a run's heads of one layer, or the means of all layers.
function map_column(index, layer) {
  const a = A.runs[index], run = runs[index], n = a.tokens.length, triangle = n * (n + 1) / 2;
  const node = el('div', { class: 'maps', 'data-run': run.name, style: `--map:${Math.max(120, cell_size(n) * n + 12)}px` });
  if (layer === null) {
    const bytes = unpack(a.means);
    for (let l = 0; l < a.layers; l++) {
      add_map(node, `layer ${l}, mean`, `${run.name}, layer ${l}, mean of heads`, { bytes, offset: l * triangle, tokens: a.tokens, scale: 0.5 }, { index, layer });
    }
  } else if (layer < a.layers && a.weights) {
    const bytes = unpack(a.weights);
    for (let head = 0; head < a.heads; head++) {
      add_map(node, `layer ${layer}, head ${head}`, `${run.name}, layer ${layer}, head ${head}`,
        { bytes, offset: (layer * a.heads + head) * triangle, tokens: a.tokens, scale: 1 }, { index, layer });
    }
  }
  return node;
}

function map_heading(index) {
  const a = A.runs[index], run = runs[index];
  return el('h3', {}, run.name, ' ', el('span', { class: 'soft' }, `${run.best ? 'val ' + format('loss', run.best.val) + ', ' : ''}${a.of} · `,
    el('a', { href: a.file.split('/').map(encodeURIComponent).join('/') }, 'exact weights')));
}

function draw_attention() {
  maps.splice(0).forEach(item => map_seen.unobserve(item.figure));
  const list = [attention_look.a, attention_look.b].filter(i => i !== null && A.runs[i]);
  // Above a row are the buttons that save each run's maps of it as one picture.
  const savers = (i, layer) => map_buttons(`${runs[i].name}, ${layer === null ? 'means of layers' : `layer ${layer}`}`,
    () => maps.filter(item => item.index === i && item.layer === layer).map(item => ({ title: item.caption, map: item.map })));
  const add_row = (heading, columns, layer) => by_id('attention-maps').append(
    ...(heading ? [el('h4', {}, heading, el('span', { class: 'savers' }, list.map(i => savers(i, layer))))] : []), el('div', { class: 'pair' }, columns));
  by_id('attention-maps').replaceChildren();
  add_row('', list.map(map_heading));
  add_row('Means of layers', list.map(i => map_column(i, null)), null);
  const layers = attention_look.what === 'heads' ? Math.max(...list.map(i => (A.runs[i].weights ? A.runs[i].layers : 0))) : 0;
  for (let layer = 0; layer < layers; layer++) add_row('Layer ' + layer, list.map(i => map_column(i, layer)), layer);
}

function scale_bar(end) {
  const canvas = el('canvas', { width: 180, height: 1, 'aria-hidden': 'true' }), c = canvas.getContext('2d');
  for (let x = 0; x < 180; x++) {
    c.fillStyle = `rgb(${heat_colour(x / 179)})`;
    c.fillRect(x, 0, 1, 1);
  }
  return el('span', {}, end === 1 ? 'heads 0' : 'means 0', canvas, end === 1 ? '1' : '0.5 and more');
}

selection.shows(by_id('attention'), () => selection.of(looking).length > 0);
if (looking.length) {
  attention_look.a = looking.find(i => runs[i].rank === 1) ?? looking[0];
  const set = key => value => { attention_look[key] = value === '' ? null : Number(value); draw_attention(); };
  const first = make_select('run', run_choices(looking), set('a'), attention_look.a);
  const beside = make_select('beside', [['', 'none'], ...run_choices(looking)], set('b'), '');
  by_id('attention-controls').append(first.label, ...(looking.length > 1 ? [beside.label] : []));
  // Other runs are chosen: the best of them, unless the one that is shown is among them.
  selection.listeners.push(() => {
    const list = selection.of(looking), { a, b } = attention_look;
    if (!list.length || (list.includes(a) && (b === null || list.includes(b)))) return;
    attention_look.a = list.includes(a) ? a : best_of(list);
    attention_look.b = list.includes(b) ? b : null;
    first.select.value = attention_look.a;
    beside.select.value = attention_look.b ?? '';
    draw_attention();
  });
  by_id('attention-controls').append(make_select('maps', [['heads', 'every head'], ['means', 'means of layers']],
    value => { attention_look.what = value; draw_attention(); }, attention_look.what).label);
  by_id('attention-scale').append(el('div', { class: 'scale' }, scale_bar(1), scale_bar(0.5)));
  draw_attention();
  theme.listeners.push(() => maps.forEach(item => { if (item.drawn) item.draw(); }));
  by_id('large-save').addEventListener('click', () => map_savers.PNG(by_id('large').item.title, [by_id('large').item]));
  by_id('large-close').addEventListener('click', () => by_id('large').close());
  by_id('large').addEventListener('click', event => { if (event.target === by_id('large')) by_id('large').close(); });
  by_id('large').addEventListener('close', () => { tip.hidden = true; document.body.append(tip); });
}
