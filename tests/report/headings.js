// headings: comes before a page's test. orphans() are the headings, figures and tables of the page beneath which a reader
// sees nothing, once all that is folded is open: a heading wants a figure that has something drawn, a row, a text or a
// sentence before the next one; what only explains (.hint) or asks (controls) is not enough.
window.orphans = () => {
  const { charts, maps } = window.report;
  const seen = node => !node.closest('[hidden]') && node.getClientRects().length > 0;
  const name_of = node => `${node.tagName} “${node.textContent.trim().slice(0, 60)}” in ${node.closest('section').id}`;
  const is_drawn = figure => figure.fresh().chart.data.datasets.some(set => set.data.some(value => value !== null));
  const says = node => {
    if (node.matches('p:not(.hint, .soft), [role=status]')) return node.textContent.trim() !== '';
    if (node.matches('figure')) return charts.some(figure => figure.node === node && is_drawn(figure)) || maps.some(item => item.figure === node);
    return node.matches('tbody tr, li, pre');
  };
  document.querySelectorAll('main details').forEach(node => { node.open = true; });
  const wrong = charts.filter(figure => seen(figure.node) && !is_drawn(figure)).map(figure => `figure “${figure.title}”`);
  for (const table of document.querySelectorAll('main table')) if (seen(table) && !table.tBodies[0].rows.length) wrong.push(`table “${table.getAttribute('aria-label')}”`);
  for (const section of document.querySelectorAll('main section')) {
    const nodes = [...section.querySelectorAll('*')].filter(seen), level = node => (node.matches('h2, h3, h4') ? Number(node.tagName[1]) : 0);
    nodes.forEach((node, i) => {
      let beneath = [];
      if (node.matches('summary')) beneath = [...node.parentElement.querySelectorAll('*')].filter(seen);
      else if (level(node)) {
        const next = nodes.findIndex((other, n) => n > i && level(other) && level(other) <= level(node));
        beneath = nodes.slice(i + 1, next < 0 ? undefined : next);
      } else return;
      if (!beneath.some(other => says(other) || other.matches('dd'))) wrong.push(name_of(node));
    });
  }
  const links = [...document.querySelectorAll('#contents a')].filter(link => seen(link) !== seen(document.querySelector(link.hash + ' h2')));
  // On a wide page every link is in sight.
  const hidden = innerWidth > 1200 ? [...document.querySelectorAll('#contents a')].filter(link => link.getBoundingClientRect().right > innerWidth) : [];
  links.push(...hidden);
  return [...wrong, ...links.map(link => `link ${link.hash}`)];
};
