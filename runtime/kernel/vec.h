// vec.h: one vector of floats, as wide as the instruction set that this file is compiled for.
//
// Emitted kernels use GCC's vector extensions (v + w, v * w, v > w) and, where C has no operator,
// the few functions below; vec_math.h has exp and the like. Few other files know instruction sets.
// A fused multiply-add is always written as vec_fma and never left to the compiler
// (-ffp-contract=off), so that results do not depend on the compiler or on how work is divided.
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

// Typedefs, since C has no other way to name a vector type.
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

// Loads the first n lanes, 0 < n <= VEC. The others are 0, and their memory is not read.
VEC_INLINE vec vec_load_n(const float *p, int n) {
#if defined(__AVX512F__)
    return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#elif defined(__AVX2__) && defined(__FMA__)
    // A masked load: a copy through memory would stall on store forwarding.
    static const int32_t lanes[2 * VEC] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return (vec)_mm256_maskload_ps(p, _mm256_loadu_si256((const __m256i *)(lanes + VEC - n)));
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

// a * b + c, rounded once if the instruction set has a fused multiply-add.
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

// The maximum, lane by lane; b where either is NaN. vec_min likewise.
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

// The sum of all lanes, in a fixed order: halves, then quarters, and so on.
VEC_INLINE float vec_sum(vec v) {
#if defined(__AVX2__) && defined(__FMA__)
#if defined(__AVX512F__)
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256((__m512)v),
                                       (__m256)_mm512_extractf64x4_pd((__m512d)v, 1));
#else
    const __m256 eight = (__m256)v;
#endif
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
#else
    float x[VEC];
    memcpy(x, &v, sizeof v);
    for (int half = VEC / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) {
            x[i] += x[i + half];
        }
    }
    return x[0];
#endif
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

// Transposes 4 x 4 floats: to[k * to_stride + r] = from[r * from_stride + k].
VEC_INLINE void vec_transpose_4x4(float *to, ptrdiff_t to_stride, const float *from,
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

#endif
