// maps: attention maps as files for a paper: one map, or every head of a layer in one picture, with titles of the axes and
// a bar of the colours; always light, as a PNG at three times its size or as SVG.
const MAP_GAP = 14, AXIS_LINE = 18, BAR_WIDE = 62;

// { width, height, paint(c) } of some maps { title, map } of the same tokens and scale, in rows of about as many as columns.
function map_picture(title, items) {
  const { map } = items[0], size = Math.max(cell_size(map.tokens.length), 12), columns = Math.ceil(Math.sqrt(items.length));
  const frame = map_frame(el('canvas').getContext('2d'), map, size), wide = frame.left + frame.side + MAP_GAP, high = AXIS_LINE + frame.top + frame.side + MAP_GAP;
  const rows = Math.ceil(items.length / columns), width = Math.max(360, AXIS_LINE + columns * wide + BAR_WIDE), height = TITLE_LINE + rows * high + AXIS_LINE;
  const face = px => `${px}px ${Chart.defaults.font.family}`;
  const paint = c => {
    const colours = theme.colours();
    c.fillStyle = colours.page;
    c.fillRect(0, 0, width, height);
    c.textBaseline = 'alphabetic';
    c.textAlign = 'left';
    c.fillStyle = colours.ink;
    c.font = `600 ${face(13)}`;
    c.fillText(title, 8, LEGEND_LINE, width - 16);
    items.forEach((item, i) => {
      const x = AXIS_LINE + (i % columns) * wide, y = TITLE_LINE + Math.floor(i / columns) * high;
      if (items.length > 1) {
        c.fillStyle = colours.ink;
        c.font = face(12);
        c.textBaseline = 'alphabetic';
        c.textAlign = 'left';
        c.fillText(item.title, x + frame.left, y + 12);
      }
      c.save();
      c.translate(x, y + AXIS_LINE);
      paint_map(c, item.map, size);
      c.restore();
    });
    c.fillStyle = colours.soft;
    c.font = face(12);
    c.textBaseline = 'alphabetic';
    c.textAlign = 'center';
    const middle = AXIS_LINE + (columns * wide - MAP_GAP + frame.left) / 2;
    c.fillText('key: the token looked at', middle, height - 6);
    c.save();
    c.translate(12, TITLE_LINE + rows * high / 2);
    c.rotate(-Math.PI / 2);
    c.fillText('query: the token that looks', 0, 0);
    c.restore();
    // The bar: the scale from its end, above, to 0.
    const x = width - BAR_WIDE + 16, top = TITLE_LINE + AXIS_LINE + frame.top, steps = 64;
    for (let i = 0; i < steps; i++) {
      c.fillStyle = `rgb(${heat_colour(1 - i / (steps - 1))})`;
      c.fillRect(x, top + i * frame.side / steps, 12, frame.side / steps + 0.5);
    }
    c.textAlign = 'left';
    c.fillStyle = colours.soft;
    c.fillText(map.scale === 1 ? '1' : `≥ ${map.scale}`, x + 16, top + 9);
    c.fillText('0', x + 16, top + frame.side);
  };
  return { width, height, paint };
}

function map_image(title, items) {
  return on_paper(() => {
    const { width, height, paint } = map_picture(title, items), image = el('canvas', { width: width * PNG_SCALE, height: height * PNG_SCALE });
    const c = image.getContext('2d');
    c.scale(PNG_SCALE, PNG_SCALE);
    paint(c);
    return image;
  });
}

function map_svg(title, items) {
  return on_paper(() => {
    const { width, height, paint } = map_picture(title, items), c = svg_context(el('canvas'), '');
    paint(c);
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">\n`
      + `<title>${svg_text(title)}</title>\n${c.svg()}\n</svg>\n`;
  });
}

const map_file = (title, kind) => file_name('attention ' + title, kind);
const map_savers = { PNG: (title, items) => download(map_file(title, 'png'), map_image(title, items).toDataURL('image/png')),
  SVG: (title, items) => save_text(map_file(title, 'svg'), 'image/svg+xml', map_svg(title, items)) };

// The buttons that save some maps; items() are those.
const map_buttons = (title, items) => Object.entries(map_savers).map(([kind, save]) => el('button', { type: 'button',
  'aria-label': `Save ${title} as ${kind}`, title: `Save ${title} as ${kind}`, click: event => { event.stopPropagation(); save(title, items()); } }, kind));
