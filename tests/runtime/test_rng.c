// test_rng.c: compares the generator with published values, and checks the distributions made from
// it.
#include "tests/runtime/suite.h"

#include <math.h>

static uint64_t words(uint32_t x0, uint32_t x1) {
    return x0 | (uint64_t)x1 << 32;
}

// From the kat_vectors file of Random123, the authors' own implementation.
START_TEST(known_answers) {
    ck_assert_uint_eq(rng_bits(0, 0, 0, 0), words(0x6b200159, 0x99ba4efe));
    ck_assert_uint_eq(rng_bits(0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff),
                      words(0x1cb996fc, 0xbb002be7));
    ck_assert_uint_eq(rng_bits(0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3),
                      words(0xc4923a9c, 0x483df7a0));
}
END_TEST

START_TEST(every_word_of_key_and_counter_counts) {
    uint64_t bits = rng_bits(1, 2, 3, 4);
    ck_assert_uint_ne(bits, rng_bits(5, 2, 3, 4));
    ck_assert_uint_ne(bits, rng_bits(1, 5, 3, 4));
    ck_assert_uint_ne(bits, rng_bits(1, 2, 5, 4));
    ck_assert_uint_ne(bits, rng_bits(1, 2, 3, 5));
}
END_TEST

START_TEST(below_keeps_its_bound) {
    ck_assert_uint_eq(rng_below(0, 7), 0);
    ck_assert_uint_eq(rng_below(UINT64_MAX, 7), 6);
    ck_assert_uint_eq(rng_below(UINT64_MAX, 1), 0);
    ck_assert_uint_eq(rng_below(UINT64_MAX, UINT64_MAX), UINT64_MAX - 1);
    ck_assert_uint_eq(rng_below(1ull << 63, 10), 5);
    int counts[7] = {0};
    for (uint32_t i = 0; i < 70000; i++) {
        counts[rng_below(rng_bits(1337, 0, i, 0), 7)]++;
    }
    for (int i = 0; i < 7; i++) {
        ck_assert_int_gt(counts[i], 10000 - 500); // 5 standard deviations
        ck_assert_int_lt(counts[i], 10000 + 500);
    }
}
END_TEST

START_TEST(uniform_is_in_its_half_open_range) {
    ck_assert_double_eq(rng_uniform(0), 0);
    ck_assert_double_lt(rng_uniform(UINT64_MAX), 1);
    ck_assert_double_eq(rng_uniform(1ull << 63), 0.5);
    double sum = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        sum += rng_uniform(rng_bits(1, 2, i, 0));
    }
    ck_assert_double_eq_tol(sum / 100000, 0.5, 0.005);
}
END_TEST

START_TEST(normal_has_the_moments_of_one) {
    double moment[5] = {0};
    const int n = 200000;
    for (int i = 0; i < n; i++) {
        double z = rng_normal(rng_bits(1337, RNG_INIT, (uint32_t)i, 0));
        ck_assert(isfinite(z));
        for (int k = 1; k <= 4; k++) {
            moment[k] += pow(z, k) / n;
        }
    }
    ck_assert_double_eq_tol(moment[1], 0, 0.012);
    ck_assert_double_eq_tol(moment[2], 1, 0.02);
    ck_assert_double_eq_tol(moment[3], 0, 0.05);
    ck_assert_double_eq_tol(moment[4], 3, 0.12);
    // The ends of the range: log never sees 0.
    ck_assert(isfinite(rng_normal(0)));
    ck_assert(isfinite(rng_normal(UINT64_MAX)));
    ck_assert_double_eq_tol(rng_normal(0), sqrt(64 * log(2)), 1e-12);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        known_answers,
        every_word_of_key_and_counter_counts,
        below_keeps_its_bound,
        uniform_is_in_its_half_open_range,
        normal_has_the_moments_of_one,
    };
    return suite_main("rng", tests, sizeof tests / sizeof *tests);
}
