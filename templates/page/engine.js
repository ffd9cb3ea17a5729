// engine: runs in a worker: the sampler's module (runtime/programs/page.c), its weights, and one text at a time; a page
// that writes several has as many workers, since what is opened from disk has no memory that threads share. It takes
// { kind: 'open', module, weights }, 'write', 'stop' and 'look', and answers with 'ready', 'begun', 'text', 'done',
// 'attention', 'note' and 'error'.
'use strict';
const SLICE = 25; // milliseconds of writing between two looks for a message
let sampler, memory;
let run; // the text that is written: { tokens, count, seconds, decoder, ended }

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
  run = { tokens, count: 0, seconds: 0, decoder: new TextDecoder(), ended: null };
  again.port2.postMessage(null);
}

// Writes for a while, so that a message comes through between two calls.
function step() {
  const began = performance.now();
  let text = '', now = began;
  const add = length => { text += run.decoder.decode(bytes_at(sampler.page_text(), length), { stream: true }); };
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
    text += run.decoder.decode();
  }
  postMessage({ kind: 'text', text, count: run.count, seconds: run.seconds });
  if (run.ended) {
    postMessage({ kind: 'done', why: run.ended, count: run.count, seconds: run.seconds });
    run = null;
  } else {
    again.port2.postMessage(null);
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
again.port1.onmessage = () => {
  try {
    if (run) step();
  } catch (error) { failed(error); }
};
let opened;
onmessage = async event => {
  const message = event.data;
  try {
    if (message.kind === 'open') opened = open(message);
    await opened;
    if (message.kind === 'write') write(message);
    else if (message.kind === 'look') look();
    else if (message.kind === 'stop' && run) run.ended = 'stopped';
  } catch (error) { failed(error); }
};
