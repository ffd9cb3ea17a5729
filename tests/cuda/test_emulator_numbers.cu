// test_emulator_numbers.cu: compares every function of runtime/kernel/kernel.cuh with a plain
// reference.
//
// It knows nothing of the emulator, so that nvcc builds it too and a device gives the same answers:
//     nvcc -std=c++17 -arch=native -I runtime/kernel -o numbers tests/cuda/test_emulator_numbers.cu
// On the emulator the environment says which schedule runs (test_emulator.sh runs all three).
#include "kernel.cuh"

#include <math.h>
#include <string.h>

static int passed, failed;

static void check(bool good, const char *name) {
    *(good ? &passed : &failed) += 1;
    if (!good)
        printf("numbers: %s: FAILED\n", name);
}

static void must(cudaError_t error, int line) {
    if (error == cudaSuccess)
        return;
    printf("numbers: line %d: %s\n", line, cudaGetErrorName(error));
    exit(1);
}
#define MUST(call) must(call, __LINE__)

// Device copies of host arrays.
template <class T> static T *to_device(const T *from, int n) {
    T *p = nullptr;
    MUST(cudaMalloc((void **)&p, n * sizeof(T)));
    if (from)
        MUST(cudaMemcpy(p, from, n * sizeof(T), cudaMemcpyHostToDevice));
    return p;
}

template <class T> static void from_device(T *to, T *p, int n) {
    MUST(cudaMemcpy(to, p, n * sizeof(T), cudaMemcpyDeviceToHost));
    MUST(cudaFree(p));
}

static uint32_t seed = 1;

static float random_float(void) { // -2 to 2
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / (1 << 22) - 2;
}

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

// ---- elements: references in doubles, by the definition of the formats --------------------------

struct format {
    int digits, smallest; // binary digits after the point; exponent of the smallest normal number
    double largest;
};
static const struct format bf16_format = {7, -126, 0x1.fep127}, f16_format = {10, -14, 65504};

template <class T> static const struct format *format_of(void);
template <> const struct format *format_of<bf16>(void) {
    return &bf16_format;
}
template <> const struct format *format_of<f16>(void) {
    return &f16_format;
}

static double format_value(const struct format *f, uint16_t bits) {
    const int digits = f->digits, most = (1 << (15 - digits)) - 1;
    const int exponent = bits >> digits & most, rest = bits & ((1 << digits) - 1);
    double x = exponent == 0 ? ldexp(rest, f->smallest - digits)
               : exponent == most
                   ? (rest ? NAN : INFINITY)
                   : ldexp(rest + (1 << digits), f->smallest - digits + exponent - 1);
    return bits >> 15 ? -x : x;
}

static double format_round(const struct format *f, double x) {
    if (!isfinite(x) || x == 0)
        return x;
    int exponent;
    frexp(x, &exponent);
    exponent = exponent - 1 < f->smallest ? f->smallest : exponent - 1;
    const double step = ldexp(1, exponent - f->digits), y = rint(x / step) * step;
    return fabs(y) > f->largest ? copysign(INFINITY, x) : y;
}

static bool same(double a, double b) {
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

template <class T> static T element(uint16_t bits) {
    T x;
    memcpy((void *)&x, &bits, 2);
    return x;
}

template <class T> static uint16_t element_bits(T x) {
    uint16_t bits;
    memcpy(&bits, (const void *)&x, 2);
    return bits;
}

// The element nearest to x, found without from_f32.
template <class T> static T nearest(float x) {
    const struct format *f = format_of<T>();
    const double y = format_round(f, x);
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        const int digits = f->digits, most = (1 << (15 - digits)) - 1;
        if ((int)(bits >> digits & most) != most && same(format_value(f, (uint16_t)bits), y))
            return element<T>((uint16_t)bits);
    }
    return element<T>(0);
}

template <class T> KERNEL(256) widen(float *y, const T *x) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    y[i] = to_f32(x[i]);
}

template <class T> KERNEL(256) narrow(T *y, uint32_t *pairs, const float *x) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    y[i] = from_f32<T>(x[i]);
    pairs[i] = pack2<T>(x[i], x[i ^ 1]);
}

enum { ALL = 0x10000 };
static float floats[ALL], floats2[ALL];
static uint32_t words[ALL];

template <class T> static void test_elements(const char *name) {
    static T elements[ALL];
    const struct format *f = format_of<T>();
    char what[64];
    for (int i = 0; i < ALL; i++)
        elements[i] = element<T>((uint16_t)i);
    T *x = to_device(elements, ALL);
    float *y = to_device<float>(nullptr, ALL);
    LAUNCH(widen<T>, ALL / 256, 256, 0, 0, y, x);
    from_device(floats, y, ALL);
    MUST(cudaFree(x));
    bool good = true;
    for (int i = 0; i < ALL; i++)
        good = good && same(floats[i], format_value(f, (uint16_t)i));
    snprintf(what, sizeof what, "to_f32 of every %s", name);
    check(good, what);

    // halfway between two elements, one bit above and below that, all sizes, and special values
    for (int i = 0; i < ALL; i++) {
        seed = seed * 1664525u + 1013904223u;
        const uint32_t bits = seed ^ seed >> 15;
        const double middle =
            (format_value(f, (uint16_t)i) + format_value(f, (uint16_t)(i + 1))) / 2;
        floats[i] = i % 4 == 0 ? float_of(bits) : float_of(bits_of((float)middle) + (i % 4 - 2));
    }
    const float special[] = {0,     -0.0f,      INFINITY, -INFINITY, NAN,
                             65504, 65519.996f, 65520,    3.4e38f,   1e-45f};
    memcpy(floats, special, sizeof special);
    float *from = to_device(floats, ALL);
    T *to = to_device<T>(nullptr, ALL);
    uint32_t *pairs = to_device<uint32_t>(nullptr, ALL);
    LAUNCH(narrow<T>, ALL / 256, 256, 0, 0, to, pairs, from);
    from_device(elements, to, ALL);
    from_device(words, pairs, ALL);
    MUST(cudaFree(from));
    good = true;
    for (int i = 0; i < ALL; i++)
        good = good && same(format_value(f, element_bits(elements[i])), format_round(f, floats[i]));
    snprintf(what, sizeof what, "from_f32 to %s", name);
    check(good, what);
    good = true;
    for (int i = 0; i < ALL; i++)
        good = good && words[i] == (element_bits(elements[i]) |
                                    (uint32_t)element_bits(elements[i ^ 1]) << 16);
    snprintf(what, sizeof what, "pack2 of %s", name);
    check(good, what);
}

// ---- vectors ------------------------------------------------------------------------------------

// x (N vecs) times 2 to y, through each way of loading and storing
template <class T> KERNEL(32) double_vectors(T *y, const T *x) {
    const int i = threadIdx.x * VEC;
    struct vec a = vec_load(x + i), b = vec_load_once(x + i), c = vec_load_n(x + i, 3, 5.0f),
               d = vec_load_n(x + i, VEC, 5.0f), e = vec_fill(0.25f);
    for (int j = 0; j < VEC; j++) {
        a.v[j] = a.v[j] + b.v[j];
        c.v[j] += d.v[j] + e.v[j];
    }
    vec_store(y + i, a);
    vec_store_once(y + 32 * VEC + i, c);
}

template <class T> static void test_vectors(const char *name) {
    enum { N = 32 * VEC };
    T x[N], y[2 * N];
    float values[N];
    for (int i = 0; i < N; i++) {
        values[i] = (float)(i % 61) - 30;
        if constexpr (sizeof(T) == 4)
            x[i] = values[i];
        else
            x[i] = nearest<T>(values[i]);
    }
    T *dx = to_device(x, N), *dy = to_device<T>(nullptr, 2 * N);
    LAUNCH(double_vectors<T>, 1, 32, 0, 0, dy, dx);
    from_device(y, dy, 2 * N);
    MUST(cudaFree(dx));
    bool good = true;
    for (int i = 0; i < N; i++) {
        const float twice = 2 * values[i], more = (i % VEC < 3 ? values[i] : 5) + values[i] + 0.25f;
        float a, b;
        if constexpr (sizeof(T) == 4) {
            a = y[i] - twice;
            b = y[N + i] - more;
        } else {
            a = (float)(format_value(format_of<T>(), element_bits(y[i])) - twice);
            b = (float)(format_value(format_of<T>(), element_bits(y[N + i])) - more);
        }
        good = good && a == 0 && b == 0;
    }
    char what[64];
    snprintf(what, sizeof what, "vectors of %s", name);
    check(good, what);
}

// ---- lanes and threads --------------------------------------------------------------------------

KERNEL(64) shuffles(int *y) { // y (5, 64)
    const int t = threadIdx.x;
    y[t] = warp_shfl_xor(t, 5);
    y[64 + t] = warp_shfl(t, (t + 7) % 32);
    y[128 + t] = warp_shfl_up(t, 3);
    y[192 + t] = warp_shfl_down(t, 4);
    y[256 + t] = (int)warp_shfl((uint32_t)t, 9);
}

static void test_shuffles(void) {
    int y[5][64];
    int *d = to_device<int>(nullptr, 5 * 64);
    LAUNCH(shuffles, 1, 64, 0, 0, d);
    from_device(&y[0][0], d, 5 * 64);
    bool good = true;
    for (int t = 0; t < 64; t++) {
        const int base = t & 32, lane = t & 31;
        good = good && y[0][t] == (t ^ 5) && y[1][t] == base + (t + 7) % 32 &&
               y[2][t] == (lane < 3 ? t : t - 3) && y[3][t] == (lane > 27 ? t : t + 4) &&
               y[4][t] == base + 9;
    }
    check(good, "shuffles");
}

KERNEL(96) reductions(float *y, const float *x) { // x (2, 96), y (2, 4, 96)
    SHARED(float, part, [32]);
    const int t = threadIdx.x;
    const float v = x[blockIdx.x * 96 + t];
    y += blockIdx.x * 4 * 96;
    y[t] = warp_sum(v);
    y[96 + t] = warp_max(v);
    y[192 + t] = block_sum(v, part);
    y[288 + t] = block_max(v, part);
}

static void test_reductions(void) {
    float x[2][96], y[2][4][96];
    for (int i = 0; i < 192; i++)
        x[i / 96][i % 96] = floorf(random_float() * 1000) - 3000; // sums are exact
    float *dx = to_device(&x[0][0], 192), *dy = to_device<float>(nullptr, 8 * 96);
    LAUNCH(reductions, 2, 96, 0, 0, dy, dx);
    from_device(&y[0][0][0], dy, 8 * 96);
    MUST(cudaFree(dx));
    bool good = true;
    for (int b = 0; b < 2; b++) {
        float sum = 0, most = -INFINITY;
        for (int t = 0; t < 96; t++) {
            sum += x[b][t];
            most = fmaxf(most, x[b][t]);
        }
        for (int t = 0; t < 96; t++) {
            float wsum = 0, wmost = -INFINITY;
            for (int l = t / 32 * 32; l < t / 32 * 32 + 32; l++) {
                wsum += x[b][l];
                wmost = fmaxf(wmost, x[b][l]);
            }
            good = good && y[b][0][t] == wsum && y[b][1][t] == wmost && y[b][2][t] == sum &&
                   y[b][3][t] == most;
        }
    }
    check(good, "sums and maxima of warps and blocks");
}

// Two warps hand eight tiles to two others through one buffer: barrier 1 is "full", 2 is "empty".
KERNEL(128) hand_over(int *y) { // y (8, 64)
    SHARED(int, tile, [64]);
    const int t = threadIdx.x;
    if (t < 64)
        for (int i = 0; i < 8; i++) {
            if (i > 0)
                barrier_sync(2, 128);
            tile[t] = i * 1000 + t;
            barrier_arrive(1, 128);
        }
    else
        for (int i = 0; i < 8; i++) {
            barrier_sync(1, 128);
            y[i * 64 + t - 64] = tile[127 - t];
            if (i < 7)
                barrier_arrive(2, 128);
        }
}

static void test_hand_over(void) {
    int y[8][64];
    int *d = to_device<int>(nullptr, 8 * 64);
    LAUNCH(hand_over, 1, 128, 0, 0, d);
    from_device(&y[0][0], d, 8 * 64);
    bool good = true;
    for (int i = 0; i < 8; i++)
        for (int t = 0; t < 64; t++)
            good = good && y[i][t] == i * 1000 + 63 - t;
    check(good, "named barriers");
}

KERNEL(48) indices(int *y, int *sizes) { // a grid of 3 x 2 x 2 blocks of 4 x 3 x 4 threads
    const int block = blockIdx.x + 3 * (blockIdx.y + 2 * blockIdx.z);
    y[block * 48 + threadIdx.x + 4 * (threadIdx.y + 3 * threadIdx.z)] =
        block * 48 + threadIdx.x + 4 * threadIdx.y + 12 * threadIdx.z;
    if (block == 0 && threadIdx.x + threadIdx.y + threadIdx.z == 0) {
        sizes[0] = gridDim.x * 100 + gridDim.y * 10 + gridDim.z;
        sizes[1] = blockDim.x * 100 + blockDim.y * 10 + blockDim.z;
    }
}

static void test_indices(void) {
    int y[12 * 48], sizes[2];
    int *d = to_device<int>(nullptr, 12 * 48), *s = to_device<int>(nullptr, 2);
    LAUNCH(indices, dim3(3, 2, 2), dim3(4, 3, 4), 0, 0, d, s);
    from_device(y, d, 12 * 48);
    from_device(sizes, s, 2);
    bool good = sizes[0] == 322 && sizes[1] == 434;
    for (int i = 0; i < 12 * 48; i++)
        good = good && y[i] == i;
    check(good, "indices of threads and blocks");
}

// The last block to arrive adds up what all have written.
KERNEL(32) last_block(uint32_t *sum, uint32_t *part, uint32_t *arrived) {
    if (threadIdx.x > 0)
        return;
    part[blockIdx.x] = blockIdx.x * blockIdx.x;
    fence_device();
    if (atomic_add(arrived, 1) != gridDim.x - 1)
        return;
    fence_device();
    uint32_t total = 0;
    for (unsigned i = 0; i < gridDim.x; i++)
        total += part[i];
    *sum = total;
}

static void test_last_block(void) {
    const uint32_t zero = 0;
    uint32_t result;
    uint32_t *sum = to_device<uint32_t>(nullptr, 1), *part = to_device<uint32_t>(nullptr, 20),
             *arrived = to_device(&zero, 1);
    LAUNCH(last_block, 20, 32, 0, 0, sum, part, arrived);
    from_device(&result, sum, 1);
    MUST(cudaFree(part));
    MUST(cudaFree(arrived));
    check(result == 2470, "atomic_add and the last block");
}

KERNEL(128) dynamic(float *y, int *aligned) {
    SHARED(float, before, [3]);
    SHARED_DYNAMIC(float, row);
    const int t = threadIdx.x;
    if (t < 3)
        before[t] = 1;
    for (int i = t; i < 15000; i += 128)
        row[i] = (float)i;
    block_sync();
    y[t] = row[14999 - t] + before[t % 3];
    *aligned = (size_t)row % 128 == 0;
}

KERNEL(128) dynamic_1024(float *y, int *aligned) {
    SHARED_DYNAMIC_1024(float, row);
    const int t = threadIdx.x;
    row[t] = (float)t;
    block_sync();
    y[t] = row[127 - t];
    *aligned = (size_t)row % 1024 == 0;
}

static void test_dynamic(void) {
    float y[2][128];
    int aligned[2];
    float *d = to_device<float>(nullptr, 256);
    int *a = to_device<int>(nullptr, 2);
    LAUNCH(dynamic, 1, 128, 60000, 0, d, a);
    LAUNCH(dynamic_1024, 1, 128, 512, 0, d + 128, a + 1);
    from_device(&y[0][0], d, 256);
    from_device(aligned, a, 2);
    bool good = aligned[0] && aligned[1];
    for (int t = 0; t < 128; t++)
        good = good && y[0][t] == 15000 - t && y[1][t] == 127 - t;
    check(good, "dynamic shared memory");
}

KERNEL(32) exponentials(float *y, const float *x) {
    y[threadIdx.x] = exp2_fast(x[threadIdx.x]);
}

static void test_exp2(void) {
    float x[32], y[32];
    for (int i = 0; i < 32; i++)
        x[i] = random_float() * 60;
    const float special[] = {0, 1, -126, -127, -150, -INFINITY, 128, INFINITY, NAN, 127.99999f, -1};
    memcpy(x, special, sizeof special);
    float *dx = to_device(x, 32), *dy = to_device<float>(nullptr, 32);
    LAUNCH(exponentials, 1, 32, 0, 0, dy, dx);
    from_device(y, dy, 32);
    MUST(cudaFree(dx));
    bool good = true;
    for (int i = 0; i < 32; i++) {
        double want = exp2((double)x[i]);
        want = want < 0x1p-126 ? 0 : want >= 0x1p128 ? INFINITY : want;
        good = good && (same(y[i], want) || fabs(y[i] - want) <= want * 3e-7);
    }
    check(good, "exp2_fast");
}

// ---- tiles --------------------------------------------------------------------------------------

// A 4-stage ring of cp.async: y (N) = x (N) with zeros where i % 5 == 3.
KERNEL(32) ring(float *y, const float *x) { // 16 steps of 32 x 4 floats
    SHARED(float, stage, [4][128]);
    const int t = threadIdx.x;
    for (int i = 0; i < 3; i++) {
        cp_async16(&stage[i][4 * t], x + (i * 32 + t) * 4, i % 5 != 3);
        cp_async_commit();
    }
    for (int i = 0; i < 16; i++) {
        cp_async_wait<2>();
        warp_sync();
        for (int j = 0; j < 4; j++)
            y[(i * 4 + j) * 32 + t] = stage[i % 4][j * 32 + t];
        warp_sync();
        if (i + 3 < 16)
            cp_async16(&stage[(i + 3) % 4][4 * t], x + ((i + 3) * 32 + t) * 4, (i + 3) % 5 != 3);
        cp_async_commit();
    }
}

static void test_ring(void) {
    enum { N = 16 * 128 };
    for (int i = 0; i < N; i++)
        floats[i] = (float)i + 1;
    float *dx = to_device(floats, N), *dy = to_device<float>(nullptr, N);
    LAUNCH(ring, 1, 32, 0, 0, dy, dx);
    from_device(floats2, dy, N);
    MUST(cudaFree(dx));
    bool good = true;
    for (int i = 0; i < N; i++)
        good = good && floats2[i] == (i / 128 % 5 == 3 ? 0 : floats[i]);
    check(good, "cp_async");
}

KERNEL(32) load_matrices(uint32_t *y) { // y (12, 32)
    SHARED(uint16_t, m, [32][16]);      // four matrices of 8 rows; only 8 of 16 columns are read
    const int lane = threadIdx.x;
    for (int i = 0; i < 16; i++)
        m[lane][i] = (uint16_t)(lane * 100 + i);
    warp_sync();
    uint32_t a[4], b[4], c[2], d[2];
    ldmatrix_x4(a, &m[lane][0]);
    ldmatrix_x4_trans(b, &m[lane][8]);
    ldmatrix_x2(c, &m[lane % 16][0]);
    ldmatrix_x2_trans(d, &m[lane % 16][8]);
    for (int i = 0; i < 4; i++) {
        y[i * 32 + lane] = a[i];
        y[(4 + i) * 32 + lane] = b[i];
        if (i < 2) {
            y[(8 + i) * 32 + lane] = c[i];
            y[(10 + i) * 32 + lane] = d[i];
        }
    }
}

static void test_load_matrices(void) {
    uint32_t y[12][32];
    uint32_t *d = to_device<uint32_t>(nullptr, 12 * 32);
    LAUNCH(load_matrices, 1, 32, 0, 0, d);
    from_device(&y[0][0], d, 12 * 32);
    bool good = true;
    for (int i = 0; i < 12; i++)
        for (int lane = 0; lane < 32; lane++) {
            const int matrix = i < 8 ? i % 4 : i % 2;
            const bool transposed = (i >= 4 && i < 8) || i >= 10;
            for (int e = 0; e < 2; e++) {
                // row lane / 4, columns 2 (lane % 4) + e of the matrix, or of its transpose
                const int row = lane / 4, column = 2 * (lane % 4) + e;
                const int r = transposed ? column : row, c = transposed ? row + 8 : column;
                good = good && (y[i][lane] >> 16 * e & 0xffff) == (matrix * 8 + r) * 100u + c;
            }
        }
    check(good, "ldmatrix");
}

// d (16, 8) = c + a (16, 16) b (16, 8), the fragments gathered by the tables of the PTX manual
template <class T> KERNEL(32) multiply_plain(float *d, const T *a, const T *b, const float *c) {
    const int lane = threadIdx.x, group = lane >> 2, in_group = lane & 3;
    uint32_t fa[4] = {}, fb[2] = {};
    float fd[4];
    for (int i = 0; i < 8; i++) {
        const int row = i < 2 || (i >= 4 && i < 6) ? group : group + 8;
        const int column = in_group * 2 + (i & 1) + (i >= 4 ? 8 : 0);
        const float x = to_f32(a[row * 16 + column]);
        fa[i / 2] |= i & 1 ? pack2<T>(0, x) : pack2<T>(x, 0);
    }
    for (int i = 0; i < 4; i++) {
        const int row = in_group * 2 + (i & 1) + (i >= 2 ? 8 : 0);
        const float x = to_f32(b[row * 8 + group]);
        fb[i / 2] |= i & 1 ? pack2<T>(0, x) : pack2<T>(x, 0);
    }
    for (int i = 0; i < 4; i++)
        fd[i] = c[(i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1)];
    mma_16816<T>(fd, fa, fb[0], fb[1]);
    for (int i = 0; i < 4; i++)
        d[(i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1)] = fd[i];
}

// The same through shared memory and ldmatrix: a row by row, b (16, 8) row by row, transposed.
template <class T> KERNEL(32) multiply_tiles(float *d, const T *a, const T *b) {
    SHARED(T, as, [16][16]);
    SHARED(T, bs, [16][8]);
    const int lane = threadIdx.x;
    cp_async16(&as[lane / 2][lane % 2 * 8], a + lane * 8, true);
    cp_async16(&bs[lane % 16][0], b + lane % 16 * 8, true);
    cp_async_commit();
    cp_async_wait<0>();
    warp_sync();
    uint32_t fa[4], fb[2];
    float fd[4] = {};
    ldmatrix_x4(fa, &as[lane % 16][lane / 16 * 8]);
    ldmatrix_x2_trans(fb, &bs[lane % 16][0]);
    mma_16816<T>(fd, fa, fb[0], fb[1]);
    for (int i = 0; i < 4; i++)
        d[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = fd[i];
}

template <class T> static void test_multiply(const char *name) {
    T a[16 * 16], b[16 * 8];
    double av[16 * 16], bv[16 * 8];
    float c[16 * 8], d[16 * 8], e[16 * 8];
    for (int i = 0; i < 256; i++) {
        a[i] = nearest<T>(random_float());
        av[i] = format_value(format_of<T>(), element_bits(a[i]));
    }
    for (int i = 0; i < 128; i++) {
        b[i] = nearest<T>(random_float());
        bv[i] = format_value(format_of<T>(), element_bits(b[i]));
        c[i] = random_float();
    }
    T *da = to_device(a, 256), *db = to_device(b, 128);
    float *dc = to_device(c, 128), *dd = to_device<float>(nullptr, 128),
          *de = to_device<float>(nullptr, 128);
    LAUNCH(multiply_plain<T>, 1, 32, 0, 0, dd, da, db, dc);
    LAUNCH(multiply_tiles<T>, 1, 32, 0, 0, de, da, db);
    from_device(d, dd, 128);
    from_device(e, de, 128);
    MUST(cudaFree(da));
    MUST(cudaFree(db));
    MUST(cudaFree(dc));
    bool plain = true, tiles = true;
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 8; j++) {
            double sum = 0, size = 0;
            for (int k = 0; k < 16; k++) {
                sum += av[i * 16 + k] * bv[k * 8 + j];
                size += fabs(av[i * 16 + k] * bv[k * 8 + j]);
            }
            // 17 sums, each with an error of at most 2^-23 of it (the hardware truncates)
            const double most = 17 * 0x1p-23 * (size + 2);
            plain = plain && fabs(d[i * 8 + j] - (sum + c[i * 8 + j])) <= most;
            tiles = tiles && fabs(e[i * 8 + j] - sum) <= most;
        }
    char what[64];
    snprintf(what, sizeof what, "mma_16816 of %s", name);
    check(plain, what);
    snprintf(what, sizeof what, "cp_async, ldmatrix and mma_16816 of %s", name);
    check(tiles, what);
}

int main(void) {
    test_elements<bf16>("bf16");
    test_elements<f16>("f16");
    test_vectors<bf16>("bf16");
    test_vectors<f16>("f16");
    test_vectors<float>("float");
    test_shuffles();
    test_reductions();
    test_hand_over();
    test_indices();
    test_last_block();
    test_dynamic();
    test_exp2();
    test_ring();
    test_load_matrices();
    test_multiply<bf16>("bf16");
    test_multiply<f16>("f16");
    printf("numbers: %d passed, %d failed, 0 skipped\n", passed, failed);
    return failed > 0;
}
