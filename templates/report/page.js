// page: contents, printing, and what the address brings.
for (const section of document.querySelectorAll('main section')) {
  const link = el('a', { href: '#' + section.id }, section.querySelector('h2').textContent);
  const follow = () => { link.hidden = section.hidden; };
  by_id('contents').append(link);
  follow();
  selection.listeners.push(follow);
}

// A phone begins with long parts folded.
if (innerWidth < NARROW) for (const node of document.querySelectorAll('details.wide, #small, #samples-more')) node.open = false;

// A link to a part within one that is folded opens it.
function unfold(id) {
  const fold = id && by_id(id + '-fold');
  if (fold) fold.open = true;
}
by_id('contents').addEventListener('click', event => unfold((event.target.hash || '').slice(1)));

// Before printing: the light theme, and every figure drawn.
function draw_all() {
  charts.forEach(figure => figure.fresh());
  maps.forEach(item => { if (!item.drawn) item.draw(); });
}
let folded = []; // what printing has opened
addEventListener('beforeprint', () => {
  theme.printing = true;
  theme.apply();
  folded = [...document.querySelectorAll('details:not([open])')];
  folded.forEach(node => { node.open = true; });
  draw_all();
  charts.forEach(figure => figure.chart.resize());
});
addEventListener('afterprint', () => {
  theme.printing = false;
  folded.forEach(node => { node.open = false; });
  theme.apply();
});
by_id('print').addEventListener('click', () => print());

// The filter that the address brings, and its section, which is no id when a filter is beside it.
if (address.filter()) {
  const section = address.section();
  selection.set(address.filter());
  if (section && by_id(section)) by_id(section).scrollIntoView();
}

// For use from the browser's console.
window.report = { selection, effect_of, cells_of, crossed_now: () => (by_id('cross').hidden ? null : crossed_now()), share_of_variance, line_name, power_fit, fit_words, fit_line, reached_at, D, A, charts, tables, maps, draw_all, theme, show_run, runs_table, chart_image, chart_svg, map_image, map_svg };
