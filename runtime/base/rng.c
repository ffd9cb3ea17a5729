// rng.c: random numbers as a function of a key and a counter: Threefry-2x32 with 20 rounds, from
// Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
#include "runtime/base/base.h"

#include <math.h>

uint64_t rng_bits(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1) {
    static const int rotation[8] = {13, 15, 26, 6, 17, 29, 16, 24};
    const uint32_t key[3] = {k0, k1, k0 ^ k1 ^ 0x1bd11bda};
    uint32_t x0 = c0 + k0, x1 = c1 + k1;
    for (uint32_t round = 0; round < 20; round++) {
        int r = rotation[round % 8];
        x0 += x1;
        x1 = (x1 << r | x1 >> (32 - r)) ^ x0;
        if (round % 4 == 3) { // inject the key, rotated by one word each time
            uint32_t turn = round / 4 + 1;
            x0 += key[turn % 3];
            x1 += key[(turn + 1) % 3] + turn;
        }
    }
    return x0 | (uint64_t)x1 << 32;
}

uint64_t rng_below(uint64_t bits, uint64_t bound) {
    // The high half of 128 bits, from products of 32 bits, as 32-bit machines have no larger type.
    const uint64_t a = bits >> 32, b = (uint32_t)bits, c = bound >> 32, d = (uint32_t)bound;
    const uint64_t middle = a * d + (b * d >> 32), other = b * c + (uint32_t)middle;
    return a * c + (middle >> 32) + (other >> 32);
}

double rng_uniform(uint64_t bits) {
    return (double)(bits >> 11) * 0x1p-53;
}

double rng_normal(uint64_t bits) {
    const double tau = 6.283185307179586;
    double u = ((double)(uint32_t)bits + 1) * 0x1p-32; // (0, 1]: its logarithm is finite
    double v = (double)(bits >> 32) * 0x1p-32;         // [0, 1)
    return sqrt(-2 * log(u)) * cos(tau * v);
}
