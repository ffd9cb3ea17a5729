// slide.c: what stays of a text at the end of the context. As nanoGPT: the last T tokens, with each
// new one; all positions change then, so the KV cache is empty again. Or the newer half.
#include "runtime/sample/sample.h"

#include <string.h>

bool sampler_is_relative(void) {
    for (int i = 0; i < sampler_info.params_count; i++) {
        if (param_is_positions(&sampler_info.params[i])) {
            return false;
        }
    }
    return true;
}

// The number in the panels of a piece that is column d of row j.
static inline size_t slide_place(size_t D, size_t j, size_t d) {
    return (j / SAMPLER_PANEL * D + d) * SAMPLER_PANEL + j % SAMPLER_PANEL;
}

// Moves the keys and values of the last `kept` of T rows to the front of their pieces; each is
// `number` bytes. Of each layer's, the first half are of keys, in panels (S / PANEL, D, PANEL), and
// the others of values.
static inline void slide_pieces(char *cache, const size_t number, int kept) {
    const size_t S = (size_t)sampler_info.cache_rows, D = (size_t)sampler_info.cache_width;
    const int layers = sampler_info.n_layer > 0 ? sampler_info.n_layer : 1;
    const size_t all = (size_t)sampler_info.cache_floats * sizeof(float) / (S * D * number);
    const int pieces = (int)all / layers;
    const int dropped = sampler_info.block_size - kept;
    for (int i = 0; i < layers * pieces; i++, cache += S * D * number) {
        if (i % pieces >= pieces / 2) {
            memmove(cache, cache + (size_t)dropped * D * number, (size_t)kept * D * number);
            continue;
        }
        for (size_t j = 0; j < (size_t)kept; j++) {
            const size_t from = j + (size_t)dropped;
            for (size_t d = 0; d < D; d++) {
                memcpy(cache + slide_place(D, j, d) * number,
                       cache + slide_place(D, from, d) * number, number);
            }
        }
    }
}

static void slide_cache(float *cache, int kept) {
    if (sampler_info.cache_bfloat16) {
        slide_pieces((char *)cache, sizeof(uint16_t), kept);
    } else {
        slide_pieces((char *)cache, sizeof(float), kept);
    }
}

// Keeps the last `kept` tokens of a window.
static void slide_window(struct sampler_text *text, int kept) {
    memmove(text->window, text->window + text->used - kept, (size_t)kept * sizeof *text->window);
    text->used = kept;
    text->done = text->first = 0;
    text->slid = true;
}

// Drops the older half of a full window; of an odd number the middle one too.
static void slide_half(struct sampler *s, struct sampler_text *text) {
    const int T = sampler_info.block_size, kept = T / 2, first = text->first + T - kept;
    slide_window(text, kept);
    if (sampler_is_relative()) {
        slide_cache(s->memory + text->cache, kept);
        text->done = kept;
        text->first = first;
    }
}

int64_t sampler_append(struct sampler *s, struct sampler_text *text, const int32_t *ids,
                       int64_t count) {
    const int T = sampler_info.block_size;
    int64_t passed = 0; // tokens that do not even enter the window
    if (count > T - text->used && (count >= T || !s->slide_half)) {
        passed = count > T ? count - T : 0;
        slide_window(text, count < T ? T - (int)count : 0);
    } else if (text->used == T) {
        slide_half(s, text);
    }
    if (count - passed > T - text->used) {
        count = T - text->used; // the others come when these are in the cache
    }
    for (int64_t i = 0; i < count; i++) {
        text->seen[ids[i]] = true;
    }
    memcpy(text->window + text->used, ids + passed, (size_t)(count - passed) * sizeof *ids);
    text->used += (int)(count - passed);
    return count;
}
