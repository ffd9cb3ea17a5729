// fit: L = a + b N^-c through the lowest loss at each size N, by least squares, with 95% intervals of a and c: the values
// for which the best fit is not significantly worse (profiles of the sum of squares, Student's t).
const LEAST_SIZES = 5;
const FIT_EXPONENTS = Array.from({ length: 300 }, (_, i) => 0.01 * 500 ** (i / 299)); // from 0.01 to 5
const T_95 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11, 2.101, 2.093,
  2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042]; // by degrees of freedom

// Of points { x, y } the lowest y at each x, by x.
function lowest_at_each(points_at) {
  const by = new Map();
  for (const { x, y } of points_at) if (!by.has(x) || y < by.get(x)) by.set(x, y);
  return [...by].map(([x, y]) => ({ x, y })).sort((p, q) => p.x - q.x);
}

// { a, b, c, n, a_range, c_range } with b for N in units of `unit`; a range's end that the data does not bound is null.
// Nothing with fewer than five sizes, or if the loss does not fall with size.
function power_fit(points_at) {
  const list = lowest_at_each(points_at), n = list.length;
  if (n < LEAST_SIZES) return undefined;
  const unit = Math.exp(mean_of(list.map(p => Math.log(p.x)))), ys = list.map(p => p.y), lowest = Math.min(...ys);
  const powers = FIT_EXPONENTS.map(c => list.map(p => (p.x / unit) ** -c));
  const squares = (a, b, zs) => zs.reduce((sum, z, i) => sum + (ys[i] - a - b * z) ** 2, 0);
  const free = powers.map(zs => { // a and b for one exponent
    const z = mean_of(zs), y = mean_of(ys);
    const b = zs.reduce((sum, one, i) => sum + (one - z) * (ys[i] - y), 0) / zs.reduce((sum, one) => sum + (one - z) ** 2, 0);
    return { a: y - b * z, b, s: squares(y - b * z, b, zs) };
  });
  const at = free.reduce((low, f, i) => (f.b > 0 && f.a >= 0 && (low < 0 || f.s < free[low].s) ? i : low), -1);
  if (at < 0) return undefined;
  const { a, b, s } = free[at], dof = n - 3, t = T_95[Math.min(dof, T_95.length) - 1];
  const most = s * (1 + t * t / dof) + 1e-18 * n;
  // The ends of the values whose profile is low enough; null where the first or the last one still is.
  const range = (values, inside) => {
    const first = inside.indexOf(true), last = inside.lastIndexOf(true);
    return [first > 0 ? values[first] : null, last < inside.length - 1 ? values[last] : null];
  };
  const c_range = range(FIT_EXPONENTS, free.map(f => f.b > 0 && f.s <= most));
  const floors = Array.from({ length: 241 }, (_, i) => lowest * i / 240);
  const a_range = range(floors, floors.map(floor => powers.some(zs => {
    const slope = zs.reduce((sum, z, i) => sum + z * (ys[i] - floor), 0) / zs.reduce((sum, z) => sum + z * z, 0);
    return slope > 0 && squares(floor, slope, zs) <= most;
  })));
  return { a, b, c: FIT_EXPONENTS[at], n, unit, a_range, c_range };
}

const fit_at = (fit, x) => fit.a + fit.b * (x / fit.unit) ** -fit.c;

function fit_words(points_at) {
  const fit = power_fit(points_at), n = lowest_at_each(points_at).length;
  if (n < LEAST_SIZES) return `A fit of L = a + b·N^−c wants five sizes; the chosen runs have ${n}.`;
  if (!fit) return 'No fit of L = a + b·N^−c: the lowest loss at each size does not fall with size.';
  const between = ([low, high], text, least) => `95%: ${low === null ? least : text(low)} to ${high === null ? 'no bound' : text(high)}`;
  return `L = a + b·N^−c through the lowest loss at each of ${n} sizes: a = ${fit.a.toFixed(3)} (${between(fit.a_range, x => x.toFixed(3), '0')}), `
    + `c = ${fit.c.toPrecision(3)} (${between(fit.c_range, x => x.toPrecision(2), 'no bound')}), b = ${(fit.b * fit.unit ** fit.c).toPrecision(3)}.`;
}

// The fit as a line from the least to the largest size.
function fit_line(points_at) {
  const fit = power_fit(points_at), list = lowest_at_each(points_at), ends = [list[0], list[list.length - 1]].map(p => Math.log(p && p.x));
  const data = fit ? Array.from({ length: 41 }, (_, i) => Math.exp(ends[0] + (ends[1] - ends[0]) * i / 40)).map(x => ({ x, y: fit_at(fit, x) })) : [];
  return { type: 'line', label: 'fit', data, borderColor: theme.colours().soft, borderWidth: 2, borderDash: [8, 4], pointRadius: 0, pointHitRadius: 0 };
}
