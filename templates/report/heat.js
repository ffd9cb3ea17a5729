// heat: heat maps of causal attention on a canvas. Row t has t + 1 weights; above the diagonal, where attention is
// masked, a map is empty.

// Viridis, nine steps: perceptually uniform, in grey too.
const VIRIDIS = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];

// The colour of x, from 0 to 1.
function heat_colour(x) {
  const at = Math.max(0, Math.min(1, x)) * 8, i = Math.min(7, Math.floor(at)), f = at - i;
  return VIRIDIS[i].map((v, k) => Math.round(v + f * (VIRIDIS[i + 1][k] - v)));
}

function unpack(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function cell_size(n) {
  return Math.max(4, Math.min(22, Math.floor(265 / n)));
}

// A token with visible white space.
const visible = token => (token === '' ? '∅' : token.replace(/ /g, '␣').replace(/\r\n?|\n/g, '⏎').replace(/\t/g, '⇥'));

// The weight in row t and column s of a map { bytes, offset, tokens, scale }.
function weight_at(map, t, s) {
  return map.bytes[map.offset + t * (t + 1) / 2 + s] / 255;
}

// The sizes of a map with cells of `size` pixels: the squares begin at left and top, and are `side` wide in all.
function map_frame(c, map, size) {
  const names = map.tokens.map(visible), font = Math.max(6, Math.min(12, size));
  const face = `${font}px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace`;
  c.font = face;
  const widest = Math.min(90, Math.max(...names.map(name => c.measureText(name).width))), left = Math.ceil(widest) + 5;
  return { names, face, widest, left, top: left, side: map.tokens.length * size };
}

// Paints a map with its tokens on both axes.
function paint_map(c, map, size) {
  const { names, face, widest, left, top, side } = map_frame(c, map, size), n = names.length, colours = theme.colours();
  for (let t = 0; t < n; t++) {
    for (let s = 0; s <= t; s++) {
      c.fillStyle = `rgb(${heat_colour(weight_at(map, t, s) / map.scale)})`;
      c.fillRect(left + s * size, top + t * size, size, size);
    }
  }
  c.strokeStyle = colours.grid;
  c.lineWidth = 1;
  c.strokeRect(left - 0.5, top - 0.5, side + 1, side + 1);
  c.fillStyle = colours.soft;
  c.font = face;
  c.textBaseline = 'middle';
  for (let i = 0; i < n; i++) {
    c.textAlign = 'right';
    c.fillText(names[i], left - 3, top + (i + 0.5) * size, widest);
    c.save();
    c.translate(left + (i + 0.5) * size, top - 3);
    c.rotate(-Math.PI / 2);
    c.textAlign = 'left';
    c.fillText(names[i], 0, 0, widest);
    c.restore();
  }
}

// Draws a map on a canvas of its size, at the screen's pixels.
function draw_map(canvas, map, size) {
  const c = canvas.getContext('2d'), ratio = Math.min(3, window.devicePixelRatio || 1), { left, top, side } = map_frame(c, map, size);
  canvas.width = Math.round((left + side + 1) * ratio);
  canvas.height = Math.round((top + side + 1) * ratio);
  canvas.style.width = left + side + 1 + 'px';
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.fillStyle = theme.colours().page;
  c.fillRect(0, 0, canvas.width, canvas.height);
  paint_map(c, map, size);
  canvas.cells = { left, top, size, n: map.tokens.length };
}

const cell_words = (map, t, s) => `${visible(map.tokens[t])} (${t + 1}) looks at ${visible(map.tokens[s])} (${s + 1}): ${weight_at(map, t, s).toFixed(3)}`;

// The cell [t, s] of a map at a place on its canvas, which may be shown smaller than it is; null where there is none.
function cell_of(canvas, { offsetX, offsetY }) {
  const g = canvas.cells, shrink = canvas.clientWidth / (g.left + g.n * g.size + 1);
  const t = Math.floor((offsetY / shrink - g.top) / g.size), s = Math.floor((offsetX / shrink - g.left) / g.size);
  return t >= 0 && t < g.n && s >= 0 && s <= t ? [t, s] : null;
}

// Lets the arrow keys, a click and a tap move a frame over a map's cells; what is there is said in `said`.
function walk_cells(canvas, map, said) {
  let at = null;
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const go = (t, s) => {
    const g = canvas.cells, c = canvas.getContext('2d');
    if (at) draw_map(canvas, map, g.size);
    at = [t, s];
    c.strokeStyle = theme.colours().lines[1];
    c.lineWidth = 2;
    c.strokeRect(g.left + s * g.size, g.top + t * g.size, g.size, g.size);
    said.textContent = cell_words(map, t, s);
  };
  canvas.addEventListener('keydown', event => {
    const move = moves[event.key], last = canvas.cells.n - 1;
    if (!move) return;
    event.preventDefault();
    const t = at ? Math.max(0, Math.min(last, at[0] + move[0])) : last;
    go(t, at ? Math.max(0, Math.min(t, at[1] + move[1])) : 0);
  });
  canvas.addEventListener('click', event => {
    const cell = cell_of(canvas, event);
    if (cell) go(...cell);
  });
}

const tip = el('div', { class: 'tip', hidden: true });
document.body.append(tip);

// A tooltip with the words that words_at(event) has for what is under a mouse, or was tapped; nothing where it has none.
function tip_over(canvas, words_at) {
  const show = event => {
    const words = words_at(event);
    tip.hidden = !words;
    if (!words) return;
    tip.textContent = words;
    tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)) + 'px';
    tip.style.top = event.clientY + 18 + 'px';
  };
  canvas.addEventListener('pointermove', show);
  canvas.addEventListener('click', show);
  // A finger is gone at once; what it tapped is said until something else is, or the page moves.
  canvas.addEventListener('pointerleave', event => { if (event.pointerType !== 'touch') tip.hidden = true; });
}
for (const kind of ['pointerdown', 'scroll']) addEventListener(kind, () => { tip.hidden = true; }, { capture: true, passive: true });

const map_tip = (canvas, map) => tip_over(canvas, event => {
  const cell = cell_of(canvas, event);
  return cell && cell_words(map, ...cell);
});
