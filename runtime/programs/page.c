// page.c: the sampler of a page: WebAssembly that a page's script calls (templates/page/engine.js):
// a checkpoint's bytes and a prompt in, a token's text at a time out. One model, one text; where
// several are written each has a module of its own.
//
// All numbers that pass are 32-bit integers, doubles, or places in this module's memory. A function
// that returns `const char *` returns NULL, or one line that says what is wrong.
//
// links: runtime/base/allocate.c runtime/base/hash.c runtime/base/json.c runtime/base/pairs.c
// links: runtime/base/rng.c runtime/base/utf8.c runtime/files/foreign.c runtime/files/keys.c
// links: runtime/files/blocks.c runtime/files/numbers.c runtime/files/params.c
// links: runtime/files/safetensors.c runtime/files/small.c runtime/sample/choose.c
// links: runtime/sample/open.c runtime/sample/repeat.c runtime/sample/sampler.c
// links: runtime/sample/slide.c
// links: runtime/sample/small.c runtime/sample/stops.c runtime/text/bpe.c runtime/text/bpe_text.c
// links: runtime/text/normalize.c runtime/text/pretokenize.c runtime/text/tokenizer.c
// links: runtime/programs/sample/prompt.c
#include "runtime/programs/page/page.h"
#include "runtime/programs/sample/prompt.h"

#include <stdlib.h>
#include <string.h>

// Bytes of text that one token may complete: its own, what mending makes of them, and what was held
// back as the beginning of a stop text.
enum { PAGE_PIECE = 3 * (TOKENIZER_TOKEN_MAX + 1), PAGE_TEXT = PAGE_PIECE + STOPS_LENGTH + 4 };

static struct sampler_file file;
static struct sampler s;
static struct prompt prompt;     // of the text that is written
static struct sampling sampling; // and how,
static uint32_t sample;          // and which it is of those of its seed
static struct utf8_mend mend;
static struct stops stops;
static char stop[STOPS_LENGTH + 1];
static const char *const stop_list[] = {stop};
static int32_t last;         // its last token, or
static bool taken;           // that is in the context
static uint32_t count;       // tokens that were generated
static char text[PAGE_TEXT]; // of the last token
static float *weights;       // of attention (L, H, tokens), of the last token,
static int looked;           // tokens whose weights they are; 0: none
static char error[512];

// Memory for `bytes`, at a multiple of 64; NULL if there is no more.
void *PAGE_EXPORT(page_room)(size_t bytes) {
    return aligned_alloc(64, (bytes + 64) / 64 * 64);
}

void PAGE_EXPORT(page_free)(void *memory) {
    free(memory);
}

// A checkpoint's bytes, which stay where they are.
const char *PAGE_EXPORT(page_open)(const char *bytes, size_t length) {
    return sampler_open_bytes(&file, &s, SAMPLER_INSIDE, bytes, length, 1, error) ? NULL : error;
}

// One of the model's numbers: its context, layers, heads; its tokenizer's entries.
int PAGE_EXPORT(page_number)(int which) {
    const int numbers[] = {sampler_info.block_size, sampler_info.n_layer, sampler_info.n_head,
                           s.vocab_size};
    return numbers[which];
}

// Begins text `number` of those with this seed, after a prompt of `length` bytes; with none it is
// the tokenizer's default. The stop text may be empty. Takes the prompt in.
const char *PAGE_EXPORT(page_begin)(const char *start, size_t length, double temperature, int top_k,
                                    double top_p, uint32_t seed, uint32_t number, bool slide_half,
                                    const char *stop_text, size_t stop_length) {
    if (stop_length > STOPS_LENGTH) {
        snprintf(error, sizeof error, "the stop text has %zu bytes; give %d at most", stop_length,
                 STOPS_LENGTH);
        return error;
    }
    prompt_free(&prompt);
    if (length == 0) {
        prompt_default(&prompt, &file.tokenizer);
    } else {
        size_t where;
        prompt = (struct prompt){.place = "the prompt",
                                 .text = allocate_copy(start, length, "the prompt"),
                                 .length = length};
        if (!prompt_encode(&prompt, &file.tokenizer, error, &where)) {
            return error;
        }
    }
    sampling = (struct sampling){
        .temperature = temperature, .top_k = top_k, .top_p = top_p, .min_p = 0, .seed = seed};
    memcpy(stop, stop_text, stop_length);
    stop[stop_length] = 0;
    stops = (struct stops){.text = stop_list, .count = stop_length > 0};
    mend = (struct utf8_mend){0};
    s.slide_half = slide_half;
    sample = number;
    count = 0;
    sampler_begin(&s);
    sampler_take(&s, prompt.ids, prompt.count);
    last = prompt.ids[prompt.count - 1];
    taken = true;
    looked = 0;
    return NULL;
}

// The prompt's bytes and number of tokens, which matter where it is the default.
const char *PAGE_EXPORT(page_prompt)(void) {
    return prompt.text;
}
size_t PAGE_EXPORT(page_prompt_length)(void) {
    return prompt.length;
}
int PAGE_EXPORT(page_prompt_tokens)(void) {
    return (int)prompt.count;
}

const char *PAGE_EXPORT(page_text)(void) {
    return text;
}

static void page_take(void) {
    if (!taken) {
        sampler_take(&s, &last, 1);
        taken = true;
    }
}

// Generates a token as sampler_generate does. Returns the length of what it adds to the text, which
// is at page_text(); -1 if a logit is not finite, so that there is no next token.
int PAGE_EXPORT(page_next)(void) {
    page_take();
    if (!floats_are_finite(s.logits, s.vocab_size)) {
        return -1;
    }
    last = sampler_next(&s, &s.text[0], s.logits, &sampling, sample, count++);
    taken = false;
    looked = 0;
    size_t length;
    char mended[PAGE_PIECE];
    const char *bytes = tokenizer_decode(&file.tokenizer, last, &length);
    return (int)stops_pass(&stops, mended, utf8_mend(&mend, bytes, length, mended), text);
}

// Whether the stop text has come.
bool PAGE_EXPORT(page_stopped)(void) {
    return stops.met;
}

// The length of the rest of the text, at page_text(), when no more tokens are wanted: half a
// character, and what might have become a stop text.
int PAGE_EXPORT(page_rest)(void) {
    size_t length = 0;
    char rest[3];
    if (!stops.met) {
        length = stops_pass(&stops, rest, utf8_mend_end(&mend, rest), text);
    }
    return (int)(length + stops_rest(&stops, text + length));
}

// ---- where the last token looks -----------------------------------------------------------------

// Takes the last token in and keeps its attention weights, at page_weights(): (L, H, tokens).
// Returns the number of tokens, which page_token() has; 0 if no token was generated yet.
int PAGE_EXPORT(page_look)(void) {
    const size_t rows = (size_t)sampler_info.n_layer * (size_t)sampler_info.n_head;
    if (!taken) {
        page_take();
        looked = s.text[0].used;
        weights = allocate_again(weights, rows * (size_t)looked * sizeof *weights, "attention");
        sampler_look(&s, &s.text[0], s.logits, weights);
    }
    return looked;
}

const float *PAGE_EXPORT(page_weights)(void) {
    return weights;
}

// The length of token i of the context, whose bytes are at page_text().
int PAGE_EXPORT(page_token)(int i) {
    size_t length;
    const char *bytes = tokenizer_decode(&file.tokenizer, s.text[0].window[i], &length);
    memcpy(text, bytes, length);
    return (int)length;
}
