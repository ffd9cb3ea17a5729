// blocks.c: numbers of ggml's quantized types, which come in blocks of 32 neighbours in a row that
// share a scale in float16:
//
//     Q8_0    scale, 32 signed bytes                      x = scale q
//     Q4_0    scale, 16 bytes of two halves each          x = scale (q - 8)
//     Q4_1    scale, least value, 16 bytes as those       x = scale q + least
//
// Byte i of a block of halves has number i in its low half and number i + 16 in its high one. Needs
// only libc, since the sampler links it.
#include "runtime/files/files.h"

#include <math.h>
#include <string.h>

static uint16_t blocks_word(const char *at) {
    uint16_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

// ---- one function a type: reads a block --------------------------------------------------------

static void blocks_q8_0(const char *at, float *x) {
    const float scale = number_of_half(blocks_word(at));
    for (int i = 0; i < BLOCKS_OF; i++) {
        x[i] = scale * (float)(signed char)at[2 + i];
    }
}

// Adding -0 changes no number, a zero's sign included.
static void blocks_halves(const unsigned char *at, float scale, int zero, float least, float *x) {
    for (int i = 0; i < BLOCKS_OF / 2; i++) {
        x[i] = scale * (float)((at[i] & 15) - zero) + least;
        x[i + BLOCKS_OF / 2] = scale * (float)((at[i] >> 4) - zero) + least;
    }
}

static void blocks_q4_0(const char *at, float *x) {
    blocks_halves((const unsigned char *)at + 2, number_of_half(blocks_word(at)), 8, -0.0f, x);
}

static void blocks_q4_1(const char *at, float *x) {
    const float scale = number_of_half(blocks_word(at)),
                least = number_of_half(blocks_word(at + 2));
    blocks_halves((const unsigned char *)at + 4, scale, 0, least, x);
}

static const struct blocks_type {
    const char *name;
    size_t bytes; // of a block
    void (*read)(const char *at, float *x);
} blocks_types[] = {
    {"Q8_0", 34, blocks_q8_0},
    {"Q4_0", 18, blocks_q4_0},
    {"Q4_1", 20, blocks_q4_1},
};

static const struct blocks_type *blocks_find(const char *type) {
    for (size_t t = 0; t < sizeof blocks_types / sizeof *blocks_types; t++) {
        if (!strcmp(blocks_types[t].name, type)) {
            return &blocks_types[t];
        }
    }
    return NULL;
}

bool blocks_are_read(const char *type) {
    return blocks_find(type) != NULL;
}

size_t blocks_count(const char *type, size_t bytes) {
    return bytes / blocks_find(type)->bytes * BLOCKS_OF;
}

void blocks_read(const char *type, const char *at, size_t first, size_t count, float *x) {
    const struct blocks_type *t = blocks_find(type);
    at += first / BLOCKS_OF * t->bytes;
    for (size_t i = 0; i < count / BLOCKS_OF; i++) {
        t->read(at + i * t->bytes, x + i * BLOCKS_OF);
    }
}

// Both as llama.cpp's quantizer does. Q8_0: the largest number becomes 127 or -127, and halves
// round away from zero.
void blocks_store_q8_0(const float *x, size_t count, void *stored) {
    char *at = stored;
    for (const float *end = x + count; x < end; x += BLOCKS_OF) {
        float largest = 0;
        for (int i = 0; i < BLOCKS_OF; i++) {
            largest = fmaxf(largest, fabsf(x[i]));
        }
        const float scale = largest / 127, inverse = scale > 0x1p-126f ? 1 / scale : 0;
        const uint16_t half = number_to_half(scale);
        memcpy(at, &half, sizeof half);
        for (int i = 0; i < BLOCKS_OF; i++) {
            at[2 + i] = (char)(signed char)roundf(x[i] * inverse);
        }
        at += 2 + BLOCKS_OF;
    }
}

// Q4_0: the largest number, the first of equal ones, becomes -8, and halves round up.
void blocks_store_q4_0(const float *x, size_t count, void *stored) {
    unsigned char *at = stored;
    for (const float *end = x + count; x < end; x += BLOCKS_OF) {
        float largest = 0; // with its sign
        for (int i = 0; i < BLOCKS_OF; i++) {
            largest = fabsf(x[i]) > fabsf(largest) ? x[i] : largest;
        }
        const float scale = largest / -8, inverse = fabsf(scale) > 0x1p-126f ? 1 / scale : 0;
        const uint16_t half = number_to_half(scale);
        memcpy(at, &half, sizeof half);
        int q[BLOCKS_OF];
        for (int i = 0; i < BLOCKS_OF; i++) {
            q[i] = (int)(x[i] * inverse + 8.5f);
            q[i] = q[i] < 15 ? q[i] : 15;
        }
        for (int i = 0; i < BLOCKS_OF / 2; i++) {
            at[2 + i] = (unsigned char)(q[i] | q[i + BLOCKS_OF / 2] << 4);
        }
        at += 2 + BLOCKS_OF / 2;
    }
}
