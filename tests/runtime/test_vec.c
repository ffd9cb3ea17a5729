// test_vec.c: the vector functions against C's library in doubles, at the width that this is compiled
// for, and what they make of infinities and NaN.
#include "runtime/vec.h"

#include "tests/runtime/suite.h"

#include <math.h>

START_TEST(test_exp) {
    double worst = 0;
    for (float x = -103.0f; x < 88.7f; x += 0.0009f) {
        const double want = exp((double)x), got = vec_exp(vec_splat(x))[VEC - 1];
        const double error = want < 1.2e-38 ? (got - want) / 1.2e-38 : (got - want) / want;
        worst = fabs(error) > worst ? fabs(error) : worst;
    }
    ck_assert_double_lt(worst, 1.2e-7); // a float's last place
    ck_assert_float_eq(vec_exp(vec_splat(-INFINITY))[0], 0.0f);
    ck_assert_float_eq(vec_exp(vec_splat(-1000.0f))[0], 0.0f);
    ck_assert(isinf(vec_exp(vec_splat(89.0f))[0]));
    ck_assert(isinf(vec_exp(vec_splat(INFINITY))[0]));
    ck_assert(isnan(vec_exp(vec_splat(NAN))[0]));
}
END_TEST

START_TEST(test_erf_and_tanh) {
    double worst_erf = 0, worst_tanh = 0;
    for (float x = -6.0f; x < 6.0f; x += 0.0003f) {
        worst_erf = fmax(worst_erf, fabs(vec_erf(vec_splat(x))[0] - erf((double)x)));
        worst_tanh = fmax(worst_tanh, fabs(vec_tanh(vec_splat(x))[0] - tanh((double)x)));
    }
    ck_assert_double_lt(worst_erf, 5e-7);
    ck_assert_double_lt(worst_tanh, 3e-7);
    ck_assert(isnan(vec_erf(vec_splat(NAN))[0]) && isnan(vec_tanh(vec_splat(NAN))[0]));
    ck_assert_float_eq(vec_tanh(vec_splat(100.0f))[0], 1.0f);
    ck_assert_float_eq(vec_tanh(vec_splat(-100.0f))[0], -1.0f);
}
END_TEST

START_TEST(test_not_a_number_passes_activations) {
    ck_assert(isnan(relu(vec_splat(NAN))[0]));
    ck_assert(isnan(gelu_erf(vec_splat(NAN))[0]));
    ck_assert(isnan(gelu_tanh(vec_splat(NAN))[0]));
    ck_assert(isnan(silu(vec_splat(NAN))[0]));
}
END_TEST

START_TEST(test_derivatives_are_flat_far_out) {
    for (float x = 20.0f; x < 1e30f; x *= 1e5f) {
        ck_assert_float_eq(gelu_erf_grad(vec_splat(x))[0], 1.0f);
        ck_assert_float_eq(gelu_tanh_grad(vec_splat(x))[0], 1.0f);
        ck_assert_float_eq(gelu_erf_grad(vec_splat(-x))[0], 0.0f);
        ck_assert_float_eq(gelu_tanh_grad(vec_splat(-x))[0], 0.0f);
    }
    ck_assert(isnan(gelu_tanh_grad(vec_splat(NAN))[0]));
}
END_TEST

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
    const TTest *const tests[] = {test_exp, test_erf_and_tanh, test_not_a_number_passes_activations,
                                  test_derivatives_are_flat_far_out, test_partial_loads_and_stores};
    return suite_main("vec", tests, sizeof tests / sizeof *tests);
}
