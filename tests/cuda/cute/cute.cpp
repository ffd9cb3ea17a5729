// cute.cpp: the maps of lanes, registers and shared memory that CuTe, of NVIDIA's CUTLASS, states
// for the instructions that emitted kernels use. It runs on the host, without kernels or a device.
//
//     cute FILE             compares FILE's maps with CuTe's; the last line is "N passed, N failed,
//                           0 skipped"
//     cute --write FILE     writes them
//
// tests/reference/cute.sh builds it.
#include <stddef.h>

// Offsets in this array stand for shared addresses, which a host does not have.
alignas(1024) static unsigned char shared_memory[128 * 1024];
static size_t __cvta_generic_to_shared(const void *p) {
    return (size_t)((const unsigned char *)p - shared_memory);
}
#define CUTE_CVTA_GENERIC_TO_SHARED_ACTIVATED 1

#include <cute/atom/copy_traits_sm75.hpp>
#include <cute/atom/copy_traits_sm90_tma_swizzle.hpp>
#include <cute/atom/mma_atom.hpp>
#include <cute/atom/mma_traits_sm80.hpp>
#include <cute/atom/mma_traits_sm90_gmma.hpp>
#include <cute/tensor.hpp>
#include <cutlass/version.h>

#include "maps.h"

using namespace cute;
namespace gmma = SM90::GMMA;

static place_maps maps;

static std::string named(const char *instruction, const char *type, const std::string &rest) {
    return std::string(instruction) + "." + type + "." + rest;
}

// ---- registers ----------------------------------------------------------------------------------

// CuTe's layouts of fragments give a matrix's element, counted down its columns, for (thread,
// value).
template <class Map> static place_lines fragment(Map layout, int rows) {
    place_lines lines(size<0>(layout));
    for (int thread = 0; thread < size<0>(layout); thread++)
        for (int value = 0; value < size<1>(layout); value++) {
            const int at = layout(thread, value);
            lines[thread].push_back({at % rows, at / rows});
        }
    return lines;
}

template <class Op> static void mma(const char *type) {
    using traits = MMA_Traits<Op>;
    constexpr int M = size<0>(typename traits::Shape_MNK{}),
                  N = size<1>(typename traits::Shape_MNK{});
    maps[named("mma_16816", type, "a")] = fragment(typename traits::ALayout{}, M);
    maps[named("mma_16816", type, "b")] = fragment(typename traits::BLayout{}, N);
    maps[named("mma_16816", type, "d")] = fragment(typename traits::CLayout{}, M);
}

// Both sides of a copy are maps from (thread, value) to bits of the matrices. Elements have 16
// bits; if several lanes have the same row, the first one gives it.
template <class Op> static void ldmatrix(const char *name) {
    const typename Copy_Traits<Op>::SrcLayout source;
    const typename Copy_Traits<Op>::DstLayout result;
    std::map<int, struct place> given; // by bit
    for (int lane = size<0>(source) - 1; lane >= 0; lane--)
        for (int bit = 0; bit < size<1>(source); bit += 16)
            given[source(lane, bit)] = {lane, bit / 16};
    for (int lane = 0; lane < size<0>(result); lane++) {
        maps[name].emplace_back();
        for (int bit = 0; bit < size<1>(result); bit += 16)
            maps[name].back().push_back(given.at(result(lane, bit)));
    }
}

// ---- shared memory ------------------------------------------------------------------------------

// The place of an element of a tensor: which 128 bytes, which of their 64 elements. Its address
// includes the swizzle, which the layout alone does not.
template <class Tensor> static struct place shared_place(const Tensor &tensor, int i, int j) {
    const size_t at = __cvta_generic_to_shared(&tensor(i, j)) / sizeof(tensor(i, j));
    return {(int)at / 64, (int)at % 64};
}

template <class T, class Layout> static auto in_shared(Layout layout) {
    return make_tensor(make_smem_ptr((T *)shared_memory), layout);
}

// An operand whose columns, the depth, lie along tiles' rows: (HEIGHT, 128), two tiles side by
// side.
template <class T, int HEIGHT> static constexpr auto by_rows() {
    return tile_to_shape(gmma::Layout_K_SW128_Atom<T>{}, Shape<Int<HEIGHT>, _128>{});
}

// An operand whose depth lies along tiles' columns: (128, HEIGHT), from tiles (2, HEIGHT, 64).
template <class T, int HEIGHT> static constexpr auto by_columns() {
    return tile_to_shape(gmma::Layout_MN_SW128_Atom<T>{}, Shape<_128, Int<HEIGHT>>{},
                         Step<_2, _1>{});
}

// The descriptors of a tensor (1, blocks, steps) of these: a line for each block's steps.
template <class Descriptors>
static void descriptors(const std::string &name, Descriptors part, bool one_tile) {
    for (int block = 0; block < size<1>(part); block++)
        for (int step = 0; step < size<2>(part); step++) {
            const uint64_t word = part(Int<0>{}, block, step).desc_;
            maps[name].push_back(
                descriptor_fields(one_tile ? descriptor_without_next_tile(word) : word));
        }
}

template <class T, class Op, gmma::Major MAJOR, int HEIGHT, int WIDTH>
static void operands(const char *type) {
    const auto tiled = make_tiled_mma(Op{}).get_slice(0);
    const std::string rest = (MAJOR == gmma::Major::K ? "rows." : "columns.") +
                             std::to_string(HEIGHT) + "." + std::to_string(WIDTH);
    const auto both = [&](auto tensor) {
        constexpr bool ONE = MAJOR == gmma::Major::MN && WIDTH == 64;
        const auto b = tiled.make_fragment_B(tiled.partition_B(tensor));
        descriptors(named("descriptor", type, "b." + rest), b, ONE);
        if constexpr (WIDTH == 64) { // as many rows as a product's a has
            const auto a = tiled.make_fragment_A(tiled.partition_A(tensor));
            descriptors(named("descriptor", type, "a." + rest), a, ONE);
        }
    };
    if constexpr (MAJOR == gmma::Major::K)
        both(in_shared<T>(by_rows<T, HEIGHT>()));
    else
        both(in_shared<T>(by_columns<T, HEIGHT>()));
}

template <class T, int HEIGHT> static void tiles(const char *type) {
    const auto rows = in_shared<T>(by_rows<T, HEIGHT>());
    const auto columns = in_shared<T>(by_columns<T, HEIGHT>());
    // How a TMA copy writes such layouts: 128 bytes of a row at a time, in 16-byte pieces.
    static_assert(detail::get_tma_swizzle_bits(get_swizzle_portion(by_rows<T, HEIGHT>())) ==
                  TMA::SmemSwizzleBits::B128);
    const std::string height = std::to_string(HEIGHT);
    for (int row = 0; row < HEIGHT; row++) {
        std::vector<struct place> of_rows, of_columns;
        for (int column = 0; column < 128; column++) {
            of_rows.push_back(shared_place(rows, row, column));
            of_columns.push_back(shared_place(columns, column, row));
        }
        maps[named("tile", type, "rows." + height)].push_back(of_rows);
        maps[named("tile", type, "columns." + height)].push_back(of_columns);
        maps[named("tma", type, height)].push_back(of_rows);
    }
}

// ---- wgmma --------------------------------------------------------------------------------------

// From the products with a in registers; with a in shared memory the sums lie in the same way.
template <class Registers, class Shared, int N> static void wgmma(const char *type) {
    using traits = MMA_Traits<Registers>;
    static_assert(is_same_v<typename traits::CLayout, typename MMA_Traits<Shared>::CLayout>);
    const place_lines a = fragment(typename traits::ALayout{}, 64);
    maps[named("wgmma", type, "a")] = a;
    maps[named("wgmma", type, "d." + std::to_string(N))] = fragment(typename traits::CLayout{}, 64);
    // Sums that become the next product's a, 16 columns at a time.
    place_lines packed(128);
    for (int thread = 0; thread < 128; thread++)
        for (int i = 0; i < N / 2; i++)
            packed[thread].push_back({a[thread][i % 8].a, a[thread][i % 8].b + i / 8 * 16});
    maps[named("wgmma_pack", type, std::to_string(N))] = packed;
}

constexpr gmma::Major K = gmma::Major::K, MN = gmma::Major::MN;

template <class T, template <gmma::Major, gmma::Major> class Shared64,
          template <gmma::Major, gmma::Major> class Registers64,
          template <gmma::Major, gmma::Major> class Shared128,
          template <gmma::Major, gmma::Major> class Registers128>
static void hopper(const char *type) {
    wgmma<Registers64<K, K>, Shared64<K, K>, 64>(type);
    wgmma<Registers128<K, K>, Shared128<K, K>, 128>(type);
    tiles<T, 64>(type);
    tiles<T, 128>(type);
    operands<T, Shared64<K, K>, K, 64, 64>(type);
    operands<T, Shared64<K, K>, K, 128, 64>(type);
    operands<T, Shared128<K, K>, K, 128, 128>(type);
    operands<T, Shared64<MN, MN>, MN, 64, 64>(type);
    operands<T, Shared64<MN, MN>, MN, 128, 64>(type);
    operands<T, Shared128<MN, MN>, MN, 64, 128>(type);
    operands<T, Shared128<MN, MN>, MN, 128, 128>(type);
}

#define PRODUCT(name, size, types, from)                                                           \
    template <gmma::Major A, gmma::Major B>                                                        \
    using name = gmma::MMA_64x##size##x16_F32##types##_##from<A, B>;
PRODUCT(bf16_shared_64, 64, BF16BF16, SS)
PRODUCT(bf16_shared_128, 128, BF16BF16, SS)
PRODUCT(bf16_registers_64, 64, BF16BF16, RS)
PRODUCT(bf16_registers_128, 128, BF16BF16, RS)
PRODUCT(f16_shared_64, 64, F16F16, SS)
PRODUCT(f16_shared_128, 128, F16F16, SS)
PRODUCT(f16_registers_64, 64, F16F16, RS)
PRODUCT(f16_registers_128, 128, F16F16, RS)

int main(int arguments, char **argument) {
    const bool write = arguments == 3 && !strcmp(argument[1], "--write");
    if (arguments != 2 && !write) {
        fprintf(stderr, "usage: cute [--write] FILE\n");
        return 64;
    }
    ldmatrix<SM75_U32x2_LDSM_N>("ldmatrix_x2");
    ldmatrix<SM75_U32x4_LDSM_N>("ldmatrix_x4");
    ldmatrix<SM75_U16x4_LDSM_T>("ldmatrix_x2_trans");
    ldmatrix<SM75_U16x8_LDSM_T>("ldmatrix_x4_trans");
    mma<SM80_16x8x16_F32BF16BF16F32_TN>("bf16");
    mma<SM80_16x8x16_F32F16F16F32_TN>("f16");
    hopper<bfloat16_t, bf16_shared_64, bf16_registers_64, bf16_shared_128, bf16_registers_128>(
        "bf16");
    hopper<half_t, f16_shared_64, f16_registers_64, f16_shared_128, f16_registers_128>("f16");

    if (!write) {
        const place_maps stored = maps_read(argument[1]);
        for (const auto &map : stored)
            maps_compare(map.first, map.second, maps[map.first]);
        for (const auto &map : maps)
            if (!stored.count(map.first))
                maps_compare(map.first, {}, map.second);
        return maps_end(0);
    }
    FILE *file = fopen(argument[2], "w");
    if (file) {
        fprintf(file, "# Made from CUTLASS %d.%d.%d by `make cute-parity UPDATE=1`.\n",
                CUTLASS_MAJOR, CUTLASS_MINOR, CUTLASS_PATCH);
        maps_write(file, maps);
    }
    if (!file || ferror(file) || fclose(file)) {
        fprintf(stderr, "cute: %s: cannot be written\n", argument[2]);
        return 74;
    }
    return 0;
}
