// interaction: two factors together: the mean of a result at each value of the one, with a line for each value of the other,
// over the runs that have a partner in every cell; lines that are not parallel are an interaction.
const crossed = D.kind === 'grid' ? D.effects.map(e => D.factors.find(f => f.key === e.key)).filter(f => f.values.length > 1) : [];
// At first the two that matter most.
const cross_look = Object.fromEntries(shown_effects().map(e => crossed.find(f => f.key === e.key)).filter(Boolean).slice(0, 2)
  .map((f, n) => [['b', 'a'][n], f]));
const MOST_ALONE = 6;

const crossed_now = () => cells_of(cross_look.a, cross_look.b, shown_response(), selection.chosen);
const cell_at = (c, x, line) => c.cells.find(cell => cell.x === x && cell.line === line);

function cross_config(c) {
  const response = shown_response(), colours = theme.colours(), { a, b } = c, text_of = x => format(response.kind, x);
  const sets = b.values.map((line, n) => ({
    label: `${b.key} ${value_text(line)}`, borderColor: theme.line(n), backgroundColor: theme.line(n), borderWidth: 2, borderDash: theme.dash(n),
    pointRadius: 5, pointStyle: ['circle', 'rect', 'triangle', 'rectRot'][n % 4],
    data: a.values.map((x, m) => ({ x: m, y: (cell_at(c, x, line) || {}).mean })).filter(p => is_number(p.y)),
  })).filter(set => set.data.length);
  return {
    type: 'line',
    data: { datasets: sets },
    options: {
      parsing: false,
      interaction: { mode: 'nearest', intersect: false },
      layout: { padding: { right: 8 } },
      plugins: { tooltip: { displayColors: false, callbacks: {
        title: items => (items.length ? `${a.key} ${value_text(a.values[items[0].parsed.x])}, ${items[0].dataset.label}` : ''),
        label: item => `mean ${text_of(item.parsed.y)} of ${c.blocks.length}`,
      } } },
      scales: {
        x: axis(a.key, { type: 'linear', min: -0.3, max: a.values.length - 0.7, afterBuildTicks: s => { s.ticks = a.values.map((_, m) => ({ value: m })); },
          ticks: { color: colours.soft, autoSkip: false, callback: v => (a.values[v] === undefined ? '' : value_text(a.values[v])) } }),
        y: loss_axis('mean ' + response.title),
      },
    },
    legend: sets.map((set, n) => ({ text: set.label, colour: set.borderColor, dash: set.borderDash, key: b.key, value: b.values[n] })),
  };
}

// "dropout 0.2 against 0.1: −0.08 at n_embd 128, −0.11 at n_embd 256; the second less the first is −0.03, lower in 6 of 8."
function cross_sentences(c) {
  const { a, b } = c, response = shown_response(), [reference, ...others] = b.values;
  const at = (block, x, line) => response.of(runs[block.at.get(`${a.values.indexOf(x)} ${b.values.indexOf(line)}`)]);
  return others.flatMap(line => {
    const xs = a.values.filter(x => cell_at(c, x, line) && cell_at(c, x, reference));
    if (xs.length < 2) return [];
    const steps = xs.map(x => `${signed(response, cell_at(c, x, line).mean - cell_at(c, x, reference).mean)} at ${a.key} ${value_text(x)}`);
    const last = xs[xs.length - 1], each = c.blocks.map(block => at(block, last, line) - at(block, last, reference) - at(block, xs[0], line) + at(block, xs[0], reference));
    const mean = mean_of(each), same = each.filter(d => d * mean > 0).length;
    return [`${b.key} ${value_text(line)} against ${value_text(reference)}: ${steps.join(', ')}; the last less the first is ${signed(response, mean)}, `
      + `${mean < 0 ? 'lower' : 'higher'} in ${same} of ${each.length}${each.length === 1 ? ' (one: cannot be told)' : ''}.`];
  });
}

function cross_left_out(c) {
  const said = [];
  if (c.missing.length) said.push(`No complete cell: ${c.missing.map(([x, line]) => `${c.a.key} ${value_text(x)} with ${c.b.key} ${value_text(line)}`).join('; ')}.`);
  if (c.alone.length) {
    const more = c.alone.length - MOST_ALONE;
    said.push(`Left out, as not every cell has their partner: ${c.alone.slice(0, MOST_ALONE).map(i => runs[i].name).join(', ')}${more > 0 ? ` and ${more} more` : ''}.`);
  }
  return said.join(' ');
}

let cross_figure = null;

function draw_cross() {
  if (cross_figure) drop_chart(cross_figure);
  cross_figure = null;
  const c = crossed_now(), { a, b } = c;
  by_id('cross-words').replaceChildren(...cross_sentences(c).map(text => el('li', {}, text)));
  by_id('cross-left').textContent = c.cells.length ? cross_left_out(c) : 'The chosen runs have no complete cells.';
  drop_table(by_id('cross-table'));
  if (!c.cells.length) return;
  cross_figure = make_chart(by_id('cross-chart'), `${shown_response().title} by ${a.key} and ${b.key}`, 320, () => cross_config(crossed_now()));
  make_table(by_id('cross-table'), [
    { key: 'x', title: a.key, kind: 'plain' }, { key: 'line', title: b.key, kind: 'plain' },
    { key: 'n', title: 'trainings', kind: 'plain' }, { key: 'mean', title: 'mean ' + shown_response().title, kind: shown_response().kind },
    { key: 'min', title: 'lowest', kind: shown_response().kind }, { key: 'max', title: 'highest', kind: shown_response().kind },
  ], c.cells, {});
}

by_id('cross').hidden = !cross_look.a;
if (!by_id('cross').hidden) {
  const names = crossed.map(f => [f.key, f.key]), pickers = {};
  // A factor is not set against itself: the two change places.
  const set = (which, other) => key => {
    const before = cross_look[which];
    cross_look[which] = crossed.find(f => f.key === key);
    if (cross_look[which] === cross_look[other]) cross_look[other] = before;
    pickers.a.value = cross_look.a.key;
    pickers.b.value = cross_look.b.key;
    draw_cross();
  };
  for (const [which, other, label] of [['a', 'b', 'by'], ['b', 'a', 'lines for']]) {
    const picker = make_select(label, names, set(which, other), cross_look[which].key);
    pickers[which] = picker.select;
    by_id('cross-controls').append(picker.label);
  }
  draw_cross();
  effect_listeners.push(draw_cross);
}
