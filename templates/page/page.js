// page: the form, and what the worker says. The module and the weights lie in the page as base64 of gzip, in pieces.
const by_id = id => document.getElementById(id);
const say = (text, alert) => {
  by_id('status').textContent = text;
  by_id('status').classList.toggle('alert', Boolean(alert));
};

// ---- the workers ---------------------------------------------------------------------------------

// The bytes of all pieces of a class, which the page does not keep.
async function taken(name) {
  const pieces = [...document.querySelectorAll('script.' + name)], bytes = [];
  for (const [i, piece] of pieces.entries()) {
    const text = atob(piece.textContent.trim()), part = new Uint8Array(text.length);
    for (let k = 0; k < text.length; k++) part[k] = text.charCodeAt(k);
    bytes.push(part);
    piece.remove();
    if (i % 8 === 7) {
      say(`Opening … ${Math.round(100 * (i + 1) / pieces.length)}%`);
      await new Promise(resolve => setTimeout(resolve));
    }
  }
  return new Blob(bytes);
}

let packed; // what a worker opens
let model; // what it says of that
const workers = []; // { worker, and of its text: pre, node, count, seconds, why it ended }, in the order of texts
let writing = []; // those that write, or have written last

function hire() {
  const code = new Blob([by_id('engine').textContent], { type: 'text/javascript' });
  const one = { worker: new Worker(URL.createObjectURL(code)) };
  one.worker.onmessage = event => heard[event.data.kind](event.data, one);
  one.worker.onerror = event => heard.error({ text: event.message || 'its worker could not be started' });
  one.worker.postMessage({ kind: 'open', ...packed });
  workers.push(one);
}

async function start() {
  if (typeof WebAssembly === 'undefined' || typeof DecompressionStream === 'undefined') {
    say('This browser is too old: it has no WebAssembly, or no DecompressionStream (Chrome has both since 80, Firefox ' +
      'since 113, Safari since 16.4).', true);
    return;
  }
  packed = { module: await taken('module'), weights: await taken('weights') };
  hire();
}

const figure = (number, digits = 0) => number.toLocaleString('en', { maximumFractionDigits: digits });
const sum = list => list.reduce((all, number) => all + number, 0);
function busy(yes) {
  by_id('write').disabled = yes || !model;
  by_id('stop').disabled = !yes;
  by_id('look').disabled = yes || !writing.some(one => one.count > 0) || model.heads === 0;
}

// How many tokens there are, how fast they come, and why they ended, if they have and for one reason.
function say_how_far() {
  const speed = sum(writing.map(one => (one.count > 1 && one.seconds > 0 ? (one.count - 1) / one.seconds : 0)));
  const whys = new Set(writing.map(one => one.why));
  const ends = { stop: ', ended before the text that ends it', stopped: ', stopped' };
  const count = sum(writing.map(one => one.count));
  say(`${figure(count)} tokens` + (writing.length > 1 ? ` in ${writing.length} texts` : '') +
    (speed > 0 ? `, ${figure(speed)} tokens/s` : '') + ((whys.size === 1 && ends[[...whys][0]]) || ''));
}

const heard = {
  ready(m) {
    if (model) return;
    model = m;
    by_id('facts').textContent += ` · ${m.layers} layers of ${m.heads} heads, context ${figure(m.context)}, vocabulary ${
      figure(m.tokens)} · opened in ${figure(m.seconds, 2)} s`;
    by_id('context').textContent = ` of ${figure(m.context)} tokens`;
    by_id('look').hidden = m.heads === 0;
    say('Ready.');
    busy(false);
  },
  begun(m, one) {
    const prompt = document.createElement('b');
    prompt.textContent = m.prompt;
    one.node = document.createTextNode('');
    one.pre.replaceChildren(prompt, one.node);
    if (!one.pre.isConnected) by_id('text').replaceChildren(...writing.map(each => each.pre));
    say(`${figure(m.tokens)} tokens of prompt …`);
  },
  text(m, one) {
    one.node.appendData(m.text);
    Object.assign(one, { count: m.count, seconds: m.seconds });
    say_how_far();
  },
  done(m, one) {
    one.why = m.why;
    say_how_far();
    if (writing.every(each => each.why)) busy(false);
  },
  attention: m => attention.show(m),
  note: m => console.info(m.text),
  refused(m, one) {
    one.why = 'refused';
    say(m.text, true);
    if (writing.every(each => each.why)) busy(false);
  },
  error(m) {
    say(`It cannot go on: ${m.text}. Open the page again.`, true);
    model = null;
    writing = [];
    busy(false);
    for (const { worker } of workers) worker.terminate();
  },
};

// ---- the form ------------------------------------------------------------------------------------

by_id('form').addEventListener('submit', event => {
  event.preventDefault();
  if (by_id('write').disabled) return;
  const number = id => Number(by_id(id).value);
  attention.hide();
  while (workers.length < number('texts')) hire();
  writing = workers.slice(0, number('texts'));
  for (const [i, one] of writing.entries()) {
    Object.assign(one, { pre: document.createElement('pre'), count: 0, seconds: 0, why: null });
    one.worker.postMessage({ kind: 'write', prompt: by_id('prompt').value, temperature: number('temperature'),
      top_k: number('top-k'), top_p: number('top-p'), seed: number('seed'), number: i, tokens: number('tokens'),
      half: by_id('half').checked, stop: by_id('stop-text').value });
  }
  busy(true);
  say('Taking the prompt in …');
});
by_id('prompt').addEventListener('keydown', event => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) by_id('form').requestSubmit();
});
by_id('stop').addEventListener('click', () => {
  for (const { worker } of writing) worker.postMessage({ kind: 'stop' });
});
by_id('look').addEventListener('click', () => writing[0].worker.postMessage({ kind: 'look' }));
by_id('another').addEventListener('click', () => {
  by_id('seed').value = crypto.getRandomValues(new Uint32Array(1))[0];
});
by_id('theme').addEventListener('change', event => {
  const name = event.target.value;
  if (name === 'auto') document.documentElement.removeAttribute('data-theme');
  else document.documentElement.setAttribute('data-theme', name);
  attention.draw();
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => attention.draw());
start();
