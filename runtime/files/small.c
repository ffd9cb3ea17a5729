// small.c: a sampler's small weights: which tensors are of which type, and how a matrix is stored
// in the layout that the kernels read, which kernel/small.h describes.
#include "runtime/files/files.h"
#include "runtime/kernel/emitted.h"

#include <math.h>
#include <string.h>

enum { SMALL_OUTPUTS = 16, SMALL_BLOCK = 32 };

static const struct {
    const char *name;
    int block_bytes; // of a row, with its scale
} small_types[WEIGHT_TYPES] = {
    [WEIGHT_F32] = {"float32", 4 * SMALL_BLOCK},
    [WEIGHT_BF16] = {"bfloat16", 2 * SMALL_BLOCK},
    [WEIGHT_Q8_0] = {"q8_0", 2 + SMALL_BLOCK},
    [WEIGHT_Q4_0] = {"q4_0", 2 + SMALL_BLOCK / 2},
};

bool weight_type_find(const char *name, enum weight_type *type) {
    for (int i = 0; i < WEIGHT_TYPES; i++) {
        if (!strcmp(name, small_types[i].name)) {
            *type = (enum weight_type)i;
            return true;
        }
    }
    return false;
}

const char *weight_type_name(enum weight_type type) {
    return small_types[type].name;
}

enum weight_type weight_type_of(enum weight_type type, const struct param *params, int count,
                                const struct param *param) {
    if (param->ndim < 2 || param_is_positions(param)) {
        return WEIGHT_F32;
    }
    const bool table = param->copy || !strcmp(param->name, param_tokens(params, count));
    return table && type == WEIGHT_Q4_0 ? WEIGHT_Q8_0 : type;
}

int64_t small_rows(int64_t rows) {
    return (rows + SMALL_OUTPUTS - 1) / SMALL_OUTPUTS * SMALL_OUTPUTS;
}

static int64_t small_blocks(int64_t columns) {
    return (columns + SMALL_BLOCK - 1) / SMALL_BLOCK;
}

int64_t small_row_bytes(enum weight_type type, int64_t columns) {
    return small_blocks(columns) * small_types[type].block_bytes;
}

// Numbers become q * scale. Returns the scale, as it is stored; q is 0 where the block has no more
// numbers.
static uint16_t small_quantise(enum weight_type type, const float x[SMALL_BLOCK],
                               int q[SMALL_BLOCK]) {
    float largest = 0; // with its sign
    for (int i = 0; i < SMALL_BLOCK; i++) {
        largest = fabsf(x[i]) > fabsf(largest) ? x[i] : largest;
    }
    const int most = type == WEIGHT_Q8_0 ? 127 : 7, least = type == WEIGHT_Q8_0 ? -127 : -8;
    const uint16_t half = number_to_half(type == WEIGHT_Q8_0 ? fabsf(largest) / 127 : largest / -8);
    const float scale = number_of_half(half);
    for (int i = 0; i < SMALL_BLOCK; i++) {
        const float number = scale != 0 ? roundf(x[i] / scale) : 0;
        q[i] = number > (float)most ? most : number < (float)least ? least : (int)number;
    }
    return half;
}

// Columns 2i and 2i + 1 of 16 outputs side by side; subnormal numbers are 0.
static void small_store_bfloat16(const float *w, int64_t rows, int64_t columns, void *stored) {
    const int64_t wide = small_blocks(columns) * SMALL_BLOCK;
    for (int64_t row = 0; row < small_rows(rows); row++) {
        char *at = (char *)stored + row / SMALL_OUTPUTS * wide * SMALL_OUTPUTS * 2;
        for (int64_t k = 0; k < wide; k++) {
            const float x = row < rows && k < columns ? w[row * columns + k] : 0;
            const uint16_t number = number_to_brain(fabsf(x) < 0x1p-126f ? 0 : x);
            memcpy(at + (k / 2 * SMALL_OUTPUTS + row % SMALL_OUTPUTS) * 4 + k % 2 * 2, &number,
                   sizeof number);
        }
    }
}

void small_store(enum weight_type type, const float *w, int64_t rows, int64_t columns,
                 void *stored) {
    if (type == WEIGHT_BF16) {
        small_store_bfloat16(w, rows, columns, stored);
        return;
    }
    const int64_t blocks = small_blocks(columns), panels = small_rows(rows) / SMALL_OUTPUTS;
    const int64_t bytes = (small_types[type].block_bytes - 2) * SMALL_OUTPUTS;
    uint8_t *scales = (uint8_t *)stored + panels * blocks * bytes;
    for (int64_t row = 0; row < panels * SMALL_OUTPUTS; row++) {
        for (int64_t b = 0; b < blocks; b++) {
            const int64_t block = row / SMALL_OUTPUTS * blocks + b, o = row % SMALL_OUTPUTS;
            float x[SMALL_BLOCK] = {0};
            int q[SMALL_BLOCK];
            for (int i = 0; i < SMALL_BLOCK && row < rows; i++) {
                const int64_t column = b * SMALL_BLOCK + i;
                x[i] = column < columns ? w[row * columns + column] : 0;
            }
            const uint16_t scale = small_quantise(type, x, q);
            memcpy(scales + (block * SMALL_OUTPUTS + o) * 2, &scale, sizeof scale);
            uint8_t *at = (uint8_t *)stored + block * bytes + o * 4;
            if (type == WEIGHT_Q8_0) {
                for (int i = 0; i < SMALL_BLOCK; i++) {
                    at[i / 4 * SMALL_OUTPUTS * 4 + i % 4] = (uint8_t)(q[i] + 128);
                }
            } else {
                for (int i = 0; i < SMALL_BLOCK / 2; i++) {
                    at[i / 4 * SMALL_OUTPUTS * 4 + i % 4] =
                        (uint8_t)((q[i] + 8) | (q[i + SMALL_BLOCK / 2] + 8) << 4);
                }
            }
        }
    }
}
