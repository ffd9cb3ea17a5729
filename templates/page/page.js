// page: the form, and what the worker says. The module and the weights lie in the page as base64 of gzip, in pieces.
const by_id = id => document.getElementById(id);
const say = (text, alert) => {
  by_id('status').textContent = text;
  by_id('status').classList.toggle('alert', Boolean(alert));
};

// ---- the worker ----------------------------------------------------------------------------------

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

let worker, model;
async function start() {
  if (typeof WebAssembly === 'undefined' || typeof DecompressionStream === 'undefined') {
    say('This browser is too old: it has no WebAssembly, or no DecompressionStream (Chrome has both since 80, Firefox ' +
      'since 113, Safari since 16.4).', true);
    return;
  }
  const code = new Blob([by_id('engine').textContent], { type: 'text/javascript' });
  worker = new Worker(URL.createObjectURL(code));
  worker.onmessage = event => heard[event.data.kind](event.data);
  worker.onerror = event => heard.error({ text: event.message || 'its worker could not be started' });
  worker.postMessage({ kind: 'open', module: await taken('module'), weights: await taken('weights') });
}

const figure = (number, digits = 0) => number.toLocaleString('en', { maximumFractionDigits: digits });
const speed = (count, seconds) => (count > 1 && seconds > 0 ? `, ${figure((count - 1) / seconds)} tokens/s` : '');
function busy(writing) {
  by_id('write').disabled = writing || !model;
  by_id('stop').disabled = !writing;
  by_id('look').disabled = true;
}

let text; // the node that grows
const heard = {
  ready(m) {
    model = m;
    by_id('facts').textContent += ` · ${m.layers} layers of ${m.heads} heads, context ${figure(m.context)}, vocabulary ${
      figure(m.tokens)} · opened in ${figure(m.seconds, 2)} s`;
    by_id('context').textContent = ` of ${figure(m.context)} tokens`;
    by_id('look').hidden = m.heads === 0;
    say('Ready.');
    busy(false);
  },
  begun(m) {
    const prompt = document.createElement('b');
    prompt.textContent = m.prompt;
    text = document.createTextNode('');
    by_id('text').replaceChildren(prompt, text);
    say(`${figure(m.tokens)} tokens of prompt …`);
  },
  text(m) {
    text.appendData(m.text);
    say(`${figure(m.count)} tokens${speed(m.count, m.seconds)}`);
  },
  done(m) {
    const why = { length: '', stop: ', ended before the text that ends it', stopped: ', stopped' }[m.why];
    say(`${figure(m.count)} tokens${speed(m.count, m.seconds)}${why}`);
    busy(false);
    by_id('look').disabled = m.count === 0 || model.heads === 0;
  },
  attention: m => attention.show(m),
  note: m => console.info(m.text),
  refused(m) {
    say(m.text, true);
    busy(false);
  },
  error(m) {
    say(`It cannot go on: ${m.text}. Open the page again.`, true);
    model = null;
    busy(false);
    worker.terminate();
  },
};

// ---- the form ------------------------------------------------------------------------------------

by_id('form').addEventListener('submit', event => {
  event.preventDefault();
  if (by_id('write').disabled) return;
  const number = id => Number(by_id(id).value);
  attention.hide();
  busy(true);
  say('Taking the prompt in …');
  worker.postMessage({ kind: 'write', prompt: by_id('prompt').value, temperature: number('temperature'),
    top_k: number('top-k'), top_p: number('top-p'), seed: number('seed'), tokens: number('tokens'),
    half: by_id('half').checked, stop: by_id('stop-text').value });
});
by_id('prompt').addEventListener('keydown', event => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) by_id('form').requestSubmit();
});
by_id('stop').addEventListener('click', () => worker.postMessage({ kind: 'stop' }));
by_id('look').addEventListener('click', () => worker.postMessage({ kind: 'look' }));
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
