// kernel.cuh: everything that emitted kernels use of the hardware.
//
// A .cu file of this project has no launch syntax, intrinsics, asm, __shared__ or operators on
// 16-bit floats: it uses the names below instead. nvcc compiles them to the hardware's. Any other
// C++17 compiler takes them from emulator.h (tests/cuda/emulator), which runs every CUDA thread as
// a fiber on the CPU, so that kernels are tested on machines without a GPU.
//
//     types       bf16, f16, struct vec (8 floats); to_f32, from_f32, pack2
//     memory      vec_load, vec_store, vec_load_n, vec_load_once, vec_store_once, vec_fill
//     heads       KERNEL, KERNEL_BLOCKS, DEVICE, HOST_DEVICE, SHARED, SHARED_DYNAMIC, LAUNCH
//     together    block_sync, barrier_sync, barrier_arrive, warp_sync, warp_shfl…, warp_sum,
//                 warp_max, block_sum, block_max, atomic_add, fence_device
//     tiles       cp_async16, cp_async_commit, cp_async_wait, ldmatrix_…, mma_16816
//     functions   exp2_fast
#ifndef DIECAST_KERNEL_CUH
#define DIECAST_KERNEL_CUH

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// Floats in one 16-byte access of 16-bit elements, or in two of float.
enum { VEC = 8 };
struct alignas(16) vec {
    float v[VEC];
};

enum { WARP = 32 };

#ifdef __CUDACC__

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

typedef __nv_bfloat16 bf16;
typedef __half f16;

// The head of a kernel: the largest number of threads in a block, and how many blocks a
// multiprocessor should hold at once, by which the compiler limits registers.
#define KERNEL(threads) static __global__ void __launch_bounds__(threads)
#define KERNEL_BLOCKS(threads, blocks) static __global__ void __launch_bounds__(threads, blocks)
#define DEVICE static __device__ __forceinline__
#define HOST_DEVICE static __host__ __device__ __forceinline__

// SHARED(float, part, [2][32]); declares float part[2][32] in shared memory.
#define SHARED(type, name, dims) __shared__ __align__(16) type name dims
// The launch's dynamic shared memory, as an array of type; a kernel declares it once.
#define SHARED_DYNAMIC(type, name)                                                                 \
    extern __shared__ __align__(128) unsigned char kernel_dynamic[];                               \
    type *name = reinterpret_cast<type *>(kernel_dynamic)
#define SHARED_DYNAMIC_1024(type, name)                                                            \
    extern __shared__ __align__(1024) unsigned char kernel_dynamic_1024[];                         \
    type *name = reinterpret_cast<type *>(kernel_dynamic_1024)

static inline void launch_check(cudaError_t error, const char *kernel, const char *file, int line) {
    if (error == cudaSuccess)
        return;
    fprintf(stderr, "%s:%d: launch of %s: %s: %s\n", file, line, kernel, cudaGetErrorName(error),
            cudaGetErrorString(error));
    exit(71);
}

// cluster = 1 is an ordinary launch. More than 48 KiB of dynamic shared memory needs an attribute.
template <class... Param, class... Arg>
static void launch_kernel(const char *name, const char *file, int line, void (*kernel)(Param...),
                          unsigned cluster, dim3 grid, dim3 block, size_t bytes,
                          cudaStream_t stream, Arg... arg) {
    if (bytes > 48 * 1024)
        launch_check(cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel),
                                          cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes),
                     name, file, line);
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = bytes;
    config.stream = stream;
    cudaLaunchAttribute attribute[1] = {};
    if (cluster > 1) {
        attribute[0].id = cudaLaunchAttributeClusterDimension;
        attribute[0].val.clusterDim.x = cluster;
        attribute[0].val.clusterDim.y = 1;
        attribute[0].val.clusterDim.z = 1;
        config.attrs = attribute;
        config.numAttrs = 1;
    }
    launch_check(cudaLaunchKernelEx(&config, kernel, Param(arg)...), name, file, line);
}
// LAUNCH(kernel, grid, block, dynamic shared bytes, stream, arguments…): grid and block are numbers
// or dim3. If the launch fails, prints one line and exits with 71.
#define LAUNCH(kernel, grid, block, bytes, stream, ...)                                            \
    launch_kernel(#kernel, __FILE__, __LINE__, kernel, 1, grid, block, bytes, stream, ##__VA_ARGS__)
// Launches blocks in clusters of `cluster` along x, which run at the same time and can access each
// other's shared memory.
#define LAUNCH_CLUSTER(kernel, cluster, grid, block, bytes, stream, ...)                           \
    launch_kernel(#kernel, __FILE__, __LINE__, kernel, cluster, grid, block, bytes, stream,        \
                  ##__VA_ARGS__)

HOST_DEVICE float to_f32(float x) {
    return x;
}

HOST_DEVICE float to_f32(bf16 x) {
    return __bfloat162float(x);
}

HOST_DEVICE float to_f32(f16 x) {
    return __half2float(x);
}

// Rounds to nearest, ties to even; what overflows f16 becomes infinite.
template <class T> HOST_DEVICE T from_f32(float x);
template <> __host__ __device__ __forceinline__ float from_f32<float>(float x) {
    return x;
}
template <> __host__ __device__ __forceinline__ bf16 from_f32<bf16>(float x) {
    return __float2bfloat16_rn(x);
}
template <> __host__ __device__ __forceinline__ f16 from_f32<f16>(float x) {
    return __float2half_rn(x);
}

// Packs two elements into the 32 bits that mma takes, `low` in the low half.
template <class T> DEVICE uint32_t pack2(float low, float high);
template <> __device__ __forceinline__ uint32_t pack2<bf16>(float low, float high) {
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return reinterpret_cast<uint32_t &>(pair);
}
template <> __device__ __forceinline__ uint32_t pack2<f16>(float low, float high) {
    __half2 pair = __floats2half2_rn(low, high);
    return reinterpret_cast<uint32_t &>(pair);
}

// Eight elements as 16-byte pieces: one for 16-bit elements, two for float.
template <class T> struct vec_bits { uint4 part[sizeof(T) * VEC / 16]; };

DEVICE float2 vec_pair(uint32_t bits, bf16) {
    return __bfloat1622float2(reinterpret_cast<__nv_bfloat162 &>(bits));
}

DEVICE float2 vec_pair(uint32_t bits, f16) {
    return __half22float2(reinterpret_cast<__half2 &>(bits));
}

template <class T> DEVICE struct vec vec_unpack(const struct vec_bits<T> &bits) {
    struct vec x;
    if constexpr (sizeof(T) == 4) {
        for (int i = 0; i < 2; i++) {
            x.v[4 * i] = __uint_as_float(bits.part[i].x);
            x.v[4 * i + 1] = __uint_as_float(bits.part[i].y);
            x.v[4 * i + 2] = __uint_as_float(bits.part[i].z);
            x.v[4 * i + 3] = __uint_as_float(bits.part[i].w);
        }
    } else {
        const uint32_t word[4] = {bits.part[0].x, bits.part[0].y, bits.part[0].z, bits.part[0].w};
        for (int i = 0; i < 4; i++) {
            float2 pair = vec_pair(word[i], T());
            x.v[2 * i] = pair.x;
            x.v[2 * i + 1] = pair.y;
        }
    }
    return x;
}

template <class T> DEVICE struct vec_bits<T> vec_pack(struct vec x) {
    struct vec_bits<T> bits;
    if constexpr (sizeof(T) == 4)
        for (int i = 0; i < 2; i++)
            bits.part[i] =
                make_uint4(__float_as_uint(x.v[4 * i]), __float_as_uint(x.v[4 * i + 1]),
                           __float_as_uint(x.v[4 * i + 2]), __float_as_uint(x.v[4 * i + 3]));
    else
        bits.part[0] = make_uint4(pack2<T>(x.v[0], x.v[1]), pack2<T>(x.v[2], x.v[3]),
                                  pack2<T>(x.v[4], x.v[5]), pack2<T>(x.v[6], x.v[7]));
    return bits;
}

// Loads or stores eight elements at p, which is 16-byte aligned.
template <class T>
DEVICE struct vec vec_load(const T *p) {
    struct vec_bits<T> bits;
    for (size_t i = 0; i < sizeof bits / 16; i++)
        bits.part[i] = reinterpret_cast<const uint4 *>(p)[i];
    return vec_unpack(bits);
}

template <class T> DEVICE void vec_store(T *p, struct vec x) {
    const struct vec_bits<T> bits = vec_pack<T>(x);
    for (size_t i = 0; i < sizeof bits / 16; i++)
        reinterpret_cast<uint4 *>(p)[i] = bits.part[i];
}

// The same for global memory that is not read again soon, so that it evicts little from the caches.
template <class T> DEVICE struct vec vec_load_once(const T *p) {
    struct vec_bits<T> bits;
    for (size_t i = 0; i < sizeof bits / 16; i++)
        bits.part[i] = __ldcs(reinterpret_cast<const uint4 *>(p) + i);
    return vec_unpack(bits);
}

template <class T> DEVICE void vec_store_once(T *p, struct vec x) {
    const struct vec_bits<T> bits = vec_pack<T>(x);
    for (size_t i = 0; i < sizeof bits / 16; i++)
        __stcs(reinterpret_cast<uint4 *>(p) + i, bits.part[i]);
}

// A barrier for all threads of the block; all see what any of them wrote before it.
DEVICE void block_sync() {
    __syncthreads();
}

// The same for all lanes of the warp.
DEVICE void warp_sync() {
    __syncwarp();
}

// Named barriers, id 1 to 15, for `threads` threads (a multiple of 32): barrier_sync waits until
// that many have called either function; barrier_arrive counts without waiting.
DEVICE void barrier_sync(int id, int threads) {
    asm volatile("barrier.cta.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

DEVICE void barrier_arrive(int id, int threads) {
    asm volatile("barrier.cta.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// A 4-byte value of another lane: of lane ^ mask; of a lane by number; of the lane `by` below (_up)
// or above (_down), or the own value if there is none. All 32 lanes take part.
template <class T> DEVICE T warp_shfl_xor(T x, int mask) {
    return __shfl_xor_sync(0xffffffffu, x, mask);
}

template <class T> DEVICE T warp_shfl(T x, int lane) {
    return __shfl_sync(0xffffffffu, x, lane);
}

template <class T> DEVICE T warp_shfl_up(T x, unsigned by) {
    return __shfl_up_sync(0xffffffffu, x, by);
}

template <class T> DEVICE T warp_shfl_down(T x, unsigned by) {
    return __shfl_down_sync(0xffffffffu, x, by);
}

// Returns the old value. Only for counters, since sums of floats need a fixed order.
DEVICE uint32_t atomic_add(uint32_t *p, uint32_t x) {
    return atomicAdd(p, x);
}

// The whole device sees what this thread wrote before the fence before what it writes after it.
DEVICE void fence_device() {
    __threadfence();
}

// Starts a copy of 16 bytes from global to shared memory, or, if !in, of zeros (`global` is not
// read). This thread may read the bytes after it has waited for their group.
DEVICE void cp_async16(void *shared, const void *global, bool in) {
    uint32_t to = (uint32_t)__cvta_generic_to_shared(shared);
    int bytes = in ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(bytes)
                 : "memory");
}

// Ends a group of copies.
DEVICE void cp_async_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}

// Waits until at most the N youngest groups are still in flight.
template <int N> DEVICE void cp_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// Loads four or two matrices of 8 x 8 16-bit elements from shared memory. Lane 8 i + r passes the
// address of row r of matrix i (16 bytes, aligned). Lane l receives, in r[i], elements 2 (l % 4)
// and 2 (l % 4) + 1 of row l / 4 of matrix i; with _trans, of the transposed matrix.
DEVICE void ldmatrix_x4(uint32_t (&r)[4], const void *row) {
    uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

DEVICE void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row) {
    uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

DEVICE void ldmatrix_x2(uint32_t (&r)[2], const void *row) {
    uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(at)
                 : "memory");
}

DEVICE void ldmatrix_x2_trans(uint32_t (&r)[2], const void *row) {
    uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(at)
                 : "memory");
}

// d (16, 8) += a (16, 16) b (16, 8), sums in float. With g = lane / 4 and t = lane % 4 a lane holds
//     a[0], a[1]: row g, row g + 8, columns 2t, 2t + 1;  a[2], a[3]: the same, columns + 8
//     b0: rows 2t, 2t + 1 of column g;  b1: the same, rows + 8
//     d[0], d[1]: row g, columns 2t, 2t + 1;  d[2], d[3]: row g + 8
template <class T>
DEVICE void mma_16816(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);
template <>
__device__ __forceinline__ void mma_16816<bf16>(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                                uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <>
__device__ __forceinline__ void mma_16816<f16>(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                               uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// 2^x to within 2 units in the last place; denormal results and arguments become 0.
DEVICE float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// The emulator's functions take their caller's place in the source; on the hardware it is not
// passed.
#define PLACE_PARAM
#define PLACE
#define PLACE_ONLY

#else

#include "emulator.h"

#endif

// ---- the same on both sides, from what is above -------------------------------------------------

HOST_DEVICE struct vec vec_fill(float x) {
    struct vec y;
    for (int i = 0; i < VEC; i++)
        y.v[i] = x;
    return y;
}

// Loads the first n of eight elements; the others become `fill` and are not read.
template <class T> DEVICE struct vec vec_load_n(const T *p, int n, float fill) {
    if (n >= VEC)
        return vec_load(p);
    struct vec x;
    for (int i = 0; i < VEC; i++)
        x.v[i] = i < n ? to_f32(p[i]) : fill;
    return x;
}

// Sum or maximum over the warp's lanes; every lane gets the same bits.
DEVICE float warp_sum(float x PLACE_PARAM) {
    for (int mask = WARP / 2; mask > 0; mask /= 2)
        x += warp_shfl_xor(x, mask PLACE);
    return x;
}

DEVICE float warp_max(float x PLACE_PARAM) {
    for (int mask = WARP / 2; mask > 0; mask /= 2)
        x = fmaxf(x, warp_shfl_xor(x, mask PLACE));
    return x;
}

// Sum or maximum over the block's threads (whole warps, along x); every thread gets the same bits.
// `shared` has 32 floats, which may be reused as soon as the function returns.
DEVICE float block_sum(float x, float *shared PLACE_PARAM) {
    const int lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
    x = warp_sum(x PLACE);
    if (lane == 0)
        shared[threadIdx.x / WARP] = x;
    block_sync(PLACE_ONLY);
    x = warp_sum(lane < warps ? shared[lane] : 0.0f PLACE);
    block_sync(PLACE_ONLY);
    return x;
}

DEVICE float block_max(float x, float *shared PLACE_PARAM) {
    const int lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
    x = warp_max(x PLACE);
    if (lane == 0)
        shared[threadIdx.x / WARP] = x;
    block_sync(PLACE_ONLY);
    x = warp_max(lane < warps ? shared[lane] : shared[0] PLACE);
    block_sync(PLACE_ONLY);
    return x;
}

#endif
