// tiles.cuh: tiles copied by cp.async and loaded by ldmatrix: a missing wait or barrier, impossible
// addresses.
#ifndef DIECAST_FAULTS_TILES_CUH
#define DIECAST_FAULTS_TILES_CUH

#include "faults.cuh"

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

static const std::vector<struct test> tiles_tests = {
    {"cp_async without a wait", copy_wait, nullptr},
    {"cp_async without a barrier", copy_barrier, nullptr},
    {"cp_async, one group too few", copy_wait_more, nullptr},
    {"cp_async, misaligned", copy_misaligned, "cp_async16 from: address"},
    {"cp_async, shared bounds", copy_to_bounds, "not inside one array of shared memory"},
    {"cp_async, global bounds", copy_from_bounds, "out of bounds"},
    {"ldmatrix, misaligned", load_misaligned, "ldmatrix_x4: address"},
    {"ldmatrix of global memory", load_from_global, "not inside one array of shared memory"},
};

#endif
