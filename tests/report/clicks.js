// clicks: test_page.lua puts it into a copy of a report of a study, in place of selftest.js: each question that the
// write-ups of the two studies answer is asked of the page as it opens, by at most two clicks on what a reader sees.
addEventListener('load', () => setTimeout(() => {
  const R = window.report, failures = [...problems];
  let checks = 0, clicks = 0;
  const check = (ok, what) => { checks++; if (!ok) failures.push(what); };
  const one = selector => document.querySelector(selector);
  const words_of = node => node.textContent.trim();
  const figure_of = title => R.charts.find(f => f.title === title);

  // What lies at the middle of a control, once it is scrolled to, is the control: a reader can hit it.
  function reach(node, what) {
    if (!node) throw new Error(`${what}: is not there`);
    node.scrollIntoView({ block: 'center', behavior: 'instant' });
    const box = node.getBoundingClientRect(), at = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    const hit = document.elementFromPoint(at.x, at.y);
    check(hit && (node === hit || node.contains(hit)), `${what}: cannot be clicked; there is ${hit ? hit.outerHTML.slice(0, 80) : 'nothing'}`);
    return { hit: hit || node, at };
  }
  function click(node, what) {
    const { hit, at } = reach(node, what);
    clicks++;
    for (const kind of ['pointerdown', 'mousedown', 'pointerup', 'mouseup', 'click']) {
      hit.dispatchEvent(new MouseEvent(kind, { bubbles: true, cancelable: true, view: window, clientX: at.x, clientY: at.y }));
    }
  }
  // A list of choices takes a click to open and one on a choice.
  function choose(select, text) {
    reach(select, `the choice of ${text}`);
    const option = [...select.options].find(o => words_of(o) === text);
    if (!option) throw new Error(`${text}: is no choice`);
    clicks += 2;
    select.value = option.value;
    for (const kind of ['input', 'change']) select.dispatchEvent(new Event(kind, { bubbles: true }));
  }
  // A figure is drawn once it is seen; what it draws is asked for then.
  const shown = figure => {
    if (!figure) throw new Error('a figure is not there');
    figure.node.scrollIntoView({ block: 'center', behavior: 'instant' });
    check(figure.node.getClientRects().length > 0 && !figure.node.closest('details:not([open])'), `${figure.title}: is folded away`);
    return figure.fresh();
  };
  const item_of = (figure, text) => [...shown(figure).node.querySelectorAll('.legend button')].find(node => words_of(node) === text);
  const chosen = () => [...R.selection.chosen].map(i => R.D.runs[i]);
  const column = key => R.runs_table.rows().map(row => row[key]);
  const cells = n => [...one('#runs-table tbody').rows].map(row => words_of(row.cells[n]));

  // Asks one question: at most two clicks from the page as it opened, to which it goes back.
  function ask(question, answer) {
    clicks = 0;
    try { answer(); } catch (error) { failures.push(`${question}: ${error.message}`); }
    check(clicks <= 2, `${question}: took ${clicks} clicks`);
    R.selection.set('');
  }

  if (window.name === 'grid32') {
    const title = R.runs_table.columns.findIndex(c => c.key === 'best');
    ask('the table by best loss', () => {
      click(one('#runs-table thead').rows[0].cells[title].querySelector('button'), 'the heading best val');
      const losses = cells(title).map(Number);
      check(losses.length === 32 && losses.every((x, i) => i === 0 || losses[i - 1] <= x), `the table is in the order ${losses}`);
      check(cells(0).map(text => text.includes('★')).lastIndexOf(true) === 4, 'the marks are not those of the best five');
      const best = R.D.runs.reduce((a, b) => (b.best.val < a.best.val ? b : a));
      check(cells(0)[0].includes(best.name) && cells(title)[0] === best.best.val.toFixed(4), `the first row is ${cells(0)[0]}`);
    });
    ask('dropout 0.1 against 0.2 at 2,000 iterations', () => {
      click(item_of(figure_of('validation loss by max_iters'), 'max_iters 2000'), 'max_iters 2000 in a legend');
      const at = value => chosen().filter(run => run.settings.dropout === value);
      check(chosen().length === 16 && chosen().every(run => run.settings.max_iters === 2000), `${chosen().length} runs are chosen`);
      const mean = list => list.reduce((sum, run) => sum + run.best.val, 0) / list.length, wanted = mean(at(0.2)) - mean(at(0.1));
      const said = [...document.querySelectorAll('#effect-words li')].map(words_of).find(text => text.startsWith('dropout 0.2 against 0.1'));
      const number = said && Number(said.match(/best val ([−+]?[\d.]+)/)[1].replace('−', '-'));
      check(said && Math.abs(number - wanted) < 1e-4 && said.includes('of 8 pairs'), `said: ${said}; wanted ${wanted}`);
      const lines = shown(figure_of('validation loss by dropout')).chart.data.datasets.filter(set => set.showLine !== false);
      check(lines.length === 16 && lines.every(set => Math.max(...set.data.map(p => p.x)) === 2000), `${lines.length} curves by dropout`);
      const [effect] = R.D.effects.filter(e => e.key === 'dropout'), dots = shown(figure_of('best val by dropout')).chart.data.datasets[1].data;
      check(effect && dots.length === 16, `${dots.length} dots by dropout`);
      check(one('#chosen').getClientRects().length > 0 && location.hash.includes('max_iters'), 'the choice is not said, or not in the address');
    });
    ask('loss curves of one factor', () => {
      choose([...document.querySelectorAll('#curve-controls label')].find(node => words_of(node).startsWith('colour by')).querySelector('select'), 'n_embd');
      const figure = shown(figure_of('validation loss, all runs')), said = [...figure.node.querySelectorAll('.legend button')].map(words_of);
      check(said.join() === 'n_embd 128,n_embd 256', `the legend says ${said}`);
      const lines = figure.chart.data.datasets.filter(set => set.showLine !== false);
      check(new Set(lines.map(set => set.borderColor)).size === 3, 'curves have not the colours of two values and the baseline');
    });
    ask('minima and their iterations, overfitting after', () => {
      const at = R.runs_table.columns.findIndex(c => c.key === 'at');
      click(one('#runs-table thead').rows[0].cells[at].querySelector('button'), 'the heading of the best iteration');
      const iters = column('at');
      check(iters.length === 32 && iters.every((x, i) => i === 0 || iters[i - 1] <= x), `iterations are in the order ${iters}`);
    });
  } else {
    ask('one setting at a time, as bars', () => {
      const figure = shown(figure_of('train and val loss'));
      check(figure.chart.config.type === 'bar' && figure.chart.data.labels.length === R.D.runs.length, `${figure.chart.data.labels.length} bars`);
      choose([...document.querySelectorAll('#bar-controls label')].find(node => words_of(node).startsWith('order')).querySelector('select'), 'as listed');
      const { labels, datasets } = shown(figure).chart.data, names = R.D.runs.map(run => run.name);
      check(labels.join() === names.join(), `bars are in the order ${labels}`);
      check(datasets.every(set => set.data.every((x, i) => Math.abs(x - R.D.runs[i].final[set.label]) < 1e-6)), 'bars are not the last losses');
    });
    ask('what each change brings', () => {
      const delta = R.runs_table.columns.findIndex(c => c.key === 'delta');
      click(one('#runs-table thead').rows[0].cells[delta].querySelector('button'), 'the heading of the difference from the baseline');
      const list = column('delta').filter(x => typeof x === 'number');
      check(list.length === R.D.runs.length - 1 && list.every((x, i) => i === 0 || list[i - 1] <= x), `differences are in the order ${list}`);
    });
    ask('loss curves of one factor', () => {
      for (const which of ['validation', 'training']) {
        const lines = shown(figure_of(`${which} loss by n_embd`)).chart.data.datasets.filter(set => set.showLine !== false);
        check(lines.length === 3, `${which} loss by n_embd has ${lines.length} curves`);
      }
    });
  }
  failures.push(...problems.slice(failures.filter(f => problems.includes(f)).length));
  parent.postMessage(JSON.stringify({ frame: window.name, width: innerWidth,
    scheme: matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light', checks, charts: R.charts.length, maps: R.maps.length,
    failures: [...new Set(failures)] }), '*');
}, 50));
