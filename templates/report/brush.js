// brush: a rectangle drawn on a figure chooses the runs within it, by the columns of its axes.
const BRUSH_LEAST = 6; // pixels: less is a click

// Puts a brush on a figure; columns() are the names, for the filter, of what is on the x and the y axis.
function brush_over(figure, columns) {
  const frame = el('div', { class: 'brush', hidden: true });
  figure.canvas.parentElement.append(frame);
  let from = null;
  const inside = event => {
    const a = figure.chart.chartArea, box = figure.canvas.getBoundingClientRect();
    return { x: Math.max(a.left, Math.min(a.right, event.clientX - box.left)), y: Math.max(a.top, Math.min(a.bottom, event.clientY - box.top)) };
  };
  const draw = to => {
    Object.assign(frame.style, { left: Math.min(from.x, to.x) + 'px', top: Math.min(from.y, to.y) + 'px',
      width: Math.abs(to.x - from.x) + 'px', height: Math.abs(to.y - from.y) + 'px' });
    frame.hidden = false;
  };
  // A finger that begins sideways draws; up and down it scrolls the page.
  figure.canvas.style.touchAction = 'pan-y pinch-zoom';
  figure.canvas.addEventListener('pointerdown', event => {
    if (!event.isPrimary || event.button !== 0 || !figure.chart) return;
    from = inside(event);
    try { figure.canvas.setPointerCapture(event.pointerId); } catch { /* a pointer that is not there */ }
  });
  figure.canvas.addEventListener('pointermove', event => { if (from) draw(inside(event)); });
  figure.canvas.addEventListener('pointerup', event => {
    if (!from) return;
    const to = inside(event), a = from, { x, y } = figure.chart.scales, names = columns();
    from = null;
    frame.hidden = true;
    if (Math.abs(to.x - a.x) < BRUSH_LEAST || Math.abs(to.y - a.y) < BRUSH_LEAST) return;
    const words = (name, scale, p, q) => {
      const ends = [scale.getValueForPixel(p), scale.getValueForPixel(q)].sort((l, r) => l - r);
      return [`${name}>=${+ends[0].toPrecision(5)}`, `${name}<=${+ends[1].toPrecision(5)}`];
    };
    selection.set([...selection.without(names), ...words(names[0], x, a.x, to.x), ...words(names[1], y, a.y, to.y)].join(' '));
  });
  figure.canvas.addEventListener('pointercancel', () => { from = null; frame.hidden = true; });
}
