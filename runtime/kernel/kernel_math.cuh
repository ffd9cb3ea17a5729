// kernel_math.cuh: CUDA kernels' building blocks: vectors of eight floats, activations, dropout's
// masks, softmax, sums over rows. Plain C++ on top of kernel.cuh; the CPU's counterparts are
// vec_math.h and dropout.h.
#ifndef DIECAST_KERNEL_MATH_CUH
#define DIECAST_KERNEL_MATH_CUH

#include "runtime/kernel/device.h"
#include "runtime/kernel/kernel.cuh"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

HOST_DEVICE constexpr int divide_up(int a, int b) {
    return (a + b - 1) / b;
}

HOST_DEVICE constexpr int int_min(int a, int b) {
    return a < b ? a : b;
}

// ---- vectors ------------------------------------------------------------------------------------

// Rounds to type T and back, as vec_store and vec_load would.
template <class T> DEVICE struct vec vec_round(struct vec x) {
    for (int e = 0; e < VEC; e++) {
        x.v[e] = to_f32(from_f32<T>(x.v[e]));
    }
    return x;
}

DEVICE struct vec operator+(struct vec a, struct vec b) {
    for (int i = 0; i < VEC; i++) {
        a.v[i] += b.v[i];
    }
    return a;
}

DEVICE struct vec operator-(struct vec a, struct vec b) {
    for (int i = 0; i < VEC; i++) {
        a.v[i] -= b.v[i];
    }
    return a;
}

DEVICE struct vec operator*(struct vec a, struct vec b) {
    for (int i = 0; i < VEC; i++) {
        a.v[i] *= b.v[i];
    }
    return a;
}

// v with elements from n on replaced by `fill`; n may be less than 0 or more than VEC.
DEVICE struct vec vec_first(struct vec v, int n, float fill) {
    if (n >= VEC) {
        return v;
    }
    for (int i = 0; i < VEC; i++) {
        v.v[i] = i < n ? v.v[i] : fill;
    }
    return v;
}

// The sum of all elements, in a fixed order.
DEVICE float vec_sum(struct vec v) {
    return ((v.v[0] + v.v[1]) + (v.v[2] + v.v[3])) + ((v.v[4] + v.v[5]) + (v.v[6] + v.v[7]));
}

DEVICE float vec_largest(struct vec v) {
    return fmaxf(fmaxf(fmaxf(v.v[0], v.v[1]), fmaxf(v.v[2], v.v[3])),
                 fmaxf(fmaxf(v.v[4], v.v[5]), fmaxf(v.v[6], v.v[7])));
}

// ---- activations and their derivatives ----------------------------------------------------------

DEVICE float sigmoid(float x) {
    return 1.0f / (1.0f + expf(-x));
}

DEVICE float gelu_erf(float x) {
    return 0.5f * x * (1.0f + erff(x * 0.70710678f));
}

// Phi(x) + x phi(x), where Phi is the normal distribution and phi its density.
DEVICE float gelu_erf_grad(float x) {
    const float phi = 0.39894228f * expf(-0.5f * x * x);
    return 0.5f * (1.0f + erff(x * 0.70710678f)) + x * phi;
}

DEVICE float gelu_tanh(float x) {
    const float u = 0.79788456f * x * (1.0f + 0.044715f * x * x);
    return 0.5f * x * (1.0f + tanhf(u));
}

DEVICE float gelu_tanh_grad(float x) {
    // Beyond +-10 tanh is constant in float, and the cube of a large x would overflow. NaN passes.
    const float z = x > 10.0f ? 10.0f : x < -10.0f ? -10.0f : x;
    const float t = tanhf(0.79788456f * z * (1.0f + 0.044715f * z * z));
    const float du = 0.79788456f * (1.0f + 3.0f * 0.044715f * z * z);
    return 0.5f * (1.0f + t) + 0.5f * z * (1.0f - t * t) * du;
}

DEVICE float relu(float x) {
    return x <= 0.0f ? 0.0f : x; // NaN passes through
}

DEVICE float relu_grad(float x) {
    return x > 0.0f ? 1.0f : 0.0f;
}

// The square of relu.
DEVICE float relu2(float x) {
    return relu(x) * relu(x);
}

DEVICE float relu2_grad(float x) {
    return 2.0f * relu(x);
}

DEVICE float silu(float x) {
    return x * sigmoid(x);
}

DEVICE float silu_grad(float x) {
    const float s = sigmoid(x);
    return s + x * s * (1.0f - s);
}

// The same, element by element.
#define VEC_FUNCTION(name)                                                                         \
    DEVICE struct vec name(struct vec x) {                                                         \
        for (int i = 0; i < VEC; i++) {                                                            \
            x.v[i] = name(x.v[i]);                                                                 \
        }                                                                                          \
        return x;                                                                                  \
    }
VEC_FUNCTION(gelu_erf)
VEC_FUNCTION(gelu_erf_grad)
VEC_FUNCTION(gelu_tanh)
VEC_FUNCTION(gelu_tanh_grad)
VEC_FUNCTION(relu)
VEC_FUNCTION(relu_grad)
VEC_FUNCTION(relu2)
VEC_FUNCTION(relu2_grad)
VEC_FUNCTION(silu)
VEC_FUNCTION(silu_grad)
#undef VEC_FUNCTION

// ---- dropout ------------------------------------------------------------------------------------

// The same mask as dropout.h's, bit for bit. Elements are numbered row by row, each row padded to a
// multiple of DROPOUT_CHUNK. Chunk c holds elements 64c .. 64c + 63. Lane l of its 16 lanes draws
// 64 bits from Threefry-2x32-20 with counter (16c + l, site). Quarter q of these, 16 bits, decides
// element 64c + 16q + l, which is kept if they are at or above the threshold.
enum { DROPOUT_CHUNK = 64, DROPOUT_LANES = 16 };
#define DROPOUT_CHUNKS(columns) divide_up(columns, DROPOUT_CHUNK)

struct dropout {
    uint32_t key[2];
    uint32_t threshold; // probability * 65536, rounded; 0 keeps everything
    float scale;        // 1 / (1 - probability)
};

struct dropout_bits {
    uint32_t word[2]; // quarter q is word[q / 2] >> 16 * (q % 2) & 0xffff
};

DEVICE struct dropout dropout_make(const struct step_state *state) {
    struct dropout d;
    d.key[0] = state->in.dropout_key[0];
    d.key[1] = state->in.dropout_key[1];
    d.threshold = (uint32_t)(state->in.dropout * 65536.0f + 0.5f);
    d.scale = 1.0f / (1.0f - state->in.dropout);
    return d;
}

DEVICE uint32_t dropout_rotate(uint32_t x, int by) {
    return (x << by) | (x >> (32 - by));
}

// Draws the 64 bits of one lane; counter is 16 * chunk + lane.
DEVICE struct dropout_bits dropout_draw(const struct dropout *d, uint32_t site, uint32_t counter) {
    constexpr int rotation[8] = {13, 15, 26, 6, 17, 29, 16, 24};
    const uint32_t key[3] = {d->key[0], d->key[1], d->key[0] ^ d->key[1] ^ 0x1bd11bdau};
    uint32_t x0 = counter + key[0], x1 = site + key[1];
#pragma unroll
    for (int group = 0; group < 5; group++) {
#pragma unroll
        for (int r = 0; r < 4; r++) {
            x0 += x1;
            x1 = dropout_rotate(x1, rotation[(group % 2) * 4 + r]) ^ x0;
        }
        x0 += key[(group + 1) % 3];
        x1 += key[(group + 2) % 3] + (uint32_t)(group + 1);
    }
    return {{x0, x1}};
}

// The mask, 0 or d->scale, that quarter q of a draw decides.
DEVICE float dropout_quarter(const struct dropout *d, struct dropout_bits bits, int quarter) {
    const uint32_t half = bits.word[quarter / 2] >> (16 * (quarter % 2)) & 0xffffu;
    return half >= d->threshold ? d->scale : 0.0f;
}

// The mask, 0 or d->scale, of one element; a row has `chunks` chunks.
DEVICE float dropout_mask(const struct dropout *d, uint32_t site, int64_t row, int chunks,
                          int column) {
    const uint32_t chunk = (uint32_t)(row * chunks + column / DROPOUT_CHUNK);
    const int within = column % DROPOUT_CHUNK;
    const struct dropout_bits bits =
        dropout_draw(d, site, chunk * DROPOUT_LANES + within % DROPOUT_LANES);
    return dropout_quarter(d, bits, within / DROPOUT_LANES);
}

// Rotates x: x[i] moves to x[(i + by) % 4].
DEVICE void dropout_rotate_words(uint32_t (&x)[4], int by) {
    const uint32_t a = x[0], b = x[1], c = x[2], d = x[3];
    const bool odd = by % 2 != 0, half = by / 2 % 2 != 0;
    const uint32_t y[4] = {odd ? d : a, odd ? a : b, odd ? b : c, odd ? c : d};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        x[i] = half ? y[(i + 2) % 4] : y[i];
    }
}

// The mask of VEC elements from `column` on, for a whole warp in which eight neighbouring lanes
// hold the eight vectors of a chunk (lane % 8 == column / VEC % 8). On its own a lane would draw
// eight times and use a quarter of each draw; here it draws twice, and lanes exchange quarters.
DEVICE struct vec dropout_mask_warp(const struct dropout *d, uint32_t site, int64_t row, int chunks,
                                    int column) {
    const int lane = (int)threadIdx.x % WARP, mine = lane % 8;
    const int quarter = mine / 2, half = mine % 2; // my elements are 8 half + i of this quarter
    const uint32_t chunk = (uint32_t)(row * chunks + column / DROPOUT_CHUNK);
    const struct dropout_bits a = dropout_draw(d, site, chunk * DROPOUT_LANES + 2 * mine);
    const struct dropout_bits b = dropout_draw(d, site, chunk * DROPOUT_LANES + 2 * mine + 1);
    // Word r is what this lane gives in round r: quarter (mine - r) % 4 of both draws, b's above
    // a's.
    uint32_t x[4] = {
        (a.word[0] & 0xffffu) | b.word[0] << 16, a.word[1] >> 16 | (b.word[1] & 0xffff0000u),
        (a.word[1] & 0xffffu) | b.word[1] << 16, a.word[0] >> 16 | (b.word[0] & 0xffff0000u)};
    dropout_rotate_words(x, mine);
    // Round r brings this lane's quarter of the draws of lane 4 half + (quarter + r) % 4 of the
    // eight.
#pragma unroll
    for (int r = 0; r < 4; r++) {
        x[r] = warp_shfl(x[r], lane - mine + 4 * half + (quarter + r) % 4);
    }
    dropout_rotate_words(x, quarter);
    struct vec mask;
#pragma unroll
    for (int i = 0; i < VEC; i++) {
        mask.v[i] = (x[i / 2] >> (16 * (i % 2)) & 0xffffu) >= d->threshold ? d->scale : 0.0f;
    }
    return mask;
}

// ---- softmax ------------------------------------------------------------------------------------

// exp by way of exp2_fast, with its accuracy.
DEVICE float exp_fast(float x) {
    return exp2_fast(x * 1.44269504f);
}

// tanh with an absolute error of some 1e-7, for what is multiplied by a cap.
DEVICE float tanh_fast(float x) {
    return 1.0f - 2.0f / (1.0f + exp_fast(2.0f * x));
}

// Between -cap and cap: x near 0, with a slope of 1 - (y / cap)^2 where it is y.
DEVICE float softcap(float x, float cap) {
    return tanh_fast(x * (1.0f / cap)) * cap;
}

DEVICE struct vec softcap(struct vec x, float cap) {
    for (int i = 0; i < VEC; i++) {
        x.v[i] = softcap(x.v[i], cap);
    }
    return x;
}

// The state of an online softmax over a row: the largest number so far, and the sum of
// exp(number - largest).
struct softmax {
    float largest, sum;
};

DEVICE struct softmax softmax_none() {
    return {-3.0e38f, 0.0f}; // so that -infinity is below it
}

DEVICE void softmax_add(struct softmax *to, struct vec x) {
    const float largest = fmaxf(to->largest, vec_largest(x));
    for (int i = 0; i < VEC; i++) {
        x.v[i] = exp_fast(x.v[i] - largest);
    }
    to->sum = to->sum * exp_fast(to->largest - largest) + vec_sum(x);
    to->largest = largest;
}

// Combines the states of a warp's lanes, or of a block's threads; all get the same bits.
DEVICE struct softmax softmax_warp(struct softmax mine) {
    const float largest = warp_max(mine.largest);
    return {largest, warp_sum(mine.sum * exp_fast(mine.largest - largest))};
}

DEVICE struct softmax softmax_block(struct softmax mine, float (*shared)[WARP]) {
    const float largest = block_max(mine.largest, shared[0]);
    return {largest, block_sum(mine.sum * exp_fast(mine.largest - largest), shared[1])};
}

// ---- memory -------------------------------------------------------------------------------------

// On the emulator, checks that an access is aligned and within allocated memory.
#ifdef __CUDACC__
#define CHECK_ACCESS(p, bytes, align, what)
#else
#define CHECK_ACCESS(p, bytes, align, what) emulator_check_memory(p, bytes, align, what, at)
#endif

// VEC elements as in memory: with 16-bit elements, half the registers of a vec.
template <class T> struct alignas(16) packed { uint32_t word[VEC * sizeof(T) / sizeof(uint32_t)]; };

template <class T> DEVICE struct packed<T> packed_load(const T *p PLACE_PARAM) {
    CHECK_ACCESS(p, VEC * sizeof(T), 16, "packed_load");
    return *(const struct packed<T> *)p;
}

template <class T>
DEVICE struct vec packed_vec(struct packed<T> from) {
    struct vec to;
    constexpr int PAIR = sizeof(uint32_t) / sizeof(T);
#pragma unroll
    for (int w = 0; w < VEC / PAIR; w++) {
        T pair[PAIR];
        memcpy(pair, &from.word[w], sizeof pair);
#pragma unroll
        for (int i = 0; i < PAIR; i++) {
            to.v[w * PAIR + i] = to_f32(pair[i]);
        }
    }
    return to;
}

// Four floats, loaded or stored in one access.
struct alignas(16) four {
    float v[4];
};

DEVICE struct four four_load(const float *p PLACE_PARAM) {
    CHECK_ACCESS(p, sizeof(struct four), 16, "four_load");
    return *(const struct four *)p;
}

DEVICE void four_store(float *p, struct four v PLACE_PARAM) {
    CHECK_ACCESS(p, sizeof(struct four), 16, "four_store");
    *(struct four *)p = v;
}

// Four floats, rounded to 16-bit elements and stored in one access.
struct alignas(8) four_bits {
    uint32_t word[2];
};

template <class T> DEVICE void four_round(T *p, struct four x PLACE_PARAM) {
    CHECK_ACCESS(p, sizeof(struct four_bits), 8, "four_round");
    *(struct four_bits *)p = {{pack2<T>(x.v[0], x.v[1]), pack2<T>(x.v[2], x.v[3])}};
}

// ---- sums over partial sums ---------------------------------------------------------------------

// Sums 32 neighbouring columns over `parts` rows, `stride` floats apart, with a block of
// COLUMN_SUMS threads. `column` is lane l's column, the same in each warp (NULL: none); the warps
// share the rows. Warp 0 gets the result. The order of additions is fixed.
enum { COLUMN_SUMS = 1024 };
DEVICE float column_sum(const float *column, int parts, size_t stride, float (*shared)[WARP]) {
    const int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;
    float sum = 0.0f;
    if (column) {
#pragma unroll 8
        for (int part = warp; part < parts; part += COLUMN_SUMS / WARP) {
            sum += column[part * stride];
        }
    }
    shared[warp][lane] = sum;
    block_sync();
    float total = 0.0f;
    if (warp == 0) {
#pragma unroll
        for (int w = 0; w < COLUMN_SUMS / WARP; w++) {
            total += shared[w][lane];
        }
    }
    return total;
}

#endif
