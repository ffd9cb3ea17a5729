// test_numbers.c: float16 and bfloat16 to float32 and back, and tensors as they are stored.
#include "runtime/files/files.h"
#include "tests/runtime/suite.h"

#include <math.h>
#include <string.h>

static float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

// The nearest of a type's numbers, by search in doubles: the reference for both types. `up` gives
// the magnitude of a code; codes rise with it up to `infinity`, whose own is the next power of two.
static uint16_t nearest(double size, double (*up)(uint32_t code), uint32_t infinity) {
    uint32_t low = 0, high = infinity; // up(low) <= size, and size < up(high) or high is infinity
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (up(middle) <= size) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const double below = size - up(low), above = up(high) - size;
    return (uint16_t)(below < above || (below == above && low % 2 == 0) ? low : high);
}

static double half_size(uint32_t code) {
    const uint32_t exponent = code >> 10, digits = code & 0x3ff;
    return exponent ? ldexp(1024 + digits, (int)exponent - 25) : ldexp(digits, -24);
}

static double brain_size(uint32_t code) {
    const uint32_t exponent = code >> 7, digits = code & 0x7f;
    return exponent ? ldexp(128 + digits, (int)exponent - 134) : ldexp(digits, -133);
}

static void check_float(uint32_t bits) {
    const float x = from_bits(bits & 0x7fffffff);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    ck_assert_uint_eq(number_to_half(from_bits(bits)), sign | nearest(x, half_size, 0x7c00));
    ck_assert_uint_eq(number_to_brain(from_bits(bits)), sign | nearest(x, brain_size, 0x7f80));
}

START_TEST(every_stored_number_comes_back) {
    for (uint32_t code = 0; code < 0x10000; code++) {
        const uint32_t size = code & 0x7fff;
        const float half = number_of_half((uint16_t)code), brain = number_of_brain((uint16_t)code);
        if (size <= 0x7c00) {
            ck_assert(fabs((double)half) == (size == 0x7c00 ? INFINITY : half_size(size)));
            ck_assert_uint_eq(number_to_half(half), code);
        } else {
            ck_assert(isnan(half));
            ck_assert(isnan(number_of_half(number_to_half(half))));
        }
        if (size <= 0x7f80) {
            ck_assert(fabs((double)brain) == (size == 0x7f80 ? INFINITY : brain_size(size)));
            ck_assert_uint_eq(number_to_brain(brain), code);
        } else {
            ck_assert(isnan(number_of_brain(number_to_brain(brain))));
        }
    }
}
END_TEST

START_TEST(floats_round_to_the_nearest) {
    for (uint32_t code = 0; code < 0x7c00; code++) { // all numbers, their middles, and beside them
        const float a = number_of_half((uint16_t)code);
        const float b = code == 0x7bff ? 65536 : number_of_half((uint16_t)(code + 1));
        const uint32_t middle = bits_of((a + b) / 2);
        for (uint32_t bits = middle - 1; bits <= middle + 1; bits++) {
            check_float(bits);
            check_float(bits | 0x80000000);
        }
    }
    for (uint32_t code = 0; code < 0x7f80; code++) {
        const uint32_t middle = code << 16 | 0x8000;
        for (uint32_t bits = middle - 1; bits <= middle + 1; bits++) {
            check_float(bits);
        }
    }
    for (uint64_t i = 0; i < 200000; i++) {
        const uint32_t bits = (uint32_t)rng_bits(1, 2, (uint32_t)i, 0);
        if (isfinite(from_bits(bits))) {
            check_float(bits);
        }
    }
    ck_assert(isinf(number_of_half(number_to_half(NUMBER_HALF_LIMIT))));
    ck_assert(number_of_half(number_to_half(nextafterf(NUMBER_HALF_LIMIT, 0))) == 65504);
}
END_TEST

START_TEST(tensors_are_stored) {
    enum { ROWS = 37, COLUMNS = 5 };
    float data[ROWS * COLUMNS], stored[ROWS * COLUMNS];
    uint16_t halves[ROWS * COLUMNS];
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        data[i] = (float)i / 8;
    }
    struct tensor_out tensor = {.ndim = 2, .dims = {ROWS, COLUMNS}, .data = data};
    ck_assert_ptr_eq(tensor_out_stored(&tensor, NULL), data);
    ck_assert_uint_eq(tensor_out_room(&tensor, 1), 0);
    tensor =
        (struct tensor_out){.ndim = 2, .dims = {COLUMNS, ROWS}, .data = data, .transposed = true};
    ck_assert_uint_eq(tensor_out_room(&tensor, 1), sizeof stored);
    ck_assert_ptr_eq(tensor_out_stored(&tensor, stored), stored);
    tensor.type = NUMBER_F16;
    ck_assert_uint_eq(tensor_out_bytes(&tensor), sizeof halves);
    tensor_out_stored(&tensor, halves);
    for (int c = 0; c < COLUMNS; c++) {
        for (int r = 0; r < ROWS; r++) {
            ck_assert(stored[c * ROWS + r] == data[r * COLUMNS + c]);
            ck_assert(number_of_half(halves[c * ROWS + r]) == data[r * COLUMNS + c]);
        }
    }
    tensor.data = NULL;
    tensor_out_stored(&tensor, halves);
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        ck_assert_uint_eq(halves[i], 0);
    }
}
END_TEST

START_TEST(rows_of_heads_are_stored_pairwise) {
    enum { HEADS = 2, HEAD = 6, COLUMNS = 32, ROWS = HEADS * HEAD };
    static const int from[HEAD] = {0, 3, 1, 4, 2, 5};
    float data[ROWS * COLUMNS], stored[ROWS * COLUMNS];
    uint16_t halves[ROWS * COLUMNS];
    char blocks[ROWS * 34];
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        data[i] = (float)(i / COLUMNS * 127 - i % COLUMNS % 2 * 127) / 8;
    }
    struct tensor_out tensor = {
        .ndim = 2, .dims = {ROWS, COLUMNS}, .data = data, .heads = HEADS, .type = NUMBER_F32};
    ck_assert(!tensor_out_is_ready(&tensor));
    ck_assert_uint_eq(tensor_out_room(&tensor, 1), sizeof stored);
    tensor_out_stored(&tensor, stored);
    tensor.type = NUMBER_F16;
    tensor_out_stored(&tensor, halves);
    tensor.type = NUMBER_Q8_0;
    tensor_out_stored(&tensor, blocks);
    for (int row = 0; row < ROWS; row++) {
        const float *own = data + (row / HEAD * HEAD + from[row % HEAD]) * COLUMNS;
        float block[COLUMNS];
        blocks_read("Q8_0", blocks, (size_t)row * COLUMNS, COLUMNS, block);
        for (int c = 0; c < COLUMNS; c++) {
            ck_assert(stored[row * COLUMNS + c] == own[c]);
            ck_assert(number_of_half(halves[row * COLUMNS + c]) == own[c]);
            ck_assert(fabsf(block[c] - own[c]) < 1);
        }
    }
    tensor = (struct tensor_out){.ndim = 1, .dims = {ROWS}, .data = data, .heads = HEADS};
    tensor_out_stored(&tensor, stored);
    for (int row = 0; row < ROWS; row++) {
        ck_assert(stored[row] == data[row / HEAD * HEAD + from[row % HEAD]]);
    }
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        every_stored_number_comes_back,
        floats_round_to_the_nearest,
        tensors_are_stored,
        rows_of_heads_are_stored_pairwise,
    };
    return suite_main("numbers", tests, sizeof tests / sizeof *tests);
}
