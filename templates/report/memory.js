// memory: a build's allocation, and the plan of its activations: the address of each and the nodes from which to which
// it is live.
const planned = D.builds.filter(b => b.plan || b.plan_bytes || (b.figures && b.figures.plan_bytes));
let shown_plan = 0;
let plan_figure = null;

const mib = bytes => formats.mib(bytes) + ' MiB';

function plan_words(b) {
  const bytes = b.plan_bytes || (b.figures || {}).plan_bytes, words = [];
  if (bytes) words.push(`${b.name} takes ${mib(bytes)} in one allocation`);
  if (b.plan) {
    const { state, params, acts, unplanned } = b.plan.sizes, kept = state || params;
    words.push(`weights ${mib(4 * kept)}, as much each for gradients and, where the optimizer has them, two moments`);
    words.push(`activations and their gradients ${mib(4 * acts)}` + (unplanned ? `, ${mib(4 * unplanned)} if none shared memory` : ''));
  }
  if (b.figures && b.figures.peak_rss_bytes) words.push(`bench’s process took ${mib(b.figures.peak_rss_bytes)} at most`);
  return words.join('; ') + '.';
}

// A rectangle for each tensor: nodes on the x axis, addresses on the y axis.
function plan_config(b) {
  const colours = theme.colours(), plan = b.plan;
  const kinds = [['kept for the backward pass', 0], ['gradients', 1], ['short-lived', 2]];
  const before = plan.forward || plan.nodes / 2;
  const kind_of = t => (t[0].startsWith('d.') ? 1 : t[3] <= before && t[4] > before ? 0 : 2);
  const sets = kinds.map(([label, n]) => ({ label, backgroundColor: faded(theme.line(n), 0.75), borderColor: colours.page, data: [], tensors: [] }));
  for (const t of plan.tensors) {
    const set = sets[kind_of(t)];
    set.data.push({ x: (t[3] + t[4]) / 2, y: (t[1] + t[2] / 2) * 4 / 1048576 });
    set.tensors.push(t);
  }
  return {
    type: 'scatter',
    data: { datasets: sets.map(set => Object.assign(set, { pointRadius: 0, pointHitRadius: 0, rectangles: true })) },
    options: {
      parsing: false,
      events: [],
      scales: {
        x: axis('node of the step, forward then backward', { type: 'linear', min: 0, max: plan.nodes + 1 }),
        y: axis('MiB', { type: 'linear', min: 0, max: plan.sizes.acts * 4 / 1048576 }),
      },
    },
    legend: kinds.map(([text, n]) => ({ text, colour: theme.line(n), dot: true })),
  };
}

Chart.register({
  id: 'rectangles',
  afterDatasetsDraw(chart) {
    const c = chart.ctx, { x, y } = chart.scales;
    c.save();
    for (const set of chart.data.datasets) {
      if (!set.rectangles) continue;
      c.fillStyle = set.backgroundColor;
      c.strokeStyle = set.borderColor;
      c.lineWidth = 0.5;
      for (const t of set.tensors) {
        const left = x.getPixelForValue(t[3] - 0.5), right = x.getPixelForValue(t[4] + 0.5);
        const low = y.getPixelForValue(t[1] * 4 / 1048576), high = y.getPixelForValue((t[1] + t[2]) * 4 / 1048576);
        c.fillRect(left, high, right - left, low - high);
        if (low - high > 2) c.strokeRect(left, high, right - left, low - high);
      }
    }
    c.restore();
  },
});

// A tooltip for the tensor under the pointer; of two that touch, the one drawn last.
function plan_tip(figure) {
  tip_over(figure.canvas, event => {
    const { chart } = figure;
    if (!chart) return undefined;
    const node = chart.scales.x.getValueForPixel(event.offsetX), at = chart.scales.y.getValueForPixel(event.offsetY) * 1048576 / 4;
    const found = planned[shown_plan].plan.tensors.filter(t => node >= t[3] - 0.5 && node <= t[4] + 0.5 && at >= t[1] && at < t[1] + t[2]).pop();
    return found && `${found[0]}: ${mib(found[2] * 4)}, nodes ${found[3]} to ${found[4]}`;
  });
}

function show_plan(at) {
  shown_plan = at;
  const b = planned[at];
  by_id('memory-words').textContent = plan_words(b);
  if (plan_figure) drop_chart(plan_figure);
  plan_figure = null;
  if (b.plan) {
    plan_figure = make_chart(by_id('memory-map'), 'memory plan of the activations', 340, () => plan_config(b));
    plan_tip(plan_figure);
    const missing = b.plan.all - b.plan.tensors.length;
    if (missing > 0) by_id('memory-words').append(` The ${missing} smallest tensors are not drawn.`);
  }
}

selection.shows(by_id('memory'), () => planned.some(is_chosen));
if (planned.length) by_id('memory-controls').append(pick_build('build', planned, show_plan));
