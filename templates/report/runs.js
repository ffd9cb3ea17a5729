// runs: the table of all runs.
const row_of = (run, i) => Object.assign({
  index: i, name: run.name, status: run.status, best: run.best && run.best.val, at: run.best && run.best.iter,
  delta: run.delta, train: run.final && run.final.train, val: run.final && run.final.val, gap: run.gap,
  rise: run.overfit.rise, hellaswag: run.hellaswag, params: run.params, all_params: run.all_params, seconds: run.seconds,
  ms: run.ms, tokens: run.tokens_per_s, mfu: run.mfu, peak: run.peak, hardware: run.hardware, threads: run.threads,
  rank: run.rank, on: run.on, seed: run.seed, tags: run.tags,
}, run.evals || {}, Object.fromEntries(D.factors.map(f => ['set ' + f.key, setting(run, f.key)])));

const hint_of_mfu = 'share of the peak: of a CPU as the trainer measured it at its start, of a GPU from its data sheet';
const run_columns = [
  { key: 'name', title: 'run', kind: 'text' },
  { key: 'rank', title: 'rank', kind: 'plain', hint: 'by the best validation loss, within a data set' },
  ...(D.factors.some(f => f.key === 'dataset') ? [] : [{ key: 'on', title: 'data', kind: 'text' }]),
  ...D.factors.map(f => ({ key: 'set ' + f.key, title: f.key, kind: 'plain' })),
  ...(D.several_seeds ? [{ key: 'seed', title: 'seed', kind: 'plain' }] : []),
  { key: 'best', title: 'best val', kind: 'loss', hint: 'lowest validation loss' },
  { key: 'at', title: 'at iter', kind: 'count', hint: 'the iteration of the lowest validation loss' },
  { key: 'delta', title: 'Δ baseline', kind: 'delta', hint: 'best val less the baseline’s' },
  { key: 'train', title: 'final train', kind: 'loss' },
  { key: 'val', title: 'final val', kind: 'loss' },
  { key: 'gap', title: 'gap', kind: 'delta', hint: 'final val less final train' },
  { key: 'rise', title: 'rise', kind: 'delta', hint: 'final val less best val: overfitting where it is more than scatter' },
  { key: 'hellaswag', title: 'HellaSwag in the run', kind: 'loss', hint: 'the last one: items whose right ending has the lowest mean loss' },
  ...D.evals.map(e => ({ key: e.id, title: e.title, kind: e.kind, hint: e.hint })),
  { key: 'params', title: 'params', kind: 'count', hint: 'by nanoGPT’s count, without the position embedding' },
  { key: 'all_params', title: 'in all', kind: 'count', hint: 'all parameters' },
  { key: 'seconds', title: 'time', kind: 'seconds', hint: 'steps and evaluations' },
  { key: 'ms', title: 'ms/step', kind: 'ms', hint: 'median' },
  { key: 'tokens', title: 'tokens/s', kind: 'count', hint: 'at the median step' },
  { key: 'mfu', title: 'MFU', kind: 'percent', hint: hint_of_mfu },
  { key: 'peak', title: 'peak GFLOP/s', kind: 'count', hint: 'as the run found it at its start' },
  { key: 'threads', title: 'threads', kind: 'plain' },
  { key: 'tags', title: 'tags', kind: 'text', hint: 'as the sweep’s file has them; the filter takes them as words' },
  { key: 'status', title: 'status', kind: 'text' },
  { key: 'hardware', title: 'hardware', kind: 'text' },
];

function used_columns(columns, rows) {
  return columns.filter(c => c.key === 'name' || rows.some(row => row[c.key] !== undefined && row[c.key] !== null));
}

const run_rows = runs.map(row_of);
const runs_table = make_table(by_id('runs-table'), used_columns(run_columns, run_rows), run_rows, {
  filter: 'filter: words, n_head=8, best<4.9 …',
  shared: D.common,
  sort: 'rank',
  changed: (text, rows) => selection.changed(text, rows.map(row => row.index)),
  name: row => el('button', { type: 'button', title: row.name, click: () => show_run(row.index, true) },
    (row.rank <= 5 && runs.length > 5 ? '★ ' : '') + telling(row.name)),
  mark: row => (row.rank <= 5 && runs.length > 5 ? 'top ' : '') + (runs[row.index] === baseline ? 'baseline' : ''),
});

selection.set = text => runs_table.filter(text);

// The settings that all runs have in common.
by_id('common').hidden = D.common.length === 0;
if (D.common.length) {
  by_id('common').querySelector('summary').textContent = runs.length > 1 ? 'Settings that all runs share' : 'Settings';
  make_table(by_id('common-table'), [{ key: 'key', title: 'setting', kind: 'text' }, { key: 'value', title: 'value', kind: 'text' }],
    D.common, { filter: 'filter' });
}
