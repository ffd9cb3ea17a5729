// tma.cuh: experiments with TMA's copies between a matrix and tiles, and with tile_address.
#ifndef DIECAST_TMA_CUH
#define DIECAST_TMA_CUH

#include "experiment.cuh"

// ---- TMA: the places to which it copies a matrix (height, 128) in two tiles ---------------------

template <class T> HOPPER_KERNEL(128) copy_in(uint16_t *seen, TENSOR_MAP(from), int height) {
    HOPPER_BODY();
    SHARED_DYNAMIC_1024(uint16_t, tiles);
    uint64_t *bar = (uint64_t *)(tiles + ROOM);
    if (threadIdx.x == 0) {
        mbarrier_init(bar, 1);
        mbarrier_fence_init();
        mbarrier_expect(bar, height * 128 * 2);
        tiles_load((T *)tiles, &from, bar, height, 128, 0, 0, 0);
    }
    block_sync();
    mbarrier_wait(bar, 0);
    for (int i = (int)threadIdx.x; i < height * 128; i += 128)
        seen[i] = tiles[i];
}

template <class T> HOPPER_KERNEL(128) copy_out(const uint16_t *image, TENSOR_MAP(to), int height) {
    HOPPER_BODY();
    SHARED_DYNAMIC_1024(uint16_t, tiles);
    for (int i = (int)threadIdx.x; i < height * 128; i += 128)
        tiles[i] = image[i];
    fence_proxy_async();
    block_sync();
    if (threadIdx.x == 0) {
        tiles_store(&to, (const T *)tiles, height, height, 128, 0, 0, 0);
        tma_store_commit();
        tma_store_wait<0>();
    }
}

// The places at which kernels themselves store to tiles: bytes from the first tile's start on.
template <class T> HOPPER_KERNEL(128) address(uint32_t *seen, int height) {
    HOPPER_BODY();
    SHARED_DYNAMIC_1024(uint16_t, tiles);
    for (int i = (int)threadIdx.x; i < height * 128; i += 128) {
        const int row = i / 128, column = i % 128;
        const uint32_t within = tile_address((T *)tiles, row, column % 8) ^ column / 8 % 8 * 16;
        seen[i] = within + column / 64 * height * 128 - shared_address(tiles);
    }
}

template <class T> static void check_copies(int height) {
    const std::string name = named<T>("tma", std::to_string(height));
    const place_lines &map = stored_map(name, height, 128, 2 * height, 64);
    const int count = height * 128;
    std::vector<uint16_t> numbers(count); // as bits
    for (int i = 0; i < count; i++)
        numbers[i] = (uint16_t)i;
    uint16_t *on_matrix = to_device(numbers), *on_tiles = to_device(std::vector<uint16_t>(count));
    const tensor_map described = tensor_map_make((const T *)on_matrix, 128, height, 1, 128);
    LAUNCH(copy_in<T>, 1, 128, ROOM * 2 + 8, 0, on_tiles, described, height);
    const std::vector<uint16_t> tiles = to_host(on_tiles, count);
    place_lines found = unknown(height, 128);
    for (int i = 0; i < count; i++)
        if (tiles[i] < count)
            found[tiles[i] / 128][tiles[i] % 128] = {i / 64, i % 64};
    maps_compare(name + " of a load", found, map);

    on_tiles = to_device(numbers);
    LAUNCH(copy_out<T>, 1, 128, ROOM * 2, 0, on_tiles, described, height);
    const std::vector<uint16_t> matrix = to_host(on_matrix, count);
    MUST(cudaFree(on_tiles));
    found = unknown(height, 128);
    for (int i = 0; i < count; i++)
        found[i / 128][i % 128] = {matrix[i] / 64, matrix[i] % 64};
    maps_compare(name + " of a store", found, map);

    uint32_t *on_seen = to_device(std::vector<uint32_t>(count));
    LAUNCH(address<T>, 1, 128, ROOM * 2, 0, on_seen, height);
    const std::vector<uint32_t> seen = to_host(on_seen, count);
    for (int i = 0; i < count; i++)
        found[i / 128][i % 128] = {(int)(seen[i] / 128), (int)(seen[i] % 128 / 2)};
    maps_compare(name + " by tile_address", found, map);
}

#endif
