// vec.h: one vector of floats, as wide as the instruction set that this file is compiled for.
//
// Emitted kernels use GCC's vector extensions (v + w, v * w, v > w) and, for what C has no operator
// for, the few functions below. This is the only file that knows instruction sets. A multiply-add
// is written vec_fma and nowhere left to the compiler (-ffp-contract=off), so that the same numbers
// come out of every compiler and every way of cutting the work.
#ifndef DIECAST_VEC_H
#define DIECAST_VEC_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
enum { VEC = 16 };
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
enum { VEC = 8 };
#elif defined(__ARM_NEON)
#include <arm_neon.h>
enum { VEC = 4 };
#else
enum { VEC = 4 };
#endif

// The typedefs of the project: a vector type has no other way to get a name.
typedef float vec __attribute__((vector_size(VEC * sizeof(float)), may_alias));
typedef int32_t vec_int __attribute__((vector_size(VEC * sizeof(int32_t)), may_alias));
typedef uint32_t vec_uint __attribute__((vector_size(VEC * sizeof(uint32_t)), may_alias));

#define VEC_INLINE static inline __attribute__((always_inline, unused))

VEC_INLINE vec vec_load(const float *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

VEC_INLINE void vec_store(float *p, vec v) {
    memcpy(p, &v, sizeof v);
}

// The first n lanes, 0 < n <= VEC; the others read as 0 and their memory is not touched.
VEC_INLINE vec vec_load_n(const float *p, int n) {
#if defined(__AVX512F__)
    return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
    vec v = {0};
    memcpy(&v, p, (size_t)n * sizeof(float));
    return v;
#endif
}

VEC_INLINE void vec_store_n(float *p, vec v, int n) {
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#else
    memcpy(p, &v, (size_t)n * sizeof(float));
#endif
}

VEC_INLINE vec vec_splat(float x) {
#if defined(__AVX512F__)
    return (vec)_mm512_set1_ps(x);
#elif defined(__AVX2__) && defined(__FMA__)
    return (vec)_mm256_set1_ps(x);
#else
    return (vec){x, x, x, x};
#endif
}

// a * b + c, rounded once where the instruction set can.
VEC_INLINE vec vec_fma(vec a, vec b, vec c) {
#if defined(__AVX512F__)
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__) && defined(__FMA__)
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__ARM_NEON)
    return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

// The larger, lane by lane; b where either is NaN.
VEC_INLINE vec vec_max(vec a, vec b) {
#if defined(__AVX512F__)
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__) && defined(__FMA__)
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
    vec_int m = a > b;
    return (vec)(((vec_int)a & m) | ((vec_int)b & ~m));
#endif
}

VEC_INLINE vec vec_min(vec a, vec b) {
#if defined(__AVX512F__)
    return (vec)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__) && defined(__FMA__)
    return (vec)_mm256_min_ps((__m256)a, (__m256)b);
#else
    vec_int m = a < b;
    return (vec)(((vec_int)a & m) | ((vec_int)b & ~m));
#endif
}

// The square root, rounded once. (The compiler vectorises sqrtf only where errno may stay unset.)
VEC_INLINE vec vec_sqrt(vec v) {
#if defined(__AVX512F__)
    return (vec)_mm512_sqrt_ps((__m512)v);
#elif defined(__AVX2__) && defined(__FMA__)
    return (vec)_mm256_sqrt_ps((__m256)v);
#else
    for (int i = 0; i < VEC; i++) {
        v[i] = sqrtf(v[i]);
    }
    return v;
#endif
}

// a where the mask is all ones, b where it is 0.
VEC_INLINE vec vec_select(vec_int mask, vec a, vec b) {
    return (vec)((mask & (vec_int)a) | (~mask & (vec_int)b));
}

// The sum of all lanes, always added in the same order.
VEC_INLINE float vec_sum(vec v) {
    float x[VEC];
    memcpy(x, &v, sizeof v);
    for (int half = VEC / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) {
            x[i] += x[i + half];
        }
    }
    return x[0];
}

VEC_INLINE float vec_largest(vec v) {
    float x[VEC];
    memcpy(x, &v, sizeof v);
    for (int half = VEC / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) {
            x[i] = x[i] > x[i + half] ? x[i] : x[i + half];
        }
    }
    return x[0];
}

// Four rows of four floats, turned: to[k * to_stride + r] = from[r * from_stride + k].
VEC_INLINE void vec_turn_4x4(float *to, ptrdiff_t to_stride, const float *from,
                             ptrdiff_t from_stride) {
#if defined(__clang__) || __GNUC__ >= 12
#define VEC_PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define VEC_PICK(a, b, ...) __builtin_shuffle(a, b, (four_int){__VA_ARGS__})
    typedef int32_t four_int __attribute__((vector_size(16)));
#endif
    typedef float four __attribute__((vector_size(16)));
    four a, b, c, d;
    memcpy(&a, from, sizeof a);
    memcpy(&b, from + from_stride, sizeof b);
    memcpy(&c, from + 2 * from_stride, sizeof c);
    memcpy(&d, from + 3 * from_stride, sizeof d);
    const four ab_low = VEC_PICK(a, b, 0, 4, 1, 5), ab_high = VEC_PICK(a, b, 2, 6, 3, 7);
    const four cd_low = VEC_PICK(c, d, 0, 4, 1, 5), cd_high = VEC_PICK(c, d, 2, 6, 3, 7);
    a = VEC_PICK(ab_low, cd_low, 0, 1, 4, 5);
    b = VEC_PICK(ab_low, cd_low, 2, 3, 6, 7);
    c = VEC_PICK(ab_high, cd_high, 0, 1, 4, 5);
    d = VEC_PICK(ab_high, cd_high, 2, 3, 6, 7);
    memcpy(to, &a, sizeof a);
    memcpy(to + to_stride, &b, sizeof b);
    memcpy(to + 2 * to_stride, &c, sizeof c);
    memcpy(to + 3 * to_stride, &d, sizeof d);
#undef VEC_PICK
}

// ---- functions that C's library has for one float only ------------------------------------------

// v * 2^n for whole n: 0 below what a float holds, infinity above.
VEC_INLINE vec vec_scale(vec v, vec n) {
#if defined(__AVX512F__)
    return (vec)_mm512_scalef_ps((__m512)v, (__m512)n);
#else
    // 2^(n/2) twice: 2^128 and 2^-150 have no exponent field of their own.
    vec_int half = (vec_int)(n * 0.5f + 12582912.0f) << 23 >> 23;
    vec_int other = ((vec_int)(n + 12582912.0f) << 23 >> 23) - half;
    return v * (vec)((half + 127) << 23) * (vec)((other + 127) << 23);
#endif
}

// exp: 2^n p(r) with |r| <= ln 2 / 2, p being Taylor's polynomial to r^7 with its last coefficients
// fitted; about 1 ulp. exp(-inf) is 0, NaN stays NaN.
VEC_INLINE vec vec_exp(vec x) {
    const float magic = 12582912.0f; // 1.5 * 2^23: adding it rounds to an integer
    // A NaN passes both: each returns its second operand.
    const vec y = vec_min(vec_splat(89.0f), vec_max(vec_splat(-104.5f), x));
    const vec n = vec_fma(y, vec_splat(1.44269504f), vec_splat(magic)) - magic;
    vec r = vec_fma(n, vec_splat(-0.693359375f), y); // ln 2 in two parts
    r = vec_fma(n, vec_splat(2.12194440e-4f), r);
    vec p = vec_splat(1.9875691500e-4f);
    p = vec_fma(p, r, vec_splat(1.3981999507e-3f));
    p = vec_fma(p, r, vec_splat(8.3334519073e-3f));
    p = vec_fma(p, r, vec_splat(4.1665795894e-2f));
    p = vec_fma(p, r, vec_splat(1.6666665459e-1f));
    p = vec_fma(p, r, vec_splat(5.0000001201e-1f));
    p = vec_fma(p, r * r, r) + 1.0f;
    return vec_scale(p, n);
}

// erf: a rational function of x, odd over even, on [-4, 4], beyond which it is +-1 in float.
// Coefficients as Eigen's ptanh/perf family has them; absolute error below 5e-7.
VEC_INLINE vec vec_erf(vec x) {
    vec y = vec_min(vec_splat(4.0f), vec_max(vec_splat(-4.0f), x));
    vec s = y * y;
    vec p = vec_splat(-2.72614225801306e-10f);
    p = vec_fma(p, s, vec_splat(2.77068142495902e-08f));
    p = vec_fma(p, s, vec_splat(-2.10102402082508e-06f));
    p = vec_fma(p, s, vec_splat(-5.69250639462346e-05f));
    p = vec_fma(p, s, vec_splat(-7.34990630326855e-04f));
    p = vec_fma(p, s, vec_splat(-2.95459980854025e-03f));
    p = vec_fma(p, s, vec_splat(-1.60960333262415e-02f));
    vec q = vec_splat(-1.45660718464996e-05f);
    q = vec_fma(q, s, vec_splat(-2.13374055278905e-04f));
    q = vec_fma(q, s, vec_splat(-1.68282697438203e-03f));
    q = vec_fma(q, s, vec_splat(-7.37332916720468e-03f));
    q = vec_fma(q, s, vec_splat(-1.42647390514189e-02f));
    return y * p / q;
}

// tanh(x) = 1 - 2 / (exp(2x) + 1).
VEC_INLINE vec vec_tanh(vec x) {
    return 1.0f - 2.0f / (vec_exp(x + x) + 1.0f);
}

VEC_INLINE vec vec_sigmoid(vec x) {
    return 1.0f / (1.0f + vec_exp(-x));
}

// ---- activations and their derivatives ----------------------------------------------------------

VEC_INLINE vec gelu_erf(vec x) {
    return 0.5f * x * (1.0f + vec_erf(x * 0.70710678f));
}

// Phi(x) + x phi(x), the normal distribution and its density.
VEC_INLINE vec gelu_erf_grad(vec x) {
    vec phi = 0.39894228f * vec_exp(-0.5f * x * x);
    return 0.5f * (1.0f + vec_erf(x * 0.70710678f)) + x * phi;
}

VEC_INLINE vec gelu_tanh(vec x) {
    vec u = 0.79788456f * x * (1.0f + 0.044715f * x * x);
    return 0.5f * x * (1.0f + vec_tanh(u));
}

VEC_INLINE vec gelu_tanh_grad(vec x) {
    // Beyond +-10 the tanh is flat in float; the cube of a large x would overflow. A NaN passes.
    const vec z = vec_min(vec_splat(10.0f), vec_max(vec_splat(-10.0f), x));
    const vec t = vec_tanh(0.79788456f * z * (1.0f + 0.044715f * z * z));
    const vec du = 0.79788456f * (1.0f + 3.0f * 0.044715f * z * z);
    return 0.5f * (1.0f + t) + 0.5f * z * (1.0f - t * t) * du;
}

VEC_INLINE vec relu(vec x) {
    return vec_select(x <= 0.0f, vec_splat(0.0f), x); // a NaN passes
}

VEC_INLINE vec relu_grad(vec x) {
    return vec_select(x > 0.0f, vec_splat(1.0f), vec_splat(0.0f));
}

VEC_INLINE vec silu(vec x) {
    return x * vec_sigmoid(x);
}

VEC_INLINE vec silu_grad(vec x) {
    vec s = vec_sigmoid(x);
    return s + x * s * (1.0f - s);
}

// ---- dropout ------------------------------------------------------------------------------------

// Elements are numbered row by row, a row being padded to a multiple of DROPOUT_CHUNK. Chunk c
// holds elements 64c .. 64c + 63: lane l of 16 draws 64 bits from Threefry-2x32-20 with counter
// (16c + l, site), and quarter q of them (16 bits) decides element 64c + 16q + l: kept where the 16
// bits are at or above the threshold.
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

// The VEC lanes from lane `first` of a chunk: both output words of their 64 bits.
VEC_INLINE void dropout_bits(const struct dropout *d, uint32_t counter, uint32_t site,
                             vec_uint words[2]) {
    static const int rotation[8] = {13, 15, 26, 6, 17, 29, 16, 24};
    const uint32_t key[3] = {d->key[0], d->key[1], d->key[0] ^ d->key[1] ^ 0x1bd11bdau};
    vec_uint x0, x1;
    for (int l = 0; l < VEC; l++) {
        x0[l] = counter + (uint32_t)l + key[0];
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

// 0 or d->scale for VEC elements from `column` (a multiple of VEC) of `row`, rows being
// `chunks` chunks long.
VEC_INLINE vec dropout_mask(const struct dropout *d, uint32_t site, int64_t row, int chunks,
                            int column) {
    uint32_t chunk = (uint32_t)(row * chunks + column / DROPOUT_CHUNK);
    int within = column % DROPOUT_CHUNK;
    int quarter = within / DROPOUT_LANES;
    vec_uint words[2];
    dropout_bits(d, chunk * DROPOUT_LANES + (uint32_t)(within % DROPOUT_LANES), site, words);
    vec_uint bits = (words[quarter / 2] >> (16 * (quarter % 2))) & 0xffffu;
    return vec_select(bits >= d->threshold, vec_splat(d->scale), vec_splat(0.0f));
}

#endif
