// normals.c: normal numbers, many at once, for initial weights: the very floats that rng_bits and
// rng_normal (base) make one by one, some five times as fast.
//
// Lanes are computed side by side with polynomials in double, whose distance from what libm's log
// and cos give is known to be below NORMALS_BOUND. Where both ends of that distance round to the
// same float, that is the result; where they do not, once in a hundred thousand numbers, libm
// decides.
#include "runtime/model/model.h"
#include "runtime/base/base.h"

#include <string.h>

enum { NORMALS_LANES = 16, NORMALS_TERMS = 11 };

// |polynomials - libm| of a number of N(0, 1): sqrt(-2 log u) is at most 6.7, and log, sqrt and cos
// of either side are within 2^-51 of what they should be. Ten times that.
#define NORMALS_BOUND 0x1p-45

// Bits for the counters (first + lane, high), as rng_bits makes them.
static void normals_bits(uint32_t k0, uint32_t k1, uint32_t first, uint32_t high,
                         uint32_t x0[NORMALS_LANES], uint32_t x1[NORMALS_LANES]) {
    static const int rotation[8] = {13, 15, 26, 6, 17, 29, 16, 24};
    const uint32_t key[3] = {k0, k1, k0 ^ k1 ^ 0x1bd11bda};
    for (int i = 0; i < NORMALS_LANES; i++) {
        x0[i] = first + (uint32_t)i + k0;
        x1[i] = high + k1;
    }
#pragma GCC unroll 20
    for (uint32_t round = 0; round < 20; round++) {
        const int r = rotation[round % 8];
        const uint32_t turn = round / 4 + 1;
        for (int i = 0; i < NORMALS_LANES; i++) {
            x0[i] += x1[i];
            x1[i] = (x1[i] << r | x1[i] >> (32 - r)) ^ x0[i];
            if (round % 4 == 3) {
                x0[i] += key[turn % 3];
                x1[i] += key[(turn + 1) % 3] + turn;
            }
        }
    }
}

static inline double normals_double(uint64_t word) {
    double value;
    memcpy(&value, &word, sizeof value);
    return value;
}

static inline uint64_t normals_word(double value) {
    uint64_t word;
    memcpy(&word, &value, sizeof word);
    return word;
}

// A whole number below 2^52; not by a cast, for which not every vector has an instruction.
static inline double normals_whole(uint64_t number) {
    return normals_double(number | 0x4330000000000000) - 0x1p52;
}

// log(u) for 2^-32 <= u <= 1: u = m 2^e with m in [0.707, 1.414), and
// log m = 2 artanh((m - 1) / (m + 1)).
static inline double normals_log(double u) {
    const double high = 0x1.62e42fefa38p-1, low = 0x1.ef35793c7673p-45; // log 2 in two parts
    // e + 64, as the exponent would be if mantissas began at 0.707.
    const uint64_t word = normals_word(u);
    const uint64_t e = (word - (0x3fe6a09e667f3bcd - (64ull << 52))) >> 52;
    const double m = normals_double(word - (e << 52) + (64ull << 52));
    const double two_to = normals_whole(e) - 64;
    const double s = (m - 1) / (m + 1), square = s * s;
    double sum = 0;
#pragma GCC unroll 16
    for (int k = NORMALS_TERMS; k > 0; k--) {
        sum = sum * square + 1.0 / (2 * k + 1);
    }
    return two_to * high + (2 * s + (2 * s * (square * sum) + two_to * low));
}

// The root of x >= 0, by Newton's steps from a guess for 1 / root: libm's sqrt may set errno, which
// keeps a compiler from computing lanes side by side.
static inline double normals_root(double x) {
    double y = normals_double(0x5fe6eb50c7b537a9 - (normals_word(x) >> 1));
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        y *= 1.5 - 0.5 * x * y * y;
    }
    return x * y;
}

// cos(t) for 0 <= t < 2 pi: t less a multiple of pi / 2 is at most pi / 4, where series are short.
static inline double normals_cos(double t) {
    const double high = 0x1.921fb544p+0, low = 0x1.0b4611a626331p-34; // pi / 2 in two parts
    const double shifted = t * 0x1.45f306dc9c883p-1 + 0x1p52;         // to a whole number
    const double quarter = shifted - 0x1p52;
    const double r = (t - quarter * high) - quarter * low, square = r * r;
    double even = 0, odd = 0;
#pragma GCC unroll 16
    for (int k = 9; k > 0; k--) {
        even = (1 - even) * square * (1.0 / ((2 * k - 1) * (2 * k)));
        odd = (1 - odd) * square * (1.0 / ((2 * k) * (2 * k + 1)));
    }
    const uint64_t cosine = normals_word(1 - even), sine = normals_word(r - r * odd);
    // cos(r + quarter pi / 2) is cos r, -sin r, -cos r, sin r, cos r.
    const uint64_t number = normals_word(shifted), is_sine = -(number & 1);
    return normals_double(((sine & is_sine) | (cosine & ~is_sine)) ^ (number + 1) >> 1 << 63);
}

void normals_fill(float *out, int64_t count, uint32_t seed, uint32_t first, uint32_t high,
                  float scale) {
    const double tau = 6.283185307179586;
    for (int64_t from = 0; from < count; from += NORMALS_LANES) {
        uint32_t x0[NORMALS_LANES], x1[NORMALS_LANES];
        float low[NORMALS_LANES], up[NORMALS_LANES];
        normals_bits(seed, RNG_INIT, first + (uint32_t)from, high, x0, x1);
        for (int i = 0; i < NORMALS_LANES; i++) {
            const double u = (normals_whole(x0[i]) + 1) * 0x1p-32,
                         v = normals_whole(x1[i]) * 0x1p-32;
            const double normal = normals_root(-2 * normals_log(u)) * normals_cos(tau * v);
            low[i] = (float)(scale * (normal - NORMALS_BOUND));
            up[i] = (float)(scale * (normal + NORMALS_BOUND));
        }
        const int lanes = count - from < NORMALS_LANES ? (int)(count - from) : NORMALS_LANES;
        for (int i = 0; i < lanes; i++) {
            out[from + i] = low[i];
            if (low[i] != up[i]) {
                out[from + i] = (float)(scale * rng_normal(x0[i] | (uint64_t)x1[i] << 32));
            }
        }
    }
}
