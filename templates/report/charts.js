// charts: figures by Chart.js. A figure is drawn when it comes into view, for the first time or after a change, and before
// printing; it can be saved as PNG and as SVG.
const charts = [];

Chart.defaults.animation = false;
Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
Chart.defaults.font.size = 12;
Chart.defaults.maintainAspectRatio = false;
Chart.defaults.plugins.legend.display = false;

const seen = new IntersectionObserver(entries => {
  for (const entry of entries) if (entry.isIntersecting) entry.target.figure.draw();
}, { rootMargin: '400px' });

// A legend's mark: a dot, or a piece of the line with its dashes.
function swatch(item) {
  if (item.dot) return el('i', { class: 'dot', style: `background:${item.colour}` });
  const dashes = item.dash && item.dash.length ? item.dash : item.dashed ? [5, 3] : [];
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg'), line = document.createElementNS(svg.namespaceURI, 'line');
  Object.entries({ width: 26, height: 6, 'aria-hidden': 'true' }).forEach(([key, value]) => svg.setAttribute(key, value));
  Object.entries({ x1: 1, y1: 3, x2: 25, y2: 3, stroke: item.colour, 'stroke-width': 3, 'stroke-dasharray': dashes.join(' ') || 'none' })
    .forEach(([key, value]) => line.setAttribute(key, value));
  svg.append(line);
  return svg;
}

// Adds a figure to `parent`. `build()` returns Chart.js's configuration for the current theme and settings, and
// optionally a legend: [{ text, colour, dash, dashed, dot, key, value }]; a click on an item with a key chooses its
// runs. `height` is in pixels.
function make_chart(parent, title, height, build) {
  const canvas = el('canvas', { role: 'img', 'aria-label': title });
  const box = el('div', { class: 'box', style: `height:${height}px` }, canvas);
  const legend = el('div', { class: 'legend' });
  const figure = { title, canvas, box, build, chart: null, height };
  figure.set_height = pixels => { box.style.height = pixels + 'px'; };
  figure.caption = el('b', {}, title);
  const savers = Object.entries({ PNG: save_png, SVG: save_svg }).map(([kind, save]) => el('button',
    { type: 'button', title: `Save this figure as ${kind}`, 'aria-label': `Save ${title} as ${kind}`, click: () => save(figure) }, kind));
  figure.node = el('figure', {}, el('figcaption', {}, figure.caption, el('span', { class: 'savers' }, savers)), legend, box);
  figure.draw = () => {
    seen.unobserve(figure.node);
    figure.stale = false;
    if (figure.chart) figure.chart.destroy();
    const config = build();
    legend.replaceChildren(...(config.legend || []).map(item => el(item.key ? 'button' : 'span', item.key ? { type: 'button',
      'aria-pressed': String(selection.has(item.key, item.value)), click: () => selection.toggle(item.key, item.value) } : {},
      swatch(item),
      item.text)));
    delete config.legend;
    figure.chart = new Chart(canvas, config);
  };
  // Drawn anew when it is seen next: at once, if it is on the screen.
  figure.redraw = () => {
    if (!figure.chart) return;
    figure.stale = true;
    seen.unobserve(figure.node);
    seen.observe(figure.node);
  };
  figure.fresh = () => {
    if (figure.stale || !figure.chart) figure.draw();
    return figure;
  };
  figure.retitle = text => {
    figure.title = text;
    figure.caption.textContent = text;
    canvas.setAttribute('aria-label', text);
    savers.forEach(button => button.setAttribute('aria-label', `Save ${text} as ${button.textContent}`));
  };
  figure.node.figure = figure;
  charts.push(figure);
  parent.append(figure.node);
  seen.observe(figure.node);
  return figure;
}

function drop_chart(figure) {
  seen.unobserve(figure.node);
  if (figure.chart) figure.chart.destroy();
  figure.node.remove();
  charts.splice(charts.indexOf(figure), 1);
}

theme.listeners.push(() => charts.forEach(figure => figure.redraw()));

// ---- axes and values ----------------------------------------------------------------------------

function axis(title, options) {
  const colours = theme.colours();
  return Object.assign({
    title: { display: Boolean(title), text: title, color: colours.soft },
    grid: { color: colours.grid, borderColor: colours.grid },
    ticks: { color: colours.soft, maxRotation: 0, autoSkipPadding: 12 },
  }, options);
}

function loss_axis(title, logarithmic) {
  const a = axis(title, { type: logarithmic ? 'logarithmic' : 'linear' });
  a.ticks.callback = value => +value.toPrecision(4);
  a.ticks.includeBounds = logarithmic === true;
  return a;
}

function iteration_axis(logarithmic, title) {
  const a = axis(title || 'iteration', logarithmic ? { type: 'logarithmic' } : { type: 'linear', min: 0 });
  a.ticks.callback = value => formats.short(value);
  if (logarithmic) {
    a.ticks.callback = value => (/^[125]/.test(value.toExponential()) ? formats.short(value) : '');
  }
  return a;
}

// Two lists as points { x, y }, without missing values and, on a logarithmic axis, without 0. at(x), if given, is where
// on the axis that is.
function points(xs, ys, logarithmic, at) {
  const list = [];
  xs.forEach((from, i) => {
    const x = at ? at(from) : from;
    if (is_number(x) && is_number(ys[i]) && !(logarithmic && x <= 0)) list.push({ x, y: ys[i] });
  });
  return list;
}

// An exponential moving average with bias correction; `weight` is that of earlier values.
function smooth(list, weight) {
  let sum = 0, of = 0;
  return list.map(p => {
    sum = weight * sum + (1 - weight) * p.y;
    of = weight * of + (1 - weight);
    return { x: p.x, y: sum / of };
  });
}

// Tooltips: the nearest point's run, iteration and value; its line is drawn thicker.
function hover_lines(extra) {
  return Object.assign({
    mode: 'nearest', intersect: false,
  }, extra);
}

const tooltip = {
  displayColors: false,
  callbacks: {
    title: items => (items.length ? items[0].dataset.label : ''),
    label: item => {
      const ends = (item.dataset.band || [])[item.dataIndex];
      return `${(item.dataset.unit || x_units.iterations).text(item.parsed.x)}: ${item.parsed.y.toFixed(4)}${ends ? ` ± ${((ends[1] - ends[0]) / 2).toFixed(4)}` : ''}`;
    },
  },
};

function thicken(event, active, chart) {
  const at = active.length ? active[0].datasetIndex : -1;
  if (chart.thick === at) return;
  chart.thick = at;
  chart.data.datasets.forEach((set, i) => {
    if (set.own_width === undefined) set.own_width = set.borderWidth;
    set.borderWidth = i === at ? set.own_width + 1.75 : set.own_width;
  });
  chart.update('none');
}

// The axis's upper bound: the highest value after the first 15% of iterations, so that later values are legible. A line
// that ends before that does not count, unless all do.
function crop_height(datasets) {
  const lines = datasets.filter(set => set.showLine !== false)
    .map(set => set.data.map((p, i) => ({ x: p.x, y: set.band ? set.band[i][1] : p.y })));
  const last = Math.max(...datasets.flatMap(set => set.data.map(p => p.x)));
  const rest = lines.flatMap(line => line.filter(p => p.x >= 0.15 * last).map(p => p.y));
  const late = rest.length ? rest : lines.flatMap(line => line.slice(-1).map(p => p.y));
  const high = Math.max(...late), low = Math.min(...late);
  return late.length > 2 && high > low ? high + 0.05 * (high - low) : undefined;
}

// A figure of lines over iterations.
function line_config(datasets, options) {
  const y = loss_axis(options.y || 'loss', options.log_y);
  const ends = datasets.flatMap(set => (set.band || []).flat());
  if (ends.length) Object.assign(y, { suggestedMin: Math.min(...ends), suggestedMax: Math.max(...ends) });
  if (options.crop) y.max = crop_height(datasets);
  return {
    type: 'line',
    data: { datasets },
    options: {
      parsing: false,
      normalized: true,
      interaction: hover_lines(),
      onHover: thicken,
      layout: { padding: { right: 8 } },
      elements: { point: { radius: 0, hitRadius: 8, hoverRadius: 4 }, line: { tension: 0 } },
      plugins: { tooltip: Object.assign({}, tooltip, options.tooltip) },
      scales: { x: iteration_axis(options.log_x, x_units[options.x || 'iterations'].title), y },
    },
  };
}

// A diamond at a run's lowest validation loss.
function best_mark(run, colour, log_x, unit) {
  if (!run.rank || (log_x && run.best.iter <= 0)) return null;
  return {
    label: run.name + ', lowest val', unit, data: [{ x: (unit || x_units.iterations).of(run, run.best.iter), y: run.best.val }], showLine: false, borderWidth: 1,
    pointStyle: 'rectRot', pointRadius: 5, pointHoverRadius: 7, borderColor: theme.colours().page, backgroundColor: colour,
    pointBorderColor: theme.colours().page, pointBackgroundColor: colour,
  };
}
