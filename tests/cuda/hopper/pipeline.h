// pipeline.h: a pipeline of two stages, loaded by one warp group and multiplied by another: a
// correct one, and, in the emulator, one with a fault of each kind.
#ifndef DIECAST_HOPPER_PIPELINE_H
#define DIECAST_HOPPER_PIPELINE_H

#include "tests/cuda/hopper/cases.h"

#include <sys/wait.h>

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
    for (int i = 0; i < 8; i++) { // twice: several products may have the same registers
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

// Whether the numbers are correct.
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
// The program's message, or null if its numbers are wrong or the message varies.
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

static std::string program; // to run a fault in another process

// Runs the named probe; 1 if its numbers are wrong.
template <int FAULT> static int run_named(const char *name) {
    if constexpr (FAULT == FAULTS) {
        fprintf(stderr, "hopper: no fault '%s'\n", name);
        return 64;
    } else {
        return strcmp(name, faults[FAULT].name) ? run_named<FAULT + 1>(name) : !run_probe<FAULT>();
    }
}

// Under one schedule at least a fault must be found; the correct pipeline passes all.
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

#endif
