// speed: for each build, the time of a step, its share of the peak, and its kernels.
const timed = D.builds.filter(b => b.figures);

const build_label = b => b.name + (b.runs.length < runs.length && runs.length > 1 ? ` (${b.runs.length} runs)` : '');

// Whether some of a build's runs are chosen.
const is_chosen = b => b.runs.some(i => selection.chosen.has(i));

function draw_speed() {
  const rows = D.builds.filter(is_chosen).map(b => {
    const own = selection.of(b.runs).map(i => runs[i]).filter(run => run.ms), f = b.figures || {};
    const mean = key => { const l = own.map(run => run[key]).filter(is_number); return l.length ? l.reduce((x, y) => x + y) / l.length : undefined; };
    return { name: b.name, backend: b.backend, runs: selection.of(b.runs).length, own: mean('ms'), own_mfu: mean('mfu'), ms: f.ms_median, p10: f.ms_p10, p90: f.ms_p90,
      share: f.share_of_peak, gflops: f.gflops, peak: f.peak_gflops, floor: f.share_of_floor, tokens: f.tokens_per_s, others: f.disturbed && f.others_busy, threads: f.threads, machine: f.machine };
  });
  make_table(by_id('speed-table'), used_columns([
    { key: 'name', title: 'build', kind: 'text' },
    { key: 'backend', title: 'backend', kind: 'text' },
    { key: 'runs', title: 'runs', kind: 'plain' },
    { key: 'own', title: 'runs’ ms/step', kind: 'ms', hint: 'mean of the runs’ medians' },
    { key: 'own_mfu', title: 'runs’ MFU', kind: 'percent', hint: hint_of_mfu },
    { key: 'ms', title: 'bench ms/step', kind: 'ms', hint: 'median of a step in bench, on made-up tokens' },
    { key: 'p10', title: 'fastest tenth', kind: 'ms', hint: 'one step in ten takes no longer' },
    { key: 'p90', title: 'slowest tenth', kind: 'ms', hint: 'one step in ten takes longer' },
    { key: 'share', title: 'of peak', kind: 'percent', hint: 'of the multiply-add peak measured in the same bench' },
    { key: 'gflops', title: 'GFLOP/s', kind: 'ms' },
    { key: 'peak', title: 'peak', kind: 'ms', hint: 'GFLOP/s' },
    { key: 'floor', title: 'of floor', kind: 'percent', hint: 'the least time that the kernels’ operations and bytes allow, by the step’s time' },
    { key: 'tokens', title: 'bench tokens/s', kind: 'count' },
    { key: 'others', title: 'disturbed by', kind: 'ms', hint: 'processors that other processes used meanwhile: the figures are not what the machine can do' },
    { key: 'threads', title: 'threads', kind: 'plain' },
    { key: 'machine', title: 'machine', kind: 'text' },
  ], rows), rows, {});
}

selection.shows(by_id('speed'), () => timed.some(is_chosen) || selection.of(all_indexes).some(i => runs[i].ms));
if (!by_id('speed').hidden) {
  draw_speed();
  selection.listeners.push(draw_speed);
}

// A list of the builds that `list` has, from which `show` shows one; it is one of the chosen runs', if they have one.
function pick_build(label, list, show) {
  const picker = make_select(label, list.map((b, i) => [i, build_label(b)]), value => show(Number(value)), 0);
  selection.listeners.push(() => {
    const at = list.findIndex(is_chosen);
    if (at < 0 || is_chosen(list[picker.select.value])) return;
    picker.select.value = at;
    show(at);
  });
  show(0);
  return list.length > 1 ? picker.label : '';
}

function show_kernels(at) {
  const b = timed[at], f = b.figures;
  by_id('speed-words').textContent = `${b.name}: each kernel of a step, measured by bench with ${format('plain', f.threads)} threads. `
    + 'The last column says how near it is to what its operations and bytes allow.';
  make_table(by_id('kernel-table'), used_columns([
    { key: 'name', title: 'kernel', kind: 'text' },
    { key: 'calls', title: 'calls', kind: 'plain', hint: 'a step' },
    { key: 'ms', title: 'ms/step', kind: 'ms' },
    { key: 'share', title: 'share', kind: 'percent' },
    { key: 'flop', title: 'MFLOP', kind: 'mega', hint: 'a step' },
    { key: 'bytes', title: 'MB', kind: 'mega', hint: 'a step' },
    { key: 'roofline', title: 'of its least time', kind: 'percent', hint: 'the least time that its operations and bytes allow on this processor (its roofline), by the time it took' },
  ], f.kernels), f.kernels, {});
}

if (timed.length) {
  by_id('speed-controls').append(pick_build('kernels of', timed, show_kernels));
}
