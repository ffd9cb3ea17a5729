// test_emulator_faults.cu: planted faults that the emulator must show, and correct twins that must
// pass. One kind of fault ends the program with a message, under every schedule; the other kind, a
// race, gives wrong numbers under one schedule at least.
//
//     test_emulator_faults [NAME]      all of them, or one, with its output
#include "kernel.cuh"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

static float *device_floats(int n, float value) {
    std::vector<float> x((size_t)n, value);
    float *p;
    cudaMalloc(&p, (size_t)n * 4);
    cudaMemcpy(p, x.data(), (size_t)n * 4, cudaMemcpyHostToDevice);
    cudaDeviceSynchronize(); // some tests' streams do not wait for the default one
    return p;
}

// Whether p (n) holds first, first + step, …
static bool holds(const float *p, int n, float first, float step) {
    std::vector<float> x((size_t)n);
    if (cudaMemcpy(x.data(), p, (size_t)n * 4, cudaMemcpyDeviceToHost) != cudaSuccess)
        return false;
    for (int i = 0; i < n; i++)
        if (x[(size_t)i] != first + step * (float)i)
            return false;
    return true;
}

// ---- barriers -----------------------------------------------------------------------------------

// y = 128 - i: each thread reads what another one of another warp wrote.
KERNEL(128) reverse(float *y, bool fault) {
    SHARED(float, tile, [128]);
    const int t = threadIdx.x;
    tile[t] = (float)t + 1;
    if (!fault)
        block_sync();
    y[t] = tile[127 - t];
}

static bool missing_barrier(bool fault) {
    float *y = device_floats(128, 0);
    LAUNCH(reverse, 1, 128, 0, 0, y, fault);
    return holds(y, 128, 128, -1);
}

// y = 128 * rounds: the next round's writes must wait for this round's reads.
KERNEL(128) rounds(float *y, bool fault) {
    SHARED(float, tile, [128]);
    const int t = threadIdx.x;
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        tile[t] = (float)(i * 128 + t);
        block_sync();
        sum += tile[127 - t];
        if (!fault)
            block_sync();
    }
    y[t] = sum;
}

static bool overwritten_early(bool fault) {
    float *y = device_floats(128, 0);
    LAUNCH(rounds, 1, 128, 0, 0, y, fault);
    return holds(y, 128, 768 + 4 * 127, -4);
}

KERNEL(32) reverse_warp(float *y, bool fault) {
    SHARED(float, tile, [32]);
    const int t = threadIdx.x;
    tile[t] = (float)t + 1;
    if (!fault)
        warp_sync();
    y[t] = tile[31 - t];
}

static bool missing_warp_sync(bool fault) {
    float *y = device_floats(32, 0);
    LAUNCH(reverse_warp, 1, 32, 0, 0, y, fault);
    return holds(y, 32, 32, -1);
}

KERNEL(128) diverge(bool fault) {
    if (!fault || threadIdx.x < 64)
        block_sync();
    barrier_sync(1, 128);
}

static bool divergent_barrier(bool fault) {
    LAUNCH(diverge, 1, 128, 0, 0, fault);
    return cudaDeviceSynchronize() == cudaSuccess;
}

KERNEL(128) two_barriers(bool fault) {
    if (fault && threadIdx.x >= 64)
        block_sync();
    else
        block_sync();
}

static bool different_barriers(bool fault) {
    LAUNCH(two_barriers, 1, 128, 0, 0, fault);
    return cudaDeviceSynchronize() == cudaSuccess;
}

KERNEL(128) leave(bool fault) {
    if (fault && threadIdx.x == 77)
        return;
    block_sync();
}

static bool early_return(bool fault) {
    LAUNCH(leave, 2, 128, 0, 0, fault);
    return cudaDeviceSynchronize() == cudaSuccess;
}

KERNEL(128) named(bool fault) { // two warps wait for two others that only arrive
    if (threadIdx.x < 64)
        barrier_sync(3, 128);
    else if (!fault || threadIdx.x < 96)
        barrier_arrive(3, 128);
}

static bool missing_arrival(bool fault) {
    LAUNCH(named, 1, 128, 0, 0, fault);
    return cudaDeviceSynchronize() == cudaSuccess;
}

KERNEL(128) counts(bool fault) {
    barrier_sync(1, fault && threadIdx.x >= 64 ? 64 : 128);
}

static bool different_counts(bool fault) {
    LAUNCH(counts, 1, 128, 0, 0, fault);
    return cudaDeviceSynchronize() == cudaSuccess;
}

KERNEL(64) twice(bool fault) {
    if (threadIdx.x < 32) {
        barrier_arrive(1, 64);
        if (fault)
            barrier_arrive(1, 64);
    } else
        barrier_sync(1, 64);
    if (fault)
        barrier_sync(1, 64);
}

static bool arrives_twice(bool fault) {
    LAUNCH(twice, 1, 64, 0, 0, fault);
    return cudaDeviceSynchronize() == cudaSuccess;
}

// ---- warps --------------------------------------------------------------------------------------

KERNEL(32) lanes(float *y, bool fault) {
    float x = (float)threadIdx.x;
    if (fault && threadIdx.x >= 16)
        x = warp_shfl(x, 0);
    else
        x = warp_shfl_xor(x, 1);
    y[threadIdx.x] = x;
}

static bool diverging_lanes(bool fault) {
    float *y = device_floats(32, 0);
    LAUNCH(lanes, 1, 32, 0, 0, y, fault);
    return cudaDeviceSynchronize() == cudaSuccess;
}

KERNEL(32) half_warp(float *y, bool fault) {
    if (!fault || threadIdx.x < 16)
        y[threadIdx.x] = warp_sum(1);
}

static bool missing_lanes(bool fault) {
    float *y = device_floats(32, 0);
    LAUNCH(half_warp, 1, 32, 0, 0, y, fault);
    return holds(y, 32, 32, 0);
}

static bool part_of_warp(bool fault) {
    float *y = device_floats(64, 0);
    LAUNCH(half_warp, 1, fault ? 48 : 64, 0, 0, y, false);
    return holds(y, 64, 32, 0);
}

// ---- shared memory ------------------------------------------------------------------------------

KERNEL(64) write_shared(float *y, int at) {
    SHARED(float, first, [40]);
    SHARED(float, second, [64]);
    const int t = threadIdx.x;
    second[t] = (float)t;
    float *p = first;
    for (int i = t; i < 40; i += 64)
        p[i] = 1;
    if (t == 5)
        p[at] = 1;
    block_sync();
    y[t] = second[t];
}

static bool shared_bounds(bool fault) {
    float *y = device_floats(64, 0);
    LAUNCH(write_shared, 2, 64, 0, 0, y, fault ? 40 : 39);
    return holds(y, 64, 0, 1);
}

KERNEL(64) write_dynamic(float *y, int at) {
    SHARED_DYNAMIC(float, row);
    row[threadIdx.x] = (float)threadIdx.x;
    block_sync();
    y[threadIdx.x] = row[threadIdx.x];
    block_sync();
    if (threadIdx.x == 0)
        row[at] = 1;
}

static bool dynamic_bounds(bool fault) {
    float *y = device_floats(64, 0);
    LAUNCH(write_dynamic, 1, 64, 256, 0, y, fault ? 64 : 63);
    return holds(y, 64, 0, 1);
}

static bool dynamic_before(bool fault) {
    float *y = device_floats(64, 0);
    LAUNCH(write_dynamic, 1, 64, 256, 0, y, fault ? -1 : 0);
    return holds(y, 64, 0, 1);
}

KERNEL(32) read_unwritten(float *y, bool fault) {
    SHARED(float, sum, [32]);
    if (!fault)
        sum[threadIdx.x] = 0;
    sum[threadIdx.x] += 3;
    y[blockIdx.x * 32 + threadIdx.x] = sum[threadIdx.x];
}

static bool unwritten_shared(bool fault) {
    float *y = device_floats(64, 0);
    LAUNCH(read_unwritten, 2, 32, 0, 0, y, fault);
    return holds(y, 64, 3, 0);
}

template <int N> KERNEL(32) static_room(float *y) {
    SHARED(float, a, [N / 2]);
    SHARED(float, b, [N / 2]);
    a[threadIdx.x] = b[threadIdx.x] = 1;
    y[threadIdx.x] = a[threadIdx.x];
}

static bool static_limit(bool fault) {
    float *y = device_floats(32, 0);
    if (fault)
        LAUNCH(static_room<12 * 1024 + 8>, 1, 32, 0, 0, y);
    else
        LAUNCH(static_room<12 * 1024>, 1, 32, 0, 0, y);
    return holds(y, 32, 1, 0);
}

KERNEL(32) dynamic_room(float *y) {
    SHARED_DYNAMIC(float, row);
    row[threadIdx.x] = 2;
    y[threadIdx.x] = row[threadIdx.x];
}

static bool dynamic_limit(const char *arch, size_t limit, bool fault) {
    setenv("EMULATOR_ARCH", arch, 1);
    float *y = device_floats(32, 0);
    LAUNCH(dynamic_room, 1, 32, limit + (fault ? 16 : 0), 0, y);
    return holds(y, 32, 2, 0);
}

static bool dynamic_limit_80(bool fault) {
    return dynamic_limit("80", 163 * 1024, fault);
}

static bool dynamic_limit_86(bool fault) {
    return dynamic_limit("86", 99 * 1024, fault);
}

static bool dynamic_limit_90(bool fault) {
    return dynamic_limit("90", 227 * 1024, fault);
}

KERNEL(32) both_rooms(float *y) {
    SHARED(float, a, [1024]);
    SHARED_DYNAMIC(float, row);
    row[threadIdx.x] = a[threadIdx.x] = 2;
    y[threadIdx.x] = row[threadIdx.x];
}

static bool both_limits(bool fault) {
    float *y = device_floats(32, 0);
    LAUNCH(both_rooms, 1, 32, (fault ? 160 : 159) * 1024, 0, y);
    return holds(y, 32, 2, 0);
}

// ---- device memory ------------------------------------------------------------------------------

KERNEL(32) store_vector(float *y, int at) {
    if (threadIdx.x == 0)
        vec_store(y + at, vec_fill(1));
}

static bool vector_bounds(bool fault) {
    float *y = device_floats(100, 1);
    LAUNCH(store_vector, 1, 32, 0, 0, y, fault ? 96 : 92);
    return holds(y, 100, 1, 0);
}

static bool vector_before(bool fault) {
    float *y = device_floats(100, 1);
    LAUNCH(store_vector, 1, 32, 0, 0, y, fault ? -4 : 0);
    return holds(y, 100, 1, 0);
}

KERNEL(32) store_float(float *y, int at) {
    if (threadIdx.x == 0)
        y[at] = 1;
}

static bool float_bounds(bool fault) {
    float *y = device_floats(101, 1);
    LAUNCH(store_float, 1, 32, 0, 0, y, fault ? 101 : 100);
    return holds(y, 101, 1, 0);
}

static bool float_before(bool fault) {
    float *y = device_floats(101, 1);
    LAUNCH(store_float, 1, 32, 0, 0, y, fault ? -1 : 0);
    return holds(y, 101, 1, 0);
}

KERNEL(32) load_vector(float *y, const float *x) {
    vec_store(y + threadIdx.x * VEC, vec_load(x + threadIdx.x * VEC));
}

static bool freed_memory(bool fault) {
    float *x = device_floats(256, 3), *y = device_floats(256, 0);
    if (fault)
        cudaFree(x);
    LAUNCH(load_vector, 1, 32, 0, 0, y, x);
    return holds(y, 256, 3, 0);
}

static bool host_memory(bool fault) {
    static float host[256];
    float *x = device_floats(256, 0), *y = device_floats(256, 1);
    LAUNCH(load_vector, 1, 32, 0, 0, y, fault ? host : x);
    return holds(y, 256, 0, 0);
}

static bool misaligned_vector(bool fault) {
    float *x = device_floats(264, 3), *y = device_floats(256, 1);
    LAUNCH(load_vector, 1, 32, 0, 0, y, x + (fault ? 2 : 4));
    return holds(y, 256, 3, 0);
}

static bool host_access(bool fault) {
    float *y = device_floats(4, 1);
    return fault ? *(volatile float *)y == 1 : holds(y, 4, 1, 0);
}

// Blocks run in any order: one must not read what another writes.
KERNEL(32) chain(float *y, bool fault) {
    const int b = blockIdx.x;
    y[b * 32 + threadIdx.x] = fault && b > 0 ? y[(b - 1) * 32 + threadIdx.x] + 1 : (float)b;
}

static bool order_of_blocks(bool fault) {
    float *y = device_floats(4 * 32, 0);
    LAUNCH(chain, 4, 32, 0, 0, y, fault);
    std::vector<float> x(128);
    cudaMemcpy(x.data(), y, 512, cudaMemcpyDeviceToHost);
    bool good = true;
    for (int i = 0; i < 128; i++)
        good = good && x[(size_t)i] == (float)(i / 32);
    return good;
}

static bool unwritten_device(bool fault) {
    float *x, *y = device_floats(256, 0);
    cudaMalloc(&x, 1024);
    if (!fault)
        cudaMemset(x, 0, 1024);
    LAUNCH(load_vector, 1, 32, 0, 0, y, x);
    return holds(y, 256, 0, 0);
}

// ---- tiles --------------------------------------------------------------------------------------

enum copy_fault { COPY_RIGHT, COPY_NO_WAIT, COPY_NO_BARRIER, COPY_ALIGN, COPY_BOUNDS, COPY_FROM };

KERNEL(64) copy_tile(float *y, const float *x, int fault) { // 256 floats, read by other threads
    SHARED(float, tile, [256]);
    const int t = threadIdx.x, at = 4 * t + (fault == COPY_BOUNDS && t == 63 ? 4 : 0);
    const float *from = x + 4 * t + (fault == COPY_FROM && t == 63 ? 8 : 0);
    cp_async16(tile + at, from + (fault == COPY_ALIGN ? 1 : 0), true);
    cp_async_commit();
    if (fault != COPY_NO_WAIT)
        cp_async_wait<0>();
    if (fault != COPY_NO_BARRIER)
        block_sync();
    for (int i = 0; i < 4; i++)
        y[64 * i + t] = tile[64 * i + t];
}

static bool copy(int fault) {
    float *x = device_floats(260, 3), *y = device_floats(256, 0);
    LAUNCH(copy_tile, 1, 64, 0, 0, y, x, fault);
    return holds(y, 256, 3, 0);
}

static bool copy_wait(bool fault) {
    return copy(fault ? COPY_NO_WAIT : COPY_RIGHT);
}

static bool copy_barrier(bool fault) {
    return copy(fault ? COPY_NO_BARRIER : COPY_RIGHT);
}

static bool copy_misaligned(bool fault) {
    return copy(fault ? COPY_ALIGN : COPY_RIGHT);
}

static bool copy_to_bounds(bool fault) {
    return copy(fault ? COPY_BOUNDS : COPY_RIGHT);
}

static bool copy_from_bounds(bool fault) {
    return copy(fault ? COPY_FROM : COPY_RIGHT);
}

KERNEL(32) two_stages(float *y, const float *x, bool fault) { // one group too many under way
    SHARED(float, tile, [2][128]);
    const int t = threadIdx.x;
    for (int i = 0; i < 2; i++) {
        cp_async16(&tile[i][4 * t], x + 128 * i + 4 * t, true);
        cp_async_commit();
    }
    cp_async_wait<1>();
    warp_sync();
    y[t] = tile[fault ? 1 : 0][t];
}

static bool copy_wait_more(bool fault) {
    float *x = device_floats(256, 3), *y = device_floats(32, 0);
    LAUNCH(two_stages, 1, 32, 0, 0, y, x, fault);
    return holds(y, 32, 3, 0);
}

KERNEL(32) load_tile(uint32_t *y, const float *global, int fault) {
    SHARED(uint16_t, tile, [32][16]);
    for (int i = 0; i < 16; i++)
        tile[threadIdx.x][i] = 1;
    warp_sync();
    const void *row = &tile[threadIdx.x][fault == 1 ? 4 : 8];
    if (fault == 2)
        row = global + 4 * threadIdx.x;
    uint32_t r[4];
    ldmatrix_x4(r, row);
    y[threadIdx.x] = r[0] + r[3];
}

static bool load(int fault) {
    float *x = device_floats(256, 3), *y = device_floats(32, 0);
    LAUNCH(load_tile, 1, 32, 0, 0, (uint32_t *)y, x, fault);
    uint32_t words[32];
    cudaMemcpy(words, y, 128, cudaMemcpyDeviceToHost);
    return words[31] == 0x20002;
}

static bool load_misaligned(bool fault) {
    return load(fault ? 1 : 0);
}

static bool load_from_global(bool fault) {
    return load(fault ? 2 : 0);
}

// ---- launches -----------------------------------------------------------------------------------

static bool threads_of_block(bool fault) {
    float *y = device_floats(8, 0);
    LAUNCH(store_float, 1, fault ? 1025 : 1024, 0, 0, y, 3);
    return cudaDeviceSynchronize() == cudaSuccess;
}

static bool empty_grid(bool fault) {
    float *y = device_floats(8, 0);
    LAUNCH(store_float, fault ? 0 : 1, 32, 0, 0, y, 3);
    return cudaDeviceSynchronize() == cudaSuccess;
}

KERNEL(32) deep(float *y, int depth) {
    volatile float big[4096]; // 16 KiB
    for (int i = 0; i < 4096; i++)
        big[i] = (float)i;
    if (depth > 0)
        deep(y, depth - 1);
    block_sync();
    y[threadIdx.x] = big[4095];
}

static bool stack_overflow(bool fault) {
    float *y = device_floats(32, 0);
    LAUNCH(deep, 1, 32, 0, 0, y, fault ? 40 : 2);
    return holds(y, 32, 4095, 0);
}

// y (4 blocks of 32): each block of a cluster of two reads its neighbour's shared array.
KERNEL(32) neighbours(float *y, bool fault) {
    SHARED(float, mine, [32]);
    mine[threadIdx.x] = (float)(blockIdx.x * 32 + threadIdx.x);
    if (!fault)
        emulator_cluster_sync();
    const float *other = (const float *)emulator_cluster_map(mine, emulator_cluster_rank() ^ 1);
    y[(blockIdx.x ^ 1) * 32 + threadIdx.x] = other[threadIdx.x];
    emulator_cluster_sync();
}

static bool cluster_on(const char *arch, bool fault) {
    setenv("EMULATOR_ARCH", arch, 1);
    float *y = device_floats(128, 0);
    LAUNCH_CLUSTER(neighbours, 2, 4, 32, 0, 0, y, fault);
    return holds(y, 128, 0, 1);
}

static bool cluster(bool fault) {
    return cluster_on("90", fault);
}

static bool cluster_arch(bool fault) {
    return cluster_on(fault ? "80" : "90", false);
}

// ---- threads that sleep -------------------------------------------------------------------------

static struct emulator_queue sleepers;
static int late; // what an idle hook delivers, at the latest moment

static bool deliver(void) {
    if (late != 1)
        return false;
    late = 2;
    emulator_wake(&sleepers);
    return true;
}

static struct emulator_meeting group;
static int acts;

KERNEL(128) sleep_and_meet(float *y, bool fault) {
    if (threadIdx.x == 0 && !fault)
        late = 1;
    block_sync();
    if (threadIdx.x >= 64)
        emulator_sleep(&sleepers, "a delivery", {__FILE__, __LINE__});
    else
        emulator_meet(&group, 64, "two warps", {__FILE__, __LINE__}, []() { acts++; });
    y[threadIdx.x] = (float)(late * 10 + acts);
}

static bool asleep(bool fault) {
    emulator_on_idle(deliver);
    float *y = device_floats(128, 0);
    LAUNCH(sleep_and_meet, 1, 128, 0, 0, y, fault);
    std::vector<float> x(128);
    cudaMemcpy(x.data(), y, 512, cudaMemcpyDeviceToHost);
    return x[0] == 11 && x[127] == 21; // the delivery came after all else
}

// ---- streams ------------------------------------------------------------------------------------

KERNEL(32) add(float *y, const float *x, float more) {
    for (int i = threadIdx.x; i < 64; i += 32)
        y[i] = x[i] + more;
}

static bool missing_event(bool fault) { // b reads what a writes
    cudaStream_t a, b;
    cudaEvent_t ready;
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&ready, cudaEventDisableTiming);
    float *x = device_floats(64, 1), *y = device_floats(64, 0), *z = device_floats(64, 0);
    LAUNCH(add, 1, 32, 0, a, y, x, 1.0f);
    cudaEventRecord(ready, a);
    if (!fault)
        cudaStreamWaitEvent(b, ready, 0);
    LAUNCH(add, 1, 32, 0, b, z, y, 1.0f);
    cudaStreamSynchronize(b);
    return holds(z, 64, 3, 0);
}

static bool missing_event_back(bool fault) { // b overwrites what a still has to read
    cudaStream_t a, b;
    cudaEvent_t done;
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
    cudaEventCreate(&done);
    float *x = device_floats(64, 1), *y = device_floats(64, 0), *z = device_floats(64, 9);
    LAUNCH(add, 1, 32, 0, a, y, x, 1.0f);
    cudaEventRecord(done, a);
    if (!fault)
        cudaStreamWaitEvent(b, done, 0);
    cudaMemcpyAsync(x, z, 256, cudaMemcpyDeviceToDevice, b);
    cudaStreamSynchronize(b);
    cudaStreamSynchronize(a);
    return holds(y, 64, 2, 0);
}

static bool pinned_overwritten(bool fault) { // the next batch is written before the copy ran
    cudaStream_t a;
    cudaStreamCreate(&a);
    float *pinned, *y = device_floats(64, 0);
    cudaHostAlloc(&pinned, 256, cudaHostAllocDefault);
    for (int i = 0; i < 64; i++)
        pinned[i] = 1;
    cudaMemcpyAsync(y, pinned, 256, cudaMemcpyHostToDevice, a);
    if (!fault)
        cudaStreamSynchronize(a);
    for (int i = 0; i < 64; i++)
        pinned[i] = 2;
    cudaStreamSynchronize(a);
    const bool good = holds(y, 64, 1, 0);
    cudaFreeHost(pinned);
    return good;
}

static bool read_early(bool fault) { // the host reads before the copy to it ran
    cudaStream_t a;
    cudaStreamCreate(&a);
    float *pinned, *y = device_floats(64, 5);
    cudaHostAlloc(&pinned, 256, cudaHostAllocDefault);
    cudaMemcpyAsync(pinned, y, 256, cudaMemcpyDeviceToHost, a);
    if (!fault)
        cudaStreamSynchronize(a);
    const bool good = pinned[63] == 5;
    cudaFreeHost(pinned);
    return good;
}

static bool default_stream_order(bool fault) { // only blocking streams keep order with it
    cudaStream_t a;
    cudaStreamCreateWithFlags(&a, fault ? cudaStreamNonBlocking : cudaStreamDefault);
    float *x = device_floats(64, 1), *y = device_floats(64, 0);
    LAUNCH(add, 1, 32, 0, a, y, x, 1.0f);
    return holds(y, 64, 2, 0);
}

// The same, of a copy and of a memset that the host gave to the default stream.
static bool copy_under_way(bool fault) {
    cudaStream_t a;
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    float *x = device_floats(64, 0), *y = device_floats(64, 0);
    const std::vector<float> ones(64, 1);
    cudaMemcpy(x, ones.data(), 256, cudaMemcpyHostToDevice); // returns when it has read them
    if (!fault)
        cudaStreamSynchronize(nullptr);
    LAUNCH(add, 1, 32, 0, a, y, x, 1.0f);
    cudaStreamSynchronize(a);
    return holds(y, 64, 2, 0);
}

static bool memset_under_way(bool fault) {
    cudaStream_t a;
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    float *x = device_floats(64, 1), *y = device_floats(64, 0);
    cudaMemset(x, 0, 256);
    if (!fault)
        cudaStreamSynchronize(nullptr);
    LAUNCH(add, 1, 32, 0, a, y, x, 1.0f);
    cudaStreamSynchronize(a);
    return holds(y, 64, 1, 0);
}

static bool by_value(bool fault) { // a captured launch keeps the arguments it was captured with
    cudaStream_t a;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    float *x = device_floats(64, 1), *y = device_floats(64, 0);
    float more = 1;
    cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal);
    LAUNCH(add, 1, 32, 0, a, x, x, more);
    more = 100;
    cudaStreamEndCapture(a, &graph);
    cudaGraphInstantiate(&exec, graph, 0);
    cudaGraphDestroy(graph);
    for (int i = 0; i < 3; i++)
        cudaGraphLaunch(exec, a);
    cudaGraphExecDestroy(exec); // the launches are still to run
    LAUNCH(add, 1, 32, 0, a, y, x, 0.0f);
    cudaStreamSynchronize(a);
    return holds(y, 64, fault ? 301 : 4, 0);
}

static bool
graph_branches(bool fault) { // fork and join inside a capture; without the join: an error
    cudaStream_t a, b;
    cudaEvent_t fork, join;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
    cudaEventCreate(&fork);
    cudaEventCreate(&join);
    float *x = device_floats(64, 1), *y = device_floats(64, 0), *z = device_floats(64, 0);
    cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal);
    LAUNCH(add, 1, 32, 0, a, y, x, 1.0f);
    cudaEventRecord(fork, a);
    cudaStreamWaitEvent(b, fork, 0);
    LAUNCH(add, 1, 32, 0, b, z, y, 1.0f);
    cudaEventRecord(join, b);
    LAUNCH(add, 1, 32, 0, a, x, y, 5.0f);
    if (!fault)
        cudaStreamWaitEvent(a, join, 0);
    LAUNCH(add, 1, 32, 0, a, y, z, 10.0f);
    const cudaError_t error = cudaStreamEndCapture(a, &graph);
    if (fault)
        return error != cudaErrorStreamCaptureUnjoined;
    cudaGraphInstantiate(&exec, graph, 0);
    cudaGraphLaunch(exec, a);
    cudaStreamSynchronize(a);
    return error == cudaSuccess && holds(x, 64, 7, 0) && holds(y, 64, 13, 0) && holds(z, 64, 3, 0);
}

// ---- all of them --------------------------------------------------------------------------------

static const struct test {
    const char *name;
    bool (*run)(bool fault);
    const char *message; // null: wrong numbers under one schedule at least
} tests[] = {
    {"missing barrier", missing_barrier, nullptr},
    {"barrier missing before the next round", overwritten_early, nullptr},
    {"missing warp_sync", missing_warp_sync, nullptr},
    {"divergent barrier", divergent_barrier, "waits at barrier_sync"},
    {"different barriers", different_barriers, "threads of a block meet at different barriers"},
    {"early return", early_return, "returned"},
    {"missing arrival", missing_arrival, "barrier_sync waits for threads that never come"},
    {"different counts", different_counts, "barrier_sync"},
    {"a thread arrives twice", arrives_twice, "this thread has come already"},
    {"diverging lanes", diverging_lanes, "lanes of a warp meet at different operations"},
    {"missing lanes", missing_lanes, "returned"},
    {"part of a warp", part_of_warp, "in a warp of 16 lanes"},
    {"shared array, bounds", shared_bounds, "behind this shared array of 160"},
    {"dynamic shared memory, bounds", dynamic_bounds, "behind this shared array of 256"},
    {"before dynamic shared memory", dynamic_before, "before dynamic shared memory"},
    {"unwritten shared memory", unwritten_shared, nullptr},
    {"static shared memory, limit", static_limit, "bytes of static shared memory"},
    {"dynamic shared memory, limit of 8.0", dynamic_limit_80, "this device has 166912"},
    {"dynamic shared memory, limit of 8.6", dynamic_limit_86, "this device has 101376"},
    {"dynamic shared memory, limit of 9.0", dynamic_limit_90, "this device has 232448"},
    {"static and dynamic, limit", both_limits, "static and dynamic shared memory"},
    {"vec_store, bounds", vector_bounds, "out of bounds: bytes 384 to 416 of a block of 400"},
    {"vec_store before a block", vector_before, "out of bounds"},
    {"a float, bounds", float_bounds, "written out of bounds: 0 bytes behind a block of 404"},
    {"a float before a block", float_before,
     "written out of bounds: 4 bytes before a block of 404"},
    {"freed memory", freed_memory, "device memory that was freed"},
    {"host memory in a kernel", host_memory, "not device memory"},
    {"misaligned vec_load", misaligned_vector, "is not 16-byte aligned"},
    {"device memory on the host", host_access, "the host reads or writes device memory"},
    {"order of blocks", order_of_blocks, nullptr},
    {"unwritten device memory", unwritten_device, nullptr},
    {"cp_async without a wait", copy_wait, nullptr},
    {"cp_async without a barrier", copy_barrier, nullptr},
    {"cp_async, one group too few", copy_wait_more, nullptr},
    {"cp_async, misaligned", copy_misaligned, "cp_async16 from: address"},
    {"cp_async, shared bounds", copy_to_bounds, "not inside one array of shared memory"},
    {"cp_async, global bounds", copy_from_bounds, "out of bounds"},
    {"ldmatrix, misaligned", load_misaligned, "ldmatrix_x4: address"},
    {"ldmatrix of global memory", load_from_global, "not inside one array of shared memory"},
    {"threads of a block", threads_of_block, "a block of 1025 1 1 threads"},
    {"empty grid", empty_grid, "a grid of 0 1 1 blocks"},
    {"stack overflow", stack_overflow, "stack"},
    {"cluster", cluster, nullptr},
    {"cluster on 8.0", cluster_arch, "clusters need compute capability 9.0"},
    {"asleep", asleep, "a delivery waits for threads that never come"},
    {"missing event", missing_event, nullptr},
    {"missing event, overwriting", missing_event_back, nullptr},
    {"pinned buffer overwritten early", pinned_overwritten, nullptr},
    {"pinned buffer read early", read_early, nullptr},
    {"order with the default stream", default_stream_order, nullptr},
    {"copy under way", copy_under_way, nullptr},
    {"memset under way", memset_under_way, nullptr},
    {"captured arguments", by_value, nullptr},
    {"branches of a graph", graph_branches, nullptr},
};

// The test in a process of its own: its exit status; what it said in text.
static int run_apart(const struct test *test, const char *schedule, bool fault, std::string *text) {
    int pipes[2];
    if (pipe(pipes))
        exit(71);
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        dup2(pipes[1], 2);
        setenv("EMULATOR_SCHEDULE", schedule, 1);
        const bool good = test->run(fault);
        cudaDeviceSynchronize();
        _exit(good ? 0 : 1);
    }
    close(pipes[1]);
    char buffer[4096];
    for (ssize_t n; (n = read(pipes[0], buffer, sizeof buffer)) > 0;)
        text->append(buffer, (size_t)n);
    close(pipes[0]);
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv) {
    static const char *schedules[] = {"ascending", "descending", "random:1", "random:2"};
    int passed = 0, failed = 0;
    for (const struct test &test : tests) {
        if (argc > 1 && strcmp(argv[1], test.name))
            continue;
        bool good = true, shown = false;
        for (const char *schedule : schedules) {
            std::string right, wrong;
            const int status = run_apart(&test, schedule, false, &right);
            if (status != 0) {
                printf("faults: %s, %s: the correct twin ended with %d %s\n", test.name, schedule,
                       status, right.c_str());
                good = false;
            }
            const int fault = run_apart(&test, schedule, true, &wrong);
            if (argc > 1)
                printf("%s: %d, %d %s", schedule, status, fault, wrong.c_str());
            if (!test.message) {
                shown = shown || fault == 1;
                if (fault > 1) {
                    printf("faults: %s, %s: ended with %d: %s\n", test.name, schedule, fault,
                           wrong.c_str());
                    good = false;
                }
                continue;
            }
            shown = true;
            // ASan, where it is built in, is often first to see an access out of bounds
            const bool said =
                (fault == 70 && wrong.find(test.message) != std::string::npos) ||
                (fault != 0 &&
                 wrong.find("AddressSanitizer: use-after-poison") != std::string::npos) ||
                (fault != 0 && wrong.find("AddressSanitizer: stack-overflow") != std::string::npos);
            if (!said) {
                printf("faults: %s, %s: ended with %d, wanted \"%s\"; it said: %s\n", test.name,
                       schedule, fault, test.message, wrong.c_str());
                good = false;
            }
        }
        if (!shown) {
            printf("faults: %s: wrong under no schedule\n", test.name);
            good = false;
        }
        *(good ? &passed : &failed) += 1;
    }
    printf("faults: %d passed, %d failed, 0 skipped\n", passed, failed);
    return failed > 0;
}
