// numbers.c: the types of numbers in files, and float32 from and to them. Needs only libc, since
// the sampler links it.
#include "runtime/files/files.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name, *dtype; // as a config's dtype, and in safetensors and GGUF files
    size_t block, bytes;      // so many numbers, which fill whole rows, are stored in so many bytes
    float limit;              // no number of this size or more can be stored
} number_types[NUMBER_TYPES] = {
    [NUMBER_F32] = {"float32", "F32", 1, 4, INFINITY},
    [NUMBER_F16] = {"float16", "F16", 1, 2, NUMBER_HALF_LIMIT},
    [NUMBER_BF16] = {"bfloat16", "BF16", 1, 2, INFINITY},
    [NUMBER_Q8_0] = {"q8_0", "Q8_0", BLOCKS_OF, 34, 127 * NUMBER_HALF_LIMIT},
    [NUMBER_Q4_0] = {"q4_0", "Q4_0", BLOCKS_OF, 18, 8 * NUMBER_HALF_LIMIT},
    [NUMBER_U8] = {"uint8", "U8", 1, 1, INFINITY},
};

bool number_type_find(const char *name, enum number_type *type) {
    for (int i = 0; i < NUMBER_TYPES; i++) {
        if (!strcmp(name, number_types[i].name)) {
            *type = (enum number_type)i;
            return true;
        }
    }
    return false;
}

const char *number_type_name(enum number_type type) {
    return number_types[type].name;
}

const char *number_type_dtype(enum number_type type) {
    return number_types[type].dtype;
}

size_t number_bytes(enum number_type type, size_t count) {
    return count / number_types[type].block * number_types[type].bytes;
}

size_t number_block(enum number_type type) {
    return number_types[type].block;
}

float number_limit(enum number_type type) {
    return number_types[type].limit;
}

float number_of_half(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31;
    const uint32_t digits = half & 0x3ff;
    uint32_t bits = sign | (exponent + 112) << 23 | digits << 13; // 112: the biases 127 - 15
    if (exponent == 31) {
        bits = sign | 0x7f800000 | digits << 13;
    }
    float x;
    memcpy(&x, &bits, sizeof x);
    if (exponent == 0) { // zero or subnormal
        x = (sign ? -1.0f : 1.0f) * (float)digits * 0x1p-24f;
    }
    return x;
}

float number_of_brain(uint16_t brain) {
    const uint32_t bits = (uint32_t)brain << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

uint16_t number_to_half(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
    if (size > 0x7f800000) {
        return (uint16_t)(sign | 0x7e00); // not a number
    }
    if (size >= 0x477ff000) { // 65520 and more round to infinity
        return (uint16_t)(sign | 0x7c00);
    }
    uint32_t half, rest, middle; // the digits that are kept, those that are not, and half a unit
    if (size < 0x38800000) {     // below 2^-14: subnormal, in units of 2^-24
        const uint32_t shift = 126 - (size >> 23); // 14 and more
        const uint32_t digits = (size & 0x7fffff) | 0x800000;
        if (shift > 24) {
            return (uint16_t)sign; // at most 2^-25, exclusive, or a float's own subnormal
        }
        half = digits >> shift;
        rest = digits & ((1u << shift) - 1);
        middle = 1u << (shift - 1);
    } else {
        half = (size - 0x38000000) >> 13; // the exponent's bias is 112 less
        rest = size & 0x1fff;
        middle = 0x1000;
    }
    half += rest > middle || (rest == middle && half & 1); // a carry goes into the exponent
    return (uint16_t)(sign | half);
}

uint16_t number_to_brain(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) {
        return (uint16_t)(bits >> 16 | 0x40); // not a number
    }
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void numbers_store(enum number_type type, const float *x, size_t count, void *stored) {
    uint16_t *words = stored;
    switch (type) {
    case NUMBER_F16:
        for (size_t i = 0; i < count; i++) {
            words[i] = number_to_half(x[i]);
        }
        break;
    case NUMBER_BF16:
        for (size_t i = 0; i < count; i++) {
            words[i] = number_to_brain(x[i]);
        }
        break;
    case NUMBER_Q8_0:
        blocks_store_q8_0(x, count, stored);
        break;
    case NUMBER_Q4_0:
        blocks_store_q4_0(x, count, stored);
        break;
    default:
        memcpy(stored, x, count * sizeof *x);
    }
}

// ---- what a file has, by its type's name --------------------------------------------------------

bool numbers_are_read(const char *dtype) {
    return !strcmp(dtype, "F32") || !strcmp(dtype, "F16") || !strcmp(dtype, "BF16") ||
           blocks_are_read(dtype);
}

size_t numbers_count(const char *dtype, size_t bytes) {
    return blocks_are_read(dtype) ? blocks_count(dtype, bytes)
                                  : bytes / (strcmp(dtype, "F32") ? 2 : 4);
}

void numbers_load(const char *dtype, const char *at, size_t first, size_t count, float *x) {
    if (blocks_are_read(dtype)) {
        blocks_read(dtype, at, first, count, x);
    } else if (!strcmp(dtype, "F32")) {
        memcpy(x, at + 4 * first, 4 * count);
    } else {
        float (*number)(uint16_t) = strcmp(dtype, "F16") ? number_of_brain : number_of_half;
        for (size_t i = 0; i < count; i++) {
            uint16_t word;
            memcpy(&word, at + 2 * (first + i), sizeof word);
            x[i] = number(word);
        }
    }
}
