// math.c: compares the functions of vec_math.h with C's library in double, at the width that this
// is compiled for.
//
//     math STEP     checks every STEP-th float, 1 being all, of the ranges below
//     math --bits   one line for each function: a hash of its results, to compare builds
//
// A function's error may be `bound` times the last place of the correct result. An activation's may
// be `bound` times the larger of that and 2^-24 |x|, since the rounding of Phi(x) is multiplied by
// x.
#include "runtime/kernel/vec_math.h"

#include <float.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct function {
    const char *name;
    void (*vector)(float *out, const float *in, size_t count); // count being a multiple of VEC
    double (*right)(double x);
    double bound;
    bool activation;
    // Every STEP-th float of either sign with |x| from `dense` up to `last`, and every
    // (1009 STEP)-th of the others.
    float dense, last;
};

// ---- the correct results ------------------------------------------------------------------------

static double normal(double x) {
    return 0.5 * erfc(-x * sqrt(0.5));
}

static double density(double x) {
    return exp(-0.5 * x * x) / sqrt(2 * M_PI);
}

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

static double right_gelu_erf(double x) {
    return isinf(x) ? fmax(x, 0) : x * normal(x);
}

static double right_gelu_erf_grad(double x) {
    return isinf(x) ? x > 0 : normal(x) + x * density(x);
}

// 2 sqrt(2 / pi) (x + 0.044715 x^3) and its slope
static double bent(double x) {
    return 2 * sqrt(2 / M_PI) * x * (1 + 0.044715 * x * x);
}

static double right_gelu_tanh(double x) {
    return isinf(x) ? fmax(x, 0) : x * sigmoid(bent(x));
}

static double right_gelu_tanh_grad(double x) {
    if (fabs(x) > 30) {
        return x > 0;
    }
    const double s = sigmoid(bent(x)), other = sigmoid(-bent(x));
    return s + x * s * other * 2 * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
}

static double right_relu(double x) {
    return x > 0 ? x : 0;
}

static double right_relu_grad(double x) {
    return x > 0;
}

static double right_relu2(double x) {
    return right_relu(x) * right_relu(x);
}

static double right_relu2_grad(double x) {
    return 2 * right_relu(x);
}

static double right_silu(double x) {
    return x * sigmoid(x);
}

static double right_silu_grad(double x) {
    return sigmoid(x) * (1 + x * sigmoid(-x));
}

// vec_exp2's argument is at most 127.
static double right_exp2(double x) {
    return isnan(x) ? x : exp2(fmin(127, fmax(-126, x)));
}

VEC_INLINE vec exp2_to_127(vec x) {
    return vec_exp2(vec_min(vec_splat(127.0f), x));
}

// ---- accuracy -----------------------------------------------------------------------------------

#define VECTOR(function)                                                                           \
    static void each_##function(float *out, const float *in, size_t count) {                       \
        for (size_t i = 0; i < count; i += VEC) {                                                  \
            vec_store(out + i, function(vec_load(in + i)));                                        \
        }                                                                                          \
    }
VECTOR(vec_exp)
VECTOR(vec_exp_to_40)
VECTOR(exp2_to_127)
VECTOR(vec_log)
VECTOR(vec_tanh)
VECTOR(vec_erf)
VECTOR(gelu_erf)
VECTOR(gelu_erf_grad)
VECTOR(gelu_tanh)
VECTOR(gelu_tanh_grad)
VECTOR(relu)
VECTOR(relu_grad)
VECTOR(relu2)
VECTOR(relu2_grad)
VECTOR(silu)
VECTOR(silu_grad)

static const struct function functions[] = {
    {"exp", each_vec_exp, exp, 2, false, 0x1p-26f, 105},
    {"exp2", each_exp2_to_127, right_exp2, 2, false, 0x1p-26f, 127},
    {"log", each_vec_log, log, 2, false, 0.25f, 4},
    {"tanh", each_vec_tanh, tanh, 2, false, 0x1p-14f, 10.5f},
    {"erf", each_vec_erf, erf, 2, false, 0x1p-14f, 4.25f},
    {"gelu_erf", each_gelu_erf, right_gelu_erf, 4, true, 0x1p-4f, 8},
    {"gelu_erf_grad", each_gelu_erf_grad, right_gelu_erf_grad, 4, true, 0x1p-4f, 8},
    {"gelu_tanh", each_gelu_tanh, right_gelu_tanh, 3, true, 0x1p-4f, 12},
    {"gelu_tanh_grad", each_gelu_tanh_grad, right_gelu_tanh_grad, 4, true, 0x1p-4f, 12},
    {"relu", each_relu, right_relu, 0, true, 1, 2},
    {"relu_grad", each_relu_grad, right_relu_grad, 0, true, 1, 2},
    {"relu2", each_relu2, right_relu2, 1, true, 1, 2},
    {"relu2_grad", each_relu2_grad, right_relu2_grad, 1, true, 1, 2},
    {"silu", each_silu, right_silu, 3, true, 0x1p-4f, 110},
    {"silu_grad", each_silu_grad, right_silu_grad, 3, true, 0x1p-4f, 110},
};
enum { FUNCTIONS = sizeof functions / sizeof *functions, BLOCK = 1024 };

static float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t to_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

// The distance of the two floats around a value; near 0 that of subnormal floats.
static double last_place(double value) {
    int exponent;
    frexp(value, &exponent);
    return ldexp(1, exponent - 24 > -149 ? exponent - 24 : -149);
}

// A result's error in units of the bound; infinity if no error is allowed.
static double error_of(const struct function *f, float x, float got) {
    const double want = f->right(x);
    if (isnan(want) || isnan(got)) {
        return isnan(want) && isnan(got) ? 0 : INFINITY;
    }
    // Rounding to nearest: from half a last place above FLT_MAX on a float is infinite.
    if (fabs(want) >= 0x1.ffffffp127) {
        return got == (want > 0 ? INFINITY : -INFINITY) ||
                       (fabs(want) < 0x1.000002p128 && fabsf(got) == FLT_MAX)
                   ? 0
                   : INFINITY;
    }
    if (isinf(got)) {
        return want > 0x1.fffffcp127 && got > 0 ? 1 : INFINITY;
    }
    double unit = last_place(want);
    if (f->activation) {
        unit = fmax(unit, fabs((double)x) * 0x1p-24);
    }
    return fabs(got - want) / unit;
}

struct worst {
    double error;
    float x, got;
};

// Checks floats whose bits are first, first + step, ... up to last, with either sign.
static void check_range(const struct function *f, uint32_t first, uint32_t last, uint32_t step,
                        struct worst *worst) {
    const int64_t blocks = ((int64_t)(last - first) / step + BLOCK) / BLOCK;
#pragma omp parallel for schedule(dynamic, 16)
    for (int64_t b = 0; b < 2 * blocks; b++) {
        float in[BLOCK], out[BLOCK];
        const uint32_t sign = b % 2 ? 0x80000000u : 0;
        for (int i = 0; i < BLOCK; i++) {
            const int64_t bits = first + (b / 2 * BLOCK + i) * (int64_t)step;
            in[i] = from_bits((uint32_t)(bits < last ? bits : last) | sign);
        }
        f->vector(out, in, BLOCK);
        struct worst mine = {0, 0, 0};
        for (int i = 0; i < BLOCK; i++) {
            const double error = error_of(f, in[i], out[i]);
            if (error > mine.error) {
                mine = (struct worst){error, in[i], out[i]};
            }
        }
#pragma omp critical
        if (mine.error > worst->error) {
            *worst = mine;
        }
    }
}

static int passed, failed;
static bool right_values = true; // of the test that runs

static void count(bool ok) {
    passed += ok;
    failed += !ok;
}

static void check_accuracy(uint32_t step) {
    for (int k = 0; k < FUNCTIONS; k++) {
        const struct function *f = &functions[k];
        const uint32_t dense = to_bits(f->dense), last = to_bits(f->last), end = to_bits(INFINITY);
        struct worst worst = {0, 0, 0};
        check_range(f, 0, dense, 1009 * step, &worst);
        check_range(f, dense, last, step, &worst);
        check_range(f, last, end, 1009 * step, &worst);
        const bool ok = worst.error <= f->bound;
        count(ok);
        printf("%s%-14s %.3f of %g at %.9g (%a), which gives %.9g\n", ok ? "" : "FAILED: ", f->name,
               worst.error, f->bound, worst.x, worst.x, worst.got);
    }
}

// ---- special values -----------------------------------------------------------------------------

static float at(const struct function *f, float x) {
    float in[VEC], out[VEC];
    for (int i = 0; i < VEC; i++) {
        in[i] = x;
    }
    f->vector(out, in, VEC);
    for (int i = 1; i < VEC; i++) {
        if (to_bits(out[i]) != to_bits(out[0])) {
            printf("FAILED: %s(%a) differs in lane %d\n", f->name, x, i);
            right_values = false;
        }
    }
    return out[0];
}

static const struct function *named(const char *name) {
    int k = 0;
    while (strcmp(functions[k].name, name) != 0) {
        k++;
    }
    return &functions[k];
}

// Checks for the same bits, so that 0 has a sign; all NaNs are equal.
static void expect(const char *name, float x, float want) {
    const float got = at(named(name), x);
    if (isnan(want) ? !isnan(got) : to_bits(got) != to_bits(want)) {
        right_values = false;
        printf("FAILED: %s(%a) is %a, not %a\n", name, x, got, want);
    }
}

static void expect_zero(const char *name, float x) {
    const float got = at(named(name), x);
    if (got != 0) {
        right_values = false;
        printf("FAILED: %s(%a) is %a, not 0\n", name, x, got);
    }
}

static void count_values(void) {
    count(right_values);
    right_values = true;
}

// For large |x| an activation is exactly x or 0 and its derivative 1 or 0.
static void check_far_out(const char *name, float from, bool to_infinity) {
    char grad[32];
    snprintf(grad, sizeof grad, "%s_grad", name);
    for (float x = from; x < FLT_MAX / 4; x *= 4) {
        expect(name, x, x);
        expect_zero(name, -x);
        expect(grad, x, 1.0f);
        expect_zero(grad, -x);
    }
    expect(name, 0.0f, 0.0f);
    expect(name, FLT_MAX, FLT_MAX);
    expect(name, INFINITY, INFINITY);
    if (to_infinity) {
        expect_zero(name, -INFINITY);
        expect(grad, INFINITY, 1.0f);
        expect_zero(grad, -INFINITY);
    }
    count_values();
}

// Compares vec_exp_to_40 with vec_exp at every 1009th float, NaNs too, cut off at 40.
static void check_exp_to_40(void) {
    for (uint64_t bits = 0; bits < (uint64_t)1 << 32;) {
        float in[BLOCK], right[BLOCK], out[BLOCK];
        for (int i = 0; i < BLOCK; i++, bits += 1009) {
            in[i] = from_bits((uint32_t)bits) > 40 ? 40 : from_bits((uint32_t)bits);
        }
        each_vec_exp(right, in, BLOCK);
        each_vec_exp_to_40(out, in, BLOCK);
        for (int i = 0; i < BLOCK; i++) {
            if (isnan(right[i]) ? !isnan(out[i]) : to_bits(right[i]) != to_bits(out[i])) {
                right_values = false;
                printf("FAILED: exp_to_40(%a) is %a, not %a\n", in[i], out[i], right[i]);
            }
        }
    }
    count_values();
}

static void check_values(void) {
    for (int k = 0; k < FUNCTIONS; k++) {
        if (strcmp(functions[k].name, "relu_grad") != 0) { // a comparison: 0 for a NaN
            expect(functions[k].name, NAN, NAN);
            expect(functions[k].name, -NAN, NAN);
            expect(functions[k].name, from_bits(0x7fffffff), NAN);
            count_values();
        }
    }
    expect("exp", 0.0f, 1.0f);
    expect("exp", -0.0f, 1.0f);
    expect("exp", 0x1p-149f, 1.0f);
    expect("exp", INFINITY, INFINITY);
    expect("exp", FLT_MAX, INFINITY);
    expect("exp", 89.0f, INFINITY);
    expect("exp", -INFINITY, 0.0f);
    expect("exp", -FLT_MAX, 0.0f);
    expect("exp", -1000.0f, 0.0f);
    count_values();
    check_exp_to_40();
    expect("exp2", 0.0f, 1.0f);
    expect("exp2", -0.0f, 1.0f);
    expect("exp2", 127.0f, 0x1p127f);
    expect("exp2", -126.0f, 0x1p-126f);
    expect("exp2", -INFINITY, 0x1p-126f);
    expect("exp2", -FLT_MAX, 0x1p-126f);
    count_values();
    expect("log", 1.0f, 0.0f);
    expect("log", 0.0f, -INFINITY);
    expect("log", -0.0f, -INFINITY);
    expect("log", INFINITY, INFINITY);
    expect("log", -0x1p-149f, NAN);
    expect("log", -1.0f, NAN);
    expect("log", -INFINITY, NAN);
    count_values();
    static const char *const odd[] = {"tanh", "erf"};
    for (int k = 0; k < 2; k++) {
        expect(odd[k], 0.0f, 0.0f);
        expect(odd[k], -0.0f, -0.0f);
        expect(odd[k], INFINITY, 1.0f);
        expect(odd[k], -INFINITY, -1.0f);
        expect(odd[k], 100.0f, 1.0f);
        expect(odd[k], -100.0f, -1.0f);
        count_values();
    }
    check_far_out("gelu_erf", 16, true);
    check_far_out("gelu_tanh", 16, true);
    check_far_out("relu", 16, true);
    check_far_out("silu", 128, false); // -inf / inf
    const char *const half[] = {"gelu_erf_grad", "gelu_tanh_grad", "silu_grad"};
    for (int k = 0; k < 3; k++) {
        expect(half[k], 0.0f, 0.5f);
        expect(half[k], -0.0f, 0.5f);
        count_values();
    }
}

// ---- the same bits from every build -------------------------------------------------------------

static void print_bits(void) {
    for (int k = 0; k < FUNCTIONS; k++) {
        uint64_t hash = 14695981039346656037u;
        for (uint64_t bits = 0; bits < (uint64_t)1 << 32;) {
            float in[BLOCK], out[BLOCK];
            for (int i = 0; i < BLOCK; i++, bits += 4093) {
                in[i] = from_bits((uint32_t)bits);
            }
            functions[k].vector(out, in, BLOCK);
            for (int i = 0; i < BLOCK; i++) {
                hash = (hash ^ (isnan(out[i]) ? 0x7fc00000u : to_bits(out[i]))) * 1099511628211u;
            }
        }
        printf("%-14s %016llx\n", functions[k].name, (unsigned long long)hash);
    }
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--bits") == 0) {
        print_bits();
        return 0;
    }
    const int step = argc == 2 ? atoi(argv[1]) : 0;
    if (step < 1) {
        fprintf(stderr, "usage: %s STEP | --bits\n", argv[0]);
        return 64;
    }
    check_accuracy((uint32_t)step);
    check_values();
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
