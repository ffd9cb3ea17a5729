// matrix.c: numbers of the types of products, and matrices of them on host and device.
#include "tests/cuda/gemm/gemm_test.h"

const char *const type_name[] = {"bf16", "f16", "f32", "tf32"};
const int type_bits[] = {8, 11, 24, 11}; // of the mantissa, with the leading one

bool is_half(enum gemm_type type) {
    return type == GEMM_BF16 || type == GEMM_F16;
}

static size_t type_bytes(enum gemm_type type) {
    return is_half(type) ? 2 : 4;
}

// Rounds to the type, ties to even. Exponents matter here only in f16, whose numbers below 2^-14
// are multiples of 2^-24.
double round_to(double x, enum gemm_type type) {
    if (x == 0.0 || !isfinite(x)) {
        return x;
    }
    int exponent;
    frexp(x, &exponent);
    int unit = exponent - type_bits[type];
    unit = type == GEMM_F16 && unit < -24 ? -24 : unit;
    const double rounded = ldexp(nearbyint(ldexp(x, -unit)), unit);
    return type == GEMM_F16 && fabs(rounded) > 65504.0 ? copysign(INFINITY, x) : rounded;
}

void put(void *data, enum gemm_type type, size_t at, double x) {
    const float value = (float)x; // already a number of the type
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (!is_half(type)) {
        ((float *)data)[at] = value;
    } else if (type == GEMM_BF16) {
        ((uint16_t *)data)[at] = (uint16_t)(bits >> 16);
    } else if (isnan(x)) {
        ((uint16_t *)data)[at] = 0x7e00;
    } else if (isinf(x)) {
        ((uint16_t *)data)[at] = x > 0 ? 0x7c00 : 0xfc00;
    } else {
        int exponent = 0;
        const double part = frexp(fabs(x), &exponent); // in [0.5, 1)
        const uint16_t sign = signbit(x) ? 0x8000 : 0;
        const bool small = x == 0.0 || exponent < -13; // a multiple of 2^-24
        const int mantissa = (int)(small ? ldexp(fabs(x), 24) : ldexp(part, 11));
        ((uint16_t *)data)[at] =
            (uint16_t)(sign | (small ? mantissa : (exponent + 14) << 10 | (mantissa & 0x3ff)));
    }
}

double get(const void *data, enum gemm_type type, size_t at) {
    if (!is_half(type)) {
        return (double)((const float *)data)[at];
    }
    const uint16_t half = ((const uint16_t *)data)[at];
    if (type == GEMM_BF16) {
        const uint32_t bits = (uint32_t)half << 16;
        float value;
        memcpy(&value, &bits, sizeof value);
        return (double)value;
    }
    const int exponent = half >> 10 & 31, mantissa = half & 0x3ff;
    const double size = exponent == 31  ? (mantissa ? (double)NAN : (double)INFINITY)
                        : exponent == 0 ? ldexp(mantissa, -24)
                                        : ldexp(mantissa + 1024, exponent - 25);
    return half & 0x8000 ? -size : size;
}

static uint32_t drawn;

// A number of the type, uniform in [-1, 1). For TF32 it needs no rounding, which devices may do in
// different ways.
static double draw(enum gemm_type type) {
#ifdef DIECAST_EMULATED
    type = type == GEMM_TF32 ? GEMM_F32 : type;
#endif
    return round_to(2.0 * rng_uniform(rng_bits(1, 2, drawn++, 0)) - 1.0, type);
}

// Padding is NaN, and so is everything if the content is poison. On the device it is aligned no
// better than it must be.
struct matrix matrix_make(enum gemm_type type, int rows, int cols, int ld, enum content content) {
    struct matrix m = {type, rows, cols, ld, malloc((size_t)rows * ld * type_bytes(type)), NULL};
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < ld; j++) {
            put(m.host, type, (size_t)i * ld + j,
                j < cols && content == RANDOM ? draw(type) : (double)NAN);
        }
    }
    CUDA_CHECK(cudaMalloc(&m.device, (size_t)rows * ld * type_bytes(type) + GEMM_ALIGN));
    m.device = (char *)m.device + GEMM_ALIGN;
    return m;
}

// On the products' stream, which does not wait for the default one.
void matrix_send(const struct matrix *m) {
    CUDA_CHECK(cudaMemcpyAsync(m->device, m->host, (size_t)m->rows * m->ld * type_bytes(m->type),
                               cudaMemcpyHostToDevice, gpu.stream));
}

void matrix_fetch(struct matrix *m) {
    CUDA_CHECK(cudaStreamSynchronize(gpu.stream));
    CUDA_CHECK(cudaMemcpy(m->host, m->device, (size_t)m->rows * m->ld * type_bytes(m->type),
                          cudaMemcpyDeviceToHost));
}

void matrix_free(struct matrix *m) {
    CUDA_CHECK(cudaFree((char *)m->device - GEMM_ALIGN));
    free(m->host);
}

// Element (i, j) of the operand, or of its transpose.
double seen(const struct matrix *m, bool transposed, int i, int j) {
    const double x =
        get(m->host, m->type, (size_t)(transposed ? j : i) * m->ld + (transposed ? i : j));
    return m->type == GEMM_TF32 ? round_to(x, GEMM_TF32) : x;
}

bool padding_is_nan(const struct matrix *m) {
    for (int i = 0; i < m->rows; i++) {
        for (int j = m->cols; j < m->ld; j++) {
            if (!isnan(get(m->host, m->type, (size_t)i * m->ld + j))) {
                return false;
            }
        }
    }
    return true;
}
