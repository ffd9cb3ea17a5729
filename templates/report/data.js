// data: the report's data, and helpers that make elements and format numbers.
const D = JSON.parse(document.getElementById('data').textContent);
const A = JSON.parse(document.getElementById('attention-data').textContent);
const runs = D.runs;
const baseline = D.baseline === undefined ? null : runs[D.baseline];

const by_id = id => document.getElementById(id);

// Makes an element: props are attributes, or, if functions, listeners; children are nodes or text.
function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) {
    if (typeof value === 'function') node.addEventListener(key, value);
    else if (value !== false && value !== undefined && value !== null) node.setAttribute(key, value === true ? '' : value);
  }
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined) node.append(child);
  return node;
}

const is_number = x => typeof x === 'number' && isFinite(x);
const minus = text => text.replace('-', '−');

// Formats of numbers, by the kind of a column or an axis.
const formats = {
  text: x => String(x),
  loss: x => x.toFixed(4),
  delta: x => minus((x > 0 ? '+' : '') + x.toFixed(4)),
  perplexity: x => (x < 1000 ? x.toFixed(2) : x.toPrecision(4)),
  count: x => Math.round(x).toLocaleString('en-US'),
  ms: x => (x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(3)),
  percent: x => (100 * x).toFixed(1) + '%',
  plain: x => String(Number(x.toPrecision(7))),
  seconds: x => (x < 60 ? x.toFixed(1) + ' s' : x < 3600 ? (x / 60).toFixed(1) + ' min' : (x / 3600).toFixed(2) + ' h'),
  mega: x => (x / 1e6).toFixed(x < 1e8 ? 2 : 0),
  mib: x => (x / 1048576).toFixed(1),
  short: x => (x >= 1e15 ? +(x / 1e15).toPrecision(3) + 'P' : x >= 1e12 ? +(x / 1e12).toPrecision(3) + 'T' : x >= 1e9 ? +(x / 1e9).toPrecision(3) + 'B' : x >= 1e6 ? +(x / 1e6).toPrecision(3) + 'M'
    : x >= 1e3 ? +(x / 1e3).toPrecision(3) + 'k' : String(+x.toPrecision(3))),
};

function format(kind, value) {
  if (value === null || value === undefined || value === false && kind !== 'text') return '–';
  return typeof value === 'number' && formats[kind] ? formats[kind](value) : String(value);
}

const setting = (run, key) => (run.settings || {})[key];
const value_text = value => (value === undefined ? 'not known' : format('plain', value));

// A labelled select; choices are [value, text]. `changed` is called with the value.
function make_select(label, choices, changed, selected) {
  const select = el('select', { 'aria-label': label, change: () => changed(select.value) },
    choices.map(([value, text]) => el('option', { value, selected: String(value) === String(selected) }, text)));
  return { label: el('label', {}, label + ' ', select), select };
}

function make_check(label, checked, changed) {
  const box = el('input', { type: 'checkbox', checked, change: () => changed(box.checked) });
  return el('label', {}, box, ' ' + label);
}

// What tells each run of a list from the others: the settings that differ among them; from the baseline, where one setting
// at a time is changed; and the seed. Where that is long for any of them, all have their names, whose settings are short,
// without their numbers.
const LONGEST_LABEL = 30;

function label_of(index, list) {
  const labels = labels_of(list);
  return labels.has(index) ? labels.get(index) : runs[index].name;
}

const labels_made = new WeakMap(); // by list, of which many figures name every run

function labels_of(list) {
  if (labels_made.has(list)) return labels_made.get(list);
  const all = list.map(i => runs[i]), several_seeds = D.several_seeds && new Set(all.map(run => run.seed)).size > 1;
  const differing = D.factors.map(f => f.key).filter(key => new Set(all.map(run => setting(run, key))).size > 1);
  const texts = all.map(run => {
    const keys = D.kind !== 'grid' && baseline ? differing.filter(key => setting(run, key) !== setting(baseline, key)) : differing;
    const words = keys.filter(key => setting(run, key) !== undefined).map(key => `${key}=${value_text(setting(run, key))}`);
    if (D.kind !== 'grid' && run === baseline) words.push('baseline');
    if (several_seeds) words.push('seed ' + run.seed);
    return words.join(' ');
  });
  const fit = texts.every(text => text !== '' && text.length <= LONGEST_LABEL);
  const name_of = run => (D.sweep ? run.name.replace(/^exp\d+-/, '') : run.name);
  labels_made.set(list, new Map(list.map((i, n) => [i, fit ? texts[n] : name_of(runs[i])])));
  return labels_made.get(list);
}

// On a narrow page a name begins where names differ, after a word's end, so that this part of it is what is seen.
const NARROW = 640;
const same_beginning = (() => {
  const [first, ...others] = runs.map(run => run.name);
  let n = others.length ? first.length : 0;
  for (const name of others) while (!name.startsWith(first.slice(0, n))) n--;
  while (n > 0 && /[\w.]/.test(first[n - 1])) n--;
  return n > 6 ? n : 0;
})();
const telling = name => (innerWidth < NARROW && same_beginning ? '…' + name.slice(same_beginning) : name);

const shortened = (text, most) => (text.length > most ? text.slice(0, most - 1) + '…' : text);
const run_choices = list => list.map(i => [i, runs[i].name]);
const all_indexes = runs.map((_, i) => i);

function download(name, href) {
  const link = el('a', { download: name, href });
  document.body.append(link);
  link.click();
  link.remove();
}
