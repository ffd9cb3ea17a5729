// machines: what each machine trained of a sweep, and the runs that more than one trained, side by side.
by_id('machines').hidden = !D.machines;
if (D.machines) {
  make_table(by_id('machine-table'), used_columns([
    { key: 'name', title: 'machine', kind: 'text' },
    { key: 'hardware', title: 'hardware', kind: 'text' },
    { key: 'threads', title: 'threads', kind: 'plain' },
    { key: 'runs', title: 'runs', kind: 'plain' },
    { key: 'done', title: 'finished', kind: 'plain' },
    { key: 'seconds', title: 'time', kind: 'seconds', hint: 'of steps and evaluations, in all' },
    { key: 'gflops', title: 'GFLOP/s', kind: 'ms', hint: 'mean over its runs' },
    { key: 'best', title: 'best val', kind: 'loss' },
    { key: 'by', title: 'by', kind: 'text' },
  ], D.machines.list), D.machines.list, {});
  if (D.machines.twice.length) {
    by_id('twice-table').before(el('h3', {}, 'The same run on several machines'));
    make_table(by_id('twice-table'), [
      { key: 'run', title: 'run', kind: 'text' },
      { key: 'machine', title: 'machine', kind: 'text' },
      { key: 'best', title: 'best val', kind: 'loss' },
      { key: 'final', title: 'final val', kind: 'loss' },
      { key: 'seconds', title: 'time', kind: 'seconds' },
      { key: 'tokens', title: 'tokens/s', kind: 'count' },
    ], D.machines.twice, {});
  }
}
