// paper: a figure as a file for a paper: with its title and legend, always in the light theme, as a PNG at three times the
// size that it has on the page, or as SVG.
const PNG_SCALE = 3;
const LEGEND_LINE = 18, TITLE_LINE = 26;

const file_name = (title, kind) => `${D.name}-${title.toLowerCase().replace(/[^a-z0-9.=]+/g, '-').replace(/^-|-$/g, '')}.${kind}`;

// What f returns, in the light theme.
function on_paper(f) {
  const before = theme.printing;
  theme.printing = true;
  try { return f(); } finally { theme.printing = before; }
}

// Draws a figure once more, on another canvas. Returns the chart, its size in the page's pixels, the lines of the legend
// as [item, x], and the height of title and legend.
function chart_on(figure, canvas, scale) {
  const config = figure.build(), legend = config.legend || [];
  delete config.legend;
  const width = figure.box.clientWidth || 720, height = figure.box.clientHeight || figure.height;
  canvas.width = width;
  canvas.height = height;
  Object.assign(config.options, { responsive: false, devicePixelRatio: scale, events: [] });
  const probe = document.createElement('canvas').getContext('2d');
  probe.font = `12px ${Chart.defaults.font.family}`;
  const rows = [];
  let x = 0;
  for (const item of legend) {
    const wide = probe.measureText(item.text).width + 38;
    if (!rows.length || x + wide > width) { rows.push([]); x = 0; }
    rows[rows.length - 1].push([item, x]);
    x += wide;
  }
  return { chart: new Chart(canvas, config), width, height, rows, head: TITLE_LINE + rows.length * LEGEND_LINE };
}

// The ground of a figure, its title and its legend.
function draw_head(c, title, { width, height, rows, head }) {
  const colours = theme.colours();
  c.fillStyle = colours.page;
  c.fillRect(0, 0, width, head + height);
  c.fillStyle = colours.ink;
  c.font = `600 13px ${Chart.defaults.font.family}`;
  c.fillText(title, 8, LEGEND_LINE);
  c.font = `12px ${Chart.defaults.font.family}`;
  rows.forEach((row, i) => row.forEach(([item, at]) => {
    const y = TITLE_LINE + 12 + i * LEGEND_LINE;
    c.strokeStyle = c.fillStyle = item.colour;
    c.lineWidth = 3;
    c.setLineDash(item.dash && item.dash.length ? item.dash : item.dashed ? [5, 3] : []);
    c.beginPath();
    if (item.dot) c.arc(at + 22, y - 4, 4, 0, 2 * Math.PI);
    else c.moveTo(at + 8, y - 4);
    if (item.dot) c.fill();
    else c.lineTo(at + 26, y - 4);
    if (!item.dot) c.stroke();
    c.fillStyle = colours.ink;
    c.fillText(item.text, at + 31, y);
  }));
}

// The figure as a canvas.
function chart_image(figure, scale = PNG_SCALE) {
  return on_paper(() => {
    const drawn = chart_on(figure, el('canvas'), scale), { width, height, head } = drawn;
    const image = el('canvas', { width: Math.round(width * scale), height: Math.round((head + height) * scale) }), c = image.getContext('2d');
    c.scale(scale, scale);
    draw_head(c, figure.title, drawn);
    c.drawImage(drawn.chart.canvas, 0, head, width, height);
    drawn.chart.destroy();
    return image;
  });
}

// The figure as the text of an SVG file.
function chart_svg(figure) {
  return on_paper(() => {
    const canvas = el('canvas'), path = window.Path2D;
    const inner = svg_context(canvas, file_name(figure.title, 'clip')), outer = svg_context(el('canvas'), '');
    canvas.getContext = () => inner;
    window.Path2D = SvgPath;
    let drawn;
    try { drawn = chart_on(figure, canvas, 1); } finally { window.Path2D = path; }
    const { width, height, head } = drawn;
    draw_head(outer, figure.title, drawn);
    const text = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${head + height}" viewBox="0 0 ${width} ${head + height}">\n`
      + `<title>${svg_text(figure.title)}</title>\n${outer.svg()}\n<g transform="translate(0 ${head})">\n${inner.svg()}\n</g>\n</svg>\n`;
    drawn.chart.destroy();
    return text;
  });
}

const save_text = (name, type, text) => download(name, `data:${type};charset=utf-8,${encodeURIComponent(text)}`);
const save_png = figure => download(file_name(figure.title, 'png'), chart_image(figure).toDataURL('image/png'));
const save_svg = figure => save_text(file_name(figure.title, 'svg'), 'image/svg+xml', chart_svg(figure));
