// tiles.h: where the sums and register operands of a product lie, both ways of reading a tile, and
// copies beyond the ends of a matrix.
#ifndef DIECAST_HOPPER_TILES_H
#define DIECAST_HOPPER_TILES_H

#include "tests/cuda/hopper/cases.h"

// ---- one product: where sums and register operands lie, both ways of reading a tile -------------

// d (64, N) = a (64, 64) b (64, N), from tiles of a or a^T and b or b^T; each thread writes its
// sums to the places that wgmma_m64k16 documents.
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
    for (int i = 0; i < 16; i++) { // a's rows are rows here
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

// ---- copies beyond the ends of a matrix ---------------------------------------------------------

// Each thread block copies one tile from one tensor to the other, and outputs the tile as it was.
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

#endif
