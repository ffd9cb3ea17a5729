// effects: for each factor, mean and spread of the best validation loss at each of its values, as figures and as a
// table; and the spread over seeds.
const level_range = (() => {
  const all = D.effects.flatMap(e => e.levels.flatMap(l => (is_number(l.sd) ? [l.mean - l.sd, l.mean + l.sd, ...l.points] : l.points)));
  const low = Math.min(...all), high = Math.max(...all), room = (high - low) * 0.06 || 0.05;
  return { min: low - room, max: high + room };
})();

function effect_config(effect) {
  const colours = theme.colours(), levels = effect.levels;
  const means = levels.map((l, i) => ({ x: i, y: is_number(l.mean) ? l.mean : null }));
  const dots = levels.flatMap((l, i) => l.points.map((y, j) => ({
    x: i + (l.points.length > 1 ? (j / (l.points.length - 1) - 0.5) * 0.28 : 0), y })));
  return {
    type: 'line',
    data: { datasets: [
      { label: 'mean', data: means, borderColor: theme.line(0), backgroundColor: theme.line(0), borderWidth: 2, pointRadius: 5,
        spanGaps: true, errors: levels.map(l => (is_number(l.sd) ? [l.mean - l.sd, l.mean + l.sd] : null)), errorColour: theme.line(0) },
      { label: 'runs', data: dots, showLine: false, pointRadius: 3, borderColor: colours.faint, backgroundColor: colours.faint },
    ] },
    options: {
      parsing: false,
      interaction: { mode: 'nearest', intersect: false },
      plugins: { tooltip: { displayColors: false, callbacks: {
        title: items => (items.length ? `${effect.key} ${value_text(levels[Math.round(items[0].parsed.x)].value)}` : ''),
        label: item => {
          const level = levels[Math.round(item.parsed.x)];
          return item.datasetIndex === 0
            ? `mean ${item.parsed.y.toFixed(4)}${is_number(level.sd) ? ' ± ' + level.sd.toFixed(4) : ''} (${level.n} runs)` : item.parsed.y.toFixed(4);
        },
      } } },
      scales: {
        x: axis('', { type: 'linear', min: -0.5, max: levels.length - 0.5, afterBuildTicks: a => { a.ticks = levels.map((_, i) => ({ value: i })); },
          ticks: { color: colours.soft, autoSkip: false, maxRotation: 50,
            callback: v => (levels[v] ? value_text(levels[v].value) + (levels[v].is_reference && D.baseline !== undefined ? ' *' : '') : '') } }),
        y: Object.assign(loss_axis(''), level_range),
      },
    },
  };
}

const effect_list = D.kind === 'runs' && runs.length < 3 ? [] : D.effects.filter(e => e.levels.filter(l => l.n > 0).length > 1);
for (const effect of effect_list) {
  make_chart(by_id('effect-charts'), 'best val by ' + effect.key, 230, () => effect_config(effect));
}
by_id('effects').hidden = effect_list.length === 0;

if (effect_list.length) {
  const rows = effect_list.flatMap(e => e.levels.map(l => Object.assign({}, l, { factor: e.key, level: value_text(l.value) + (l.is_reference ? ' *' : ''),
    difference: l.difference && l.difference.mean, half: l.difference && l.difference.half, pairs: l.difference && l.difference.n,
    verdict: l.verdict })));
  make_table(by_id('effect-table'), used_columns([
    { key: 'factor', title: 'factor', kind: 'text' },
    { key: 'level', title: 'value', kind: 'plain' },
    { key: 'n', title: 'trainings', kind: 'plain', hint: 'runs that have a partner at each value; one that is the first part of another is no training' },
    { key: 'mean', title: 'mean best val', kind: 'loss' },
    { key: 'sd', title: 'sd', kind: 'loss', hint: 'over the other settings and seeds' },
    { key: 'min', title: 'lowest', kind: 'loss' },
    { key: 'max', title: 'highest', kind: 'loss' },
    { key: 'difference', title: 'Δ from *', kind: 'delta', hint: 'mean of the differences of runs that are alike in all else' },
    { key: 'half', title: '± 95%', kind: 'loss', hint: 'half width of its 95% interval over seeds, Student’s t' },
    { key: 'pairs', title: 'pairs', kind: 'plain' },
    { key: 'verdict', title: 'what that shows', kind: 'text' },
  ], rows), rows, {});
}

// ---- seeds --------------------------------------------------------------------------------------

by_id('seeds').hidden = !D.seeds;
if (D.seeds) {
  const groups = D.seeds.filter(g => is_number(g.mean));
  make_chart(by_id('seed-charts'), 'best val over seeds: mean ± sd', 90 + 26 * groups.length, () => {
    const colours = theme.colours(), x = loss_axis('best validation loss');
    // Whiskers are no points, for which the axis would make room; points are in the order of x, as Chart.js expects.
    const ends = groups.flatMap(g => (is_number(g.sd) ? [g.mean - g.sd, g.mean + g.sd] : [g.mean]));
    Object.assign(x, { suggestedMin: Math.min(...ends), suggestedMax: Math.max(...ends) });
    const config = {
      type: 'scatter',
      data: { datasets: [
        { label: 'mean', data: groups.map((g, i) => ({ x: g.mean, y: i })), pointRadius: 5, backgroundColor: theme.line(0), borderColor: theme.line(0),
          spans: groups.map(g => (is_number(g.sd) ? [g.mean - g.sd, g.mean + g.sd] : null)) },
        { label: 'seeds', data: groups.flatMap((g, i) => g.points.map(at => ({ x: at, y: i }))).sort((a, b) => a.x - b.x), pointRadius: 3, backgroundColor: colours.faint, borderColor: colours.faint },
      ] },
      options: {
        parsing: false,
        plugins: { tooltip: { displayColors: false, callbacks: { label: item => `${groups[item.parsed.y].text}: ${item.parsed.x.toFixed(4)}` } } },
        scales: {
          x,
          y: axis('', { reverse: true, min: -0.5, max: groups.length - 0.5, afterBuildTicks: a => { a.ticks = groups.map((_, i) => ({ value: i })); },
            ticks: { color: colours.soft, autoSkip: false, callback: v => {
              const text = groups[v] ? groups[v].text : '';
              return innerWidth < 640 && text.length > 18 ? text.slice(0, 17) + '…' : text;
            } } }),
        },
      },
    };
    return config;
  });
  make_table(by_id('seed-table'), [
    { key: 'text', title: 'settings', kind: 'text' },
    { key: 'n', title: 'seeds', kind: 'plain' },
    { key: 'mean', title: 'mean best val', kind: 'loss' },
    { key: 'sd', title: 'sd', kind: 'loss' },
    { key: 'final', title: 'mean final val', kind: 'loss' },
    { key: 'final_sd', title: 'sd of that', kind: 'loss' },
    { key: 'delta', title: 'Δ baseline', kind: 'delta', hint: 'mean difference over the seeds of both' },
    { key: 'from_baseline', title: 'from the baseline', kind: 'text' },
    { key: 'from_best', title: 'from the best', kind: 'text' },
  ], D.seeds, { mark: row => (row.is_baseline ? 'baseline' : '') });
}
