// effects: for each factor, mean and spread of a result at each of its values, as sentences, figures and a table, the
// largest first; its share of the variance; and the spread over seeds.
const effect_look = { response: 'best' };
const shown_response = () => responses[effect_look.response];
const signed = (response, x) => minus((x > 0 ? '+' : '') + format(response.kind, x));

function level_range(list) {
  const all = list.flatMap(e => e.levels.flatMap(l => (is_number(l.sd) ? [l.mean - l.sd, l.mean + l.sd, ...l.points] : l.points)));
  const low = Math.min(...all), high = Math.max(...all), room = (high - low) * 0.06 || 0.05;
  return { min: low - room, max: high + room };
}

function effect_config(effect, range) {
  const response = shown_response(), text_of = x => format(response.kind, x);
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
            ? `mean ${text_of(item.parsed.y)}${is_number(level.sd) ? ' ± ' + text_of(level.sd) : ''} (${level.n} runs)` : text_of(item.parsed.y);
        },
      } } },
      scales: {
        x: axis('', { type: 'linear', min: -0.5, max: levels.length - 0.5, afterBuildTicks: a => { a.ticks = levels.map((_, i) => ({ value: i })); },
          ticks: { color: colours.soft, autoSkip: false, maxRotation: 50,
            callback: v => (levels[v] ? value_text(levels[v].value) + (levels[v].is_reference && D.baseline !== undefined ? ' *' : '') : '') } }),
        y: Object.assign(loss_axis(''), range),
      },
    },
  };
}

// Whether the report has tested what is shown: of all runs, on the best validation loss.
const is_tested = () => selection.all() && effect_look.response === 'best';

// The effects to show; those that are tested with their tests.
function shown_effects() {
  if (D.kind === 'runs' && runs.length < 3) return [];
  const tested = is_tested();
  return effects_now(shown_response(), selection.chosen).map(e => {
    const own = tested && D.effects.find(d => d.key === e.key);
    return own ? Object.assign({}, e, own, { levels: own.levels.map((l, i) => Object.assign({ same: e.levels[i].difference && e.levels[i].difference.same }, l)) }) : e;
  });
}

// "n_embd 256 against 128: −0.0800, lower in 16 of 16 pairs." of each difference, the largest first.
function effect_sentences() {
  const response = shown_response(), all = [];
  for (const e of shown_effects()) {
    const reference = e.levels.find(l => l.is_reference);
    for (const l of e.levels) {
      const d = l.difference, same = d && (d.same ?? l.same);
      if (!d || !reference) continue;
      const verdict = l.verdict && D.several_seeds ? ` (${l.verdict})` : d.n === 1 ? ' (one pair: cannot be told)' : '';
      all.push({ size: Math.abs(d.mean), text: `${e.key} ${value_text(l.value)} against ${value_text(reference.value)}: ${response.title} `
        + `${signed(response, d.mean)}, ${d.mean < 0 ? 'lower' : 'higher'} in ${same} of ${d.n} pair${d.n === 1 ? '' : 's'}${verdict}.` });
    }
  }
  return all.sort((a, b) => b.size - a.size).map(s => s.text);
}

// The factors' shares of the variance, the largest first, and, if all are of the same trainings, what is left.
function share_rows(list) {
  const rows = list.filter(e => e.variance).map(e => Object.assign({ text: e.key }, e.variance)).sort((a, b) => b.share - a.share);
  if (rows.length && rows.length === list.length && new Set(list.map(e => e.trainings.join())).size === 1) {
    rows.push({ text: 'the rest', share: Math.max(0, 1 - rows.reduce((sum, row) => sum + row.share, 0)), n: rows[0].n });
  }
  return rows;
}

function share_config(rows) {
  const colours = theme.colours();
  return {
    type: 'bar',
    data: { labels: rows.map(row => row.text), datasets: [{
      label: 'share', data: rows.map(row => 100 * row.share), barPercentage: 0.9, categoryPercentage: 0.8,
      backgroundColor: rows.map(row => (row.chance ? theme.line(0) : colours.faint)),
      values: rows.map(row => format('percent', row.share)), marks: rows.map(row => row.chance && 100 * row.chance),
    }] },
    options: {
      indexAxis: 'y',
      layout: { padding: { right: 52 } },
      interaction: { mode: 'nearest', axis: 'y', intersect: false },
      plugins: { tooltip: { displayColors: false, callbacks: { label: item => {
        const row = rows[item.dataIndex];
        return `${format('percent', row.share)} among ${row.n} trainings` + (row.chance ? `; chance alone ${format('percent', row.chance)}` : '');
      } } } },
      scales: {
        x: axis('', { type: 'linear', min: 0, max: 100, ticks: { color: colours.soft, maxRotation: 0, callback: value => value + '%' } }),
        y: axis('', { ticks: { color: colours.soft, autoSkip: false } }),
      },
    },
    legend: [{ text: '┃ what chance alone gives', colour: 'transparent', dot: true }],
  };
}

const effect_figures = [];
const effect_listeners = [() => draw_effects()]; // called when the result is another, or the chosen runs are

function draw_effect_table(list) {
  const kind = shown_response().kind;
  const rows = list.flatMap(e => e.levels.map(l => Object.assign({}, l, { factor: e.key, level: value_text(l.value) + (l.is_reference ? ' *' : ''),
    difference: l.difference && l.difference.mean, half: l.difference && l.difference.half, pairs: l.difference && l.difference.n,
    same: l.difference && (l.difference.same ?? l.same), share: e.variance && e.variance.share })));
  make_table(by_id('effect-table'), used_columns([
    { key: 'factor', title: 'factor', kind: 'text' },
    { key: 'level', title: 'value', kind: 'plain' },
    { key: 'n', title: 'trainings', kind: 'plain', hint: 'runs that have a partner at each value; one that is the first part of another is no training' },
    { key: 'mean', title: 'mean ' + shown_response().title, kind },
    { key: 'sd', title: 'sd', kind, hint: 'over the other settings and seeds' },
    { key: 'min', title: 'lowest', kind },
    { key: 'max', title: 'highest', kind },
    { key: 'difference', title: 'Δ from *', kind: kind === 'loss' ? 'delta' : kind, hint: 'mean of the differences of runs that are alike in all else' },
    { key: 'half', title: '± 95%', kind, hint: 'half width of its 95% interval over seeds, Student’s t, of this difference alone: the last column is corrected for their number' },
    { key: 'pairs', title: 'pairs', kind: 'plain' },
    { key: 'same', title: 'of that sign', kind: 'plain', hint: 'pairs whose difference has the sign of the mean' },
    { key: 'share', title: 'factor’s share', kind: 'percent', hint: 'of the variance: sum of squares of the means of its values over that of all trainings' },
    { key: 'verdict', title: 'what that shows', kind: 'text' },
  ], rows), rows, {});
}

function draw_effects() {
  effect_figures.splice(0).forEach(drop_chart);
  const list = shown_effects(), range = level_range(list);
  by_id('effect-words').replaceChildren(...effect_sentences().map(text => el('li', {}, text)));
  by_id('effect-none').hidden = list.length > 0;
  by_id('effect-untested').hidden = list.length === 0 || !D.several_seeds || is_tested();
  for (const effect of list) {
    effect_figures.push(make_chart(by_id('effect-charts'), `${shown_response().title} by ${effect.key}`, 230, () => effect_config(effect, range)));
  }
  const rows = share_rows(list);
  drop_table(by_id('effect-table'));
  if (list.length) draw_effect_table(list);
  by_id('share-hint').hidden = rows.length === 0;
  if (rows.length) {
    effect_figures.push(make_chart(by_id('effect-shares'), `shares of the variance of ${shown_response().title}`, 60 + 28 * rows.length, () => share_config(rows)));
  }
}

by_id('effects').hidden = shown_effects().length === 0;
if (!by_id('effects').hidden) {
  const usable = Object.entries(responses).filter(([, r]) => runs.some(run => is_number(r.of(run))));
  by_id('effect-controls').append(make_select('effects on', usable.map(([key, r]) => [key, r.title]),
    value => { effect_look.response = value; effect_listeners.forEach(f => f()); }, 'best').label);
  draw_effects();
  selection.shows(by_id('effects'), () => selection.chosen.size > 0);
  selection.listeners.push(() => effect_listeners.forEach(f => f()));
}

// ---- seeds --------------------------------------------------------------------------------------

// The settings all seeds of which are chosen.
const seed_rows = () => (D.seeds || []).filter(g => is_number(g.mean) && g.runs.every(i => selection.chosen.has(i)));

selection.shows(by_id('seeds'), () => seed_rows().length > 0);
if (D.seeds) {
  const figure = make_chart(by_id('seed-charts'), 'best val over seeds: mean ± sd', 90, () => {
    const groups = seed_rows();
    figure.set_height(90 + 26 * groups.length);
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
              return innerWidth < NARROW && text.length > 18 ? text.slice(0, 17) + '…' : text;
            } } }),
        },
      },
    };
    return config;
  });
  const draw_table = () => make_table(by_id('seed-table'), [
    { key: 'text', title: 'settings', kind: 'text' },
    { key: 'n', title: 'seeds', kind: 'plain' },
    { key: 'mean', title: 'mean best val', kind: 'loss' },
    { key: 'sd', title: 'sd', kind: 'loss' },
    { key: 'final', title: 'mean final val', kind: 'loss' },
    { key: 'final_sd', title: 'sd of that', kind: 'loss' },
    { key: 'delta', title: 'Δ baseline', kind: 'delta', hint: 'mean difference over the seeds of both' },
    { key: 'from_baseline', title: 'from the baseline', kind: 'text' },
    { key: 'from_best', title: 'from the best', kind: 'text' },
  ], seed_rows(), { mark: row => (row.is_baseline ? 'baseline' : '') });
  draw_table();
  selection.listeners.push(figure.redraw, draw_table);
}
