// test_vec.c: loads and stores of a part of a vector, and sums, at the width that this is compiled
// for. tests/ops/math tests the functions of vec_math.h.
#include "runtime/kernel/vec.h"

#include "tests/runtime/suite.h"

START_TEST(test_partial_loads_and_stores) {
    for (int n = 1; n <= VEC; n++) {
        float from[VEC], to[VEC];
        for (int i = 0; i < VEC; i++) {
            from[i] = (float)(i + 1);
            to[i] = -1.0f;
        }
        const vec v = vec_load_n(from, n);
        vec_store_n(to, v + 10.0f, n);
        for (int i = 0; i < VEC; i++) {
            ck_assert_float_eq(v[i], i < n ? (float)(i + 1) : 0.0f);
            ck_assert_float_eq(to[i], i < n ? (float)(i + 11) : -1.0f);
        }
        ck_assert_float_eq(vec_sum(v), (float)(n * (n + 1) / 2));
        ck_assert_float_eq(vec_largest(v), (float)n);
    }
}
END_TEST

int main(void) {
    const TTest *const tests[] = {test_partial_loads_and_stores};
    return suite_main("vec", tests, sizeof tests / sizeof *tests);
}
