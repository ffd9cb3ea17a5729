// test_hopper.cpp: Hopper's instructions and the emitted attention kernels (hopper_cases.cu, from
// hopper_cases.lua) against doubles, on a device or in the emulator; there also faults that it must
// show. test_hopper.sh builds it for both.
//
//     hopper [GROUP ...]     all groups, or those; the last line is "N passed, N failed, 0 skipped"
//     hopper --list          the groups, one a line
//     hopper --fault NAME    in the emulator: the small pipeline with one planted fault; 1 where its
//                            numbers are wrong
//
// Every case runs three times and must give the same bytes: in the emulator under three schedules,
// on a device as it happens. With ATTENTION_ALONE defined there are the emitted kernels alone.
#include "hopper_cases.cu"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tests/cuda/check/survive.h"

enum { RUNS = 3 };

#ifdef __CUDACC__
enum { SECONDS = 60 }; // that a case may take

static void schedule(int) {
}
#else
enum { SECONDS = 1200 };

static void schedule(int run) {
    static const enum emulator_order orders[RUNS] = {EMULATOR_ASCENDING, EMULATOR_DESCENDING,
                                                     EMULATOR_RANDOM};
    emulator_schedule(orders[run], 5);
}
#endif

// ---- cases --------------------------------------------------------------------------------------

struct test {
    std::string name; // GROUP: CASE
    std::function<void()> act;
};

static std::vector<struct test> tests;
static bool wrong; // something about the test that runs
static uint32_t random_state;

static std::string group_of(const struct test &test) {
    return test.name.substr(0, test.name.find(':'));
}

static const char *test_name(int i) {
    return tests[i].name.c_str();
}

static int test_act(int i) {
    wrong = false;
    random_state = 1;
    tests[i].act();
    return wrong;
}

static void check(bool good, const std::string &what) {
    if (!good) {
        printf("not so: %s\n", what.c_str());
        wrong = true;
    }
}

// A call of CUDA's that fails ends the case.
static void must(cudaError_t error, const char *what) {
    if (error != cudaSuccess) {
        fprintf(stderr, "hopper: %s: %s: %s\n", what, cudaGetErrorName(error),
                cudaGetErrorString(error));
        _exit(71);
    }
}

static uint32_t random_bits() {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    return random_state ^= random_state << 5;
}

static float random_normal() { // nearly
    float sum = 0.0f;
    for (int i = 0; i < 6; i++) {
        const uint32_t bits = random_bits();
        sum += (float)(bits >> 16) + (float)(bits & 0xffff);
    }
    return sum * 0x1p-16f - 6.0f;
}

// Memory of the device, all NaN; a copy of host values there, which has arrived; and back.
template <class T> static T *on_device(size_t count) {
    void *p = NULL;
    must(cudaMalloc(&p, count * sizeof(T)), "cudaMalloc");
    must(cudaMemset(p, 0xff, count * sizeof(T)), "cudaMemset");
    must(cudaDeviceSynchronize(), "filling memory");
    return (T *)p;
}

template <class T> static T *to_device(const std::vector<T> &host) {
    T *p = on_device<T>(host.size());
    must(cudaMemcpy(p, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice), "a copy");
    must(cudaDeviceSynchronize(), "a copy to the device");
    return p;
}

template <class T> static std::vector<T> to_host(const T *device, size_t count) {
    std::vector<T> host(count);
    must(cudaDeviceSynchronize(), "the kernels");
    must(cudaMemcpy(host.data(), device, count * sizeof(T), cudaMemcpyDeviceToHost), "a copy");
    return host;
}

static void release(std::initializer_list<void *> all) {
    for (void *p : all) {
        must(cudaFree(p), "cudaFree");
    }
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

template <class T, int N, int A, int B, bool REGISTERS> static void test_product() {
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
    float *on_d = on_device<float>(64 * N);
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
    check(good, "each thread holds the product's sums that it should");
    release({on_a, on_a_given, on_b, on_d});
}

template <class T, int N> static void add_products(const std::string &end) {
    const auto add = [&](const char *operands, void (*act)()) {
        tests.push_back({"products: " + (operands + end), act});
    };
    add("rows and rows", test_product<T, N, BY_ROWS, BY_ROWS, false>);
    add("rows and columns", test_product<T, N, BY_ROWS, BY_COLUMNS, false>);
    add("columns and rows", test_product<T, N, BY_COLUMNS, BY_ROWS, false>);
    add("columns and columns", test_product<T, N, BY_COLUMNS, BY_COLUMNS, false>);
    add("registers and rows", test_product<T, N, BY_ROWS, BY_ROWS, true>);
    add("registers and columns", test_product<T, N, BY_ROWS, BY_COLUMNS, true>);
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
    float *on_seen = on_device<float>(blocks * 64 * 64);
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
    release({on_from, on_to, on_seen, on_where});
}

// ---- a pipeline of two stages, right and, in the emulator, wrong --------------------------------

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
    bf16 *on_a = to_device(a), *on_b = to_device(b), *on_out = on_device<bf16>(64 * 64);
    const tensor_map a_map = tensor_map_make(on_a, 64, ROUNDS * 64, 1, 64);
    const tensor_map b_map = tensor_map_make(on_b, 64, ROUNDS * 64, 1, 64);
    const tensor_map out_map = tensor_map_make(on_out, 64, 64, 1, 64);
    LAUNCH(probe<FAULT>, 1, 384, sizeof(struct probe_shared), 0, a_map, b_map, out_map);
    const std::vector<bf16> out = to_host(on_out, 64 * 64);
    release({on_a, on_b, on_out});
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

static void test_pipeline() {
    check(run_probe<RIGHT>(), "the sums of a small pipeline");
}

#ifndef __CUDACC__
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

static std::string program; // to run a fault in a process of its own

// Runs the probe that is named; 1 where its numbers are wrong.
template <int FAULT> static int run_named(const char *name) {
    if constexpr (FAULT == FAULTS) {
        fprintf(stderr, "hopper: no fault '%s'\n", name);
        return 64;
    } else {
        return strcmp(name, faults[FAULT].name) ? run_named<FAULT + 1>(name) : !run_probe<FAULT>();
    }
}

// One schedule must show a fault, and the right pipeline passes all.
static void test_fault(int fault) {
    bool shown = false;
    for (const char *order : {"ascending", "descending", "random:7"}) {
        const std::string command = std::string("EMULATOR_SCHEDULE=") + order + " " + program +
                                    " --fault " + faults[fault].name + " 2>&1";
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
          fault == RIGHT ? "a pipeline without a fault is right" : "a planted fault shows");
}
#endif

static void add_instructions() {
    add_products<bf16, 64>(", bf16, 64 wide");
    add_products<bf16, 128>(", bf16, 128 wide");
    add_products<f16, 64>(", f16, 64 wide");
    add_products<f16, 128>(", f16, 128 wide");
    tests.push_back({"copies: within a matrix and beyond it", test_copies});
    tests.push_back({"pipeline: two stages", test_pipeline});
#ifndef __CUDACC__
    for (int fault = 0; fault < FAULTS; fault++) {
        tests.push_back({std::string("faults: ") + faults[fault].name, [=] { test_fault(fault); }});
    }
#endif
}
#endif

// ---- the emitted attention ----------------------------------------------------------------------

template <class E> struct results {
    std::vector<E> y, dqkv;
    std::vector<float> lse;
};

template <class T> static bool same(const std::vector<T> &a, const std::vector<T> &b) {
    return !memcmp(a.data(), b.data(), a.size() * sizeof(T));
}

template <class E>
static struct results<E> run_attention(const struct attention_case<E> &c, const std::vector<E> &qkv,
                                       const std::vector<E> &dy, const struct step_state &state) {
    const size_t N = (size_t)c.B * c.T, C = (size_t)c.H * c.D;
    E *on_qkv = to_device(qkv), *on_dy = to_device(dy);
    E *y = on_device<E>(N * C), *dqkv = on_device<E>(N * 3 * C);
    float *lse = on_device<float>(N * c.H), *workspace = on_device<float>(c.workspace);
    struct step_state *on_state = to_device(std::vector<struct step_state>(1, state));
    struct gpu gpu = {};
    c.forward(&gpu, on_state, c.site, y, lse, on_qkv, NULL, NULL, NULL);
    c.backward(&gpu, on_state, c.site, y, lse, on_qkv, dqkv, on_dy, workspace);
    const struct results<E> got = {
        to_host(y, N *C), to_host(dqkv, N * 3 * C), to_host(lse, N *c.H)
    };
    release({on_qkv, on_dy, y, dqkv, lse, workspace, on_state});
    return got;
}

// kept (rows, T): 1 where dropout keeps the weight, 0 where not. A thread has one.
KERNEL(256)
    draw_masks(uint8_t *kept, const struct step_state *state, uint32_t site, int rows, int T) {
    const int64_t at = (int64_t)blockIdx.x * 256 + threadIdx.x;
    if (at < (int64_t)rows * T) {
        const struct dropout drop = dropout_make(state);
        kept[at] = dropout_mask(&drop, site, at / T, DROPOUT_CHUNKS(T), (int)(at % T)) != 0.0f;
    }
}

template <class E>
static std::vector<uint8_t> masks_of(const struct attention_case<E> &c,
                                     const struct step_state &state) {
    const int rows = c.B * c.H * c.T;
    const size_t count = (size_t)rows * c.T;
    struct step_state *on_state = to_device(std::vector<struct step_state>(1, state));
    uint8_t *kept = on_device<uint8_t>(count);
    LAUNCH(draw_masks, (unsigned)((count + 255) / 256), 256, 0, 0, kept, on_state, c.site, rows,
           c.T);
    const std::vector<uint8_t> masks = to_host(kept, count);
    release({on_state, kept});
    return masks;
}

// What a case should give, in doubles: y (N, C), lse (H, N), then dq, dk and dv (N, C).
enum { Y, LSE, DQ, DK, DV, OUTPUTS };
struct reference {
    std::vector<double> of[OUTPUTS];
};

// One head's part, from the rounded inputs. `kept`: draw_masks', or null; `raise`: what a weight
// that is kept is multiplied by.
template <class E>
static void reference_head(const struct attention_case<E> &c, const std::vector<E> &qkv,
                           const std::vector<E> &dy, const uint8_t *kept, double raise, int head,
                           struct reference *to) {
    const int T = c.T, D = c.D, N = c.B * T, C = c.H * D, b = head / c.H, h = head % c.H;
    const double scale = 1.0 / sqrt((double)D);
    // q, k, v, dy (T, D); and k and v transposed, so that a row's sums run side by side.
    std::vector<double> part[4], k_t((size_t)D * T), v_t((size_t)D * T);
    for (int which = 0; which < 4; which++) {
        part[which].resize((size_t)T * D);
        for (int i = 0; i < T * D; i++) {
            const size_t row = (size_t)b * T + i / D, column = (size_t)h * D + i % D;
            part[which][i] =
                to_f32(which < 3 ? qkv[row * 3 * C + which * C + column] : dy[row * C + column]);
        }
    }
    const double *q = part[0].data(), *k = part[1].data(), *v = part[2].data(), *g = part[3].data();
    for (int i = 0; i < T * D; i++) {
        k_t[(size_t)(i % D) * T + i / D] = k[i];
        v_t[(size_t)(i % D) * T + i / D] = v[i];
    }
    for (int i = 0; i < T; i++) {
        std::vector<double> p(i + 1), dp(i + 1), mask(i + 1, 1.0), out(D);
        double largest = -INFINITY, sum = 0.0, delta = 0.0;
        for (int d = 0; d < D; d++) {
            const double from_q = q[i * D + d] * scale, from_g = g[i * D + d];
            for (int j = 0; j <= i; j++) {
                p[j] += from_q * k_t[d * T + j];
                dp[j] += from_g * v_t[d * T + j];
            }
        }
        for (int j = 0; j <= i; j++) {
            largest = fmax(largest, p[j]);
        }
        for (int j = 0; j <= i; j++) {
            sum += p[j] = exp(p[j] - largest);
        }
        for (int j = 0; j <= i; j++) {
            p[j] /= sum;
            if (kept) {
                mask[j] = kept[((size_t)head * T + i) * T + j] ? raise : 0.0;
            }
            for (int d = 0; d < D; d++) {
                out[d] += p[j] * mask[j] * v[j * D + d];
            }
        }
        const size_t first = (size_t)b * T * C + (size_t)h * D, row = first + (size_t)i * C;
        to->of[LSE][(size_t)h * N + b * T + i] = largest + log(sum);
        for (int d = 0; d < D; d++) {
            to->of[Y][row + d] = out[d];
            delta += out[d] * g[i * D + d];
        }
        for (int j = 0; j <= i; j++) {
            const double weight = p[j] * mask[j], ds = p[j] * (dp[j] * mask[j] - delta) * scale;
            double *dq = &to->of[DQ][row], *dk = &to->of[DK][first + (size_t)j * C];
            double *dv = &to->of[DV][first + (size_t)j * C];
            for (int d = 0; d < D; d++) {
                dq[d] += ds * k[j * D + d];
                dk[d] += ds * q[i * D + d];
                dv[d] += weight * g[i * D + d];
            }
        }
    }
}

// All heads, on all of the machine's cores.
template <class E>
static struct reference reference_of(const struct attention_case<E> &c, const std::vector<E> &qkv,
                                     const std::vector<E> &dy, const struct step_state &state) {
    const std::vector<uint8_t> masks = c.site ? masks_of(c, state) : std::vector<uint8_t>();
    const double raise = 1.0f / (1.0f - state.in.dropout);
    const size_t N = (size_t)c.B * c.T, C = (size_t)c.H * c.D;
    struct reference to;
    for (int output = 0; output < OUTPUTS; output++) {
        to.of[output].resize(output == LSE ? N * c.H : N * C);
    }
    std::atomic<int> next(0);
    std::vector<std::thread> workers;
    for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); i++) {
        workers.emplace_back([&] {
            for (int head; (head = next++) < c.B * c.H;) {
                reference_head(c, qkv, dy, c.site ? masks.data() : NULL, raise, head, &to);
            }
        });
    }
    for (std::thread &worker : workers) {
        worker.join();
    }
    return to;
}

struct distance {
    double all, row;
};

// The error of `got` relative to `wanted` in L2: of all numbers; and of the row of `width` that is
// furthest away, relative to its own size and the mean row's. Infinite where a number is none, or
// where a row is all zeros that should not be.
static struct distance distance(const std::vector<double> &got, const std::vector<double> &wanted,
                                size_t width) {
    double apart = 0.0, size = 1e-30, furthest = 0.0;
    for (size_t i = 0; i < got.size(); i++) {
        if (!isfinite(got[i])) {
            return {INFINITY, INFINITY};
        }
        apart += (got[i] - wanted[i]) * (got[i] - wanted[i]);
        size += wanted[i] * wanted[i];
    }
    const double mean = sqrt(size * width / got.size());
    for (size_t row = 0; row < got.size(); row += width) {
        double row_apart = 0.0, row_size = 0.0, got_size = 0.0;
        for (size_t i = row; i < row + width; i++) {
            row_apart += (got[i] - wanted[i]) * (got[i] - wanted[i]);
            row_size += wanted[i] * wanted[i];
            got_size += got[i] * got[i];
        }
        if (got_size == 0.0 && sqrt(row_size) > 1e-3 * mean) {
            return {sqrt(apart / size), INFINITY};
        }
        furthest = fmax(furthest, sqrt(row_apart) / (sqrt(row_size) + mean));
    }
    return {sqrt(apart / size), furthest};
}

template <class E> static void test_attention(const struct attention_case<E> &c) {
    const int N = c.B * c.T, C = c.H * c.D;
    std::vector<E> qkv((size_t)N * 3 * C), dy((size_t)N * C);
    for (E &x : qkv) {
        x = from_f32<E>(random_normal());
    }
    for (E &x : dy) {
        x = from_f32<E>(random_normal());
    }
    struct step_state state = {};
    state.in.dropout = c.site ? 0.2f : 0.0f;
    state.in.dropout_key[0] = 0x12345678u;
    state.in.dropout_key[1] = 99u;
    schedule(0);
    const struct results<E> got = run_attention(c, qkv, dy, state);
    for (int run = 1; run < RUNS; run++) {
        schedule(run);
        const struct results<E> again = run_attention(c, qkv, dy, state);
        check(same(got.y, again.y) && same(got.lse, again.lse) && same(got.dqkv, again.dqkv),
              "every run gives the same bytes");
    }

    std::vector<double> values[OUTPUTS];
    for (E x : got.y) {
        values[Y].push_back(to_f32(x));
    }
    values[LSE].assign(got.lse.begin(), got.lse.end());
    for (size_t i = 0; i < got.dqkv.size(); i++) {
        values[DQ + i % (3 * C) / C].push_back(to_f32(got.dqkv[i]));
    }
    const struct reference wanted = reference_of(c, qkv, dy, state);
    // Rounding to 8 bits (bf16; f16: 11) errs by up to 2^-9 (2^-12) of a number, 0.6 of that in L2.
    // y has two roundings on its way, weights and itself; gradients about four, of which delta's
    // (through y) can be amplified where dP - delta cancels. A row is allowed 16 times as much: one
    // of few keys has such a delta, and another row's numbers are further away.
    const double unit = to_f32(from_f32<E>(1.0f + 0x1p-10f)) == 1.0f ? 0x1p-9 : 0x1p-12;
    const double bounds[OUTPUTS] = {1.3 * unit, 1e-6, 3 * unit, 3 * unit, 2 * unit};
    static const char *names[OUTPUTS] = {"y", "lse", "dq", "dk", "dv"};
    for (int i = 0; i < OUTPUTS; i++) {
        if (c.T == 1 && (i == DQ || i == DK)) {
            continue; // of one row they are 0, and what is there is delta's rounding
        }
        const struct distance apart = distance(values[i], wanted.of[i], i == LSE ? 1 : c.D);
        char text[200];
        snprintf(text, sizeof text,
                 "%s is %.2e from the reference, allowed %.2e; the furthest row %.2e, allowed %.2e",
                 names[i], apart.all, bounds[i], apart.row, 16 * bounds[i]);
        check(apart.all <= bounds[i] && apart.row <= 16 * bounds[i], text);
        if (getenv("VERBOSE")) {
            puts(text);
        }
    }
}

struct add_attention {
    template <class E> void operator()(const struct attention_case<E> &c) const {
        char name[100];
        snprintf(name, sizeof name, "attention-%d%s: %dx%dx%dx%d on %d%s", c.D,
                 std::is_same<E, bf16>() ? "" : "-f16", c.B, c.T, c.H, c.D, c.sms,
                 c.site ? " with dropout" : "");
        tests.push_back({name, [&c] { test_attention(c); }});
    }
};

// ---- the program --------------------------------------------------------------------------------

int main(int arguments, char **argument) {
#ifndef ATTENTION_ALONE
#ifndef __CUDACC__
    if (arguments == 3 && !strcmp(argument[1], "--fault")) {
        return run_named<0>(argument[2]);
    }
    program = argument[0];
#endif
    add_instructions();
#endif
    each_attention_case(add_attention());

    std::vector<std::string> groups, wanted;
    for (const struct test &test : tests) {
        if (std::find(groups.begin(), groups.end(), group_of(test)) == groups.end()) {
            groups.push_back(group_of(test));
        }
    }
    if (arguments == 2 && !strcmp(argument[1], "--list")) {
        for (const std::string &group : groups) {
            puts(group.c_str());
        }
        return 0;
    }
    for (int i = 1; i < arguments; i++) {
        if (std::find(groups.begin(), groups.end(), argument[i]) == groups.end()) {
            fprintf(stderr, "hopper: no group '%s'; --list has them\n", argument[i]);
            return 64;
        }
        wanted.push_back(argument[i]);
    }
    const auto left_out = [&](const struct test &test) {
        return !wanted.empty() &&
               std::find(wanted.begin(), wanted.end(), group_of(test)) == wanted.end();
    };
    tests.erase(std::remove_if(tests.begin(), tests.end(), left_out), tests.end());

    const struct survive_totals totals =
        survive_run((int)tests.size(), test_name, test_act, SECONDS);
    const int failed = totals.failures + totals.errors;
    printf("%d passed, %d failed, 0 skipped\n", totals.checks - failed, failed);
    return failed != 0;
}
