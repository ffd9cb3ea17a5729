// test_hopper.cpp: Hopper's instructions as the emulator answers them, faults that it must show,
// and the emitted attention kernels (hopper_cases.cu, from test_hopper.lua) against doubles.
//
//     test_hopper         everything (with ATTENTION_ALONE defined, the emitted kernels alone); the
//                         last line is "N passed, N failed, N skipped"
//     test_hopper NAME    the small kernel with one planted fault
#include "hopper_cases.cu"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

static int passed, failed;

static void check(bool good, const std::string &what) {
    good ? passed++ : failed++;
    if (!good) {
        printf("not so: %s\n", what.c_str());
    }
}

static uint32_t random_state = 1;
static uint32_t random_bits() {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    return random_state ^= random_state << 5;
}

static float random_normal() { // nearly
    float sum = 0.0f;
    for (int i = 0; i < 12; i++) {
        sum += (float)(random_bits() >> 8) * 0x1p-24f;
    }
    return sum - 6.0f;
}

// A copy of host values on the device, and back.
template <class T> static T *to_device(const std::vector<T> &host) {
    void *p = NULL;
    cudaMalloc(&p, host.size() * sizeof(T));
    cudaMemcpy(p, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice);
    return (T *)p;
}

template <class T> static std::vector<T> to_host(T *device, size_t count) {
    std::vector<T> host(count);
    cudaDeviceSynchronize();
    cudaMemcpy(host.data(), device, count * sizeof(T), cudaMemcpyDeviceToHost);
    return host;
}

#ifndef ATTENTION_ALONE
// Small whole numbers, whose sums of products are exact.
static float random_small() {
    return (float)(random_bits() >> 8 & 3) - 1.0f;
}

// ---- one product: where sums and register operands lie, both readings of a tile -----------------

// d (64, N) = a (64, 64) b (64, N), from tiles of a or a^T and b or b^T; each thread writes what it
// holds where wgmma_m64k16 says that it belongs.
template <class T, int N, int A, int B, bool REGISTERS>
HOPPER_KERNEL(128)
product(float *d, TENSOR_MAP(a_map), TENSOR_MAP(b_map), const T *a) {
    HOPPER_BODY();
    SHARED_DYNAMIC_1024(T, tiles);
    uint64_t *bar = (uint64_t *)(tiles + 3 * 64 * 64);
    T *b_tiles = tiles + 64 * 64;
    if (threadIdx.x == 0) {
        mbarrier_init(bar, 1);
        mbarrier_fence_init();
        mbarrier_expect(bar, (64 + N) * 64 * 2);
        tma_load(tiles, &a_map, bar, 0, 0, 0);
        tiles_load(b_tiles, &b_map, bar, B == BY_ROWS ? N : 64, B == BY_ROWS ? 64 : N, 0, 0, 0);
    }
    block_sync();
    mbarrier_wait(bar, 0);
    const int thread = (int)threadIdx.x, row = thread / 32 * 16 + thread % 32 / 4, t = thread % 4;
    float sums[N / 2];
    uint32_t weights[4][4];
    for (int i = 0; i < 16; i++) { // a's rows are its rows here
        const int r = row + i % 2 * 8, c = i / 4 * 16 + i % 4 / 2 * 8 + 2 * t;
        weights[i / 4][i % 4] = pack2<T>(to_f32(a[r * 64 + c]), to_f32(a[r * 64 + c + 1]));
    }
    const uint64_t a_word = A == BY_ROWS ? wgmma_rows(tiles) : wgmma_columns(tiles, 64);
    const uint64_t b_word = B == BY_ROWS ? wgmma_rows(b_tiles) : wgmma_columns(b_tiles, 64);
    wgmma_fence();
    for (int k = 0; k < 4; k++) {
        const uint64_t b_step = wgmma_step(b_word, k * (B == BY_ROWS ? 32 : 2048));
        if constexpr (REGISTERS) {
            wgmma_m64k16<T, B>(sums, weights[k], b_step, k > 0);
        } else {
            wgmma_m64k16<T, A, B>(sums, wgmma_step(a_word, k * (A == BY_ROWS ? 32 : 2048)), b_step,
                                  k > 0);
        }
    }
    wgmma_commit();
    wgmma_wait<0>();
    wgmma_landed(sums);
    for (int i = 0; i < N / 2; i++) {
        d[(row + i % 4 / 2 * 8) * N + i / 4 * 8 + 2 * t + i % 2] = sums[i];
    }
}

template <class T, int N, int A, int B, bool REGISTERS> static void test_product(const char *what) {
    std::vector<T> a(64 * 64), b(64 * N), a_given(a.size()), b_given(b.size());
    for (T &x : a) {
        x = from_f32<T>(random_small());
    }
    for (T &x : b) {
        x = from_f32<T>(random_small());
    }
    for (int i = 0; i < 64; i++) {
        for (int k = 0; k < 64; k++) {
            a_given[A == BY_ROWS ? i * 64 + k : k * 64 + i] = a[i * 64 + k];
        }
    }
    for (int k = 0; k < 64; k++) {
        for (int n = 0; n < N; n++) {
            b_given[B == BY_ROWS ? n * 64 + k : k * N + n] = b[k * N + n];
        }
    }
    T *on_a = to_device(a), *on_a_given = to_device(a_given), *on_b = to_device(b_given);
    float *on_d = to_device(std::vector<float>(64 * N));
    const tensor_map a_map = tensor_map_make(on_a_given, 64, 64, 1, 64);
    const tensor_map b_map = tensor_map_make(on_b, B == BY_ROWS ? 64 : N, B == BY_ROWS ? N : 64, 1,
                                             B == BY_ROWS ? 64 : N);
    const auto kernel = product<T, N, A, B, REGISTERS>;
    LAUNCH(kernel, 1, 128, 3 * 64 * 64 * 2 + 8, 0, on_d, a_map, b_map, on_a);
    const std::vector<float> d = to_host(on_d, 64 * N);
    bool good = true;
    for (int i = 0; i < 64; i++) {
        for (int n = 0; n < N; n++) {
            float sum = 0.0f;
            for (int k = 0; k < 64; k++) {
                sum += to_f32(a[i * 64 + k]) * to_f32(b[k * N + n]);
            }
            good = good && d[i * N + n] == sum;
        }
    }
    check(good, std::string("a product of ") + what + (N == 64 ? ", 64 columns" : ", 128 columns"));
    cudaFree(on_a), cudaFree(on_a_given), cudaFree(on_b), cudaFree(on_d);
}

template <class T, int N> static void test_products() {
    test_product<T, N, BY_ROWS, BY_ROWS, false>("rows and rows");
    test_product<T, N, BY_ROWS, BY_COLUMNS, false>("rows and columns");
    test_product<T, N, BY_COLUMNS, BY_ROWS, false>("columns and rows");
    test_product<T, N, BY_COLUMNS, BY_COLUMNS, false>("columns and columns");
    test_product<T, N, BY_ROWS, BY_ROWS, true>("registers and rows");
    test_product<T, N, BY_ROWS, BY_COLUMNS, true>("registers and columns");
}

// ---- copies: what lies outside a matrix ---------------------------------------------------------

// Each block moves one tile from one tensor to the other, and shows what it looked like.
HOPPER_KERNEL(128)
move(float *seen, TENSOR_MAP(from), TENSOR_MAP(to), const int *where) {
    HOPPER_BODY();
    SHARED_DYNAMIC_1024(bf16, tile);
    uint64_t *bar = (uint64_t *)(tile + 64 * 64);
    const int *at = where + 3 * blockIdx.x;
    if (threadIdx.x == 0) {
        mbarrier_init(bar, 1);
        mbarrier_fence_init();
        mbarrier_expect(bar, 64 * 64 * 2);
        tma_load(tile, &from, bar, at[0], at[1], at[2]);
    }
    block_sync();
    mbarrier_wait(bar, 0);
    const uint32_t start = tile_address(tile, 0, 0);
    for (int i = (int)threadIdx.x; i < 64 * 64; i += 128) {
        const uint32_t address = tile_address(tile, i / 64, i % 64 % 8) ^ i % 64 / 8 * 16;
        seen[blockIdx.x * 64 * 64 + i] = to_f32(tile[(address - start) / 2]);
    }
    block_sync();
    if (threadIdx.x == 0) {
        tma_store(&to, tile, at[0], at[1], at[2]);
        tma_store_commit();
        tma_store_wait<0>();
    }
}

static void test_copies() {
    const int COLUMNS = 88, ROWS = 100, BATCHES = 2, LD = 96;
    const std::vector<int> where = {0, 0, 0, 64, 64, 0, 64, 0, 1, 0, 64, 1, 8, 128, 1, 24, 37, 0};
    const int blocks = (int)where.size() / 3;
    std::vector<bf16> from(ROWS * BATCHES * LD), to(from.size());
    for (size_t i = 0; i < from.size(); i++) {
        from[i] = from_f32<bf16>((float)(1 + i % 251));
        to[i] = from_f32<bf16>(-1.0f);
    }
    bf16 *on_from = to_device(from), *on_to = to_device(to);
    float *on_seen = to_device(std::vector<float>(blocks * 64 * 64));
    int *on_where = to_device(where);
    const tensor_map from_map = tensor_map_make(on_from, COLUMNS, ROWS, BATCHES, LD);
    const tensor_map to_map = tensor_map_make(on_to, COLUMNS, ROWS, BATCHES, LD);
    LAUNCH(move, blocks, 128, 64 * 64 * 2 + 8, 0, on_seen, from_map, to_map, on_where);
    const std::vector<float> seen = to_host(on_seen, blocks * 64 * 64);
    const std::vector<bf16> got = to_host(on_to, to.size());
    bool loaded = true, stored = true;
    for (int block = 0; block < blocks; block++) {
        for (int i = 0; i < 64 * 64; i++) {
            const int column = where[3 * block] + i % 64, row = where[3 * block + 1] + i / 64;
            const bool inside = column < COLUMNS && row < ROWS;
            const size_t at = (size_t)(where[3 * block + 2] * ROWS + row) * LD + column;
            loaded = loaded && seen[block * 64 * 64 + i] == (inside ? to_f32(from[at]) : 0.0f);
            if (inside) {
                to[at] = from[at];
            }
        }
    }
    for (size_t i = 0; i < to.size(); i++) {
        stored = stored && to_f32(got[i]) == to_f32(to[i]);
    }
    check(loaded, "tiles arrive in their places, zeros beyond the matrix");
    check(stored, "tiles are stored without what lies beyond the matrix");
    cudaFree(on_from), cudaFree(on_to), cudaFree(on_seen), cudaFree(on_where);
}

// ---- faults: a pipeline of two stages, right and wrong ------------------------------------------

enum fault {
    RIGHT,
    NO_MBARRIER_WAIT,
    NO_WAIT,
    LOOKED_EARLY,
    STAGE_FREED_EARLY,
    STAGE_NOT_AWAITED,
    NO_FENCE,
    NO_PROXY_FENCE,
    OPERAND_CHANGED,
    OPERAND_READ,
    OPERAND_STORED,
    OPERAND_COPIED,
    STORE_NOT_AWAITED,
    LOAD_NOT_AWAITED,
    FEWER_BYTES,
    TOO_MANY_ARRIVALS,
    NOT_INITIALISED,
    OTHER_SWIZZLE,
    TILE_MISPLACED,
    BEYOND_MEMORY,
    DIFFERENT_PRODUCTS,
    REGISTERS_NOT_GIVEN,
    FAULTS
};

// What the program says, or null where its numbers are wrong or it says one thing or another.
static const struct {
    const char *name, *says;
} faults[FAULTS] = {
    {"right", ""},
    {"no-mbarrier-wait", NULL},
    {"no-wait", NULL},
    {"looked-early", "accumulators are looked at before the wait"},
    {"stage-freed-early", NULL},
    {"stage-not-awaited", NULL},
    {"no-fence", "no wgmma_fence since the last wait"},
    {"no-proxy-fence", "and has not fenced (fence_proxy_async)"},
    {"operand-changed", "an operand of a product under way is overwritten"},
    {"operand-read", "an operand of a product under way is read"},
    {"operand-stored", "an operand of a product under way is read"},
    {"operand-copied", "an operand of a product under way is read"},
    {"store-not-awaited", "a store has not been waited for"},
    {"load-not-awaited", "a load has not been waited for"},
    {"fewer-bytes", NULL},
    {"too-many-arrivals", "more arrivals than the mbarrier's"},
    {"not-initialised", "this mbarrier has not been initialised"},
    {"other-swizzle", "the descriptor has another swizzle"},
    {"tile-misplaced", "is not a multiple of 1024"},
    {"beyond-memory", "reads behind the block's dynamic shared memory"},
    {"different-products", "threads of a warp group issue different products"},
    {"registers-not-given", "waits at registers"},
};

enum { ROUNDS = 6 };

struct probe_shared {
    bf16 a[2][64 * 64], b[2][64 * 64], out[64 * 64];
    uint64_t full[2], empty[2];
};

// d = the sum of a_i b_i^T over rounds; out (64, 64) = d b_0^T, with d as a register operand.
template <int FAULT>
HOPPER_KERNEL(384)
probe(TENSOR_MAP(a_map), TENSOR_MAP(b_map), TENSOR_MAP(out_map)) {
    HOPPER_BODY();
    SHARED_DYNAMIC_1024(struct probe_shared, s);
    if (threadIdx.x == 0) {
        for (int i = 0; i < 2; i++) {
            mbarrier_init(&s->full[i], 1);
            if (FAULT != NOT_INITIALISED) {
                mbarrier_init(&s->empty[i], 4);
            }
        }
        mbarrier_fence_init();
    }
    block_sync();
    if (threadIdx.x < WARP_GROUP || threadIdx.x >= 2 * WARP_GROUP) {
        if (FAULT != REGISTERS_NOT_GIVEN) {
            registers_give<24>();
        }
        if (threadIdx.x == 0) {
            const int rounds = FAULT == LOAD_NOT_AWAITED ? ROUNDS + 2 : ROUNDS + 1;
            for (int i = 0; i < rounds; i++) {
                const int stage = i % 2;
                if (FAULT != STAGE_NOT_AWAITED) {
                    mbarrier_wait(&s->empty[stage], i / 2 % 2 ^ 1);
                }
                mbarrier_expect(&s->full[stage], FAULT == FEWER_BYTES ? 8192 : 2 * 8192);
                tma_load(s->a[stage] + (FAULT == TILE_MISPLACED ? 64 : 0), &a_map, &s->full[stage],
                         0, i % ROUNDS * 64, 0);
                tma_load(s->b[stage], &b_map, &s->full[stage], 0, i % ROUNDS * 64, 0);
            }
        }
        return;
    }
    registers_take<240>();
    const int thread = (int)threadIdx.x % WARP_GROUP, lane = thread % WARP, t = lane % 4;
    float d[32], e[32];
    uint32_t weights[4][4];
    for (int i = 0; i < ROUNDS; i++) {
        const int stage = i % 2;
        if (FAULT != NO_MBARRIER_WAIT) {
            mbarrier_wait(&s->full[stage], i / 2 % 2);
        }
        uint64_t a = wgmma_rows(s->a[stage]), b = wgmma_rows(s->b[stage]);
        if (FAULT == OTHER_SWIZZLE) {
            a ^= (uint64_t)3 << 62;
        }
        if (FAULT == BEYOND_MEMORY) {
            b = wgmma_step(b, 64 * 1024);
        }
        if (FAULT == DIFFERENT_PRODUCTS && thread == 77) {
            b = wgmma_step(b, 32);
        }
        if (FAULT != NO_FENCE) {
            wgmma_fence();
        }
        for (int k = 0; k < 4; k++) {
            wgmma_m64k16<bf16, BY_ROWS, BY_ROWS>(d, wgmma_step(a, 32 * k), wgmma_step(b, 32 * k),
                                                 i + k > 0);
        }
        wgmma_commit();
        if (FAULT == STAGE_FREED_EARLY && lane == 0) {
            mbarrier_arrive(&s->empty[stage]);
        }
        if (FAULT != NO_WAIT && FAULT != LOOKED_EARLY) {
            wgmma_wait<0>();
        }
        if (FAULT != STAGE_FREED_EARLY &&
            (lane == 0 || (FAULT == TOO_MANY_ARRIVALS && lane == 1))) {
            mbarrier_arrive(&s->empty[stage]);
        }
    }
    if (FAULT != NO_WAIT) {
        wgmma_landed(d);
    }
    weights_pack<bf16>(weights, d);
    mbarrier_wait(&s->full[ROUNDS % 2], ROUNDS / 2 % 2);
    wgmma_fence();
    for (int i = 0; i < 8; i++) { // twice over: several products may have the same registers
        const int k = i % 4;
        wgmma_m64k16<bf16, BY_ROWS>(e, weights[k], wgmma_step(wgmma_rows(s->b[ROUNDS % 2]), 32 * k),
                                    k > 0);
    }
    wgmma_commit();
    if (FAULT == OPERAND_CHANGED) {
        weights[1][2] = 0;
    }
    if (FAULT == OPERAND_READ) {
        e[0] = pair_at<bf16>(weights[1][2], 0);
    }
    if (FAULT == OPERAND_STORED) {
        shared_store_pair(tile_address(s->out, 0, 0), weights[1][2]);
    }
    if (FAULT == OPERAND_COPIED) {
        uint32_t copy[4][4];
        weights_copy(copy, weights);
    }
    wgmma_wait<0>();
    wgmma_landed(e);
    const uint32_t to = tile_address(s->out, thread / WARP * 16 + lane / 4, 2 * t);
    for (int i = 0; i < 32; i += 2) {
        shared_store_pair((to ^ i / 4 * 16) + i % 4 / 2 * 1024, pack2<bf16>(e[i], e[i + 1]));
    }
    if (FAULT != NO_PROXY_FENCE) {
        fence_proxy_async();
    }
    barrier_sync(1, WARP_GROUP);
    if (thread == 0) {
        tma_store(&out_map, s->out, 0, 0, 0);
        tma_store_commit();
        if (FAULT != STORE_NOT_AWAITED) {
            tma_store_wait<0>();
        }
    }
}

// Whether the numbers are right.
template <int FAULT> static bool run_probe() {
    std::vector<bf16> a(ROUNDS * 64 * 64), b(a.size());
    for (size_t i = 0; i < a.size(); i++) {
        a[i] = from_f32<bf16>(random_small());
        b[i] = from_f32<bf16>(random_small());
    }
    bf16 *on_a = to_device(a), *on_b = to_device(b),
         *on_out = to_device(std::vector<bf16>(64 * 64));
    const tensor_map a_map = tensor_map_make(on_a, 64, ROUNDS * 64, 1, 64);
    const tensor_map b_map = tensor_map_make(on_b, 64, ROUNDS * 64, 1, 64);
    const tensor_map out_map = tensor_map_make(on_out, 64, 64, 1, 64);
    LAUNCH(probe<FAULT>, 1, 384, sizeof(struct probe_shared), 0, a_map, b_map, out_map);
    const std::vector<bf16> out = to_host(on_out, 64 * 64);
    for (int i = 0; i < 64; i++) {
        float d[64];
        for (int n = 0; n < 64; n++) {
            float sum = 0.0f;
            for (int k = 0; k < ROUNDS * 64; k++) {
                sum += to_f32(a[(k / 64 * 64 + i) * 64 + k % 64]) *
                       to_f32(b[(k / 64 * 64 + n) * 64 + k % 64]);
            }
            d[n] = to_f32(from_f32<bf16>(sum));
        }
        for (int n = 0; n < 64; n++) {
            float sum = 0.0f;
            for (int k = 0; k < 64; k++) {
                sum += d[k] * to_f32(b[n * 64 + k]);
            }
            if (to_f32(out[i * 64 + n]) != to_f32(from_f32<bf16>(sum))) {
                return false;
            }
        }
    }
    return true;
}

// Runs the probe that is named; 1 where its numbers are wrong.
template <int FAULT> static int run_named(const char *name) {
    if constexpr (FAULT == FAULTS) {
        fprintf(stderr, "test_hopper: no fault '%s'\n", name);
        return 64;
    } else {
        return strcmp(name, faults[FAULT].name) ? run_named<FAULT + 1>(name) : !run_probe<FAULT>();
    }
}

// Each in a process of its own, under each schedule: one must show it, and the right one passes
// all.
static void test_faults(const char *program) {
    for (int fault = 0; fault < FAULTS; fault++) {
        bool shown = false;
        for (const char *schedule : {"ascending", "descending", "random:7"}) {
            const std::string command = std::string("EMULATOR_SCHEDULE=") + schedule + " " +
                                        program + " " + faults[fault].name + " 2>&1";
            FILE *pipe = popen(command.c_str(), "r");
            std::string said;
            for (int c; (c = fgetc(pipe)) != EOF;) {
                said += (char)c;
            }
            const int status = pclose(pipe), code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
            const char *says = faults[fault].says;
            shown = shown || (fault == RIGHT ? code != 0
                              : says         ? code == 70 && said.find(says) != std::string::npos
                                             : code == 1 || code == 70);
        }
        check(shown == (fault != RIGHT),
              fault == RIGHT ? std::string("the pipeline without a fault is right")
                             : std::string("a planted fault shows: ") + faults[fault].name);
    }
}

#endif
// ---- the emitted attention ----------------------------------------------------------------------

// The error of `got` relative to `wanted`, in L2; infinite where a number is none.
static double distance(const std::vector<double> &got, const std::vector<double> &wanted) {
    double apart = 0.0, size = 1e-30;
    for (size_t i = 0; i < got.size(); i++) {
        if (!isfinite(got[i])) {
            return INFINITY;
        }
        apart += (got[i] - wanted[i]) * (got[i] - wanted[i]);
        size += wanted[i] * wanted[i];
    }
    return sqrt(apart / size);
}

struct results {
    std::vector<elem> y, dqkv;
    std::vector<float> lse;
};

static bool same(const struct results &a, const struct results &b) {
    return !memcmp(a.y.data(), b.y.data(), a.y.size() * sizeof(elem)) &&
           !memcmp(a.dqkv.data(), b.dqkv.data(), a.dqkv.size() * sizeof(elem)) &&
           !memcmp(a.lse.data(), b.lse.data(), a.lse.size() * sizeof(float));
}

static struct results run_attention(const struct attention_case &c, const std::vector<elem> &qkv,
                                    const std::vector<elem> &dy, const struct step_state &state) {
    const size_t N = (size_t)c.B * c.T, C = (size_t)c.H * c.D;
    elem *on_qkv = to_device(qkv), *on_dy = to_device(dy);
    void *on_y, *on_dqkv, *on_lse, *workspace; // not filled: NaN
    cudaMalloc(&on_y, N * C * sizeof(elem));
    cudaMalloc(&on_dqkv, N * 3 * C * sizeof(elem));
    cudaMalloc(&on_lse, N * c.H * sizeof(float));
    cudaMalloc(&workspace, c.workspace * sizeof(float));
    struct step_state *on_state = to_device(std::vector<struct step_state>(1, state));
    struct gpu gpu = {};
    c.forward(&gpu, on_state, c.site, (elem *)on_y, (float *)on_lse, on_qkv, NULL, NULL, NULL);
    c.backward(&gpu, on_state, c.site, (elem *)on_y, (float *)on_lse, on_qkv, (elem *)on_dqkv,
               on_dy, (float *)workspace);
    const struct results got = {to_host((elem *)on_y, N * C), to_host((elem *)on_dqkv, N * 3 * C),
                                to_host((float *)on_lse, N * c.H)};
    for (void *p :
         {(void *)on_qkv, (void *)on_dy, on_y, on_dqkv, on_lse, workspace, (void *)on_state}) {
        cudaFree(p);
    }
    return got;
}

static void test_attention(const struct attention_case &c) {
    const int N = c.B * c.T, C = c.H * c.D, E = 3 * C;
    std::vector<elem> qkv((size_t)N * E), dy((size_t)N * C);
    for (elem &x : qkv) {
        x = from_f32<elem>(random_normal());
    }
    for (elem &x : dy) {
        x = from_f32<elem>(random_normal());
    }
    struct step_state state = {};
    state.in.dropout = c.site ? 0.2f : 0.0f;
    state.in.dropout_key[0] = 0x12345678u;
    state.in.dropout_key[1] = 99u;
    const struct dropout drop = dropout_make(&state);

    // In doubles, from the rounded inputs.
    std::vector<double> y((size_t)N * C), dqkv((size_t)N * E), lse((size_t)N * c.H);
    const double scale = 1.0 / sqrt((double)c.D);
    for (int head = 0; head < c.B * c.H; head++) {
        const int b = head / c.H, h = head % c.H, D = c.D;
        std::vector<double> part[4]; // q, k, v, dy (T, D)
        for (int which = 0; which < 4; which++) {
            for (int i = 0; i < c.T * D; i++) {
                const size_t row = (size_t)b * c.T + i / D, column = (size_t)h * D + i % D;
                part[which].push_back(
                    to_f32(which < 3 ? qkv[row * E + which * C + column] : dy[row * C + column]));
            }
        }
        const double *q = part[0].data(), *k = part[1].data(), *v = part[2].data();
        const double *g = part[3].data();
        for (int i = 0; i < c.T; i++) {
            std::vector<double> p(i + 1), mask(i + 1, 1.0), out(D);
            double largest = -INFINITY, sum = 0.0, delta = 0.0;
            for (int j = 0; j <= i; j++) {
                for (int d = 0; d < D; d++) {
                    p[j] += q[i * D + d] * k[j * D + d] * scale;
                }
                largest = fmax(largest, p[j]);
            }
            for (int j = 0; j <= i; j++) {
                sum += p[j] = exp(p[j] - largest);
            }
            lse[(size_t)h * N + b * c.T + i] = largest + log(sum);
            for (int j = 0; j <= i; j++) {
                p[j] /= sum;
                if (c.site) {
                    mask[j] = dropout_mask(&drop, c.site, (int64_t)head * c.T + i,
                                           DROPOUT_CHUNKS(c.T), j);
                }
                for (int d = 0; d < D; d++) {
                    out[d] += p[j] * mask[j] * v[j * D + d];
                }
            }
            const size_t row = (size_t)b * c.T + i;
            for (int d = 0; d < D; d++) {
                y[row * C + h * D + d] = out[d];
                delta += out[d] * g[i * D + d];
            }
            for (int j = 0; j <= i; j++) {
                double dp = 0.0;
                for (int d = 0; d < D; d++) {
                    dp += g[i * D + d] * v[j * D + d];
                }
                const double ds = p[j] * (dp * mask[j] - delta) * scale;
                double *to_q = &dqkv[row * E + h * D], *to_k = &dqkv[(row - i + j) * E + C + h * D];
                for (int d = 0; d < D; d++) {
                    to_q[d] += ds * k[j * D + d];
                    to_k[d] += ds * q[i * D + d];
                    to_k[C + d] += p[j] * mask[j] * g[i * D + d];
                }
            }
        }
    }

    char name[100];
    snprintf(name, sizeof name, "attention %dx%dx%dx%d%s", c.B, c.T, c.H, c.D,
             c.site ? " with dropout" : "");
    emulator_schedule(EMULATOR_ASCENDING, 0);
    const struct results got = run_attention(c, qkv, dy, state);
    emulator_schedule(EMULATOR_DESCENDING, 0);
    const bool descending = same(got, run_attention(c, qkv, dy, state));
    emulator_schedule(EMULATOR_RANDOM, 5);
    const bool random = same(got, run_attention(c, qkv, dy, state));
    check(descending && random, std::string(name) + ": the same bytes under all schedules");

    // Rounding to 8 bits (bf16; f16: 11) errs by up to 2^-9 (2^-12) of a number, 0.6 of that in L2.
    // y has two roundings on its way, weights and itself; gradients about four, of which delta's
    // (through y) can be amplified where dP - delta cancels.
    const double unit =
        sizeof(elem) == 2 && to_f32(from_f32<elem>(1.0f + 0x1p-10f)) == 1.0f ? 0x1p-9 : 0x1p-12;
    const double bounds[5] = {1.3 * unit, 1e-6, 3 * unit, 3 * unit, 2 * unit};
    std::vector<double> values[5], wanted[5] = {y, lse, {}, {}, {}};
    for (elem x : got.y) {
        values[0].push_back(to_f32(x));
    }
    values[1].assign(got.lse.begin(), got.lse.end());
    for (size_t i = 0; i < got.dqkv.size(); i++) {
        values[2 + i % E / C].push_back(to_f32(got.dqkv[i]));
        wanted[2 + i % E / C].push_back(dqkv[i]);
    }
    static const char *names[5] = {"y", "lse", "dq", "dk", "dv"};
    for (int i = 0; i < 5; i++) {
        // Of one row dq and dk are 0, and what is there is delta's rounding.
        const bool nothing = c.T == 1 && (i == 2 || i == 3);
        const double apart = nothing ? 0.0 : distance(values[i], wanted[i]);
        char text[200];
        snprintf(text, sizeof text, "%s: %s is %.2e from the reference, allowed %.2e", name,
                 names[i], apart, bounds[i]);
        check(apart <= bounds[i], text);
        if (getenv("VERBOSE")) {
            puts(text);
        }
    }
}

int main(int arguments, char **argument) {
#ifndef ATTENTION_ALONE
    if (arguments == 2) {
        return run_named<0>(argument[1]);
    }
    test_products<bf16, 64>();
    test_products<bf16, 128>();
    test_products<f16, 64>();
    test_products<f16, 128>();
    test_copies();
    test_faults(argument[0]);
#else
    (void)arguments, (void)argument;
#endif
    for (const struct attention_case &c : attention_cases) {
        test_attention(c);
    }
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
