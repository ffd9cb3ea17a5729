// losses: parameters against val loss, and bars of train and val loss.
const sized = all_indexes.filter(i => runs[i].rank && (runs[i].params || runs[i].all_params));
const size_look = { key: 'params', loss: 'best', by: (D.factors[0] || {}).key || 'run' };

selection.shows(by_id('sizes'), () => sized.length > 1 && selection.of(sized).length > 0);
if (sized.length > 1) {
  const y = run => (size_look.loss === 'best' ? run.best.val : run.final && run.final.val);
  const shown = () => selection.of(sized).map(i => runs[i]).filter(run => is_number(y(run)) && run[size_look.key] > 0)
    .sort((a, b) => a[size_look.key] - b[size_look.key]); // Chart.js expects x in order
  const at = run => ({ x: run[size_look.key], y: y(run) });
  const say_fit = () => { by_id('size-words').textContent = fit_words(shown().map(at)); };
  const figure = make_chart(by_id('size-chart'), 'parameters and validation loss', 460, () => {
    const { colour, legend } = colouring(selection.of(sized), size_look.by), list = shown();
    const xs = list.map(run => run[size_look.key]), low = Math.min(...xs), high = Math.max(...xs);
    const colours = list.map(run => (run === baseline ? theme.colours().ink : colour(run)));
    const x = axis(size_look.key === 'params' ? 'parameters by nanoGPT’s count (log)' : 'parameters in all (log)',
      { type: 'logarithmic', min: low * 0.8, max: high * 1.6, afterBuildTicks: scale => {
        const nice = [];
        for (let p = 10 ** Math.floor(Math.log10(low * 0.8)); p <= high * 2; p *= 10) for (const k of [1, 1.5, 2, 3, 5, 7]) nice.push(p * k);
        const inside = nice.filter(v => v >= low * 0.8 && v <= high * 1.6);
        scale.ticks = (inside.length > 1 ? inside : [...new Set(xs)]).map(value => ({ value }));
      } });
    x.ticks.callback = value => formats.short(value);
    return {
      type: 'scatter',
      data: { datasets: [{
        type: 'scatter', label: 'runs', data: list.map(at), backgroundColor: colours, borderColor: theme.colours().page,
        pointRadius: list.map(run => (run === baseline ? 6 : 5)), pointStyle: list.map(run => (run === baseline ? 'rect' : 'circle')),
        names: list.map(run => shortened(label_of(runs.indexOf(run), sized), 40)),
      }, fit_line(list.map(at))] },
      options: {
        parsing: false,
        layout: { padding: { right: 8 } },
        interaction: { mode: 'nearest', intersect: false },
        plugins: { tooltip: { displayColors: false, filter: item => item.datasetIndex === 0, callbacks: {
          title: items => (items.length ? list[items[0].dataIndex].name : ''),
          label: item => `${formats.count(item.parsed.x)} parameters, val ${item.parsed.y.toFixed(4)}`,
        } } },
        scales: { x, y: loss_axis(size_look.loss === 'best' ? 'lowest validation loss' : 'final validation loss') },
      },
      legend: [...legend.map(item => Object.assign({ dot: true }, item)), ...(power_fit(list.map(at)) ? [{ text: 'a + b·N^−c', colour: theme.colours().soft, dash: [8, 4] }] : []), ...(baseline ? [{ text: '■ baseline', colour: 'transparent', dot: true }] : [])],
    };
  });
  const change = key => value => { size_look[key] = value; figure.redraw(); say_fit(); };
  selection.listeners.push(figure.redraw, say_fit);
  say_fit();
  brush_over(figure, () => [size_look.key, size_look.loss === 'best' ? 'best' : 'val']);
  by_id('size-controls').append(
    make_select('count', [['params', 'nanoGPT’s'], ['all_params', 'all']], change('key'), 'params').label,
    make_select('loss', [['best', 'lowest val'], ['final', 'final val']], change('loss'), 'best').label);
  if (D.factors.length) {
    by_id('size-controls').append(make_select('colour by', D.factors.map(f => [f.key, f.key]), change('by'), size_look.by).label);
  }
}

// ---- bars ---------------------------------------------------------------------------------------

const barred = all_indexes.filter(i => runs[i].final && (runs[i].rank || runs.length === 1));
// Where an axis of bars starts: at 0, or, where the differences are small beside the values, below the least one by a
// quarter of them.
function bar_start(values) {
  const low = Math.min(...values), room = Math.max(...values) - low;
  if (!(room > 0) || low < 2 * room) return 0;
  const step = 10 ** Math.floor(Math.log10(room));
  return +(Math.floor((low - room / 4) / step) * step).toPrecision(6);
}

const bar_look = { at: 'final', sort: 'rank' };

selection.shows(by_id('bars'), () => selection.of(barred).length > 0);
if (barred.length) {
  const figure = make_chart(by_id('bar-chart'), 'train and val loss', 70 + 34 * barred.length, () => {
    const list = selection.of(barred);
    figure.set_height(70 + 34 * Math.max(1, list.length));
    if (bar_look.sort === 'rank') list.sort((a, b) => (runs[a].rank || 1e9) - (runs[b].rank || 1e9) || a - b);
    const of = (run, which) => { const e = bar_look.at === 'final' ? run.final : run.best || {}; return is_number(e[which]) ? e[which] : null; };
    const narrow = innerWidth < NARROW;
    const set = (which, n) => ({
      label: which, data: list.map(i => of(runs[i], which)), backgroundColor: theme.line(n), barPercentage: 0.95, categoryPercentage: 0.78,
      values: list.map(i => { const v = of(runs[i], which); return v === null ? 'none' : v.toFixed(4); }),
    });
    const colours = theme.colours(), start = bar_start(list.flatMap(i => [of(runs[i], 'train'), of(runs[i], 'val')]).filter(is_number));
    return {
      type: 'bar',
      data: { broken: start > 0, labels: list.map(i => runs[i].name), datasets: [set('train', 1), set('val', 0)] },
      options: {
        indexAxis: 'y',
        layout: { padding: { right: 52 } },
        interaction: { mode: 'nearest', axis: 'y', intersect: false },
        plugins: { tooltip: { callbacks: { label: item => `${item.dataset.label} ${item.parsed.x.toFixed(4)}` } } },
        scales: {
          x: Object.assign(loss_axis(start > 0 ? `loss, from ${formats.plain(start)} on` : 'loss'), { min: start }),
          y: axis('', { ticks: { color: colours.soft, autoSkip: false, font: { size: 11 }, callback(v) {
            const text = narrow ? label_of(list[v], list) : runs[list[v]].name;
            return shortened(text, narrow ? 20 : 44) + (runs[list[v]] === baseline ? ' *' : '');
          } } }),
        },
      },
      legend: [{ text: 'train', colour: theme.line(1), dot: true }, { text: 'val', colour: theme.line(0), dot: true }],
    };
  });
  selection.listeners.push(figure.redraw);
  const change = key => value => { bar_look[key] = value; figure.redraw(); };
  by_id('bar-controls').append(make_select('losses', [['final', 'at the last evaluation'], ['best', 'at the lowest val']], change('at'), 'final').label);
  if (barred.length > 1) by_id('bar-controls').append(make_select('order', [['rank', 'lowest val first'], ['plan', 'as listed']], change('sort'), 'rank').label);
}
