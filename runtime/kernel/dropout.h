// dropout.h: dropout's masks. Whether an element is kept depends only on the key, the site and the
// element's index: the backward pass draws the same mask again, and so does any number of threads.
#ifndef DIECAST_DROPOUT_H
#define DIECAST_DROPOUT_H

#include "runtime/kernel/vec.h"

// Elements are numbered row by row, each row padded to a multiple of DROPOUT_CHUNK. Chunk c holds
// elements 64c .. 64c + 63. Lane l of its 16 lanes draws 64 bits from Threefry-2x32-20 with counter
// (16c + l, site). Quarter q of these, 16 bits, decides element 64c + 16q + l, which is kept if
// they are at or above the threshold.
enum { DROPOUT_CHUNK = 64, DROPOUT_LANES = 16 };

struct dropout {
    uint32_t key[2];
    uint32_t threshold; // probability * 65536, rounded; 0 keeps everything
    float scale;        // 1 / (1 - probability)
};

VEC_INLINE struct dropout dropout_make(float probability, const uint32_t key[2]) {
    struct dropout d;
    d.key[0] = key[0];
    d.key[1] = key[1];
    d.threshold = (uint32_t)(probability * 65536.0f + 0.5f);
    d.scale = 1.0f / (1.0f - probability);
    return d;
}

VEC_INLINE vec_uint dropout_rotate(vec_uint x, int by) {
    return (x << by) | (x >> (32 - by));
}

// Draws 64 bits, as two words, for each of VEC counters: counter, counter + step, ...
VEC_INLINE void dropout_bits(const struct dropout *d, uint32_t counter, uint32_t step,
                             uint32_t site, vec_uint words[2]) {
    static const int rotation[8] = {13, 15, 26, 6, 17, 29, 16, 24};
    const uint32_t key[3] = {d->key[0], d->key[1], d->key[0] ^ d->key[1] ^ 0x1bd11bdau};
    vec_uint x0, x1;
    for (int l = 0; l < VEC; l++) {
        x0[l] = counter + (uint32_t)l * step + key[0];
        x1[l] = site + key[1];
    }
#pragma GCC unroll 5
    for (int group = 0; group < 5; group++) {
#pragma GCC unroll 4
        for (int r = 0; r < 4; r++) {
            x0 += x1;
            x1 = dropout_rotate(x1, rotation[(group % 2) * 4 + r]);
            x1 ^= x0;
        }
        x0 += key[(group + 1) % 3];
        x1 += key[(group + 2) % 3] + (uint32_t)(group + 1);
    }
    words[0] = x0;
    words[1] = x1;
}

// The mask, 0 or d->scale, that one quarter of those bits decides.
VEC_INLINE vec dropout_quarter(const struct dropout *d, const vec_uint words[2], int quarter) {
    const vec_uint bits = (words[quarter / 2] >> (16 * (quarter % 2))) & 0xffffu;
    return vec_select(bits >= d->threshold, vec_splat(d->scale), vec_splat(0.0f));
}

// The mask, 0 or d->scale, of VEC elements of `row` from `column` (a multiple of VEC) on. A row has
// `chunks` chunks.
VEC_INLINE vec dropout_mask(const struct dropout *d, uint32_t site, int64_t row, int chunks,
                            int column) {
    uint32_t chunk = (uint32_t)(row * chunks + column / DROPOUT_CHUNK);
    int within = column % DROPOUT_CHUNK;
    int quarter = within / DROPOUT_LANES;
    vec_uint words[2];
    dropout_bits(d, chunk * DROPOUT_LANES + (uint32_t)(within % DROPOUT_LANES), 1, site, words);
    return dropout_quarter(d, words, quarter);
}

// Multiplies a transposed piece x (columns, VEC), rows `stride` apart, by its mask: lane l of x's
// row j is column j of row `row` + l.
VEC_INLINE void dropout_transposed_from(const struct dropout *d, uint32_t site, int64_t row,
                                        int chunks, float *x, int stride, const int from,
                                        int columns) {
    const uint32_t step = (uint32_t)chunks * DROPOUT_LANES;
    for (int lane = from / DROPOUT_CHUNK * DROPOUT_CHUNK; lane < columns;
         lane +=
         lane % DROPOUT_CHUNK == DROPOUT_LANES - 1 ? DROPOUT_CHUNK - DROPOUT_LANES + 1 : 1) {
        const uint32_t chunk = (uint32_t)(row * chunks + lane / DROPOUT_CHUNK);
        vec_uint words[2];
        dropout_bits(d, chunk * DROPOUT_LANES + (uint32_t)(lane % DROPOUT_CHUNK), step, site,
                     words);
        for (int quarter = 0; quarter < 4; quarter++) {
            const int j = lane + quarter * DROPOUT_LANES;
            if (j >= from && j < columns) {
                float *at = x + (ptrdiff_t)j * stride;
                vec_store(at, vec_load(at) * dropout_quarter(d, words, quarter));
            }
        }
    }
}

// The same for all columns.
VEC_INLINE void dropout_transposed(const struct dropout *d, uint32_t site, int64_t row, int chunks,
                                   float *x, int stride, int columns) {
    dropout_transposed_from(d, site, row, chunks, x, stride, 0, columns);
}

#endif
