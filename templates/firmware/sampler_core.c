//// sampler_core.c: the frame of a microcontroller's sampler: the model's kernels and forward pass,
//// for one row at a time, and what calls it. gen/firmware/shake.lua puts the parts of the runtime
//// that it uses in the place of the line of ===.
//$ function sampler_core(k)
// sampler_core.c: $(k.title), for a microcontroller.
//
// What it needs of the runtime comes first, then the kernels in order of first use, then
// core_forward and the functions of sampler_core.h. Letters: T context, C width, H heads, D head
// size, V vocabulary, N = 1 row; matrices are in blocks of q8_0, in panels of 16 outputs.
#include "sampler_core.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#if defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "sampler_weights.c has words of little-endian machines"
#endif

enum {
    CORE_T = $(k.c.block_size),
    CORE_V = $(k.c.vocab_size),
    CORE_MEMORY = $(k.memory_floats), // the KV cache of $(k.cache_rows) rows, then activations
    MODEL_L = $(k.c.n_layer),
};

// sampler_weights.c: one for each tensor, layer after layer.
extern const void *const sampler_core_weights[$(k.weights_count)];

struct sampler_run {
    size_t cache;
    int first, rows, pos;
};
struct sampler_batch {
    const int32_t *tokens;
    const int *pos;
    int rows;
    const struct sampler_run *runs;
    int count;
    const struct sampler_run *asked;
    int asks;
    float *logits;
};
struct sampler_text {
    size_t cache;
    int32_t *window;
    int used, done, first;
    bool slid, *seen;
};
struct sampler {
    const void *const *weight;
    float *memory;
    bool slide_half;
};

// The one arena: all that is kept from one call to the next, and what is computed in.
static struct {
    _Alignas(64) float memory[CORE_MEMORY];
    float logits[CORE_V];
    int32_t window[CORE_T]; // the tokens of the context
    bool seen[CORE_V];
    struct sampler_text text;
    int32_t chosen; // by the last call, and not taken in yet
    bool chose;     // there is such a token
    uint32_t draws; // since tokens were taken in
} core;

static const struct {
    int block_size, vocab_size, n_layer, cache_floats, cache_rows, cache_width;
    bool cache_bfloat16;
} sampler_info = {
    CORE_T, CORE_V, MODEL_L, $(k.cache_floats), $(k.cache_rows), $(k.cache_width), false,
};

static bool sampler_is_relative(void) {
    return $(k.relative);
}

// ==== runtime

$(k.kernel_texts)
// ---- the model ----------------------------------------------------------------------------------

// Runs a kernel, on the one thread.
#define RUN(kernel, ...) kernel(__VA_ARGS__, thread, 1)

//$ if k.forward.functions ~= "" then
$(k.forward.functions)
//$ end
static void core_forward(struct sampler *s, const struct sampler_batch *batch) {
    const int thread = 0;

    $(k.forward.body)
}

// ---- from tokens to tokens ----------------------------------------------------------------------

// Takes the rest of the window into the cache, a token at a time; leaves the last one's logits.
static void core_fill(struct sampler *s) {
    struct sampler_text *text = &core.text;
    while (text->done < text->used) {
        const int pos = text->first + text->done;
        const struct sampler_run run = {.rows = 1, .pos = text->done};
        const struct sampler_batch batch = {.tokens = core.window + text->done,
                                            .pos = &pos,
                                            .rows = 1,
                                            .runs = &run,
                                            .count = 1,
                                            .asked = &run,
                                            .asks = 1,
                                            .logits = core.logits};
        core_forward(s, &batch);
        text->done++;
    }
}

static void core_take(const int32_t *ids, int64_t count) {
    struct sampler s = {sampler_core_weights, core.memory, true};
    for (int64_t taken; count > 0; ids += taken, count -= taken) {
        taken = sampler_append(&s, &core.text, ids, count);
        core_fill(&s);
    }
}

static void core_take_chosen(void) {
    if (core.chose) {
        core_take(&core.chosen, 1);
        core.chose = false;
    }
}

void sampler_core_begin(void) {
    core.text = (struct sampler_text){.window = core.window, .seen = core.seen};
    memset(core.seen, 0, sizeof core.seen);
    core.chose = false;
    core.draws = 0;
}

bool sampler_core_take(const int32_t *ids, int count) {
    for (int i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= SAMPLER_CORE_VOCABULARY) {
            return false;
        }
    }
    if (!core.text.window) {
        sampler_core_begin();
    }
    core_take_chosen();
    core_take(ids, count);
    core.draws = 0;
    return true;
}

int sampler_core_next(const struct sampler_core_sampling *how) {
    if (core.text.used == 0) {
        return -1;
    }
    core_take_chosen();
    for (int v = 0; v < SAMPLER_CORE_VOCABULARY; v++) {
        if (!isfinite(core.logits[v])) {
            return -1;
        }
    }
    sampler_penalise(core.logits, core.seen, SAMPLER_CORE_VOCABULARY, how->repetition_penalty);
    const uint64_t draw = rng_bits(how->seed, RNG_SAMPLE, 0, core.draws++);
    core.chosen = sampler_choose(core.logits, SAMPLER_CORE_VOCABULARY, how, draw);
    core.chose = true;
    return core.chosen;
}
//$ if k.characters then

// ---- characters ---------------------------------------------------------------------------------

static const uint32_t core_characters[SAMPLER_CORE_VOCABULARY] = {$(k.characters)};

// The code point at `at`, and how many bytes it has.
static uint32_t core_character(const char *at, int *bytes) {
    const unsigned char *c = (const unsigned char *)at;
    const int more = *c < 0xc0 ? 0 : *c < 0xe0 ? 1 : *c < 0xf0 ? 2 : 3;
    uint32_t code = more == 0 ? *c : *c & (0x3fu >> more);
    for (*bytes = 1; *bytes <= more && (c[*bytes] & 0xc0) == 0x80; (*bytes)++) {
        code = code << 6 | (c[*bytes] & 0x3fu);
    }
    return code;
}

int sampler_core_encode(const char *text, int32_t *ids, int most) {
    int count = 0;
    for (int bytes; *text && count < most; text += bytes) {
        const uint32_t code = core_character(text, &bytes);
        for (int v = 0; v < SAMPLER_CORE_VOCABULARY; v++) {
            if (core_characters[v] == code) {
                ids[count++] = v;
                break;
            }
        }
    }
    return count;
}

void sampler_core_decode(int32_t id, char text[5]) {
    const uint32_t code = id >= 0 && id < SAMPLER_CORE_VOCABULARY ? core_characters[id] : '?';
    const int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char lead[4] = {0, 0xc0, 0xe0, 0xf0};
    text[0] = (char)(lead[more] | code >> 6 * more);
    for (int i = 1; i <= more; i++) {
        text[i] = (char)(0x80u | (code >> 6 * (more - i) & 0x3fu));
    }
    text[more + 1] = '\0';
}
//$ end
//$ end
