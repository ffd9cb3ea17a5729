// compare: two or three chosen runs side by side: the settings and figures in which they differ, and both losses of each.
const MOST_COMPARED = 3;
let compare_figure = null;

// "+12.5 min": how much more the second of two figures is.
function difference_text(kind, from, to) {
  if (!is_number(from) || !is_number(to) || kind === 'plain') return undefined;
  const d = to - from;
  return (d < 0 ? '−' : '+') + format(kind === 'delta' ? 'loss' : kind, Math.abs(d));
}

// A row for each column of the table of runs in which these runs differ.
function compare_rows(list) {
  const rows = list.map(i => run_rows[i]);
  return run_columns.filter(c => c.key !== 'name' && rows.some(row => row[c.key] !== rows[0][c.key])).map(c => Object.assign(
    { what: c.title, more: difference_text(c.kind, rows[0][c.key], rows[1][c.key]) },
    Object.fromEntries(rows.map((row, n) => ['run ' + n, format(c.kind, row[c.key])]))));
}

function compare_config(list) {
  const unit = x_units[look.x], marks = [], lines = [];
  list.forEach((i, n) => {
    const run = runs[i], colour = theme.line(n), mark = best_mark(run, colour, look.log_x, unit);
    if (mark) marks.push(mark);
    for (const which of ['val', 'train']) {
      const raw = points(run.e.x, run.e[which], look.log_x, iter => unit.of(run, iter));
      lines.push({
        unit, label: `${line_name(i)}, ${which}`, data: look.smoothing ? smooth(raw, look.smoothing) : raw, borderColor: colour, backgroundColor: colour,
        borderWidth: which === 'val' ? 2 : 1.5, borderDash: which === 'val' ? [] : [6, 4], pointRadius: raw.length < 2 ? 3 : 0,
      });
    }
  });
  const config = line_config([...marks, ...lines], look), { ink } = theme.colours();
  config.legend = [...list.map((i, n) => ({ text: line_name(i), colour: theme.line(n) })), { text: 'val', colour: ink },
    { text: 'train', colour: ink, dashed: true }, { text: '◆ lowest val', colour: 'transparent', dot: true }];
  return config;
}

function redraw_compare() {
  if (compare_figure) compare_figure.redraw();
}

function draw_compare() {
  const list = selection.of(measured);
  if (compare_figure) drop_chart(compare_figure);
  compare_figure = null;
  drop_table(by_id('compare-table'));
  by_id('compare').hidden = list.length < 2 || list.length > MOST_COMPARED;
  if (by_id('compare').hidden) return;
  compare_figure = make_chart(by_id('compare-chart'), 'losses side by side', 380, () => compare_config(list));
  make_table(by_id('compare-table'), [
    { key: 'what', title: 'what differs', kind: 'text' },
    ...list.map((i, n) => ({ key: 'run ' + n, title: runs[i].name, kind: 'plain' })),
    ...(list.length === 2 ? [{ key: 'more', title: 'second less first', kind: 'plain' }] : []),
  ], compare_rows(list), {});
}

draw_compare();
selection.listeners.push(draw_compare);
