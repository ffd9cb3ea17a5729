// reach: when each run's validation loss first was as low as a loss that the reader chooses: in iterations, tokens, FLOP
// and seconds, between two evaluations on a straight line; and as a result that effects can be on.
const reach = { loss: undefined };

function reached_at(run, loss) {
  const { x, val } = run.e;
  const i = val.findIndex(v => is_number(v) && v <= loss);
  if (i <= 0 || !is_number(val[i - 1])) return i < 0 ? undefined : x[i];
  return x[i - 1] + (x[i] - x[i - 1]) * (val[i - 1] - loss) / (val[i - 1] - val[i]);
}

const reach_columns = [
  { key: 'name', title: 'run', kind: 'text' }, ...D.factors.map(f => ({ key: 'set ' + f.key, title: f.key, kind: 'plain' })),
  { key: 'iterations', title: 'iterations', kind: 'count' }, { key: 'tokens', title: 'tokens', kind: 'short' },
  { key: 'FLOP', title: 'FLOP', kind: 'short' }, { key: 'seconds', title: 'time', kind: 'seconds', hint: 'steps and evaluations' },
];

function draw_reach() {
  const list = selection.of(measured), units = Object.keys(x_units);
  const rows = list.map(i => {
    const run = runs[i], at = reached_at(run, reach.loss);
    const there = units.map(unit => [unit, at === undefined ? undefined : x_units[unit].of(run, at)]).filter(([, value]) => is_number(value));
    return Object.assign({ name: run.name }, Object.fromEntries(D.factors.map(f => ['set ' + f.key, setting(run, f.key)])), Object.fromEntries(there));
  });
  const count = rows.filter(row => is_number(row.iterations)).length;
  by_id('reach-words').textContent = `${count} of ${rows.length} runs reach ${formats.plain(reach.loss)}.`;
  make_table(by_id('reach-table'), used_columns(reach_columns, rows), rows, { sort: rows.some(row => is_number(row.seconds)) ? 'seconds' : 'iterations' });
}

const lowest = measured.map(i => runs[i].best && runs[i].best.val).filter(is_number).sort((a, b) => a - b);
selection.shows(by_id('reach'), () => selection.of(measured).some(i => runs[i].best));
if (lowest.length) {
  // At first one that about half of the runs reach.
  reach.loss = Math.ceil(lowest[lowest.length >> 1] * 100) / 100;
  const box = el('input', { type: 'number', step: 0.01, min: 0, value: reach.loss, 'aria-label': 'validation loss to reach', change: () => {
    if (!(Number(box.value) > 0)) return;
    reach.loss = Number(box.value);
    draw_reach();
    if (effect_look.response === 'reach') effect_listeners.forEach(f => f());
  } });
  by_id('reach-controls').append(el('label', {}, 'validation loss to reach ', box));
  draw_reach();
  selection.listeners.push(draw_reach);
}
