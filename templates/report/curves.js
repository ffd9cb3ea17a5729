// curves: one figure for val and one for train, with all runs, or with the mean and the spread of each setting that has
// several seeds; then a figure for each run, with both losses.
const look = { x: 'iterations', smoothing: 0, log_x: false, log_y: false, by: 'run', steps: false, crop: true, seeds: Boolean(D.seeds) };

const line_name = i => label_of(i, all_indexes);

const loss_words = { val: 'validation loss', train: 'training loss' };

// A run's colour, dashes and legend text, by run or by a factor's value.
function colouring(list, by) {
  const factor = D.factors.find(f => f.key === by);
  if (factor) {
    const at = run => factor.values.findIndex(v => v === setting(run, by));
    return {
      colour: run => (at(run) < 0 ? theme.colours().soft : theme.line(at(run))),
      dash: run => theme.dash(Math.max(0, at(run))),
      legend: factor.values.filter(v => list.some(i => setting(runs[i], by) === v))
        .map(v => ({ text: `${by} ${value_text(v)}`, colour: theme.line(factor.values.indexOf(v)), dash: theme.dash(factor.values.indexOf(v)), key: by, value: v })),
    };
  }
  // If there are more runs than colours, the best runs get them.
  const coloured = list.length <= 8 ? list
    : [...list].filter(i => runs[i].rank).sort((a, b) => runs[a].rank - runs[b].rank).slice(0, 5);
  const place = new Map(coloured.map((i, n) => [runs[i], n]));
  const legend = coloured.map((i, n) => Object.assign({ text: line_name(i), colour: theme.line(n), dash: theme.dash(n) },
    selection.can(runs[i].name) && runs.length > 1 ? { key: 'run', value: runs[i].name } : {}));
  if (coloured.length < list.length) legend.push({ text: 'others', colour: theme.colours().faint });
  return { colour: run => (place.has(run) ? theme.line(place.get(run)) : theme.colours().faint),
    dash: run => (place.has(run) ? theme.dash(place.get(run)) : []), legend };
}

// The best of some runs, else the first.
const best_of = list => [...list].sort((a, b) => (runs[a].rank || 1e9) - (runs[b].rank || 1e9) || a - b)[0];

// The settings that several of some runs have, each with its own seed; a run that has not finished has a line of its own.
const seed_groups = list => (D.seeds || []).map(g => Object.assign({}, g, { runs: g.runs.filter(i => runs[i].counts && list.includes(i)) }))
  .filter(g => g.runs.length > 1);

// The mean of the curves of runs that differ in their seed, where all of them have a value, and one sd on either side.
function seed_curve(list, which, options) {
  const unit = x_units[options.x], all = list.map(i => runs[i]);
  const curves = all.map(run => {
    const [xs, ys] = which === 'train' && options.steps ? [run.s.x, run.s.y] : [run.e.x, run.e[which]];
    return new Map(xs.map((iter, n) => [iter, ys[n]]));
  });
  const rows = [...curves[0].keys()].filter(iter => curves.every(curve => is_number(curve.get(iter))))
    .map(iter => Object.assign({ at: mean_of(all.map(run => unit.of(run, iter))) }, statistics_of(curves.map(curve => curve.get(iter)))))
    .filter(row => is_number(row.at) && !(options.log_x && row.at <= 0));
  const line = y => {
    const raw = rows.map(row => ({ x: row.at, y: y(row) }));
    return options.smoothing ? smooth(raw, options.smoothing) : raw;
  };
  const low = line(row => row.mean - row.sd), high = line(row => row.mean + row.sd);
  return { data: line(row => row.mean), band: low.map((p, n) => [p.y, high[n].y]) };
}

// Datasets of some runs, val or train; for train, optionally the losses of single steps.
function run_lines(list, which, options) {
  // One run stands for its setting: the best of its seeds.
  const groups = new Map((options.seeds ? seed_groups(list) : []).map(g => [best_of(g.runs), g]));
  const grouped = new Set([...groups.values()].flatMap(g => g.runs));
  const shown = list.filter(i => !grouped.has(i) || groups.has(i));
  const is_base = i => shown.length > 1 && (groups.has(i) ? groups.get(i).is_baseline === true : runs[i] === baseline);
  const name_of = i => (groups.has(i) ? groups.get(i).text : line_name(i));
  const { colour, dash, legend } = colouring(shown, options.by);
  const lines = [], marks = [];
  // The first is drawn on top: the baseline, then the best runs.
  const order = [...shown].sort((a, b) => is_base(b) - is_base(a) || (runs[a].rank || 1e9) - (runs[b].rank || 1e9) || a - b);
  for (const i of order) {
    const run = runs[i], base = is_base(i), line_colour = base ? theme.colours().ink : colour(run);
    const steps = which === 'train' && options.steps;
    const unit = x_units[options.x], at = iter => unit.of(run, iter);
    const look_of_line = {
      unit, label: name_of(i) + (groups.has(i) ? `, mean of ${groups.get(i).runs.length} seeds` : '') + (base && name_of(i) !== 'baseline' ? ' (baseline)' : ''),
      borderColor: line_colour, backgroundColor: line_colour, borderWidth: base ? 2.25 : steps ? 1 : 1.5, borderDash: base ? [6, 4] : dash(run),
    };
    if (groups.has(i)) {
      lines.push(Object.assign(look_of_line, seed_curve(groups.get(i).runs, which, options)));
      continue;
    }
    const raw = steps ? points(run.s.x, run.s.y, options.log_x, at) : points(run.e.x, run.e[which], options.log_x, at);
    lines.push(Object.assign(look_of_line, { data: options.smoothing ? smooth(raw, options.smoothing) : raw, pointRadius: raw.length < 2 ? 3 : 0 }));
    const mark = which === 'val' && options.marks !== false && best_mark(run, line_colour, options.log_x, unit);
    if (mark) marks.push(mark);
  }
  const config = line_config([...marks, ...lines], Object.assign({ y: loss_words[which] }, options));
  // Of a setting no single run can be chosen by its name.
  const named = new Map([...groups.keys()].map(i => [line_name(i), { text: name_of(i), colour: colour(runs[i]), dash: dash(runs[i]) }]));
  const base = shown.find(is_base);
  config.legend = legend.filter(item => base === undefined || item.text !== line_name(base)).map(item => named.get(item.text) || item);
  if (base !== undefined) config.legend.push({ text: name_of(base) === 'baseline' ? 'baseline' : 'baseline: ' + name_of(base), colour: theme.colours().ink, dashed: true });
  if (groups.size) config.legend.push({ text: 'mean ± sd over seeds', colour: theme.colours().faint, dot: true });
  if (which === 'val' && marks.length) config.legend.push({ text: '◆ lowest val', colour: 'transparent', dot: true });
  return config;
}

const measured = all_indexes.filter(i => runs[i].e.x.length || runs[i].s.x.length);

function look_controls(parent, changed, with_colour) {
  const by = [['run', 'run'], ...D.factors.map(f => [f.key, f.key])];
  const value = el('span', { class: 'mono' }, look.smoothing.toFixed(2));
  const slider = el('input', { type: 'range', min: 0, max: 0.98, step: 0.02, value: look.smoothing, 'aria-label': 'smoothing',
    input: () => { look.smoothing = Number(slider.value); value.textContent = look.smoothing.toFixed(2); changed(); } });
  const units = known_units(measured);
  if (units.length > 1) parent.append(make_select('over', units.map(u => [u, u]), v => { look.x = v; changed(); }, look.x).label);
  parent.append(el('label', {}, 'smoothing ', slider, value));
  if (with_colour && by.length > 1) parent.append(make_select('colour by', by, v => { look.by = v; changed(); }, look.by).label);
  if (D.seeds) parent.append(make_check('mean ± sd over seeds', look.seeds, v => { look.seeds = v; changed(); }));
  parent.append(make_check('log x', look.log_x, v => { look.log_x = v; changed(); }),
    make_check('log loss', look.log_y, v => { look.log_y = v; changed(); }),
    make_check('crop the steep start', look.crop, v => { look.crop = v; changed(); }));
  if (runs.some(run => run.s.y.length)) {
    parent.append(make_check('train: loss of steps', look.steps, v => { look.steps = v; changed(); }));
  }
}

const curve_figures = [];
const redraw_curves = () => curve_figures.forEach(figure => figure.redraw());

selection.shows(by_id('curves'), () => selection.of(measured).length > 0);
if (measured.length) {
  look_controls(by_id('curve-controls'), () => { redraw_curves(); redraw_compare(); redraw_factors(); redraw_run(); redraw_small(); }, true);
  for (const which of ['val', 'train']) {
    curve_figures.push(make_chart(by_id('curve-charts'), `${loss_words[which]}, all runs`, 420,
      () => run_lines(selection.of(measured), which, look)));
  }
}

// ---- one run ------------------------------------------------------------------------------------

// All small figures share one scale, so that they can be compared, but for a run that has no more than one point.
function common_range() {
  const all = measured.flatMap(i => [runs[i].e.val, runs[i].e.train].map(ys => ({ data: points(runs[i].e.x, ys) })))
    .filter(set => set.data.length > 1);
  const ys = all.flatMap(set => set.data.map(p => p.y));
  if (!ys.length) return {};
  const tops = all.map(set => (look.crop && crop_height([set])) || Math.max(...set.data.map(p => p.y)));
  return { min: Math.min(...ys), max: Math.max(...tops) };
}

// Train and val loss of one run; a `small` figure has no single steps and no axis titles.
function one_run_config(run, small) {
  const options = small ? { x: 'iterations', log_x: false, log_y: false, smoothing: 0, crop: look.crop } : look;
  const colours = theme.colours(), train = theme.line(1), val = theme.line(0);
  const unit = x_units[options.x], at = iter => unit.of(run, iter);
  const sets = [best_mark(run, val, options.log_x, unit)].filter(Boolean);
  const add = (label, list, colour, width) => {
    if (options.smoothing && list.length > 2) {
      sets.push({ label, data: smooth(list, options.smoothing), borderColor: colour, borderWidth: width });
      sets.push({ label: label + ', as measured', data: list, borderColor: faded(colour, 0.3), borderWidth: 1 });
    } else {
      sets.push({ label, data: list, borderColor: colour, borderWidth: width, pointRadius: list.length < 2 ? 3 : 0,
        pointBackgroundColor: colour });
    }
  };
  add('val', points(run.e.x, run.e.val, options.log_x, at), val, 2);
  add('train', points(run.e.x, run.e.train, options.log_x, at), train, 2);
  if (!small && run.s.y.length) {
    sets.push({ label: run.s.each > 1 ? `steps, means of ${run.s.each}` : 'steps', data: points(run.s.x, run.s.y, options.log_x, at),
      borderColor: colours.faint, borderWidth: 1 });
  }
  sets.forEach(set => { set.unit = unit; });
  const config = line_config(sets, options);
  if (small) {
    if (run.rank) Object.assign(config.options.scales.y, common_range());
    config.options.scales.x.title.display = config.options.scales.y.title.display = false;
    config.options.scales.x.ticks.font = config.options.scales.y.ticks.font = { size: 10 };
  } else {
    config.legend = [{ text: 'val', colour: val }, { text: 'train', colour: train }, { text: 'train, steps', colour: colours.faint }];
  }
  return config;
}

let shown_run = Math.max(0, all_indexes.findIndex(i => runs[i].rank === 1));
let run_figure = null;
const small_figures = [];
const redraw_small = () => small_figures.forEach(figure => figure.redraw());
const run_picker = make_select('run', run_choices(all_indexes), value => show_run(Number(value)), shown_run);

function run_heading(run) {
  const settings = D.factors.map(f => `${f.key} ${value_text(setting(run, f.key))}`).join(', ');
  return run.name + (settings && !D.sweep ? ` · ${settings}` : '');
}

function redraw_run() {
  if (run_figure) run_figure.redraw();
}

function show_run(index, scroll) {
  shown_run = index;
  run_picker.select.value = String(index);
  const run = runs[index];
  run_figure.retitle(run_heading(run));
  run_figure.node.hidden = !measured.includes(index);
  run_figure.draw();
  const text = run.overfit.text;
  by_id('run-words').textContent = text.charAt(0).toUpperCase() + text.slice(1) + '.'
    + (run.notes.length ? ' Notes: ' + run.notes.join('; ') + '.' : '');
  if (scroll) by_id('run').scrollIntoView();
}

if (runs.length > 1) by_id('run-controls').append(run_picker.label);
run_figure = make_chart(by_id('run-chart'), run_heading(runs[shown_run]), 360, () => one_run_config(runs[shown_run], false));
show_run(shown_run);
if (runs.length > 1) {
  for (const i of measured) {
    const run = runs[i];
    const figure = make_chart(by_id('small-charts'), line_name(i), 170, () => one_run_config(run, true));
    small_figures.push(figure);
    selection.shows(figure.node, () => selection.chosen.has(i));
    if (run.best) figure.caption.append(' ', el('span', { class: 'soft' }, format('loss', run.best.val) +
      (run.overfit.kind === 'overfits' ? ', overfits' : '')));
  }
}
selection.shows(by_id('run'), () => selection.chosen.size > 0);
selection.shows(by_id('small'), () => runs.length > 1 && selection.of(measured).length > 0);
selection.listeners.push(() => {
  redraw_curves();
  if (!selection.chosen.has(shown_run) && selection.chosen.size) show_run(best_of(selection.of(all_indexes)));
});
