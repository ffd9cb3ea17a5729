// selftest: test_page.lua puts it into a copy of a report: it uses the page as a person does and reports to the frame
// around it what was wrong. head.js, which comes first, collects errors in `problems`.
addEventListener('load', () => setTimeout(() => {
  const R = window.report, failures = [...problems];
  let checks = 0;
  const check = (ok, what) => { checks++; if (!ok) failures.push(what); };
  const one = selector => document.querySelector(selector);
  const visible = node => node && !node.closest('[hidden]') && node.getClientRects().length > 0;

  // Counts a canvas's pixels within a box that are neither background nor grid nor any grey, unless greys count.
  const painted = (canvas, box, greys) => {
    const data = canvas.getContext('2d').getImageData(box.x, box.y, Math.max(1, box.w), Math.max(1, box.h)).data;
    let n = 0;
    for (let i = 0; i < data.length; i += 4) {
      const spread = Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]);
      if (data[i + 3] > 120 && (greys || spread > 45)) n++;
    }
    return n;
  };
  const in_area = figure => {
    const a = figure.chart.chartArea, k = figure.chart.currentDevicePixelRatio;
    return { x: Math.round(a.left * k), y: Math.round(a.top * k), w: Math.round((a.right - a.left) * k), h: Math.round((a.bottom - a.top) * k) };
  };
  const runs_of = figure => figure.chart.data.datasets.flatMap(set => set.data).filter(v => v !== null);
  const is_finite = list => list.every(y => typeof y === 'number');
  // A figure as it is now: one that is not seen is drawn anew only when it is.
  const fresh = figure => figure && figure.fresh();
  const picture_of = selector => fresh(R.charts.find(f => one(selector).contains(f.canvas))).canvas.toDataURL();
  const line_of = run => R.line_name(R.D.runs.indexOf(run));
  const choose = (select, value) => {
    select.value = String(value);
    select.dispatchEvent(new Event('change'));
  };

  try {
    check(R, 'the page’s scripts did not come to their end');
    // Before anything is drawn, as a reader opens it.
    check(document.documentElement.scrollWidth <= innerWidth + 1, `before figures are drawn the page is ${document.documentElement.scrollWidth} wide`);
    for (const node of document.querySelectorAll('canvas')) {
      if (visible(node)) check(node.getBoundingClientRect().right <= innerWidth + 1, 'a canvas sticks out before it is drawn');
    }
    // Long parts are folded, on a phone more of them; a link to one opens it.
    const folds = [...document.querySelectorAll('#speed-fold, #memory-fold')], long = [...document.querySelectorAll('#samples-fold, #small')];
    check(folds.every(node => !node.open) && long.every(node => node.open === innerWidth > 640), 'parts are not folded');
    if (folds[0] && visible(folds[0])) {
      const link = one('#contents a[href="#speed"]');
      link.addEventListener('click', event => event.preventDefault(), { once: true });
      link.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true }));
      check(folds[0].open, 'a link to a folded part does not open it');
    }
    if (innerWidth > 1900) check(one('main').getBoundingClientRect().width > 0.9 * innerWidth, 'a wide page is not used');
    if (innerWidth < 640 && R.maps.length) check(R.maps.every(item => item.title.includes('mean of heads')), 'heads are not folded on a phone');
    document.querySelectorAll('details').forEach(node => { node.open = true; });
    for (const select of document.querySelectorAll('#attention-controls select')) if (select.getAttribute('aria-label') === 'maps') choose(select, 'heads');

    // Names: of every control and table, each its own; hints without a mouse; the keyboard's order is the page's.
    const name_of = node => (node.getAttribute('aria-label') || node.textContent || (node.labels && node.labels[0] || node).textContent).trim();
    for (const node of document.querySelectorAll('button, select, input, table, [role=region], [role=img], summary')) {
      if (visible(node)) check(name_of(node) || (node.labels && node.labels.length && node.labels[0].textContent.trim()), `a ${node.tagName} in ${(node.closest('section') || node).id} has no name`);
    }
    const labels = [...document.querySelectorAll('main button[aria-label]')].map(name_of);
    check(new Set(labels).size === labels.length, `two buttons have one name: ${labels.find((label, i) => labels.indexOf(label) !== i)}`);
    check(![...document.querySelectorAll('[tabindex]')].some(node => node.tabIndex > 0), 'the keyboard’s order is not the page’s');
    for (const table of R.tables) {
      const hints = table.columns.filter(column => column.hint).map(column => column.hint), said = table.node.textContent;
      check(hints.every(hint => said.includes(hint)), 'a hint is for the mouse alone');
    }
    // Lines are seen: a contrast of 3 with the page, in both themes.
    const light_of = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const rgb = (text, under) => {
      if (text[0] === '#') return [1, 3, 5].map(i => parseInt(text.slice(i, i + 2), 16));
      const [r, g, b, a] = text.match(/[\d.]+/g).map(Number);
      return [r, g, b].map((v, i) => v * a + under[i] * (1 - a));
    };
    const { lines, ink, soft, faint, page } = R.theme.colours(), ground_of = rgb(page);
    for (const colour of [...lines, ink, soft, faint]) {
      const [low, high] = [light_of(rgb(colour, ground_of)), light_of(ground_of)].sort((a, b) => a - b);
      check((high + 0.05) / (low + 0.05) >= 3, `${colour} has a contrast of ${((high + 0.05) / (low + 0.05)).toFixed(2)}`);
    }
    // The filter that the address brings.
    if (location.hash.includes('filter=')) {
      const wanted = decodeURIComponent(location.hash.split('filter=')[1]), [key, value] = wanted.split('=');
      const fits = R.D.runs.filter(run => String(run.settings[key]) === value).length;
      check(R.runs_table.search.value === wanted && R.selection.chosen.size === fits, 'the filter of the address is not taken');
      check(visible(one('#chosen')) && one('#chosen-words').textContent.includes(`${fits} of ${R.D.runs.length}`), 'the choice of the address is not said');
      one('#chosen-all').click();
      check(R.selection.all() && location.hash === '#curves', 'all runs are not back');
    }

    R.draw_all();
    for (const figure of R.charts) {
      if (!visible(figure.canvas)) { check(false, `${figure.title}: is hidden`); continue; }
      check(painted(figure.canvas, in_area(figure)) > 15, `${figure.title}: nothing is drawn`);
    }
    for (const item of R.maps) {
      check(painted(item.canvas, { x: 0, y: 0, w: item.canvas.width, h: item.canvas.height }) > 200, `${item.title}: nothing is drawn`);
    }
    // What a paper takes: figures as files, light, at three times their size, and as vectors; tables as they are shown.
    const saved = [], follow = HTMLAnchorElement.prototype.click;
    HTMLAnchorElement.prototype.click = function click() {
      if (this.download) saved.push({ name: this.download, text: decodeURIComponent(this.href.slice(this.href.indexOf(',') + 1)), kind: this.href.split(/[:;]/)[1] });
      else follow.call(this);
    };
    const some = R.charts.find(f => f.title === 'train and val loss'), picture = R.chart_image(some);
    check(picture.width === 3 * some.canvas.clientWidth && picture.height > 3 * some.canvas.clientHeight, `a saved picture is ${picture.width}×${picture.height}`);
    const corner = image => [...image.getContext('2d').getImageData(image.width - 2, 1, 1, 1).data].join();
    const paper = corner(picture);
    check(paper === '255,255,255,255', `a saved picture’s ground is ${paper}`);
    if (R.maps.length) {
      // Every head of a layer in one picture, with titles of its axes, its tokens and the scale.
      const heads = R.maps.filter(item => item.index === R.maps[0].index && item.layer === 0), of_layer = heads.map(item => ({ title: item.caption, map: item.map }));
      check(corner(R.map_image('a layer', of_layer)) === '255,255,255,255' && painted(R.map_image('a layer', of_layer), { x: 0, y: 0, w: 900, h: 900 }) > 900, 'a saved layer is not light, or empty');
      const text = R.map_svg('a layer', of_layer), svg = new DOMParser().parseFromString(text, 'image/svg+xml'), cells = of_layer[0].map.tokens.length * (of_layer[0].map.tokens.length + 1) / 2;
      const texts = [...svg.querySelectorAll('text')].map(node => node.textContent);
      check(!svg.querySelector('parsererror') && !/NaN|undefined/.test(text) && svg.querySelectorAll('rect').length >= heads.length * cells, 'the SVG of a layer lacks cells');
      for (const wanted of ['a layer', ...heads.map(item => item.caption), 'key: the token looked at', 'query: the token that looks', '0', '1']) check(texts.includes(wanted), `the SVG of a layer does not say ${wanted}`);
      const [large] = svg.querySelectorAll('svg'), inside = [...svg.querySelectorAll('rect')].every(node => Number(node.getAttribute('x')) <= large.getAttribute('width'));
      check(inside && one('#attention-maps h4 button[aria-label*="layer 0"]'), 'no button saves a layer');
    }
    for (const button of some.node.querySelectorAll('figcaption button')) {
      check(button.getAttribute('aria-label') === `Save ${some.title} as ${button.textContent}`, 'a button says not what it saves');
      button.click();
    }
    check(saved.map(file => file.name).join() === `${R.D.name}-train-and-val-loss.png,${R.D.name}-train-and-val-loss.svg`, `saved ${saved.map(file => file.name)}`);
    check(saved.map(file => file.kind).join() === 'image/png,image/svg+xml', `saved as ${saved.map(file => file.kind)}`);
    // Each figure is drawn anew for a file, which takes a while: all of them in a view or two of each kind.
    const all = R.D.seeds || (innerWidth > 1000 && !matchMedia('(prefers-color-scheme: dark)').matches);
    for (const figure of all ? R.charts : [some]) {
      const image = R.chart_image(figure, 1);
      check(painted(image, { x: 0, y: 0, w: image.width, h: image.height }) > 15, `${figure.title}: the saved picture is empty`);
      const text = figure === some ? saved[1].text : R.chart_svg(figure), svg = new DOMParser().parseFromString(text, 'image/svg+xml');
      const shapes = figure.chart.data.datasets.reduce((n, set) => n + Math.min(1, set.data.length), 0);
      check(!svg.querySelector('parsererror') && !/NaN|undefined|Infinity/.test(text), `${figure.title}: no SVG`);
      check(svg.querySelector('title').textContent === figure.title && svg.querySelectorAll('path, rect').length > shapes, `${figure.title}: the SVG lacks shapes`);
      check(svg.querySelector('rect').getAttribute('fill') === '#ffffff', `${figure.title}: the SVG is not light`);
    }
    const written = [...new DOMParser().parseFromString(saved[1].text, 'image/svg+xml').querySelectorAll('text')].map(node => node.textContent);
    for (const said of [some.title, 'val', runs_of(some)[0].toFixed(4)]) check(written.includes(said), `the SVG does not say ${said}`);
    saved.length = 0;
    for (const button of R.runs_table.node.querySelectorAll('button[aria-label^=Save]')) button.click();
    check(saved.map(file => file.name).join() === `${R.D.name}-runs.csv,${R.D.name}-runs.md`, `saved ${saved.map(file => file.name)}`);
    check(saved[0].text === R.runs_table.csv() && saved[1].text === R.runs_table.markdown(), 'a saved table is not the one shown');
    HTMLAnchorElement.prototype.click = follow;
    for (const selector of (window.wanted || [])) check(visible(one(selector)), `${selector}: is missing`);

    check(!orphans().length, `nothing beneath ${orphans().join('; ')}`);

    // A run's first evaluation alone stretches no axis, and is no bar.
    const begun = R.D.runs.filter(run => run.e.x.length === 1);
    if (begun.length && R.D.runs.some(run => run.rank)) {
      const figure = fresh(R.charts.find(f => f.title === 'validation loss, all runs'));
      check(figure.chart.scales.y.max < begun[0].e.val[0], 'a first evaluation stretches the axis');
      const bars = fresh(R.charts.find(f => f.title === 'train and val loss'));
      check(!bars.chart.data.labels.includes(begun[0].name), 'a first evaluation is a bar');
    }

    // Whiskers are within their axes.
    for (const figure of R.charts) {
      for (const set of figure.chart.data.datasets) {
        const inside = (ends, scale) => !ends || (scale.min <= ends[0] && ends[1] <= scale.max);
        check((set.errors || []).every(ends => inside(ends, figure.chart.scales.y)), `${figure.title}: a whisker is cut`);
        check((set.band || []).every(ends => figure.chart.scales.y.min <= ends[0]), `${figure.title}: a band is cut`);
        check((set.spans || []).every(ends => inside(ends, figure.chart.scales.x)), `${figure.title}: a whisker is cut`);
      }
    }

    // Tables: each column sorts up and down; missing values stay last; CSV has every row.
    for (const table of R.tables) {
      const headings = [...table.node.querySelectorAll('thead button')];
      table.columns.forEach((column, i) => {
        for (const direction of [1, -1]) {
          for (let n = 0; n < 2 && (table.key !== column.key || table.direction !== direction); n++) headings[i].click();
          check(table.key === column.key && table.direction === direction, `column ${column.title}: a click does not sort by it`);
          const values = table.rows().map(row => row[column.key]);
          const there = values.filter(v => v !== undefined && v !== null && v !== '');
          const sorted = there.every((v, j) => j === 0 || typeof v !== 'number' || direction * (v - there[j - 1]) >= 0);
          check(sorted, `column ${column.title}: is not sorted`);
          check(values.slice(0, there.length).every(v => v !== undefined && v !== null), `column ${column.title}: missing values are not last`);
        }
      });
      const first = table.node.querySelector('tbody tr');
      check(first && first.children.length === table.columns.length, 'a row has not a cell for each column');
      const lines = table.markdown().trim().split('\n'), bars_in = text => text.replace(/\\\|/g, '').split('|').length - 2;
      check(lines.length === table.rows().length + 2 && lines.every(text => bars_in(text) === table.columns.length), 'Markdown has not a cell for each of the table’s');
      check(table.csv().split('\r\n').length === table.rows().length + 2, 'CSV has not a line for each row');
    }

    // The filter: words, and comparisons.
    const runs = R.D.runs, search = R.runs_table.search;
    const filter = text => {
      search.value = text;
      search.dispatchEvent(new Event('input'));
      return R.runs_table.node.querySelectorAll('tbody tr').length;
    };
    const scored = runs.filter(run => run.best);
    if (scored.length) {
      const limit = scored[0].best.val;
      check(filter(`best<${limit}`) === scored.filter(run => run.best.val < limit).length, 'filtering by a figure');
      check(filter('rank=1') === 1, 'filtering by rank');
    }
    if (R.D.evals.length) {
      const { id } = R.D.evals[1], limit = runs.find(run => run.evals).evals[id];
      const less = runs.filter(run => run.evals && run.evals[id] < limit).length;
      check(filter(`perplexity<${limit}`) === less, 'filtering by what make eval found');
      check(R.runs_table.csv().split('\r\n')[0].includes(R.D.evals[1].title), 'CSV lacks what make eval found');
    }
    for (const f of R.D.factors) {
      const value = f.values[0];
      check(filter(`${f.key}=${value}`) === runs.filter(run => run.settings[f.key] === value).length, `filtering by ${f.key}`);
    }
    check(filter('no-run-has-this-name') === 0, 'filtering by a word');
    for (const column of R.runs_table.columns) {
      const has = runs.length && filter('') && R.runs_table.rows()
        .filter(row => row[column.key] !== undefined && row[column.key] !== null).length;
      check(filter(column.title) === has, `filtering by the title ${column.title}`);
    }
    if (scored.length) {
      check(filter(`best val<=${scored[0].best.val}`) === scored.filter(run => run.best.val <= scored[0].best.val).length, 'filtering by a title of two words');
    }
    const said = () => R.runs_table.node.querySelector('[role=status]').textContent;
    for (const { key, value } of R.D.common.slice(0, 3)) {
      check(filter(`${key}=${value}`) === runs.length && !said().includes(key), `filtering by ${key}, which all share`);
      check(filter(`${key}=no${value}`) === 0, `filtering by another ${key}`);
    }
    check(filter('n_heads=4') === 0 && said().includes('n_heads'), 'a name that is no column is not said');
    filter('best<0');
    check(!said().includes('called'), 'a name that is a column is called unknown');
    check(filter('') === runs.length, 'the filter taken away');

    const pick = (select, look) => {
      if (!select || select.options.length < 2) return;
      const before = look();
      const other = [...select.options].findIndex(o => o.value !== select.value && o.value !== '' && (!select.usable || select.usable(o)));
      const old = select.value;
      choose(select, select.options[other].value);
      check(look() !== before, `${select.getAttribute('aria-label')}: choosing another changes nothing`);
      choose(select, old);
      check(look() === before, `${select.getAttribute('aria-label')}: choosing the first again does not bring it back`);
    };
    // Effects in the page are those of the report, the largest first; another result has others.
    const best_response = { of: run => run.best && run.best.val };
    for (const e of R.D.effects) {
      const now = R.effect_of(e, best_response, new Set(runs.keys()));
      const near = (a, b) => a === b || (a === undefined && b === null) || Math.abs(a - b) < 1e-4;
      e.levels.forEach((l, i) => {
        const n = now.levels[i], d = l.difference || {}, nd = n.difference || {};
        check(n.n === l.n && near(n.mean, l.mean) && near(n.sd, l.sd) && d.n === nd.n && near(d.mean, nd.mean),
          `${e.key} ${l.value}: the page has ${n.n} of ${n.mean}, Δ ${nd.mean}; the report ${l.n} of ${l.mean}, Δ ${d.mean}`);
      });
    }
    if (visible(one('#effects'))) {
      const said = [...document.querySelectorAll('#effect-words li')].map(li => li.textContent);
      const sizes = said.map(text => Math.abs(Number(text.match(/best val ([−+]?[\d.]+)/)[1].replace('−', '-'))));
      check(said.length > 0 && sizes.every((size, i) => i === 0 || size <= sizes[i - 1]), `effects are not by size: ${sizes.join(' ')}`);
      pick(one('#effect-controls select'), () => one('#effect-words').textContent + one('#effect-table').textContent);
    }

    // Shares of the variance, by hand: of 1, 3 and 5, 7 the means are 2 and 6 about 4: 2·4 + 2·4 = 16 of 9 + 1 + 1 + 9 = 20.
    const is = (a, b) => Math.abs(a - b) < 1e-9;
    const simple = R.share_of_variance([[1, 3], [5, 7]]);
    check(is(simple.share, 0.8) && is(simple.chance, 1 / 3) && simple.n === 4, `1, 3 and 5, 7 have the share ${simple.share}, by chance ${simple.chance}`);
    check(R.share_of_variance([[1], [2]]) === undefined && R.share_of_variance([[1, 1], [1, 1]]) === undefined, 'a share of nothing');
    if (R.D.name === 'grid') {
      // A result that is 1 more with 8 heads, 2 more with 256 columns, 10 more where the run is short. Heads and columns are
      // compared in the 4 long runs, of which the short ones are the first part, 0, 1, 2, 3: 1 and 4 of 5; lengths in all 8,
      // 200 of 200 + 2·5, of which those with 256 columns are 100 of 100 + 2·0.5.
      const made = { of: run => (run.settings.n_head === 8) + 2 * (run.settings.n_embd === 256) + 10 * (run.settings.max_iters === 1000) };
      const wide_ones = new Set([...runs.keys()].filter(i => runs[i].settings.n_embd === 256));
      const shares = chosen => R.D.effects.map(e => R.effect_of(e, made, chosen).variance);
      const [heads, columns, length] = shares(new Set(runs.keys())), [one_pair, none, of_wide] = shares(wide_ones);
      check(is(heads.share, 0.2) && is(columns.share, 0.8) && is(length.share, 200 / 210), `shares are ${heads.share}, ${columns.share}, ${length.share}`);
      check(heads.n === 4 && is(heads.chance, 1 / 3) && length.n === 8 && is(length.chance, 1 / 7), 'shares of other trainings');
      check(!one_pair && !none && is(of_wide.share, 100 / 101) && of_wide.n === 4, 'shares of the chosen runs');
      // Without the first long run its short one is compared: heads 10, 2 and 11, 3, columns 10, 1 and 12, 3, lengths in six.
      const holed = shares(new Set([...runs.keys()].filter(i => i !== 1)));
      check(is(holed[0].share, 1 / 65) && is(holed[1].share, 4 / 85) && is(holed[2].share, 150 / 154), `with a hole shares are ${holed.map(v => v && v.share)}`);
    }
    const bars_of_shares = () => R.charts.find(f => f.title.startsWith('shares of the variance'));
    check(Boolean(bars_of_shares()) === (R.D.name === 'grid'), 'bars of shares, of something that is no grid');
    if (bars_of_shares()) {
      bars_of_shares().draw();
      const [{ data }] = bars_of_shares().chart.data.datasets, { labels } = bars_of_shares().chart.data;
      check(data.every((x, i) => x >= 0 && x <= 100 && (i === 0 || labels[i] === 'the rest' || x <= data[i - 1])), `shares are ${data}`);
      check(one('#effect-table').textContent.includes('factor’s share'), 'the table has no shares');
      // Where all factors are compared in the same trainings, what they do not explain is said.
      filter('max_iters=2000');
      bars_of_shares().draw();
      const rest = bars_of_shares().chart.data, sum = rest.datasets[0].data.reduce((x, y) => x + y, 0);
      check(!labels.includes('the rest') && rest.labels[2] === 'the rest' && is(sum, 100), `shares of ${rest.labels} are ${rest.datasets[0].data}`);
      filter('');
      bars_of_shares().draw();
    }

    // Two factors together: complete cells alone, of the same runs at each; the rest is named.
    const crossed = R.crossed_now();
    check(Boolean(crossed) === visible(one('#cross')) && (window.name !== 'grid' || crossed), 'no two factors together');
    if (crossed && window.name === 'grid') {
      const { a, b } = crossed, cell = (c, x, line) => c.cells.find(one_of => one_of.x === x && one_of.line === line);
      const at = (x, line) => runs.filter(run => run.settings[a.key] === x && run.settings[b.key] === line);
      const length = run => run.settings.max_iters, longest = list => list.filter(run => length(run) === Math.max(...list.map(length)));
      check(crossed.cells.length === a.values.length * b.values.length && !crossed.alone.length, 'a cell of a whole grid is missing');
      for (const x of a.values) {
        for (const line of b.values) {
          const list = longest(at(x, line)), mean = list.reduce((sum, run) => sum + run.best.val, 0) / list.length;
          check(Math.abs(cell(crossed, x, line).mean - mean) < 1e-6, `the cell of ${x} and ${line} is ${cell(crossed, x, line).mean}, wanted ${mean}`);
        }
      }
      const said = one('#cross-words li').textContent.match(/[−+]\d+\.\d+/g).map(text => Number(text.replace('−', '-')));
      const step = x => cell(crossed, x, b.values[1]).mean - cell(crossed, x, b.values[0]).mean;
      check(Math.abs(said[0] - step(a.values[0])) < 1e-4 && Math.abs(said[2] - (step(a.values[1]) - step(a.values[0]))) < 2e-4, `two factors together: ${said}`);
      // Without a run those that it was compared with are left out, and named.
      const without = longest(at(a.values[0], b.values[0]))[0];
      filter(`run!=${without.name}`);
      const less = R.crossed_now();
      check(less.cells.every(one_of => one_of.n === less.cells[0].n), 'cells are of different runs');
      check(less.blocks.every(block => ![...block.at.values()].includes(runs.indexOf(without))), 'a run that is not chosen is in a cell');
      filter(`run=${without.name}`);
      check(one('#cross-left').textContent.includes('no complete cells') || !visible(one('#cross')), 'cells of one run');
      filter('');
      pick(one('#cross-controls select'), () => one('#cross-table').textContent);
    }

    // A fit of the loss to the size: a law is found again, within its interval; with few sizes it is said that there is none.
    const sizes = [1e4, 3e4, 1e5, 3e5, 1e6, 3e6, 1e7], law = wiggle => sizes.map((x, i) => ({ x, y: 1.5 + 40 * x ** -0.3 + wiggle * [1, -1, -1, 1, 1, -1, 0][i] }));
    const exact = R.power_fit(law(0)), rough = R.power_fit(law(0.01));
    check(Math.abs(exact.a - 1.5) < 0.02 && Math.abs(exact.c - 0.3) < 0.01, `a law of 1.5 and 0.3 is fitted as ${exact.a} and ${exact.c}`);
    for (const [[low, high], at] of [[rough.a_range, 1.5], [rough.c_range, 0.3]]) check(low < at && at < high && high - low > 0.01 && high < 2, `an interval of ${low} to ${high} for ${at}`);
    check(rough.c_range[1] - rough.c_range[0] > exact.c_range[1] - exact.c_range[0], 'scatter makes no wider interval');
    check(R.power_fit([...law(0), { x: 1e4, y: 9 }]).a === exact.a, 'a higher loss of one size changes the fit');
    check(R.power_fit(law(0).slice(0, 4)) === undefined && R.fit_words(law(0).slice(0, 4)).endsWith('runs have 4.'), 'four sizes make a fit');
    check(R.power_fit(sizes.map((x, i) => ({ x, y: i }))) === undefined, 'a loss that rises makes a fit');
    check(R.fit_line(law(0)).data.every(p => Math.abs(p.y - 1.5 - 40 * p.x ** -0.3) < 0.01), 'the line is not the fit');
    if (visible(one('#sizes'))) check(one('#size-words').textContent.includes('wants five sizes'), 'no word of the fit');

    // The time to a loss: between the evaluations around it.
    const timed = runs.find(run => run.e.x.length > 2 && run.e.val[1] > run.e.val[2] && is_finite(run.e.val));
    if (timed) {
      const [, x, next] = timed.e.x, [, high, low] = timed.e.val;
      check(Math.abs(R.reached_at(timed, (high + low) / 2) - (x + next) / 2) < 1e-6 && R.reached_at(timed, low) === next, 'a loss is reached elsewhere');
      check(R.reached_at(timed, 0) === undefined && R.reached_at(timed, 1e9) === timed.e.x[0], 'a loss that no run has is reached');
      const box = one('#reach-controls input'), before = one('#reach-table').textContent;
      box.value = (high + low) / 2;
      box.dispatchEvent(new Event('change'));
      const row = R.tables.find(table => table.node.parentElement.id === 'reach-table').rows().find(r => r.name === timed.name);
      check(Math.abs(row.iterations - (x + next) / 2) < 1 && one('#reach-table').textContent !== before, 'the table of times does not follow the loss');
    }

    // A choice: by a legend, by a rectangle; all figures and statements follow, and the address has it.
    const figure_of = title => fresh(R.charts.find(f => f.title === title));
    const lines_of = () => figure_of('validation loss, all runs').chart.data.datasets.filter(set => set.showLine !== false && set.label).length;
    const factor = R.D.factors.find(f => f.values.length > 1 && figure_of('validation loss by ' + f.key));
    if (factor && R.D.sweep && visible(one('#bars'))) {
      const legend = figure_of('validation loss by ' + factor.key).node.querySelector('.legend button');
      const value = legend && legend.textContent.slice(factor.key.length + 1), before = lines_of();
      const words = one('#effect-words').textContent;
      check(legend, 'a legend cannot be clicked');
      legend.click();
      const fits = runs.map((run, i) => i).filter(i => String(runs[i].settings[factor.key]) === value);
      const chosen = [...R.selection.chosen].sort((a, b) => a - b);
      check(search.value === `${factor.key}=${value}` && fits.length < runs.length && chosen.join() === fits.join(), `a click in a legend chooses ${chosen.length} runs, wanted ${fits.length}`);
      check(lines_of() < before, 'the curves do not follow the choice');
      check(figure_of('train and val loss').chart.data.labels.every(name => fits.some(i => runs[i].name === name)), 'bars do not follow the choice');
      check(one('#effect-words').textContent !== words, 'effects do not follow the choice');
      check(visible(one('#effect-untested')) === Boolean(R.D.several_seeds && one('#effect-words li')), 'that a choice is not tested is not said, or of one seed');
      check(visible(one('#chosen')) && one('#chosen-words').textContent.includes(`${fits.length} of ${runs.length}`), 'no statement about the chosen runs');
      check([...document.querySelectorAll('.sample')].every(node => node.hidden !== fits.includes(Number(node.dataset.of))), 'samples do not follow the choice');
      check(decodeURIComponent(location.hash).includes(`filter=${factor.key}=${value}`), `the address is ${location.hash}`);
      const settings = [...document.querySelectorAll('#seed-table tbody th')].map(node => node.textContent);
      check(settings.every(text => text.includes(`${factor.key}=${value}`)), `seeds do not follow the choice: ${settings}`);
      const counted = R.tables.find(table => table.node.parentElement.id === 'speed-table');
      if (visible(one('#speed-table'))) check(counted.rows().reduce((n, row) => n + row.runs, 0) === fits.length, 'speed does not follow the choice');
      figure_of('validation loss by ' + factor.key).node.querySelector('.legend button').click();
      check(!visible(one('#effect-untested')), 'all runs are said not to be tested');
      check(R.selection.all() && !location.hash.includes('filter') && lines_of() === before, 'a second click does not take the choice back');
      location.hash = '#filter=' + encodeURIComponent(`${factor.key}=${value}`);
      dispatchEvent(new HashChangeEvent('hashchange'));
      check(R.selection.chosen.size === fits.length, 'another filter in the address is not taken');
      const shown_map = one('#attention-controls select'), unseen = [...(shown_map || { options: [] }).options].find(o => !o.selected);
      if (unseen) {
        filter(`run=${unseen.textContent}`);
        check(shown_map.value === unseen.value && R.maps.every(item => item.index === Number(unseen.value)), 'attention does not follow the choice');
      }
      filter('');
      const map = figure_of('parameters and validation loss');
      if (visible(map && map.canvas)) {
        const box = map.canvas.getBoundingClientRect(), point = map.chart.getDatasetMeta(0).data[0], shown = map.chart.data.datasets[0].data[0];
        const at = (kind, x, y) => map.canvas.dispatchEvent(new PointerEvent(kind, { clientX: box.left + x, clientY: box.top + y, button: 0, pointerType: 'mouse', pointerId: 1, isPrimary: true, bubbles: true }));
        at('pointerdown', point.x - 9, point.y - 4);
        at('pointermove', point.x + 9, point.y + 4);
        at('pointerup', point.x + 9, point.y + 4);
        const within = runs.filter(run => run.params === shown.x && Math.abs(run.best.val - shown.y) < 0.02).length;
        check(R.selection.chosen.size >= 1 && R.selection.chosen.size <= Math.max(1, within), `a rectangle chooses ${R.selection.chosen.size} runs by ${search.value}`);
        check(fresh(map).chart.data.datasets[0].data.length === R.selection.chosen.size, 'points do not follow the choice');
      }
      filter('');
    }

    // Side by side: what differs among two or three chosen runs, settings by hand, and their curves.
    const link_of = id => one(`#contents a[href="#${id}"]`), compared = () => R.charts.find(f => f.title === 'losses side by side');
    check(visible(one('#compare')) === (runs.length > 1 && runs.length < 4), 'runs side by side that are not two or three');
    if (R.D.name === 'grid') {
      filter(`run=${runs[1].name}|${runs[2].name}`);
      const rows = [...document.querySelectorAll('#compare-table tbody tr')].map(tr => [...tr.children].map(cell => cell.textContent));
      check(visible(one('#compare')) && visible(link_of('compare')), 'two chosen runs are not side by side');
      check(one('#compare-table thead').textContent.includes(runs[2].name), 'no names side by side');
      check(rows.filter(row => R.D.factors.some(f => f.key === row[0])).map(row => row.join()).join(' ') === 'n_embd,128,256,– max_iters,2000,1000,–', `side by side are ${rows.join('; ')}`);
      const best = rows.find(row => row[0] === 'best val'), d = runs[2].best.val - runs[1].best.val;
      check(best && best[3] === (d < 0 ? '−' : '+') + Math.abs(d).toFixed(4), `the difference is ${best}, wanted ${d}`);
      check(rows.every(row => row[1] !== row[2]), 'what is alike is side by side');
      const sets = compared().chart ? compared().chart.data.datasets : (compared().draw(), compared().chart.data.datasets);
      const dashed = sets.filter(set => set.borderDash && set.borderDash.length);
      check(sets.filter(set => set.borderDash).length === 4 && dashed.length === 2 && new Set(dashed.map(set => set.borderColor)).size === 2, 'not val and train of both');
      check(sets.find(set => set.label === line_of(runs[1]) + ', train').data.length === runs[1].e.x.length, 'a curve side by side is cut');
      filter(`run=${runs[1].name}|${runs[2].name}|${runs[3].name}`);
      check(visible(one('#compare')) && one('#compare-table tbody tr').children.length === 4, 'three chosen runs are not side by side');
      filter('');
      check(!visible(one('#compare')) && !visible(link_of('compare')) && !compared(), 'all runs are side by side');
    }

    // Pickers: another run has another figure and other words.
    const run_select = one('#run-controls select');
    if (run_select) {
      run_select.usable = option => R.D.runs[option.value].e.x.length > 1;
      pick(run_select, () => picture_of('#run-chart'));
      pick(run_select, () => one('#run-chart b').textContent);
      const link = one('#runs-table tbody tr:last-child th button');
      link.click();
      check(one('#run-chart b').textContent.startsWith(runs[run_select.value].name), 'a click on a name does not show that run');
    }
    const [first_run, beside] = document.querySelectorAll('#attention-controls select');
    const attention_text = () => { R.draw_all(); return one('#attention-maps').textContent; };
    pick(first_run, attention_text);
    if (beside && beside.getAttribute('aria-label') === 'beside') {
      const count = R.maps.length;
      choose(beside, beside.options[1].value);
      check(R.maps.length > count, 'no second run beside the first');
      R.draw_all();
      choose(beside, '');
    }
    if (visible(one('#sizes'))) pick(one('#size-controls select'), () => picture_of('#size-chart'));
    if (runs.some(run => run.best && run.final.val !== run.best.val)) {
      pick(one('#bar-controls select'), () => picture_of('#bar-chart'));
    }

    // Seeds: a setting's line is the mean of its runs, with a band of one sd on either side; or each run has its own line.
    const seeds_box = one('#curve-controls') && [...document.querySelectorAll('#curve-controls label')].find(label => label.textContent.includes('over seeds'));
    check(Boolean(seeds_box) === Boolean(R.D.seeds), 'seeds without a choice of their mean');
    if (seeds_box) {
      const { chart } = figure_of('validation loss, all runs'), banded = chart.data.datasets.filter(set => set.band);
      check(banded.length === R.D.seeds.length && lines_of() === banded.length, `${lines_of()} lines and ${banded.length} bands of ${R.D.seeds.length} settings`);
      for (const g of R.D.seeds) {
        const [a, b, c] = g.runs.map(i => runs[i].e.val[runs[i].e.val.length - 1]), mean = (a + b + c) / 3;
        const sd = Math.sqrt(((a - mean) ** 2 + (b - mean) ** 2 + (c - mean) ** 2) / 2);
        const set = banded.find(s => s.label.startsWith(g.text + ', mean of 3 seeds')), at = set.data.length - 1;
        check(set.data.length === runs[g.runs[0]].e.x.length && is(set.data[at].y, mean), `${g.text}: a mean of ${set.data[at].y}, wanted ${mean}`);
        check(is(set.band[at][0], mean - sd) && is(set.band[at][1], mean + sd), `${g.text}: a band of ${set.band[at]}, wanted ${mean} ± ${sd}`);
      }
      const with_bands = chart.canvas.toDataURL(), kept = banded.map(set => set.band);
      banded.forEach(set => { delete set.band; });
      chart.draw();
      check(chart.canvas.toDataURL() !== with_bands, 'bands are not drawn');
      banded.forEach((set, i) => { set.band = kept[i]; });
      seeds_box.querySelector('input').click();
      check(lines_of() === runs.length, 'without means not each run has a line');
    }

    // The x axis in other units: a run's last point is where its iterations are in them.
    const over = [...document.querySelectorAll('#curve-controls select')].find(s => s.getAttribute('aria-label') === 'over');
    const with_info = runs.every(run => !run.e.x.length || run.tokens_per_iter);
    check(!with_info || Boolean(over), 'there are no other units');
    if (over) {
      const end_of = run => figure_of('validation loss, all runs').chart.data.datasets
        .find(set => set.label === line_of(run) || set.label === line_of(run) + ' (baseline)').data.slice(-1)[0].x;
      const some = runs.find(run => run.e.x.length > 1 && is_finite(run.e.val)), last = some.e.x[some.e.x.length - 1];
      const wanted = { iterations: last, tokens: last * some.tokens_per_iter, FLOP: last * some.tokens_per_iter * some.flops_per_token,
        seconds: some.e.seconds[some.e.seconds.length - 1] };
      for (const option of over.options) {
        choose(over, option.value);
        check(Math.abs(end_of(some) / wanted[option.value] - 1) < 1e-4, `over ${option.value}: ${some.name} ends at ${end_of(some)}, wanted ${wanted[option.value]}`);
        check(Math.abs(some.seconds / some.e.seconds[some.e.seconds.length - 1] - 1) < 0.2, 'the time of the last evaluation is not near the run’s');
      }
      choose(over, 'iterations');
    }
    if (seeds_box) seeds_box.querySelector('input').click();

    // Controls of the curves.
    if (visible(one('#curve-controls'))) {
      const picture = () => picture_of('#curve-charts');
      for (const control of document.querySelectorAll('#curve-controls input')) {
        const before = picture();
        if (control.type === 'range') { control.value = 0.8; control.dispatchEvent(new Event('input')); } else control.click();
        const train_only = control.parentElement.textContent.includes('steps');
        const few = R.D.runs.every(run => run.e.x.length < 3);
        check(train_only || few || picture() !== before, `${control.parentElement.textContent}: changes nothing`);
        if (control.type === 'range') { control.value = 0; control.dispatchEvent(new Event('input')); } else control.click();
      }
    }

    // Bars show differences: the axis starts near the least value, and the cut is said.
    const bars = fresh(R.charts.find(f => f.title === 'train and val loss'));
    if (visible(bars && bars.canvas)) {
      const values = bars.chart.data.datasets.flatMap(set => set.data).filter(v => v !== null);
      const low = Math.min(...values), room = Math.max(...values) - low, { min, options } = bars.chart.scales.x;
      check(min <= low, 'a bar begins outside its axis');
      if (low > 3 * room && room > 0) check(min > low - 3 * room, 'bars do not show their differences');
      check((min > 0) === Boolean(bars.chart.data.broken) && (min === 0 || options.title.text.includes('from')), 'a cut axis is not said');
    }

    // Points are named by what differs, and by names that tell them apart.
    const scatter = fresh(R.charts.find(f => f.title === 'parameters and validation loss'));
    if (visible(scatter && scatter.canvas) && R.D.sweep) {
      const { names } = scatter.chart.data.datasets[0];
      check(names.every(name => !/^exp\d+$/.test(name)), 'a point is named by a number');
      check(new Set(names).size === names.length, `two points have one name: ${names.join(', ')}`);
    }

    // Each map can be reached by the keyboard.
    for (const item of R.maps) check(item.figure.querySelector('button[aria-label^=Enlarge]'), `${item.title}: cannot be focused`);

    // A map enlarged.
    if (R.maps.length) {
      R.maps[0].figure.click();
      check(document.activeElement === one('#large canvas'), 'the enlarged map has not the focus');
      const press = key => one('#large canvas').dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
      press('ArrowUp');
      const cell = one('#large [role=status]').textContent;
      press('ArrowUp');
      check(/looks at .*: [01]\.\d/.test(cell) && one('#large [role=status]').textContent !== cell, 'arrow keys say no cells');
      check(one('#large').open && painted(one('#large canvas'), { x: 0, y: 0, w: 400, h: 400 }) > 200, 'a map is not enlarged');
      one('#large-close').click();
      check(!one('#large').open, 'the enlarged map stays');
    }

    // A page that loads itself again: not at once, not while it is used; what was set in its controls comes back.
    check(Boolean(one('#reload')) === (window.name === 'single'), 'what is over loads itself again, or what trains does not');
    if (one('#reload')) {
      const { live } = R, smoothing = one('#curve-controls input[type=range]'), log_loss = [...document.querySelectorAll('#curve-controls label')].find(l => l.textContent.includes('log loss')).firstChild;
      live.used = 0;
      const held = live.due(100);
      one('#reload').checked = true;
      check(!held && one('#reload').defaultChecked && !live.due(5) && live.due(100), 'it does not load itself again in time');
      dispatchEvent(new KeyboardEvent('keydown', { key: 'a' }));
      check(!live.due(performance.now() / 1000 + 2), 'it loads itself again while it is used');
      one('#reload').checked = false;
      check(!live.due(1e6), 'it cannot be held');
      one('#reload').checked = true;
      smoothing.value = 0.5;
      for (const kind of ['input', 'change']) smoothing.dispatchEvent(new Event(kind));
      log_loss.click();
      R.runs_table.node.querySelector('thead th:nth-child(2) button').click();
      const state = JSON.parse(JSON.stringify(live.state())), { key, direction } = R.runs_table;
      smoothing.value = 0;
      smoothing.dispatchEvent(new Event('input'));
      log_loss.click();
      R.runs_table.sort('name');
      live.restore(state);
      check(smoothing.value === '0.5' && log_loss.checked && one('#curve-charts canvas') && fresh(R.charts[0]).chart.scales.y.type === 'logarithmic', 'controls do not come back');
      check(R.runs_table.key === key && R.runs_table.direction === direction, 'the order of a table does not come back');
      one('#reload').checked = false; // or the test would begin again
    }

    // Light and dark: at first as in the system, then by the switch; light in print.
    const ground = () => getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0);
    const dark = matchMedia('(prefers-color-scheme: dark)').matches;
    check((ground() < 200) === dark, 'the ground is not the system’s');
    choose(one('#theme'), dark ? 'light' : 'dark');
    check((ground() < 200) !== dark, 'the switch of the theme does nothing');
    dispatchEvent(new Event('beforeprint'));
    check(ground() > 700, 'it does not print light');
    dispatchEvent(new Event('afterprint'));
    choose(one('#theme'), 'auto');

    // Nothing is wider than the page, and nothing is loaded.
    check(document.documentElement.scrollWidth <= innerWidth + 1, `the page is ${document.documentElement.scrollWidth} wide, the window ${innerWidth}`);
    for (const node of document.querySelectorAll('section, figure, .table, pre')) {
      if (visible(node)) check(node.getBoundingClientRect().right <= innerWidth + 1, `${node.tagName} in ${(node.closest('section') || node).id} sticks out`);
    }
    const loaded = performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:'));
    check(loaded.length === 0, `something is loaded: ${loaded.map(e => e.name).join(' ')}`);
    failures.push(...problems.slice(failures.filter(f => problems.includes(f)).length));
  } catch (error) {
    failures.push(`the test itself stopped: ${error.stack || error}`);
  }
  parent.postMessage(JSON.stringify({ frame: window.name, width: innerWidth,
    scheme: matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light', checks, charts: R ? R.charts.length : 0, maps: R ? R.maps.length : 0,
    failures: [...new Set(failures)] }), '*');
}, 50));
