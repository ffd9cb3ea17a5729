// wgmma.cuh: experiments with a warp group's products: registers, tiles in shared memory, their
// descriptors, and sums that become the next product's operand.
#ifndef DIECAST_WGMMA_CUH
#define DIECAST_WGMMA_CUH

#include "experiment.cuh"

// ---- wgmma: a warp group's, with a (64, 16) in registers or tiles, b (16, N) in tiles -----------

enum { REGISTERS = 2 };               // a, beside BY_ROWS and BY_COLUMNS
static constexpr int BOTH = 2 * ROOM; // elements: a's tiles, then b's

// A part of an operand in tiles that are `height` rows high, two side by side: `width` along its
// own axis and 16 along the depth.
struct part {
    int major, height, width, block, step;
};

// How a kernel addresses it: the tile's element where its descriptors begin, and a step's bytes.
struct reach {
    int start, height, bytes;
};

static struct reach reach_of(struct part p) {
    if (p.major == BY_ROWS)
        return {p.block * p.width * 64, p.height, p.step / 4 * p.height * 128 + p.step % 4 * 32};
    return {p.block * p.height * 64, p.height, p.step * 2048};
}

template <class T, int MAJOR> DEVICE uint64_t word_of(const uint16_t *tiles, struct reach r) {
    const T *at = (const T *)(tiles + r.start);
    return wgmma_step(MAJOR == BY_ROWS ? wgmma_rows(at) : wgmma_columns(at, r.height), r.bytes);
}

template <class T, int A, int B, int N>
HOPPER_KERNEL(128)
group_product(float *d, const uint16_t *image, const uint32_t *a, struct reach a_at,
              struct reach b_at) {
    HOPPER_BODY();
    SHARED_DYNAMIC_1024(uint16_t, tiles);
    const int thread = (int)threadIdx.x;
    for (int i = thread; i < BOTH; i += 128)
        tiles[i] = image[i];
    fence_proxy_async();
    block_sync();
    const uint64_t b_word = word_of<T, B>(tiles + ROOM, b_at);
    float sums[N / 2];
    [[maybe_unused]] uint32_t held[4];
    if constexpr (A == REGISTERS) {
        for (int i = 0; i < 4; i++)
            held[i] = a[4 * thread + i];
        wgmma_fence();
        wgmma_m64k16<T, B>(sums, held, b_word, false);
    } else {
        const uint64_t a_word = word_of<T, A>(tiles, a_at);
        wgmma_fence();
        wgmma_m64k16<T, A, B>(sums, a_word, b_word, false);
    }
    wgmma_commit();
    wgmma_wait<0>();
    wgmma_landed(sums);
#pragma unroll // sums stay in registers: products write them after their asm
    for (int i = 0; i < N / 2; i++)
        d[thread * (N / 2) + i] = sums[i];
}

// The operands of one product.
struct operands {
    std::vector<uint16_t> image; // a's tiles and b's
    std::vector<uint32_t> a_registers;
    struct part a, b;
};

static struct operands operands_of(struct part a, struct part b) {
    return {std::vector<uint16_t>(BOTH), std::vector<uint32_t>(128 * 4), a, b};
}

template <class T, int A, int B, int N>
static std::vector<float> run_group(const struct operands &of) {
    float *on_d = to_device(std::vector<float>(128 * N / 2));
    uint16_t *on_image = to_device(of.image);
    uint32_t *on_a = to_device(of.a_registers);
    const auto kernel = group_product<T, A, B, N>;
    LAUNCH(kernel, 1, 128, BOTH * 2, 0, on_d, on_image, on_a, reach_of(of.a), reach_of(of.b));
    const std::vector<float> d = to_host(on_d, 128 * N / 2);
    MUST(cudaFree(on_image));
    MUST(cudaFree(on_a));
    return d;
}

static std::string tile_name(struct part p) {
    return (p.major == BY_ROWS ? "rows." : "columns.") + std::to_string(p.height);
}

// The stored map of tiles: a line for each of their rows, 128 bytes and one of 64 elements there.
template <class T> static const place_lines &tile_map(struct part p) {
    const std::string name = named<T>("tile", tile_name(p));
    return stored_map(name, p.height, 128, 2 * p.height, 64);
}

// The line and place of element (i, k) of a part in the map of its tiles.
static struct place in_tiles(struct part p, int i, int k) {
    const int own = p.block * p.width + i, depth = p.step * 16 + k;
    return p.major == BY_ROWS ? place{own, depth} : place{depth, own};
}

// Puts value(i, k) where the stored map has a part's elements, zeros elsewhere.
template <class T, class F> static void fill(uint16_t *tiles, struct part p, F value) {
    const place_lines &map = tile_map<T>(p);
    for (int i = 0; i < p.width; i++)
        for (int k = 0; k < 16; k++) {
            const struct place in = in_tiles(p, i, k), at = map[in.a][in.b];
            tiles[at.a * 64 + at.b] = element<T>::bits(value(i, k));
        }
}

// Fills every element with its address, from 1: in the first of two experiments which 128 bytes, in
// the second which element.
template <class T> static void number(uint16_t *tiles, int second) {
    for (int i = 0; i < ROOM; i++)
        tiles[i] = element<T>::bits(second ? i % 64 + 1 : i / 64 + 1);
}

// Notes the element that has an address, by two experiments.
static void note_address(place_lines *map, struct part p, int i, int k, float line, float place) {
    const struct place in = in_tiles(p, i, k);
    (*map)[in.a][in.b] = {(int)line - 1, (int)place - 1};
}

static int unit(int i, int k) {
    return i == k;
}

// All parts of an operand in tiles that are `height` high.
static std::vector<struct part> parts_of(int major, int height, int width) {
    std::vector<struct part> parts;
    for (int block = 0; block < (major == BY_ROWS ? height : 128) / width; block++)
        for (int step = 0; step < (major == BY_ROWS ? 128 : height) / 16; step++)
            parts.push_back({major, height, width, block, step});
    return parts;
}

// Checks where b is read from, with a in registers.
template <class T, int B, int N> static void check_b(const place_lines &map_a, int height) {
    const std::string name_d = named<T>("wgmma", "d." + std::to_string(N));
    const place_lines &map_d = stored_map(name_d, 128, N / 2, 64, N);
    const std::vector<struct part> parts = parts_of(B, height, N);
    place_lines found = unknown(height, 128);
    for (const struct part &p : parts) {
        struct operands of = operands_of({}, p);
        of.a_registers = unit_registers<T>(map_a, 0);
        std::vector<std::vector<float>> seen[2];
        for (int second = 0; second < 2; second++) {
            number<T>(&of.image[ROOM], second);
            seen[second] = matrix(run_group<T, REGISTERS, B, N>(of), map_d, 64, N);
        }
        for (int n = 0; n < N; n++)
            for (int k = 0; k < 16; k++)
                note_address(&found, p, n, k, seen[0][k][n], seen[1][k][n]);
    }
    maps_compare(named<T>("tile", tile_name(parts[0])) + " as b, " + std::to_string(N) + " columns",
                 found, tile_map<T>(parts[0]));
}

// Checks where a is read from in shared memory, with b the unit matrix.
template <class T, int A, int B, int N> static void check_a(int height) {
    const std::string name_d = named<T>("wgmma", "d." + std::to_string(N));
    const place_lines &map_d = stored_map(name_d, 128, N / 2, 64, N);
    const std::vector<struct part> parts = parts_of(A, height, 64);
    const struct part b = {B, 128, N, 0, 0};
    place_lines found = unknown(height, 128);
    for (const struct part &p : parts) {
        struct operands of = operands_of(p, b);
        fill<T>(&of.image[ROOM], b, unit);
        std::vector<std::vector<float>> seen[2];
        for (int second = 0; second < 2; second++) {
            number<T>(&of.image[0], second);
            seen[second] = matrix(run_group<T, A, B, N>(of), map_d, 64, N);
        }
        for (int i = 0; i < 64; i++)
            for (int k = 0; k < 16; k++)
                note_address(&found, p, i, k, seen[0][i][k], seen[1][i][k]);
    }
    maps_compare(named<T>("tile", tile_name(parts[0])) + " as a, with b by " +
                     (B == BY_ROWS ? "rows, " : "columns, ") + std::to_string(N) + " columns",
                 found, tile_map<T>(parts[0]));
}

// Checks where register operands and sums lie, with b in tiles.
template <class T, int B, int N> static void check_registers(const place_lines &map_a) {
    const std::string name_d = named<T>("wgmma", "d." + std::to_string(N)),
                      with = std::string(", with b by ") + (B == BY_ROWS ? "rows, " : "columns, ") +
                             std::to_string(N) + " columns";
    const place_lines &map_d = stored_map(name_d, 128, N / 2, 64, N);
    struct operands of = operands_of({}, {B, 128, N, 0, 0});
    fill<T>(&of.image[ROOM], of.b, unit);
    std::vector<std::vector<float>> seen[2];
    for (int second = 0; second < 2; second++) {
        of.a_registers = numbered_registers<T>(128, 8, second);
        seen[second] = matrix(run_group<T, REGISTERS, B, N>(of), map_d, 64, N);
    }
    place_lines found = unknown(128, 8);
    for (int i = 0; i < 64; i++)
        for (int k = 0; k < 16; k++)
            note(&found, seen[0][i][k], seen[1][i][k], {i, k});
    maps_compare(named<T>("wgmma", "a") + with, found, map_a);

    std::vector<float> sums[2]; // their rows, their columns
    for (int columns = 0; columns < 2; columns++) {
        fill<T>(&of.image[ROOM], of.b, [=](int i, int k) {
            return k > 0 ? 0 : columns ? i + 1 : 1;
        });
        of.a_registers = registers<T>(128, 8, [&](int thread, int half) {
            const struct place at = map_a[thread][half];
            return at.b > 0 ? 0 : columns ? 1 : at.a + 1;
        });
        sums[columns] = run_group<T, REGISTERS, B, N>(of);
    }
    maps_compare(name_d + with, sums_found(sums[0], sums[1], 128), map_d);
}

template <class T, int N> static void check_wgmma() {
    const std::string name_a = named<T>("wgmma", "a");
    const place_lines &map_a = stored_map(name_a, 128, 8, 64, 16);
    check_registers<T, BY_ROWS, N>(map_a);
    check_registers<T, BY_COLUMNS, N>(map_a);
    for (int height = 64; height <= 128; height += 64) {
        if (height >= N) // b's columns are the tiles' rows
            check_b<T, BY_ROWS, N>(map_a, height);
        check_b<T, BY_COLUMNS, N>(map_a, height);
        check_a<T, BY_ROWS, BY_ROWS, N>(height);
        check_a<T, BY_ROWS, BY_COLUMNS, N>(height);
        check_a<T, BY_COLUMNS, BY_ROWS, N>(height);
        check_a<T, BY_COLUMNS, BY_COLUMNS, N>(height);
    }
}

// ---- the descriptors of wgmma's operands --------------------------------------------------------

template <class T>
HOPPER_KERNEL(128)
describe(uint64_t *words, struct reach at, int major) { // a word, and where shared memory begins
    HOPPER_BODY();
    SHARED_DYNAMIC_1024(uint16_t, tiles);
    if (threadIdx.x == 0) {
        words[0] =
            major == BY_ROWS ? word_of<T, BY_ROWS>(tiles, at) : word_of<T, BY_COLUMNS>(tiles, at);
        words[1] = shared_address(tiles);
    }
}

template <class T>
static void check_descriptors(const char *operand, int major, int height, int width) {
    place_lines found;
    for (const struct part &p : parts_of(major, height, width)) {
        uint64_t *on_words = to_device(std::vector<uint64_t>(2));
        LAUNCH(describe<T>, 1, 128, BOTH * 2, 0, on_words, reach_of(p), major);
        const std::vector<uint64_t> words = to_host(on_words, 2);
        uint64_t word = words[0] - (words[1] >> 4);
        if (major == BY_COLUMNS && width == 64)
            word = descriptor_without_next_tile(word);
        found.push_back(descriptor_fields(word));
    }
    const std::string name =
        named<T>("descriptor", std::string(operand) + (major == BY_ROWS ? ".rows." : ".columns.") +
                                   std::to_string(height) + "." + std::to_string(width));
    maps_compare(name, found, stored_map(name, found.size(), found[0].size(), 64, 1 << 14));
}

template <class T> static void check_descriptors() {
    for (const char *operand : {"a", "b"})
        for (int height = 64; height <= 128; height += 64)
            for (int width = 64; width <= (*operand == 'a' ? 64 : 128); width += 64) {
                if (height >= width) // a product's part of the tiles' rows
                    check_descriptors<T>(operand, BY_ROWS, height, width);
                check_descriptors<T>(operand, BY_COLUMNS, height, width);
            }
}

// ---- weights_pack: sums of one product as the register operand of the next ----------------------

template <class T, int K>
HOPPER_KERNEL(128)
pack(uint32_t *packed) { // (K, 4): which of a thread's sums each half is
    HOPPER_BODY();
    const int thread = (int)threadIdx.x;
    float sums[8 * K];
    uint32_t a[K][4];
    for (int i = 0; i < 8 * K; i++)
        sums[i] = (float)i;
    weights_pack<T>(a, sums);
    if (thread == 0)
        for (int i = 0; i < 4 * K; i++)
            packed[i] = a[i / 4][i % 4];
}

template <class T, int K> static void check_pack() {
    const std::string columns = std::to_string(16 * K), name = named<T>("wgmma_pack", columns);
    const std::string name_d = named<T>("wgmma", "d." + columns);
    const place_lines &map_d = stored_map(name_d, 128, 8 * K, 64, 16 * K);
    uint32_t *on_packed = to_device(std::vector<uint32_t>(4 * K));
    const auto kernel = pack<T, K>;
    LAUNCH(kernel, 1, 128, 0, 0, on_packed);
    const std::vector<uint32_t> packed = to_host(on_packed, 4 * K);
    place_lines found = unknown(128, 8 * K);
    for (int half = 0; half < 8 * K; half++)
        for (int sum = 0; sum < 8 * K; sum++)
            if ((packed[half / 2] >> half % 2 * 16 & 0xffff) == element<T>::bits(sum))
                for (int thread = 0; thread < 128; thread++)
                    found[thread][half] = map_d[thread][sum];
    maps_compare(name, found, stored_map(name, 128, 8 * K, 64, 16 * K));
}

#endif
