// touch: test_touch.lua puts it into a report: places on the page for its steps, all as points of the window.
window.R = window.report;
window.one = selector => document.querySelector(selector);
window.button_of = text => [...document.querySelectorAll('#runs-table thead button')].find(node => node.textContent === text);
window.figure = title => R.charts.find(f => f.title === title).fresh();
window.legend_of = title => figure(title).node.querySelector('.legend button');
document.documentElement.style.scrollBehavior = 'auto';

// Scrolls to a node and gives its middle, on which nothing else may lie.
window.middle = node => {
  node.scrollIntoView({ block: 'center' });
  const box = node.getBoundingClientRect(), at = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  const hit = document.elementFromPoint(at.x, at.y);
  if (!hit || !node.contains(hit)) throw new Error('something lies over ' + node.outerHTML.slice(0, 80));
  return at;
};

// Scrolls to a figure and gives the place that place(chart) has on its canvas; in_area has one of its chart's area, by
// parts of its width and height.
window.in_figure = (title, place) => {
  const { chart, canvas } = figure(title);
  middle(canvas);
  const box = canvas.getBoundingClientRect(), { x, y } = place(chart);
  return { x: box.x + x, y: box.y + y };
};
window.in_area = (title, x, y) => in_figure(title, ({ chartArea: a }) => ({ x: a.left + x * (a.right - a.left), y: a.top + y * (a.bottom - a.top) }));
window.point_of = (title, set, at) => in_figure(title, chart => chart.getDatasetMeta(set).data[at]);

// The middle of a tensor in the memory plan.
window.tensor_of = ([, address, size, from, to]) => in_figure('memory plan of the activations', ({ scales: { x, y } }) => (
  { x: x.getPixelForValue((from + to) / 2), y: y.getPixelForValue((address + size / 2) * 4 / 1048576) }));

// The middle of a cell of the enlarged map.
window.cell_of = (t, s) => {
  const canvas = one('#large canvas'), box = canvas.getBoundingClientRect(), g = canvas.cells, wide = box.width / (g.left + g.n * g.size + 1);
  return { x: box.x + (g.left + (s + 0.5) * g.size) * wide, y: box.y + (g.top + (t + 0.5) * g.size) * wide };
};

// What a finger can hit that is lower than 24 px, as text.
window.too_low = () => [...document.querySelectorAll('main button, main select, main summary, main input:not([type=checkbox], [type=range])')]
  .filter(node => node.getClientRects().length && node.getBoundingClientRect().height < 24).map(node => node.outerHTML.slice(0, 90)).slice(0, 3).join(' ');
