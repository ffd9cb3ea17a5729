// blocks: the effect of a factor on any result, over the chosen runs, as gen/report/effects.lua has it for the best
// validation loss of all: runs alike in all else are a block; complete blocks alone count, each training once, and each
// setting with every seed that any has.
const responses = {
  best: { title: 'best val', kind: 'loss', of: run => run.best && run.best.val },
  final: { title: 'final val', kind: 'loss', of: run => run.final && run.final.val },
  gap: { title: 'gap between train and val', kind: 'loss', of: run => run.gap },
  rise: { title: 'rise after the minimum', kind: 'loss', of: run => run.overfit.rise },
  seconds: { title: 'time', kind: 'seconds', of: run => run.seconds },
  reach: { title: 'time to a loss', kind: 'seconds', of: run => {
    const at = reached_at(run, reach.loss);
    return at === undefined ? undefined : run_seconds(run, at);
  } },
  tokens: { title: 'tokens/s', kind: 'count', of: run => run.tokens_per_s },
};

const mean_of = list => list.reduce((a, b) => a + b, 0) / list.length;

function statistics_of(points) {
  if (!points.length) return { n: 0, points };
  const mean = mean_of(points), n = points.length;
  return { n, mean, sd: n > 1 ? Math.sqrt(points.reduce((a, b) => a + (b - mean) ** 2, 0) / (n - 1)) : undefined,
    min: Math.min(...points), max: Math.max(...points), points };
}

// How much of the variance of some results is a factor's: the sum of squares of its values' means over that of all results.
// `lists` has the results at each value. `chance` is what a factor without any effect has on average. Nothing where each
// value has one result, or all results are equal.
function share_of_variance(lists) {
  const all = lists.flat(), n = all.length, mean = mean_of(all);
  const total = all.reduce((sum, y) => sum + (y - mean) ** 2, 0), least = 1e-12 * all.reduce((sum, y) => sum + y * y, 0);
  if (lists.length < 2 || n <= lists.length || !(total > least)) return undefined;
  const between = lists.reduce((sum, list) => sum + list.length * (mean_of(list) - mean) ** 2, 0);
  return { share: between / total, chance: (lists.length - 1) / (n - 1), n };
}

// The complete blocks of some runs: [{ at: Map of a place to a run's index }]. Runs that are alike in all but the settings
// `keys` are a block, in which place_of(run) tells one from another; a block has a run at each place where any run is.
function complete_blocks(list, keys, place_of, response, chosen) {
  const changes = key => keys.includes(key) || D.factors.some(f => f.key === key && keys.includes(f.with));
  const setting_text = run => D.factors.filter(f => !changes(f.key)).map(f => `${f.key}=${setting(run, f.key)}`).join(' ');
  const by = new Map(), present = new Set();
  for (const i of list) {
    const run = runs[i], value = place_of(run);
    if (value === undefined || !run.counts || !chosen.has(i) || !is_number(response.of(run))) continue;
    const text = setting_text(run), key = `${text} seed=${run.seed}`;
    if (!by.has(key)) by.set(key, { text, seed: String(run.seed), at: new Map(), order: by.size });
    if (!by.get(key).at.has(value)) by.get(key).at.set(value, i);
    present.add(value);
  }
  const length = block => [...block.at.values()].reduce((sum, i) => sum + runs[i].e.x.length, 0);
  const whole = [...by.values()].filter(block => [...present].every(value => block.at.has(value)))
    .sort((a, b) => length(b) - length(a) || a.order - b.order);
  const seen = new Set();
  const once = whole.filter(block => {
    const trainings = [...present].map(value => runs[block.at.get(value)].twin ?? block.at.get(value)).join(' ');
    return !seen.has(trainings) && seen.add(trainings);
  }).sort((a, b) => a.order - b.order);
  const seeds = new Set(once.map(block => block.seed)).size;
  return once.filter(block => once.filter(other => other.text === block.text).length === seeds);
}

const blocks_of = (effect, response, chosen) => complete_blocks(effect.telling || effect.runs, [effect.key],
  run => setting(run, effect.key), response, chosen);

// { key, runs, levels } as in D.effects, without tests, and how many differences have the mean's sign, as `same`; of a grid
// also the share of the variance among `trainings`, where these are on one data set.
function effect_of(effect, response, chosen) {
  const blocks = blocks_of(effect, response, chosen), value_at = (block, value) => response.of(runs[block.at.get(value)]);
  const reference = effect.levels.find(l => l.is_reference);
  const levels = effect.levels.map(l => {
    const here = blocks.filter(block => block.at.has(l.value));
    const level = Object.assign({ value: l.value, is_reference: l.is_reference }, statistics_of(here.map(block => value_at(block, l.value))));
    const pairs = reference && !l.is_reference ? here.filter(block => block.at.has(reference.value)) : [];
    if (pairs.length) {
      const list = pairs.map(block => value_at(block, l.value) - value_at(block, reference.value)), mean = mean_of(list);
      level.difference = { n: list.length, mean, same: list.filter(d => d * mean > 0).length };
    }
    return level;
  });
  const trainings = [...new Set(blocks.flatMap(block => [...block.at.values()]))].sort((a, b) => a - b);
  const comparable = D.kind === 'grid' && new Set(trainings.map(i => runs[i].on)).size === 1;
  const variance = comparable ? share_of_variance(levels.filter(l => l.n > 0).map(l => l.points)) : undefined;
  return { key: effect.key, runs: effect.runs, levels, trainings, variance };
}

// The effects with more than one level, the largest difference first.
function effects_now(response, chosen) {
  const size = e => Math.max(0, ...e.levels.map(l => (l.difference ? Math.abs(l.difference.mean) : 0)));
  return D.effects.map(e => effect_of(e, response, chosen)).filter(e => e.levels.filter(l => l.n > 0).length > 1)
    .sort((a, b) => size(b) - size(a));
}

// Two factors together: { a, b, cells: [{ x, line, n, mean, points }] for each value of a and of b that has a run, blocks,
// alone: the runs without partners, missing: the pairs of values that no run has }.
function cells_of(a, b, response, chosen) {
  const place = run => (setting(run, a.key) === undefined || setting(run, b.key) === undefined ? undefined
    : `${a.values.indexOf(setting(run, a.key))} ${b.values.indexOf(setting(run, b.key))}`);
  const blocks = complete_blocks(all_indexes, [a.key, b.key], place, response, chosen);
  const used = new Set(blocks.flatMap(block => [...block.at.values()].map(i => runs[i].twin ?? i)));
  const alone = all_indexes.filter(i => chosen.has(i) && !used.has(i) && !used.has(runs[i].twin));
  const cells = [], missing = [];
  a.values.forEach((x, m) => b.values.forEach((line, n) => {
    const here = blocks.filter(block => block.at.has(`${m} ${n}`)).map(block => response.of(runs[block.at.get(`${m} ${n}`)]));
    if (here.length) cells.push(Object.assign({ x, line }, statistics_of(here)));
    else missing.push([x, line]);
  }));
  const count = key => new Set(cells.map(cell => cell[key])).size;
  if (count('x') < 2 || count('line') < 2) return { a, b, cells: [], blocks: [], alone, missing };
  return { a, b, cells, blocks, alone, missing };
}
