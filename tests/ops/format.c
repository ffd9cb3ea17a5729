// format.c: converts float32 to bfloat16 and float16 and back, on bits, independently of the code
// with which kernels round.
#include "tests/ops/harness.h"

#include <string.h>

size_t format_bytes(enum format format) {
    return format == BF16 || format == F16 ? 2 : 4;
}

double format_roundoff(enum format format) {
    return format == BF16 ? 0x1p-8 : format == F16 ? 0x1p-11 : 0x1p-24;
}

// bits >> by, rounded to nearest even; 0 < by < 32.
static uint32_t shift_rounded(uint32_t bits, int by) {
    const uint32_t kept = bits >> by, rest = bits << (32 - by), half = 1u << 31;
    return kept + (rest > half || (rest == half && kept & 1));
}

// A NaN keeps its upper bits, and stays a NaN.
static uint16_t to_bf16(uint32_t bits) {
    const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return (uint16_t)(nan ? bits >> 16 | 0x40 : shift_rounded(bits, 16));
}

// float16: 1 sign, 5 exponent (bias 15), 10 fraction bits.
static uint16_t to_f16(uint32_t bits) {
    const uint32_t sign = bits >> 16 & 0x8000, size = bits & 0x7fffffffu;
    const int exponent = (int)(size >> 23) - 127;
    if (size > 0x7f800000u) {
        return (uint16_t)(sign | 0x7e00 | (size >> 13 & 0x3ff));
    }
    if (exponent >= 16) {
        return (uint16_t)(sign | 0x7c00);
    }
    if (exponent >= -14) { // may round up to infinity, which is right
        return (uint16_t)(sign | shift_rounded(size - (112u << 23), 13));
    }
    // Subnormal: units of 2^-24. Below 2^-25 the result is 0.
    const uint32_t fraction = 0x800000u | (size & 0x7fffffu);
    return (uint16_t)(sign | (exponent < -25 ? 0 : shift_rounded(fraction, -exponent - 1)));
}

static uint32_t from_f16(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31;
    const uint32_t fraction = half & 0x3ff;
    if (exponent == 31) {
        return sign | 0x7f800000u | fraction << 13;
    }
    if (exponent > 0) {
        return sign | (exponent + 112) << 23 | fraction << 13;
    }
    const float value = (float)fraction * 0x1p-24f;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return sign | bits;
}

void format_store(enum format format, void *to, const void *from) {
    uint32_t bits;
    memcpy(&bits, from, sizeof bits);
    if (format == BF16 || format == F16) {
        const uint16_t half = format == BF16 ? to_bf16(bits) : to_f16(bits);
        memcpy(to, &half, sizeof half);
    } else {
        memcpy(to, &bits, sizeof bits);
    }
}

void format_load(enum format format, void *to, const void *from) {
    uint32_t bits;
    if (format == BF16 || format == F16) {
        uint16_t half;
        memcpy(&half, from, sizeof half);
        bits = format == BF16 ? (uint32_t)half << 16 : from_f16(half);
    } else {
        memcpy(&bits, from, sizeof bits);
    }
    memcpy(to, &bits, sizeof bits);
}
