// engine: runs in a worker: the sampler's module (runtime/programs/page.c), its weights, and one text at a time; a page
// that writes several has as many workers, since what is opened from disk has no memory that threads share. It takes
// { kind: 'open', module, weights }, 'write', 'stop' and 'look', and answers with 'ready', 'begun', 'text', 'done',
// 'attention', 'note' and 'error'.
'use strict';
const SLICE = 25; // milliseconds of writing between two looks for a message
const SHOWN = 100; // between two pieces of text: each has the page laid out anew, which takes time from the writing
const WARM = 500; // of writing for nobody after opening, at most
let sampler, memory;
let run; // the text that is written: { tokens, count, seconds, decoder, ended, text, shown }

const bytes_at = (place, length) => new Uint8Array(memory.buffer, place, length); // until memory grows
const text_at = (place, length) => new TextDecoder().decode(bytes_at(place, length));
const line_at = place => text_at(place, new Uint8Array(memory.buffer).indexOf(0, place) - place);

// Copies bytes into the sampler's memory and returns their place.
function put(bytes) {
  const place = sampler.page_room(bytes.length);
  if (!place) throw new Error(`there is too little memory here for ${bytes.length} bytes; close other pages`);
  bytes_at(place, bytes.length).set(bytes);
  return place;
}

async function unpacked(blob) {
  return new Uint8Array(await new Response(blob.stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer());
}

async function open({ module, weights }) {
  const began = performance.now();
  const code = await unpacked(module);
  if (!WebAssembly.validate(code))
    throw new Error('this browser’s WebAssembly has no SIMD128, which this page needs; ' +
      'Chrome has it since 91, Firefox since 89, Safari since 16.4');
  const compiled = await WebAssembly.compile(code);
  const imports = { page: { say(place, length, dies) {
    if (dies) throw new Error(text_at(place, length));
    postMessage({ kind: 'note', text: text_at(place, length) });
  } } };
  // What libc has for files: there are none.
  for (const { module: from, name } of WebAssembly.Module.imports(compiled))
    (imports[from] ??= {})[name] ??= () => 8; // EBADF
  sampler = (await WebAssembly.instantiate(compiled, imports)).exports;
  memory = sampler.memory;
  sampler._initialize();
  const bytes = await unpacked(weights);
  const wrong = sampler.page_open(put(bytes), bytes.length);
  if (wrong) throw new Error(line_at(wrong));
  const [context, layers, heads, tokens] = [0, 1, 2, 3].map(sampler.page_number);
  postMessage({ kind: 'ready', context, layers, heads, tokens, code: code.length, bytes: bytes.length,
    seconds: (performance.now() - began) / 1000 });
  warm = WARM;
  go_on();
}

// A browser has fast code for a function only once it was called often. While a person reads and types, the sampler
// writes a text that nobody sees, so that the first one that is seen has that code. Whatever is asked for ends this.
let warm = 0; // milliseconds of it that are left
function warm_up() {
  const began = performance.now();
  if (warm === WARM && sampler.page_begin(0, 0, 0.8, 200, 1, 0, 0, true, 0, 0)) warm = 0;
  while (warm > 0 && performance.now() - began < SLICE)
    if (sampler.page_next() < 0) warm = 0;
  warm -= performance.now() - began;
}

function write({ prompt, temperature, top_k, top_p, seed, number, tokens, half, stop }) {
  const encoder = new TextEncoder(), start = encoder.encode(prompt), end = encoder.encode(stop);
  const began = performance.now(), start_at = put(start), end_at = put(end);
  const wrong = sampler.page_begin(start_at, start.length, temperature, top_k, top_p, seed, number, half,
    end_at, end.length);
  sampler.page_free(start_at);
  sampler.page_free(end_at);
  if (wrong) {
    postMessage({ kind: 'refused', text: line_at(wrong) });
    return;
  }
  postMessage({ kind: 'begun', prompt: text_at(sampler.page_prompt(), sampler.page_prompt_length()),
    tokens: sampler.page_prompt_tokens(), seconds: (performance.now() - began) / 1000 });
  run = { tokens, count: 0, seconds: 0, decoder: new TextDecoder(), ended: null, text: '', shown: 0 };
  go_on();
}

// Writes for a while, so that a message comes through between two calls.
function step() {
  const began = performance.now();
  let now = began;
  const add = length => { run.text += run.decoder.decode(bytes_at(sampler.page_text(), length), { stream: true }); };
  while (!run.ended && now - began < SLICE) {
    if (run.count >= run.tokens) {
      run.ended = 'length';
      break;
    }
    const length = sampler.page_next();
    if (length < 0) throw new Error('the weights give logits that are not finite');
    run.count++;
    add(length);
    if (sampler.page_stopped()) run.ended = 'stop';
    now = performance.now();
  }
  run.seconds += (now - began) / 1000;
  if (run.ended) {
    add(sampler.page_rest());
    run.text += run.decoder.decode();
  }
  if (run.ended || now - run.shown >= SHOWN) {
    postMessage({ kind: 'text', text: run.text, count: run.count, seconds: run.seconds });
    run.text = '';
    run.shown = now;
  }
  if (run.ended) {
    postMessage({ kind: 'done', why: run.ended, count: run.count, seconds: run.seconds });
    run = null;
  } else {
    go_on();
  }
}

// Where the last token looks: weights (layers, heads, tokens).
function look() {
  const count = sampler.page_look();
  const [layers, heads] = [1, 2].map(sampler.page_number);
  const weights = new Float32Array(memory.buffer, sampler.page_weights(), layers * heads * count).slice();
  const tokens = Array.from({ length: count }, (_, i) => {
    const length = sampler.page_token(i);
    return text_at(sampler.page_text(), length);
  });
  postMessage({ kind: 'attention', layers, heads, count, weights, tokens });
}

function failed(error) {
  run = null;
  postMessage({ kind: 'error', text: String(error.message || error) });
}
// setTimeout waits for 4 ms, a message to oneself does not.
const again = new MessageChannel();
let coming = false; // one is on its way
function go_on() {
  if (!coming) again.port2.postMessage(null);
  coming = true;
}
again.port1.onmessage = () => {
  coming = false;
  try {
    if (run) {
      step();
    } else if (warm > 0) {
      warm_up();
      go_on();
    }
  } catch (error) { failed(error); }
};
let opened;
onmessage = async event => {
  const message = event.data;
  try {
    if (message.kind === 'open') opened = open(message);
    await opened;
    if (message.kind !== 'open') warm = 0;
    if (message.kind === 'write') write(message);
    else if (message.kind === 'look') look();
    else if (message.kind === 'stop' && run) run.ended = 'stopped';
  } catch (error) { failed(error); }
};
