// progress: how far a run is at an iteration, in the units of a figure's x axis. An evaluation at iteration i is of the
// weights after i steps.
const run_seconds = (run, iter) => {
  const xs = run.e.x, at = run.e.seconds || [];
  if (!at.length || !is_number(run.ms)) return undefined;
  let i = xs.findIndex(x => x > iter) - 1;
  if (i < -1) i = xs.length - 1;
  return i < 0 ? iter * run.ms / 1000 : at[i] + (iter - xs[i]) * run.ms / 1000;
};

const x_units = {
  iterations: { title: 'iteration', of: (run, iter) => iter, text: x => `iteration ${format('count', x)}` },
  tokens: { title: 'tokens', of: (run, iter) => iter * run.tokens_per_iter, text: x => `${formats.short(x)} tokens` },
  FLOP: { title: 'FLOP', of: (run, iter) => iter * run.tokens_per_iter * run.flops_per_token, text: x => `${x.toExponential(2)} FLOP` },
  seconds: { title: 'seconds of training and evaluating', of: run_seconds, text: x => formats.seconds(x) },
};

// The units that all runs with a curve know.
const known_units = list => Object.keys(x_units).filter(unit => list.every(i => is_number(x_units[unit].of(runs[i], 1))));
