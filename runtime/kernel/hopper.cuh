// hopper.cuh: what kernels use of Hopper's hardware (sm_90a: H100, H200), beyond kernel.cuh. nvcc
// compiles these names to the hardware's; any other C++17 compiler takes them from hopper.h
// (tests/cuda/emulator). For other architectures such a kernel compiles to an immediate return.
//
//     heads       HOPPER_KERNEL, HOPPER_BODY, warp_group, warp_group_thread, registers_give,
//                 registers_take, registers_pin
//     barriers    mbarrier_init, mbarrier_fence_init, mbarrier_arrive, mbarrier_expect,
//                 mbarrier_wait
//     copies      tensor_map, TENSOR_MAP, tensor_map_make, tma_load, bulk_load, tma_store,
//                 tma_store_commit, tma_store_wait, fence_proxy_async
//     products    wgmma_rows, wgmma_columns, wgmma_step, wgmma_fence, wgmma_m64k16, wgmma_commit,
//                 wgmma_wait, wgmma_landed
//     tiles       tile_address, shared_store_pair, tiles_load, tiles_store,
//                 weights_pack, weights_copy, pair_at, global_store_pair
//
// A TILE is what tma_load writes to shared memory: rows of 64 16-bit elements, 128 bytes each, with
// a 128-byte swizzle: piece p (16 bytes) of row r is stored at the place of piece p ^ (r % 8). So
// one piece of eight rows, and the eight pieces of one row, both use all 32 banks. A tile starts at
// a multiple of 1024 bytes. A wider matrix is several tiles, one after the other.
#ifndef DIECAST_HOPPER_CUH
#define DIECAST_HOPPER_CUH

#include "kernel.cuh"

enum {
    TILE_COLUMNS = 64, // elements in a row of a tile
    TILE_LOAD = 64,    // rows that one tma_load or tma_store moves
    WARP_GROUP = 128   // threads that issue a product together
};

// How a product reads an operand in tiles. BY_ROWS: a tile's rows are the rows of a, or the columns
// of b, and its columns are the inner dimension. BY_COLUMNS: the other way round.
enum { BY_ROWS = 0, BY_COLUMNS = 1 };

#ifdef __CUDACC__

#include <cuda.h>

typedef CUtensorMap tensor_map;

// Declares a kernel's parameter of that type.
#define TENSOR_MAP(name) const __grid_constant__ CUtensorMap name

// One block of `threads` for each multiprocessor, so that warp groups can exchange registers.
#define HOPPER_KERNEL(threads) KERNEL_BLOCKS(threads, 1)

// HOPPER_BODY() is the first statement of such a kernel. HOPPER_ASM is asm for this architecture
// alone.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define HOPPER_BODY()
#define HOPPER_ASM(...) asm volatile(__VA_ARGS__)
#else
#define HOPPER_BODY() return
#define HOPPER_ASM(...)
#pragma nv_diag_suppress 111 // what follows HOPPER_BODY() cannot be reached there
#endif

DEVICE uint32_t shared_address(const void *shared) {
    return (uint32_t)__cvta_generic_to_shared(shared);
}

// ---- registers ----------------------------------------------------------------------------------

// Called by all warps of a warp group: from here on each thread has N registers, a multiple of 8
// from 24 to 240. registers_give lowers the number; registers_take raises it, and waits until
// others have given enough.
template <int N> DEVICE void registers_give() {
    HOPPER_ASM("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}

template <int N> DEVICE void registers_take() {
    HOPPER_ASM("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}

// This thread's number in its warp group, read again at each call. Otherwise the compiler would
// keep what depends on it (rows, columns, addresses) in registers between uses.
DEVICE int warp_group_thread() {
    uint32_t thread;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
    return (int)(thread % WARP_GROUP);
}

// ---- barriers in shared memory ------------------------------------------------------------------

// A phase of a barrier ends when `count` arrivals and all expected bytes have come; the next
// begins.
DEVICE void mbarrier_init(uint64_t *bar, int count) {
    HOPPER_ASM("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(bar)), "r"(count)
               : "memory");
}

// Makes the inits visible to the copy engine; called after them and before a block_sync.
DEVICE void mbarrier_fence_init() {
    HOPPER_ASM("fence.mbarrier_init.release.cluster;" ::: "memory");
}

DEVICE void mbarrier_arrive(uint64_t *bar) {
    HOPPER_ASM("mbarrier.arrive.release.cta.shared::cta.b64 _, [%0];" ::"r"(shared_address(bar))
               : "memory");
}

// Arrives, and makes the phase wait for that many bytes of loads, too.
DEVICE void mbarrier_expect(uint64_t *bar, int bytes) {
    HOPPER_ASM("mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 _, [%0], %1;" ::"r"(
                   shared_address(bar)),
               "r"(bytes)
               : "memory");
}

// Waits until the phase of that parity has ended. Phases count from 0; on a new barrier, a wait for
// parity 1 returns at once.
DEVICE void mbarrier_wait(uint64_t *bar, int parity) {
    HOPPER_ASM("{\n"
               ".reg .pred done;\n"
               "again:\n"
               "mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 done, [%0], %1;\n"
               "@!done bra again;\n"
               "}" ::"r"(shared_address(bar)),
               "r"(parity)
               : "memory");
}

// ---- copies -------------------------------------------------------------------------------------

// Starts a copy of 64 rows from `row` and 64 columns from `column` of matrix `batch` to a tile.
// What is outside the matrix becomes zeros, and counts as bytes, too: always TILE_LOAD * 128.
DEVICE void tma_load(void *tile, const tensor_map *map, uint64_t *bar, int column, int row,
                     int batch) {
    HOPPER_ASM("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
               "[%0], [%1, {%3, %4, %5}], [%2];" ::"r"(shared_address(tile)),
               "l"(map), "r"(shared_address(bar)), "r"(column), "r"(row), "r"(batch)
               : "memory");
}

// Starts a copy of `bytes`; bytes and both addresses are multiples of 16.
DEVICE void bulk_load(void *to, const void *from, int bytes, uint64_t *bar) {
    HOPPER_ASM("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
               "[%0], [%1], %2, [%3];" ::"r"(shared_address(to)),
               "l"(from), "r"(bytes), "r"(shared_address(bar))
               : "memory");
}

// Starts a copy of a tile to global memory, except for what is outside the matrix. The tile may be
// overwritten once this thread has committed and waited: tma_store_wait<N> returns when at most N
// of its committed groups are still to be read.
DEVICE void tma_store(const tensor_map *map, const void *tile, int column, int row, int batch) {
    HOPPER_ASM("cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group "
               "[%0, {%2, %3, %4}], [%1];" ::"l"(map),
               "r"(shared_address(tile)), "r"(column), "r"(row), "r"(batch)
               : "memory");
}

DEVICE void tma_store_commit() {
    HOPPER_ASM("cp.async.bulk.commit_group;" ::: "memory");
}

template <int N> DEVICE void tma_store_wait() {
    HOPPER_ASM("cp.async.bulk.wait_group.read %0;" ::"n"(N) : "memory");
}

// Makes this thread's stores to shared memory visible to copies and products that are issued after
// the next barrier.
DEVICE void fence_proxy_async() {
    HOPPER_ASM("fence.proxy.async.shared::cta;" ::: "memory");
}

// ---- products -----------------------------------------------------------------------------------

// wgmma's descriptor of an operand: its address, the bytes from one tile to the next along the axis
// that is not the inner dimension (BY_COLUMNS only), 1024 bytes from eight rows to the next eight,
// and 128-byte swizzle.
DEVICE uint64_t wgmma_word(const void *at, int tile_bytes) {
    uint32_t low = (shared_address(at) & 0x3ffff) >> 4 | (uint32_t)(tile_bytes >> 4) << 16;
    // Recomputed at each use: otherwise the compiler keeps the words of all steps in registers.
    asm volatile("" : "+r"(low));
    return (uint64_t)low | (uint64_t)(1024 >> 4 | 1 << 30) << 32;
}

// Needed before the first product, and before any product whose accumulators or register operands
// this thread has read or written since the last wait.
DEVICE void wgmma_fence() {
    HOPPER_ASM("wgmma.fence.sync.aligned;" ::: "memory");
}

// Ends a group of products; wgmma_wait<N> waits until at most the N youngest are still in flight.
DEVICE void wgmma_commit() {
    HOPPER_ASM("wgmma.commit_group.sync.aligned;" ::: "memory");
}

template <int N> DEVICE void wgmma_wait() {
    HOPPER_ASM("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}

// Called after the wait for d's products: keeps the compiler from reading d earlier.
template <int R> DEVICE void wgmma_landed(float (&d)[R]) {
#pragma unroll
    for (int i = 0; i < R; i++) {
        asm volatile("" : "+f"(d[i])::"memory");
    }
}

// Makes the compiler compute x here, and not later, where it is first used.
template <int R> DEVICE void registers_pin(float (&x)[R]) {
#pragma unroll
    for (int i = 0; i < R; i++) {
        asm volatile("" : "+f"(x[i])::"memory");
    }
}

template <class T> constexpr bool WGMMA_BF16 = false;
template <> constexpr bool WGMMA_BF16<bf16> = true;

#define WGMMA_8(d, i)                                                                              \
    "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]),    \
        "+f"(d[i + 6]), "+f"(d[i + 7])
#define WGMMA_32(d, i) WGMMA_8(d, i), WGMMA_8(d, i + 8), WGMMA_8(d, i + 16), WGMMA_8(d, i + 24)
#define WGMMA_NAMES_32                                                                             \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"                                       \
    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define WGMMA_NAMES_64                                                                             \
    WGMMA_NAMES_32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"             \
                   "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define WGMMA(size, type, names, operands, add)                                                    \
    "{\n.reg .pred add;\nsetp.ne.b32 add, " add ", 0;\n"                                           \
    "wgmma.mma_async.sync.aligned.m64" size "k16.f32." type "." type " {" names "}, " operands     \
    ";\n}"
#define WGMMA_SHARED(type, A, B)                                                                   \
    if constexpr (R == 32) {                                                                       \
        HOPPER_ASM(WGMMA("n64", type, WGMMA_NAMES_32, "%32, %33, add, 1, 1, %35, %36", "%34")      \
                   : WGMMA_32(d, 0)                                                                \
                   : "l"(a), "l"(b), "r"((int)add), "n"(A), "n"(B));                               \
    } else {                                                                                       \
        HOPPER_ASM(WGMMA("n128", type, WGMMA_NAMES_64, "%64, %65, add, 1, 1, %67, %68", "%66")     \
                   : WGMMA_32(d, 0), WGMMA_32(d, 32)                                               \
                   : "l"(a), "l"(b), "r"((int)add), "n"(A), "n"(B));                               \
    }
#define WGMMA_REGISTERS(type, B)                                                                   \
    if constexpr (R == 32) {                                                                       \
        HOPPER_ASM(                                                                                \
            WGMMA("n64", type, WGMMA_NAMES_32, "{%32, %33, %34, %35}, %36, add, 1, 1, %38", "%37") \
            : WGMMA_32(d, 0)                                                                       \
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)add), "n"(B));          \
    } else {                                                                                       \
        HOPPER_ASM(WGMMA("n128", type, WGMMA_NAMES_64,                                             \
                         "{%64, %65, %66, %67}, %68, add, 1, 1, %70", "%69")                       \
                   : WGMMA_32(d, 0), WGMMA_32(d, 32)                                               \
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)add), "n"(B));   \
    }

// Starts d (64, 2R) = a (64, 16) b (16, 2R), or += if `add`; R is 32 or 64, sums are in float. All
// 128 threads of a warp group take part. With w = warp in the group, g = lane / 4, t = lane % 4, a
// thread holds of d
//     d[4 i], d[4 i + 1]: row 16 w + g, columns 8 i + 2 t and + 1;  d[4 i + 2], d[4 i + 3]: row + 8
// and of an a in registers the elements that mma_16816 describes, with rows from 16 w on.
template <class T, int A, int B, int R>
DEVICE void wgmma_m64k16(float (&d)[R], uint64_t a, uint64_t b, bool add) {
    static_assert(R == 32 || R == 64, "64 or 128 columns");
    if constexpr (WGMMA_BF16<T>) {
        WGMMA_SHARED("bf16", A, B)
    } else {
        WGMMA_SHARED("f16", A, B)
    }
}

// The same with a in registers, which must not be read or written before the wait.
template <class T, int B, int R>
DEVICE void wgmma_m64k16(float (&d)[R], const uint32_t (&a)[4], uint64_t b, bool add) {
    static_assert(R == 32 || R == 64, "64 or 128 columns");
    if constexpr (WGMMA_BF16<T>) {
        WGMMA_REGISTERS("bf16", B)
    } else {
        WGMMA_REGISTERS("f16", B)
    }
}

// ---- shared memory, registers and global memory -------------------------------------------------

// Copies an operand a (K steps of 16 columns) to registers that can be read while a product uses
// the originals. asm hides from the compiler that both are equal, so it cannot read the originals.
template <int K> DEVICE void weights_copy(uint32_t (&copy)[K][4], const uint32_t (&a)[K][4]) {
#pragma unroll
    for (int i = 0; i < 4 * K; i++) {
        asm volatile("mov.b32 %0, %1;" : "=r"(copy[i / 4][i % 4]) : "r"(a[i / 4][i % 4]));
    }
}

// Stores 4 bytes to shared memory; before a product or a copy reads them, fence_proxy_async.
DEVICE void shared_store_pair(uint32_t address, uint32_t pair) {
    asm volatile("st.shared.b32 [%0], %1;" ::"r"(address), "r"(pair) : "memory");
}

// Stores two elements to global memory.
template <class T> DEVICE void global_store_pair(T *to, float low, float high) {
    *(uint32_t *)to = pack2<T>(low, high);
}

// The low or the high of two packed elements.
template <class T> DEVICE float pair_at(uint32_t pair, int high) {
    if constexpr (WGMMA_BF16<T>) {
        return __uint_as_float(high ? pair & 0xffff0000u : pair << 16);
    } else {
        return __half2float(__ushort_as_half((unsigned short)(high ? pair >> 16 : pair)));
    }
}

// ---- the host's part ----------------------------------------------------------------------------

// Describes, for copies in tiles, `batches` matrices (rows, columns) at `base`, one after the
// other, with rows `stride` elements apart. The base is 16-byte aligned, the stride a multiple of
// 8.
template <class T>
static inline tensor_map tensor_map_make(const T *base, int columns, int rows, int batches,
                                         int stride) {
    // The driver's function is looked up at run time, so that linking does not need libcuda.
    static void *encode = NULL;
    if (encode == NULL) {
        cudaDriverEntryPointQueryResult status;
#if CUDART_VERSION >= 12050
        launch_check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &encode, 12000,
                                                      cudaEnableDefault, &status),
                     "cuTensorMapEncodeTiled", __FILE__, __LINE__);
#else
        launch_check(
            cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &encode, cudaEnableDefault, &status),
            "cuTensorMapEncodeTiled", __FILE__, __LINE__);
#endif
        if (status != cudaDriverEntryPointSuccess || encode == NULL) {
            fprintf(stderr,
                    "%s:%d: the driver has no cuTensorMapEncodeTiled; install one for CUDA 12 or "
                    "later\n",
                    __FILE__, __LINE__);
            exit(71);
        }
    }
    const cuuint64_t size[3] = {(cuuint64_t)columns, (cuuint64_t)rows, (cuuint64_t)batches};
    const cuuint64_t bytes[2] = {(cuuint64_t)stride * sizeof(T),
                                 (cuuint64_t)stride * sizeof(T) * rows};
    const cuuint32_t box[3] = {TILE_COLUMNS, TILE_LOAD, 1}, every[3] = {1, 1, 1};
    tensor_map map;
    const CUresult error = ((decltype(&cuTensorMapEncodeTiled))encode)(
        &map, WGMMA_BF16<T> ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 3,
        (void *)base, size, bytes, box, every, CU_TENSOR_MAP_INTERLEAVE_NONE,
        CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
        CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (error != CUDA_SUCCESS) {
        fprintf(stderr,
                "%s:%d: cuTensorMapEncodeTiled: error %d for %d matrices of (%d, %d), rows "
                "%d apart, at %p\n",
                __FILE__, __LINE__, (int)error, batches, rows, columns, stride, (const void *)base);
        exit(71);
    }
    return map;
}

#else

#include "hopper.h"

#endif

// ---- the same on both sides, from what is above -------------------------------------------------

// The shared address of an element of a tile. If `column` is below 8, the element 8 p columns
// further is at this address ^ 16 p; the element 8 rows further is at + 1024. When a warp stores
// its part of wgmma's sums, a pair from each lane, there are no bank conflicts.
template <class T> DEVICE uint32_t tile_address(const T *tile, int row, int column) {
    return shared_address(tile) + row * 128 + ((column / 8) ^ (row % 8)) * 16 + column % 8 * 2;
}

// The operand BY_ROWS that begins at `tile`. A product takes 16 of the tile's columns as its inner
// dimension; wgmma_step(word, 32) describes the next 16.
template <class T> DEVICE uint64_t wgmma_rows(const T *tile) {
    return wgmma_word(tile, 16);
}

// The operand BY_COLUMNS of one tile, or of several that begin `rows` rows apart. A product takes
// 16 of the tiles' rows as its inner dimension; wgmma_step(word, 2048) describes the next 16.
template <class T> DEVICE uint64_t wgmma_columns(const T *tile, int rows) {
    return wgmma_word(tile, rows * TILE_COLUMNS * (int)sizeof(T));
}

DEVICE uint64_t wgmma_step(uint64_t word, int bytes) {
    return (word & 0xffffffff00000000) | ((uint32_t)word + (uint32_t)(bytes >> 4));
}

// This thread's warp group in the block. The shuffle tells the compiler that all lanes have the
// same value, so that addresses that depend on it are in uniform registers.
DEVICE int warp_group() {
    return warp_shfl((int)(threadIdx.x / WARP_GROUP), 0);
}

// Copies `rows` rows and `columns` columns of matrix `batch`, multiples of 64, to tiles
// (columns / 64, rows, 64), or back from tiles (columns / 64, tile_rows, 64).
template <class T>
DEVICE void tiles_load(T *tiles, const tensor_map *map, uint64_t *bar, int rows, int columns,
                       int column, int row, int batch) {
    for (int c = 0; c < columns; c += TILE_COLUMNS) {
        for (int r = 0; r < rows; r += TILE_LOAD) {
            tma_load(tiles + (c / TILE_COLUMNS * rows + r) * TILE_COLUMNS, map, bar, column + c,
                     row + r, batch);
        }
    }
}

template <class T>
DEVICE void tiles_store(const tensor_map *map, const T *tiles, int tile_rows, int rows, int columns,
                        int column, int row, int batch) {
    for (int c = 0; c < columns; c += TILE_COLUMNS) {
        for (int r = 0; r < rows; r += TILE_LOAD) {
            tma_store(map, tiles + (c / TILE_COLUMNS * tile_rows + r) * TILE_COLUMNS, column + c,
                      row + r, batch);
        }
    }
}

// Packs sums of a product (64, 16 K) into the operand a of the next one, K steps of 16 columns.
template <class T, int K> DEVICE void weights_pack(uint32_t (&a)[K][4], const float (&d)[8 * K]) {
#pragma unroll
    for (int i = 0; i < 4 * K; i++) {
        a[i / 4][i % 4] = pack2<T>(d[2 * i], d[2 * i + 1]);
    }
}

#endif
