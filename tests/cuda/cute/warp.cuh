// warp.cuh: experiments with instructions of a whole warp: ldmatrix and mma.
#ifndef DIECAST_WARP_CUH
#define DIECAST_WARP_CUH

#include "experiment.cuh"

// ---- ldmatrix: (lane, element) of the rows, for the halves of each lane's registers -------------

KERNEL(32) load_matrices(uint32_t *result) { // (4, 32, 4): x2, x2_trans, x4, x4_trans
    SHARED(uint16_t, rows, [32][8]);
    const int lane = threadIdx.x;
    for (int i = 0; i < 8; i++)
        rows[lane][i] = (uint16_t)(lane * 8 + i);
    warp_sync();
    uint32_t two[2][2], four[2][4];
    ldmatrix_x2(two[0], rows[lane]);
    ldmatrix_x2_trans(two[1], rows[lane]);
    ldmatrix_x4(four[0], rows[lane]);
    ldmatrix_x4_trans(four[1], rows[lane]);
    for (int i = 0; i < 4; i++)
        for (int trans = 0; trans < 2; trans++) {
            result[(trans * 32 + lane) * 4 + i] = i < 2 ? two[trans][i] : 0;
            result[((2 + trans) * 32 + lane) * 4 + i] = four[trans][i];
        }
}

static void check_ldmatrix() {
    static const char *const names[] = {"ldmatrix_x2", "ldmatrix_x2_trans", "ldmatrix_x4",
                                        "ldmatrix_x4_trans"};
    uint32_t *on_result = to_device(std::vector<uint32_t>(4 * 32 * 4));
    LAUNCH(load_matrices, 1, 32, 0, 0, on_result);
    const std::vector<uint32_t> result = to_host(on_result, 4 * 32 * 4);
    for (int which = 0; which < 4; which++) {
        const int halves = which < 2 ? 4 : 8;
        place_lines found(32);
        for (int i = 0; i < 32 * halves; i++) {
            const int lane = i / halves, half = i % halves;
            const int at = result[(which * 32 + lane) * 4 + half / 2] >> half % 2 * 16 & 0xffff;
            found[lane].push_back({at / 8, at % 8});
        }
        maps_compare(names[which], found, stored_map(names[which], 32, halves, 32, 8));
    }
}

// ---- mma: a warp's, with a (16, 16), b (16, 8) and d (16, 8) in registers -----------------------

template <class T>
KERNEL(32)
warp_product(float *d, const uint32_t *a,
             const uint32_t *b) { // d of each lane: added to
    const int lane = threadIdx.x;
    const uint32_t held[4] = {a[4 * lane], a[4 * lane + 1], a[4 * lane + 2], a[4 * lane + 3]};
    float sums[4] = {d[4 * lane], d[4 * lane + 1], d[4 * lane + 2], d[4 * lane + 3]};
    mma_16816<T>(sums, held, b[2 * lane], b[2 * lane + 1]);
    for (int i = 0; i < 4; i++)
        d[4 * lane + i] = sums[i];
}

template <class T>
static std::vector<float> run_warp(const std::vector<uint32_t> &a, const std::vector<uint32_t> &b,
                                   const std::vector<float> &before = std::vector<float>(32 * 4)) {
    float *on_d = to_device(before);
    uint32_t *on_a = to_device(a), *on_b = to_device(b);
    LAUNCH(warp_product<T>, 1, 32, 0, 0, on_d, on_a, on_b);
    const std::vector<float> d = to_host(on_d, before.size());
    MUST(cudaFree(on_a));
    MUST(cudaFree(on_b));
    return d;
}

template <class T> static void check_mma() {
    const std::string name_a = named<T>("mma_16816", "a"), name_b = named<T>("mma_16816", "b"),
                      name_d = named<T>("mma_16816", "d");
    const place_lines &map_a = stored_map(name_a, 32, 8, 16, 16),
                      &map_b = stored_map(name_b, 32, 4, 8, 16),
                      &map_d = stored_map(name_d, 32, 4, 16, 8);
    place_lines found = unknown(32, 8);
    for (int first = 0; first < 16; first += 8) { // b's columns are eight of a's
        const std::vector<uint32_t> unit = unit_registers<T>(map_b, first);
        const auto lane = matrix(run_warp<T>(numbered_registers<T>(32, 8, 0), unit), map_d, 16, 8),
                   half = matrix(run_warp<T>(numbered_registers<T>(32, 8, 1), unit), map_d, 16, 8);
        for (int i = 0; i < 16 * 8; i++)
            note(&found, lane[i / 8][i % 8], half[i / 8][i % 8], {i / 8, first + i % 8});
    }
    maps_compare(name_a, found, map_a);

    found = unknown(32, 4);
    const std::vector<uint32_t> unit = unit_registers<T>(map_a, 0);
    const auto lane = matrix(run_warp<T>(unit, numbered_registers<T>(32, 4, 0)), map_d, 16, 8),
               half = matrix(run_warp<T>(unit, numbered_registers<T>(32, 4, 1)), map_d, 16, 8);
    for (int i = 0; i < 16 * 8; i++)
        note(&found, lane[i / 8][i % 8], half[i / 8][i % 8], {i % 8, i / 8});
    maps_compare(name_b, found, map_b);

    // A product of depth 1 whose sums are their own row, or column; and sums that nothing is added
    // to.
    const auto values = [](const place_lines &map, bool numbers) {
        return registers<T>(32, (int)map[0].size(), [&](int thread, int half) {
            const struct place at = map[thread][half];
            return at.b > 0 ? 0 : numbers ? at.a + 1 : 1;
        });
    };
    maps_compare(name_d,
                 sums_found(run_warp<T>(values(map_a, true), values(map_b, false)),
                            run_warp<T>(values(map_a, false), values(map_b, true)), 32),
                 map_d);
    std::vector<float> row(32 * 4), column(32 * 4);
    for (int i = 0; i < 32 * 4; i++) {
        row[i] = (float)map_d[i / 4][i % 4].a + 1;
        column[i] = (float)map_d[i / 4][i % 4].b + 1;
    }
    const std::vector<uint32_t> zeros_a(32 * 4), zeros_b(32 * 2);
    maps_compare(
        name_d + " as the sums before",
        sums_found(run_warp<T>(zeros_a, zeros_b, row), run_warp<T>(zeros_a, zeros_b, column), 32),
        map_d);
}

#endif
