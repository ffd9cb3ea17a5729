// test_normals.c: initial weights are to the bit what rng.c makes one by one, and the polynomials
// behind them are far closer to libm than what they allow for.
#include "runtime/model/normals.c"

#include "tests/runtime/suite.h"

#include <math.h>

static void same_as_one_by_one(uint32_t seed, uint32_t first, uint32_t high, float scale,
                               int count) {
    static float out[1 << 20];
    ck_assert_int_lt(count, 1 << 20);
    out[count] = 123;
    normals_fill(out, count, seed, first, high, scale);
    for (int i = 0; i < count; i++) {
        const uint64_t bits = rng_bits(seed, RNG_INIT, first + (uint32_t)i, high);
        const float wanted = (float)(scale * rng_normal(bits));
        ck_assert_msg(!memcmp(&out[i], &wanted, sizeof wanted), "%d of %d: %a, wanted %a", i, count,
                      out[i], wanted);
    }
    ck_assert(out[count] == 123);
}

START_TEST(the_same_bytes) {
    same_as_one_by_one(1337, 0, 7, 0.02f, 300001);
    same_as_one_by_one(0xffffffff, 0xfffffff0, 0xffffffff, 1.0f, 16); // to the last counter
    same_as_one_by_one(1, 0, 0, 0.02f / 3, 65536);
    for (int count = 0; count < 40; count++) {
        same_as_one_by_one(5, 100, 2, 0.02f, count);
    }
}
END_TEST

static double largest;

static void compare(uint32_t x0, uint32_t x1) {
    const double tau = 6.283185307179586;
    const double u = ((double)x0 + 1) * 0x1p-32, v = (double)x1 * 0x1p-32;
    const double made = normals_root(-2 * normals_log(u)) * normals_cos(tau * v);
    const double error = fabs(made - rng_normal(x0 | (uint64_t)x1 << 32));
    ck_assert(error <= NORMALS_BOUND / 4); // and not NaN
    largest = fmax(largest, error);
}

// About each power of two of u, each eighth of a turn, both ends, and at random.
START_TEST(far_below_the_bound) {
    for (int power = 0; power <= 32; power++) {
        for (int eighth = 0; eighth <= 8; eighth++) {
            for (int a = -20; a <= 20; a++) {
                for (int b = -10; b <= 10; b++) {
                    compare((uint32_t)(1ull << power) + (uint32_t)a,
                            ((uint32_t)eighth << 29) + (uint32_t)b);
                }
            }
        }
    }
    for (uint32_t i = 0; i < 300000; i++) {
        const uint64_t bits = rng_bits(3, 1, i, 4);
        compare((uint32_t)bits, (uint32_t)(bits >> 32));
    }
    ck_assert_double_gt(largest, 0); // they are not libm's own
}
END_TEST

// What one in a hundred thousand takes: both ends of the distance round to different floats.
START_TEST(where_libm_decides) {
    const uint32_t high = 9, seed = 77;
    int decided = 0;
    for (uint32_t i = 0; i < 200000; i++) {
        const double normal = rng_normal(rng_bits(seed, RNG_INIT, i, high));
        if ((float)(normal - NORMALS_BOUND) != (float)(normal + NORMALS_BOUND)) {
            same_as_one_by_one(seed, i, high, 1.0f, 1);
            decided++;
        }
    }
    ck_assert_int_gt(decided, 0);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {the_same_bytes, far_below_the_bound, where_libm_decides};
    return suite_main("normals", tests, sizeof tests / sizeof tests[0]);
}
