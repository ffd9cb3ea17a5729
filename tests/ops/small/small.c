// small.c: a sampler's products with small weights (kernel/small.h), beside the same sums in plain
// C, whose bytes they must have, and beside doubles. test_small.sh builds it for each instruction
// set.
#include "runtime/files/files.h"
#include "runtime/kernel/small.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST_O = 70, MOST_C = 200, MOST_ROWS = 9 };

static int passed, failed;

static void expect(bool good, const char *what, enum weight_type type, int O, int C, int rows) {
    passed += good;
    failed += !good;
    if (!good) {
        printf("FAILED: %s, %s, O = %d, C = %d, %d rows\n", what, weight_type_name(type), O, C,
               rows);
    }
}

// About normal.
static float number(uint64_t seed, int i) {
    uint64_t bits = (seed << 32 | (uint32_t)i) * 0x9e3779b97f4a7c15u;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
    bits ^= bits >> 31;
    float sum = -2.0f;
    for (int part = 0; part < 4; part++) {
        sum += (float)(bits >> 16 * part & 0xffff) / 65536.0f;
    }
    return sum;
}

// What byte of a matrix is the q of output o in column k: the layout once more, as small.h says it.
static int q_of(enum weight_type type, const uint8_t *w, int C, int o, int k) {
    const int block = o / 16 * SMALL_BLOCKS(C) + k / 32, i = k % 32;
    if (type == WEIGHT_Q8_0) {
        return w[block * 512 + i / 4 * 64 + o % 16 * 4 + i % 4] - 128;
    }
    const int byte = w[block * 256 + i % 16 / 4 * 64 + o % 16 * 4 + i % 4];
    return (i < 16 ? byte & 15 : byte >> 4) - 8;
}

static float scale_of(enum weight_type type, const uint8_t *w, int O, int C, int o, int k) {
    const int blocks = SMALL_BLOCKS(C), block = o / 16 * blocks + k / 32;
    const uint8_t *scales = w + DIVIDE_UP(O, 16) * blocks * (type == WEIGHT_Q8_0 ? 512 : 256);
    uint16_t half;
    memcpy(&half, scales + (block * 16 + o % 16) * 2, sizeof half);
    return number_of_half(half);
}

static uint8_t small[80 * 7 * 64];
static float w[MOST_O * MOST_C], x[MOST_ROWS * MOST_C],
    packed[MOST_ROWS * SMALL_ROW_BFLOAT16(MOST_C)];
static float y[MOST_ROWS][MOST_O], sums[(MOST_ROWS + SMALL_ROWS) * SMALL_WIDE];

static void product(enum weight_type type, bool dots, int rows, const float *from, int O, int C) {
    for (int p = 0; p < DIVIDE_UP(O, 16); p += SMALL_PANELS) {
        const int panels = int_min(SMALL_PANELS, DIVIDE_UP(O, 16) - p);
        if (type == WEIGHT_Q8_0) {
            small_panels(sums, WEIGHT_Q8_0, dots, panels, from, rows, small, O, C, p);
        } else if (type == WEIGHT_Q4_0) {
            small_panels(sums, WEIGHT_Q4_0, dots, panels, from, rows, small, O, C, p);
        } else if (dots == small_dots(WEIGHT_BF16)) {
            small_bfloat16(sums, panels, from, rows, small, O, C, p);
        } else {
            small_panels(sums, WEIGHT_BF16, dots, panels, from, rows, small, O, C, p);
        }
        for (int r = 0; r < rows; r++) {
            for (int o = p * 16; o < int_min(O, (p + panels) * 16); o++) {
                y[r][o] = sums[r * SMALL_WIDE + o - p * 16];
            }
        }
    }
}

static void make_numbers(int O, int C, int rows) {
    for (int i = 0; i < O * C; i++) {
        w[i] = number(1, i) * (i % C < 3 ? 1.0f : 0.02f);
    }
    for (int i = 0; i < rows * C; i++) {
        x[i] = number(2, i) * (i / C % 2 ? 30.0f : 0.01f);
    }
}

// Each row alone gives the bytes that it has in y.
static bool same_alone(enum weight_type type, bool dots, int O, int C, int rows, int row) {
    static float all[MOST_ROWS][MOST_O];
    bool alone = true;
    memcpy(all, y, sizeof y);
    for (int r = 0; r < rows; r++) {
        product(type, dots, 1, packed + r * row, O, C);
        alone = alone && memcmp(y[0], all[r], (size_t)O * sizeof(float)) == 0;
    }
    return alone;
}

static float float_of(uint16_t bits) {
    return number_of_brain(bits);
}

// Some of the numbers are subnormal, or smaller: then only the bytes are compared.
static void test_bfloat16(bool dots, int O, int C, int rows) {
    make_numbers(O, C, rows);
    w[0] = 0x1p-130f;
    x[0] = -0x1p-127f;
    small_store(WEIGHT_BF16, w, O, C, small);
    const int row = SMALL_ROW_BFLOAT16(C), wide = SMALL_BLOCKS(C) * 32;
    bool near = true, exact = true, close = true;
    for (int r = 0; r < rows; r++) {
        for (int b = 0; b < SMALL_BLOCKS(C); b++) {
            small_round(packed + r * row, x + r * C, C, b);
        }
        for (int k = 0; k < wide; k++) {
            const float from = k < C ? x[r * C + k] : 0.0f;
            const uint16_t wanted = number_to_brain(fabsf(from) < 0x1p-126f ? from * 0.0f : from);
            near = near && ((const uint16_t *)(const void *)(packed + r * row))[k] == wanted;
        }
    }
    expect(near, "an activation is rounded", WEIGHT_BF16, O, C, rows);
    product(WEIGHT_BF16, dots, rows, packed, O, C);
    for (int r = 0; r < rows; r++) {
        const uint16_t *xr = (const uint16_t *)(const void *)(packed + r * row);
        for (int o = 0; o < O; o++) {
            float plain = 0;
            double wanted = 0, size = 0;
            for (int i = 0; i < wide; i++) {
                const int k = i ^ 1; // the second of a pair first
                uint16_t half;
                memcpy(&half, small + ((o / 16 * wide + k / 2 * 2) * 16 + o % 16 * 2 + k % 2) * 2,
                       2);
                const float a = float_of(half), b = float_of(xr[k]);
                const float near_w = k < C && fabsf(w[o * C + k]) >= 0x1p-126f ? w[o * C + k] : 0;
                close = close && fabsf(a - near_w) <= fabsf(near_w) / 256.0f;
                plain = fmaf(a, b, plain);
                wanted += (double)a * (double)b;
                size += fabs((double)a * (double)b);
            }
            exact = exact && memcmp(&plain, &y[r][o], sizeof plain) == 0;
            close = close && fabs((double)y[r][o] - wanted) <= 1e-5 * size;
        }
    }
    expect(exact, "the bytes of plain sums", WEIGHT_BF16, O, C, rows);
    expect(close, "as in doubles", WEIGHT_BF16, O, C, rows);
    expect(same_alone(WEIGHT_BF16, dots, O, C, rows, row), "a row alone", WEIGHT_BF16, O, C, rows);
    bool same = true;
    for (int o = 0; o < O; o++) {
        for (int c = 0; c < C; c += VEC) {
            const vec v = small_table_bfloat16(small, O, C, o, c);
            for (int i = 0; i < VEC && c + i < C; i++) {
                const float from = w[o * C + c + i];
                same =
                    same && v[i] == float_of(number_to_brain(fabsf(from) < 0x1p-126f ? 0 : from));
            }
        }
    }
    expect(same, "a table's rows", WEIGHT_BF16, O, C, 1);
}

static void test(enum weight_type type, bool dots, int O, int C, int rows) {
    make_numbers(O, C, rows);
    const int blocks = SMALL_BLOCKS(C), row = SMALL_ROW(C);
    small_store(type, w, O, C, small);
    bool near = true, exact = true, close = true;
    const double step = type == WEIGHT_Q8_0 ? 0.51 / 127 : 1.02 / 8;
    for (int o = 0; o < O; o++) {
        for (int k = 0; k < C; k++) {
            double most = 0;
            for (int i = k / 32 * 32; i < int_min(C, k / 32 * 32 + 32); i++) {
                most = fmax(most, fabs(w[o * C + i]));
            }
            const double stored =
                (double)q_of(type, small, C, o, k) * (double)scale_of(type, small, O, C, o, k);
            near = near && fabs(stored - (double)w[o * C + k]) <= most * step;
        }
    }
    expect(near, "a stored weight is near", type, O, C, rows);
    near = true;
    for (int r = 0; r < rows; r++) {
        for (int b = 0; b < blocks; b++) {
            small_quantise(packed + r * row, x + r * C, C, b);
        }
        for (int k = 0; k < C; k++) {
            float most = 0;
            for (int i = k / 32 * 32; i < int_min(C, k / 32 * 32 + 32); i++) {
                most = fmaxf(most, fabsf(x[r * C + i]));
            }
            const int8_t q = ((const int8_t *)(packed + r * row))[k];
            near = near && (float)q == nearbyintf(x[r * C + k] * (127.0f / most)) &&
                   packed[r * row + blocks * 8 + k / 32] == most / 127.0f;
        }
    }
    expect(near, "an activation is rounded", type, O, C, rows);
    product(type, dots, rows, packed, O, C);
    for (int r = 0; r < rows; r++) {
        const int8_t *q = (const int8_t *)(packed + r * row);
        for (int o = 0; o < O; o++) {
            float plain = 0;
            double wanted = 0, size = 0;
            for (int b = 0; b < blocks; b++) {
                int sum = 0;
                for (int k = b * 32; k < int_min(C, b * 32 + 32); k++) {
                    sum += q[k] * q_of(type, small, C, o, k);
                }
                const float of_w = scale_of(type, small, O, C, o, b * 32);
                const float of_x = packed[r * row + blocks * 8 + b];
                const float scale = of_w * of_x, term = (float)sum * scale;
                plain = plain + term;
                wanted += (double)sum * (double)of_w * (double)of_x;
                size += fabs((double)sum * (double)of_w * (double)of_x);
            }
            exact = exact && memcmp(&plain, &y[r][o], sizeof plain) == 0;
            close = close && fabs((double)y[r][o] - wanted) <= 1e-6 * size;
        }
    }
    expect(exact, "the bytes of plain sums", type, O, C, rows);
    expect(close, "as in doubles", type, O, C, rows);
    expect(same_alone(type, dots, O, C, rows, row), "a row alone", type, O, C, rows);
}

// A table's rows, and numbers that are not finite.
static void test_ends(void) {
    enum { O = 20, C = 40 };
    small_store(WEIGHT_Q8_0, w, O, C, small);
    bool same = true;
    for (int o = 0; o < O; o++) {
        for (int c = 0; c < C; c += VEC) {
            const vec v = small_table_q8_0(small, O, C, o, c);
            for (int i = 0; i < VEC && c + i < C; i++) {
                same = same && v[i] == (float)q_of(WEIGHT_Q8_0, small, C, o, c + i) *
                                           scale_of(WEIGHT_Q8_0, small, O, C, o, c + i);
            }
        }
    }
    expect(same, "a table's rows", WEIGHT_Q8_0, O, C, 1);
    const float odd[] = {NAN, INFINITY, -INFINITY, -NAN};
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < C; k++) {
            x[k] = k == 35 ? odd[i] : 1.0f;
        }
        small_quantise(packed, x, C, 0);
        small_quantise(packed, x, C, 1);
        product(WEIGHT_Q8_0, small_dots(WEIGHT_Q8_0), 1, packed, O, C);
        bool none = true;
        for (int o = 0; o < O; o++) {
            none = none && isnan(y[0][o]);
        }
        expect(none, "not finite", WEIGHT_Q8_0, O, C, 1);
    }
    memset(x, 0, sizeof x);
    small_quantise(packed, x, C, 0);
    small_quantise(packed, x, C, 1);
    product(WEIGHT_Q8_0, small_dots(WEIGHT_Q8_0), 1, packed, O, C);
    expect(y[0][3] == 0.0f, "zeros", WEIGHT_Q8_0, O, C, 1);
}

int main(void) {
    static const int outputs[] = {1, 16, 33, 70}, columns[] = {1, 32, 37, 64, 200};
    static const int rows[] = {1, 2, 3, 4, 5, 9};
    for (int type = WEIGHT_BF16; type <= WEIGHT_Q4_0; type++) {
        for (int dots = 0; dots <= small_dots((enum weight_type)type); dots++) {
            for (int i = 0; i < 4 * 5 * 6; i++) {
                const int O = outputs[i % 4], C = columns[i / 4 % 5], N = rows[i / 20];
                if (type == WEIGHT_BF16) {
                    test_bfloat16(dots, O, C, N);
                } else {
                    test((enum weight_type)type, dots, O, C, N);
                }
            }
        }
    }
    test_ends();
    printf("%d passed, %d failed, %d skipped\n", passed, failed, small_dots(WEIGHT_Q8_0) ? 0 : 1);
    return failed > 0;
}
