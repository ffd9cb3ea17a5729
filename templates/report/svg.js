// svg: a context of a canvas that keeps as SVG what is drawn on it, so that Chart.js and the page's own plugins draw a
// figure as vectors. It has what they use of a context; state and measures are those of a canvas beside it. As on a canvas,
// what is at no finite place is not drawn.
const svg_number = x => String(+x.toFixed(2));
const svg_text = text => String(text).replace(/[\u0000-\u001f]/g, ' ').replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`);

// The commands of a path; it has Path2D's place while Chart.js draws.
class SvgPath {
  constructor() { this.d = ''; }
  add(letter, ...numbers) { if (numbers.every(is_number)) this.d += letter + numbers.map(svg_number).join(' '); }
  moveTo(x, y) { this.add('M', x, y); }
  lineTo(x, y) { this.add(this.d ? 'L' : 'M', x, y); }
  bezierCurveTo(...numbers) { this.add('C', ...numbers); }
  rect(x, y, w, h) { this.add('M', x, y, x + w, y, x + w, y + h, x, y + h); this.closePath(); }
  closePath() { if (this.d) this.d += 'Z'; }
  arc(x, y, r, from, to, back) {
    const at = angle => [x + r * Math.cos(angle), y + r * Math.sin(angle)], turn = 2 * Math.PI;
    this.lineTo(...at(from));
    if (Math.abs(to - from) >= turn - 1e-9) {
      this.add('A', r, r, 0, 1, 1, ...at(from + Math.PI));
      this.add('A', r, r, 0, 1, 1, ...at(from));
    } else {
      const angle = (((back ? from - to : to - from) % turn) + turn) % turn;
      this.add('A', r, r, 0, angle > Math.PI ? 1 : 0, back ? 0 : 1, ...at(to));
    }
  }
}

// `name` begins the ids of what is cut to a frame, so that several figures can be in one document.
function svg_context(canvas, name) {
  const real = document.createElement('canvas').getContext('2d'), clips = new Map(), kept = [];
  let path = new SvgPath(), clip = '', parts = [];
  // A canvas has its colours as #rrggbb or as rgba(r, g, b, a).
  const paint = (name, colour) => {
    const found = /^rgba\((.*), ([\d.]+)\)$/.exec(colour);
    return found ? ` ${name}="rgb(${found[1]})" ${name}-opacity="${found[2]}"` : ` ${name}="${colour}"`;
  };
  const pen = () => {
    const dashes = real.getLineDash();
    return ` fill="none"${paint('stroke', real.strokeStyle)} stroke-width="${svg_number(real.lineWidth)}" stroke-linejoin="${real.lineJoin}"`
      + (dashes.length ? ` stroke-dasharray="${dashes.map(svg_number).join(' ')}"` : '');
  };
  const put = (tag, attributes, body) => {
    const t = real.getTransform(), matrix = [t.a, t.b, t.c, t.d, t.e, t.f].map(x => +x.toFixed(4)).join(' ');
    const rest = (t.isIdentity ? '' : ` transform="matrix(${matrix})"`) + (real.globalAlpha < 1 ? ` opacity="${svg_number(real.globalAlpha)}"` : '');
    const text = `<${tag}${attributes}${rest}${body === undefined ? '/>' : `>${body}</${tag}>`}`;
    parts.push(clip ? `<g clip-path="url(#${clip})">${text}</g>` : text);
  };
  const rectangle = (box, look) => {
    const [x, y, width, height] = box.map(svg_number);
    if (box.every(is_number)) put('rect', ` x="${x}" y="${y}" width="${width}" height="${height}"${look}`);
  };
  const own = {
    canvas,
    save() { real.save(); kept.push(clip); },
    restore() { real.restore(); clip = kept.length ? kept.pop() : clip; },
    beginPath() { path = new SvgPath(); },
    fill(of) { put('path', ` d="${(of instanceof SvgPath ? of : path).d}"${of === 'evenodd' ? ' fill-rule="evenodd"' : ''}${paint('fill', real.fillStyle)}`); },
    stroke(of) { put('path', ` d="${(of || path).d}"${pen()}`); },
    clip() {
      const key = clip + path.d, id = (clips.get(key) || {}).id || `${name}${clips.size + 1}`;
      clips.set(key, { id, text: `<clipPath id="${id}"${clip ? ` clip-path="url(#${clip})"` : ''}><path d="${path.d}"/></clipPath>` });
      clip = id;
    },
    clearRect() { parts = []; },
    fillRect(...box) { rectangle(box, paint('fill', real.fillStyle)); },
    strokeRect(...box) { rectangle(box, pen()); },
    // On the alphabetic baseline, which every reader of SVG knows.
    fillText(text, x, y) {
      if (!is_number(x) || !is_number(y)) return;
      const above = real.measureText(text).actualBoundingBoxAscent, baseline = real.textBaseline;
      real.textBaseline = 'alphabetic';
      const down = real.measureText(text).actualBoundingBoxAscent - above;
      real.textBaseline = baseline;
      const anchor = { center: ' text-anchor="middle"', right: ' text-anchor="end"', end: ' text-anchor="end"' }[real.textAlign] || '';
      put('text', ` x="${svg_number(x)}" y="${svg_number(y + down)}"${anchor} style="font:${svg_text(real.font)}"${paint('fill', real.fillStyle)}`, svg_text(text));
    },
    svg: () => [...[...clips.values()].map(c => c.text), ...parts].join('\n'),
  };
  for (const name of ['moveTo', 'lineTo', 'bezierCurveTo', 'rect', 'closePath', 'arc']) own[name] = (...numbers) => path[name](...numbers);
  return new Proxy(real, {
    get: (_, name) => (name in own ? own[name] : typeof real[name] === 'function' ? real[name].bind(real) : real[name]),
    set: (_, name, value) => { real[name] = value; return true; },
  });
}
