// factors: for each factor a pair of figures, val and train, coloured by its values, with the baseline.
const factor_figures = [];
let alike = false; // in a grid, show only runs whose other settings are the baseline's

function factor_runs(effect) {
  const list = selection.of(effect.runs);
  if (!alike || !baseline) return list;
  return list.filter(i => D.factors.every(f => f.key === effect.key || setting(runs[i], f.key) === setting(baseline, f.key)));
}

const curves_of = effect => factor_runs(effect).filter(i => measured.includes(i));
const factor_parts = []; // each shows or hides a factor's figures

function redraw_factors() {
  factor_parts.forEach(part => part());
  factor_figures.forEach(figure => figure.redraw());
}

if (D.factors.length && measured.length > 1) {
  if (D.kind === 'grid' && baseline) {
    by_id('factor-controls').append(make_check('only runs with the baseline’s other settings', alike,
      value => { alike = value; redraw_factors(); }));
  }
  for (const effect of D.effects) {
    if (effect.runs.filter(i => measured.includes(i)).length < 2) continue;
    const row = el('div', { class: 'row' }), part = el('div', {}, el('h3', {}, effect.key), row);
    by_id('factor-charts').append(part);
    factor_parts.push(() => { part.hidden = !curves_of(effect).length; });
    for (const which of ['val', 'train']) {
      factor_figures.push(make_chart(row, `${loss_words[which]} by ${effect.key}`, 300,
        () => run_lines(curves_of(effect), which, Object.assign({}, look, { by: effect.key }))));
    }
  }
}
selection.listeners.push(redraw_factors);
selection.shows(by_id('factors'), () => factor_figures.length > 0 && selection.of(measured).length > 0);
