// bf16.h: the factors of products in bfloat16: float32 numbers, rounded to nearest even; sums stay
// float32. Activations and their gradients are rounded as they are packed. Weights are rounded by
// the update, to an image of them: 2 bytes a weight, as it lies in a checkpoint. A product packs a
// panel of it, without a conversion: pairs along a row are there already, and those of two rows are
// zipped. So a step reads 2 bytes a weight in the forward pass and 2 for dx, of an image that stays
// the same in all of its micro-steps, and an update writes 2.
//
// A sum takes its factors in pairs: acc = fma(a[2i + 1], b[2i + 1], acc), then acc = fma(a[2i],
// b[2i], acc), each rounded to nearest even, with subnormal numbers 0 going in and coming out. That
// is what VDPBF16PS does, so every instruction set but one gives the same bytes. ARM's BFDOT adds
// a pair's products, then the sum to acc, each rounded to odd: it has bytes of its own. With both a
// packed factor is a pair, the 32 bits of a float; elsewhere it is one number, widened to a float,
// and neighbours have changed places, so that a loop over packed factors takes them in this order.
// (Without a fused multiply-add the product is still exact, unless it is smaller than a float.)
#ifndef DIECAST_BF16_H
#define DIECAST_BF16_H

#include "runtime/kernel/panel.h"

#if defined(__AVX512BF16__) || defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#define FACTOR_PAIRS
enum { FACTOR_FLOATS = 2 }; // numbers in a packed factor
#else
enum { FACTOR_FLOATS = 1 };
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif
#endif

// Packed factors of `floats` numbers along a sum, whose last pair may lack its second number; the
// same in whole vectors; and the distance between packed rows, an odd number of cache lines.
#define FACTORS(floats) (DIVIDE_UP(floats, 2) * 2 / FACTOR_FLOATS)
#define FACTORS_WHOLE(floats) (DIVIDE_UP(FACTORS(floats), VEC) * VEC)
#define FACTORS_LD(factors) ((DIVIDE_UP(factors, 16) | 1) * 16)

// From here to flush_end subnormal numbers are 0. Between them must be a call that is not inlined,
// since compilers move arithmetic across both. Returns what was before.
VEC_INLINE uint64_t flush_begin(void) {
#if defined(__SSE2__)
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040); // FTZ and DAZ
    return before;
#elif defined(__aarch64__)
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | 1u << 24)); // FZ
    return before;
#else
    return 0;
#endif
}

VEC_INLINE void flush_end(uint64_t before) {
#if defined(__SSE2__)
    _mm_setcsr((unsigned)before);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
#else
    (void)before;
#endif
}

// The nearest bfloat16 numbers, as floats; ties to even, NaN stays NaN.
VEC_INLINE vec bf16_round(vec v) {
    const vec_uint bits = (vec_uint)v, size = bits & 0x7fffffffu;
    const vec_uint rounded = bits + 0x7fffu + (bits >> 16 & 1u);
    const vec_uint nan = (vec_uint)(size > 0x7f800000u), small = (vec_uint)(size < 0x00800000u);
    const vec_uint normal = (nan & (bits | 0x00400000u)) | (~nan & rounded);
    return (vec)(((small & bits & 0x80000000u) | (~small & normal)) & 0xffff0000u);
}

// acc + a * b, of packed factors.
VEC_INLINE vec factor_fma(vec a, vec b, vec acc) {
#if defined(__AVX512BF16__)
    return (vec)_mm512_dpbf16_ps((__m512)acc, (__m512bh)a, (__m512bh)b);
#elif defined(FACTOR_PAIRS)
    return (vec)vbfdotq_f32((float32x4_t)acc, (bfloat16x8_t)a, (bfloat16x8_t)b);
#else
    return vec_fma(a, b, acc);
#endif
}

#if defined(__AVX512BF16__)
// The pairs of neighbours in `low`, then those in `high`.
VEC_INLINE vec factors_beside(vec low, vec high) {
    return (vec)(__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
}

// The pairs of numbers in the same lane.
VEC_INLINE vec factors_zipped(vec even, vec odd) {
    static const uint16_t pairs[32] __attribute__((aligned(64))) = {
        0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i both = (__m512i)factors_beside(even, odd);
    return (vec)_mm512_permutexvar_epi16(_mm512_load_si512(pairs), both);
}
#elif defined(FACTOR_PAIRS)
VEC_INLINE vec factors_beside(vec low, vec high) {
    const bfloat16x8_t half = vcvtq_low_bf16_f32((float32x4_t)low);
    return (vec)vcvtq_high_bf16_f32(half, (float32x4_t)high);
}

VEC_INLINE vec factors_zipped(vec even, vec odd) {
    const uint16x8_t a = (uint16x8_t)vcvtq_low_bf16_f32((float32x4_t)even);
    return (vec)vzip1q_u16(a, (uint16x8_t)vcvtq_low_bf16_f32((float32x4_t)odd));
}
#else
// Neighbours change places.
VEC_INLINE vec bf16_swap(vec v) {
    typedef uint64_t vec_pairs __attribute__((vector_size(VEC * sizeof(float)), may_alias));
    const vec_pairs pairs = (vec_pairs)v;
    return (vec)(pairs >> 32 | pairs << 32);
}
#endif

// `lanes` floats, as many as a vector has if there are that many, and 0 behind them; none if lanes
// is 0 or less.
VEC_INLINE vec factor_load(const float *from, int lanes) {
    return lanes >= VEC ? vec_load(from) : lanes > 0 ? vec_load_n(from, lanes) : vec_splat(0.0f);
}

// A vector of packed factors that are neighbours in a row, from `floats` numbers of it or as many
// as it takes.
VEC_INLINE vec factors_along(const float *from, int floats) {
#if defined(FACTOR_PAIRS)
    return factors_beside(factor_load(from, floats), factor_load(from + VEC, floats - VEC));
#else
    return bf16_swap(bf16_round(factor_load(from, floats)));
#endif
}

// to (rows, FACTORS(depth)) = from (rows, depth), as the first operand of a product that sums along
// its rows. Whole vectors are written.
VEC_INLINE void factors_rows(float *to, ptrdiff_t to_stride, const float *from, ptrdiff_t stride,
                             int rows, int depth) {
    enum { TAKES = VEC * FACTOR_FLOATS };
    for (int r = 0; r < rows; r++, to += to_stride, from += stride) {
        int k = 0;
        for (; k + TAKES <= depth; k += TAKES) {
            vec_store(to + k / FACTOR_FLOATS, factors_along(from + k, TAKES));
        }
        if (k < depth) {
            vec_store(to + k / FACTOR_FLOATS, factors_along(from + k, depth - k));
        }
    }
}

// to (FACTORS(depth), columns) = from (depth, columns), for a sum down its columns, padded with 0
// to whole vectors.
VEC_INLINE void factors_columns(float *to, ptrdiff_t to_stride, const float *from, ptrdiff_t stride,
                                int depth, int columns) {
    for (int k = 0; k < depth; k += 2, from += 2 * stride) {
        for (int c = 0; c < columns; c += VEC) {
            const int lanes = columns - c;
            const vec even = factor_load(from + c, lanes);
            const vec odd = factor_load(from + stride + c, k + 1 < depth ? lanes : 0);
#if defined(FACTOR_PAIRS)
            vec_store(to + c, factors_zipped(even, odd));
#else
            vec_store(to + c, bf16_round(odd));
            vec_store(to + to_stride + c, bf16_round(even));
#endif
        }
        to += 2 / FACTOR_FLOATS * to_stride;
    }
}

// ---- images of weights --------------------------------------------------------------------------

typedef uint16_t vec_half __attribute__((vector_size(VEC * sizeof(uint16_t)), may_alias));

// to (count) = the nearest bfloat16 numbers of from.
VEC_INLINE void image_store(uint16_t *to, const float *from, int64_t count) {
    for (int64_t i = 0; i < count; i += VEC) {
        const int lanes = count - i < VEC ? (int)(count - i) : VEC;
        const vec v = bf16_round(lanes == VEC ? vec_load(from + i) : vec_load_n(from + i, lanes));
        const vec_half half = __builtin_convertvector((vec_uint)v >> 16, vec_half);
        memcpy(to + i, &half, (size_t)lanes * sizeof *to);
    }
}

// `lanes` numbers in the low halves of a vector, as many as it has if there are that many, and 0
// behind them; none if lanes is 0 or less.
VEC_INLINE vec_uint image_load(const uint16_t *from, int lanes) {
    vec_half half = {0};
    if (lanes >= VEC) {
        memcpy(&half, from, sizeof half);
    } else if (lanes > 0) {
        memcpy(&half, from, (size_t)lanes * sizeof *from);
    }
    return __builtin_convertvector(half, vec_uint);
}

// As factors_along, of an image's row.
VEC_INLINE vec image_along(const uint16_t *from, int numbers) {
#if defined(FACTOR_PAIRS)
    vec pairs = {0};
    if (numbers >= 2 * VEC) {
        memcpy(&pairs, from, sizeof pairs);
    } else {
        memcpy(&pairs, from, (size_t)numbers * sizeof *from);
    }
    return pairs;
#else
    return bf16_swap((vec)(image_load(from, numbers) << 16));
#endif
}

// Of an image or of floats.
VEC_INLINE vec packed_along(const void *from, const bool image, ptrdiff_t at, int numbers) {
    return image ? image_along((const uint16_t *)from + at, numbers)
                 : factors_along((const float *)from + at, numbers);
}

VEC_INLINE void packed_transposed(float *to, const int width, const void *from, const bool image,
                                  ptrdiff_t stride, int depth, int rows) {
    enum { TAKES = VEC * FACTOR_FLOATS };
    _Alignas(64) float block[VEC * VEC];
    for (int r = 0; r < rows; r += VEC) {
        for (int k = 0; k < depth; k += TAKES) {
            for (int i = 0; i < VEC; i++) {
                const ptrdiff_t at = (r + i) * stride + k;
                const int numbers = r + i < rows ? depth - k : 0;
                vec_store(block + i * VEC, numbers >= TAKES ? packed_along(from, image, at, TAKES)
                                           : numbers > 0    ? packed_along(from, image, at, numbers)
                                                            : vec_splat(0.0f));
            }
            panel_transpose(to + (size_t)(k / FACTOR_FLOATS) * width + r, width, block, VEC);
        }
    }
}

// to (FACTORS_WHOLE(depth), width) = the transpose of from (rows, depth), padded with 0 to whole
// vectors.
VEC_INLINE void factors_transposed(float *to, const int width, const float *from, ptrdiff_t stride,
                                   int depth, int rows) {
    packed_transposed(to, width, from, false, stride, depth, rows);
}

// The same, of an image.
VEC_INLINE void image_transposed(float *to, const int width, const uint16_t *from, ptrdiff_t stride,
                                 int depth, int rows) {
    packed_transposed(to, width, from, true, stride, depth, rows);
}

// As factors_columns, of an image.
VEC_INLINE void image_columns(float *to, ptrdiff_t to_stride, const uint16_t *from,
                              ptrdiff_t stride, int depth, int columns) {
    for (int k = 0; k < depth; k += 2, from += 2 * stride) {
        for (int c = 0; c < columns; c += VEC) {
            const int lanes = columns - c;
            const vec_uint even = image_load(from + c, lanes);
            const vec_uint odd = image_load(from + stride + c, k + 1 < depth ? lanes : 0);
#if defined(FACTOR_PAIRS)
            vec_store(to + c, (vec)(even | odd << 16));
#else
            vec_store(to + c, (vec)(odd << 16));
            vec_store(to + to_stride + c, (vec)(even << 16));
#endif
        }
        to += 2 / FACTOR_FLOATS * to_stride;
    }
}

// As prefetch_of, of an image. (Rows of an odd number are taken to be one shorter.)
VEC_INLINE struct prefetch prefetch_image(const uint16_t *from, ptrdiff_t stride, int rows,
                                          int columns, int steps) {
    const void *floats = from;
    return prefetch_of(floats, stride / 2, rows, DIVIDE_UP(columns, 2), steps);
}

#endif
