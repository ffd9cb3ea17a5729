// emulator.h: runtime/kernel/kernel.cuh on a CPU, for tests. The same .cu files, compiled by g++ or
// clang++, run every CUDA thread as a fiber; what is undefined on a GPU is poisoned or ends the
// program.
//
//     E=tests/cuda/emulator
//     g++ -std=c++17 -O2 -Wno-unknown-pragmas -I runtime/kernel -I $E -x c++ kernels.cu
//         $(ls $E/*.cpp | grep -v /cublasLt)
//
// One block (or cluster) runs at a time, and one thread at a time. A thread runs until it waits for
// others: at a barrier, a shuffle, ldmatrix, mma. Then another lane of its warp runs, and only if
// none can, another warp: so if a barrier is missing between two warps, one gets as far ahead as
// possible and the fault shows. The schedule decides which warp, lane and block come first:
// ascending, descending, or random with a seed. emulator_schedule sets it, and so does the
// environment:
//
//     EMULATOR_SCHEDULE=ascending | descending | random[:SEED]
//     EMULATOR_ARCH=80            compute capability, e.g. 86, 90: limits of shared memory
//     EMULATOR_MEMORY=4096        the device's memory in MiB
//     EMULATOR_DEVICES=1          0: there is no device
//     EMULATOR_DRIVER=13000       the driver's version; too old if its major is below the runtime's
//
// An error is one line, "KERNEL: FILE:LINE: what (block …, thread …)", and exit status 70.
#ifndef DIECAST_EMULATOR_H
#define DIECAST_EMULATOR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <functional>
#include <tuple>
#include <vector>

#include "cuda_runtime_api.h"

// ---- places: where in a kernel's source an operation was called ---------------------------------

struct emulator_place {
    const char *file;
    int line;
};
#define PLACE_FIRST struct emulator_place at = {__builtin_FILE(), __builtin_LINE()}
#define PLACE_PARAM , PLACE_FIRST
#define PLACE , at
#define PLACE_ONLY at

// ---- threads, warps, blocks ---------------------------------------------------------------------

enum {
    EMULATOR_WARP = 32,
    EMULATOR_WARPS = 32,   // of a block
    EMULATOR_BARRIERS = 16 // of a block; 0 is block_sync's
};

struct emulator_copy { // one cp.async
    void *to;
    const void *from; // null: zeros
};

struct emulator_stack;
struct emulator_warp;
struct emulator_block;

struct emulator_thread {
    uint3 index;
    int number, lane; // in the block; in the warp
    bool started;
    const char *waits_for; // what it waits for, for the report of a deadlock; null: nothing
    struct emulator_place at;
    struct emulator_warp *warp;
    struct emulator_block *block;
    struct emulator_stack *stack;
    struct emulator_queue *queue;             // that it sleeps in; null: none
    std::vector<struct emulator_copy> copies; // in flight, oldest first
    std::vector<size_t> groups;               // where each group of copies ends
};

struct emulator_warp {
    uint32_t ready;       // lanes that can run
    int lanes, met, gone; // in all; that have reached the operation; that have returned
    const char *operation;
    struct emulator_place at;
    alignas(16) unsigned char in[EMULATOR_WARP][64], out[EMULATOR_WARP][16];
    struct emulator_block *block;
    struct emulator_thread *thread; // its first thread
};

struct emulator_barrier {
    int came, expected;
    struct emulator_place at;
    uint32_t here[EMULATOR_WARPS], waiting[EMULATOR_WARPS]; // lanes of each warp
};

struct emulator_block {
    uint3 index;
    int rank; // in its cluster
    int threads, gone;
    struct emulator_warp *warp; // its first warp
    unsigned char *shared;
    struct emulator_barrier barrier[EMULATOR_BARRIERS];
};

struct emulator_grid { // the current launch
    const char *name;
    dim3 grid, block;
    unsigned cluster;
    size_t dynamic_bytes;
    const char *dynamic_kind;
};

extern struct emulator_thread *emulator_self;
extern struct emulator_grid emulator_grid;

#define threadIdx (emulator_self->index)
#define blockIdx (emulator_self->block->index)
#define blockDim (emulator_grid.block)
#define gridDim (emulator_grid.grid)
#define __grid_constant__

// ---- for tests, and for the emulator's other files ----------------------------------------------

enum emulator_order { EMULATOR_ASCENDING, EMULATOR_DESCENDING, EMULATOR_RANDOM };
void emulator_schedule(enum emulator_order order, unsigned seed);
int emulator_arch(void); // 80: compute capability 8.0

// Ends the program with a line about the current thread, or about the host if no thread runs.
[[noreturn]] void emulator_fail(struct emulator_place at, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Threads that sleep until another one, or an idle hook, wakes them all.
struct emulator_queue {
    std::vector<struct emulator_thread *> sleeping;
};
void emulator_sleep(struct emulator_queue *queue, const char *waits_for, struct emulator_place at);
void emulator_wake(struct emulator_queue *queue);

// Adds a hook that is called when no thread can run and some have not returned, before that is an
// error: the latest moment at which an asynchronous operation may complete. It returns whether it
// made progress.
void emulator_on_idle(bool (*hook)(void));
// Adds hooks that are called when a block, or a cluster of them, has started, and when it has
// ended.
void emulator_on_block(void (*start)(void), void (*end)(void));

// A barrier for `threads` threads of the block (whole warps). The last one to arrive calls act,
// then all go on. `meeting` is initialized with zeros, and can be reused afterwards.
struct emulator_meeting {
    int came;
    const char *operation;
    struct emulator_place at;
    struct emulator_queue queue;
};
void emulator_meet(struct emulator_meeting *meeting, int threads, const char *operation,
                   struct emulator_place at, const std::function<void()> &act);

// A barrier for the 32 lanes of the warp. The last one to arrive calls act, which reads warp->in
// and writes warp->out.
void emulator_meet_warp(const char *operation, struct emulator_place at,
                        void (*act)(struct emulator_warp *warp, const void *argument),
                        const void *argument);

// Clusters: a barrier for all of its threads; a block's number in it; the address of another
// block's copy of shared memory.
void emulator_cluster_sync(PLACE_FIRST);
int emulator_cluster_rank(void);
void *emulator_cluster_map(const void *shared, int rank PLACE_PARAM);

// Ends the program unless [p, p + bytes) is aligned and within one live allocation of device
// memory; within the block's shared memory (or its cluster's); or within either.
void emulator_check_global(const void *p, size_t bytes, size_t align, const char *what,
                           struct emulator_place at);
void emulator_check_shared(const void *p, size_t bytes, size_t align, const char *what,
                           struct emulator_place at);
void emulator_check_either(const void *p, size_t bytes, size_t align, const char *what,
                           struct emulator_place at);

// The memory that was found last, by the page of the address, modulo their number: allocations and
// shared arrays. Emptied when one of them ends.
struct emulator_found {
    const unsigned char *begin, *end;
};
extern struct emulator_found emulator_found[64];

static inline void emulator_check_memory(const void *p, size_t bytes, size_t align,
                                         const char *what, struct emulator_place at) {
    const unsigned char *from = (const unsigned char *)p;
    const struct emulator_found *found = &emulator_found[((uintptr_t)p >> 12) % 64];
    if (from < found->begin || from + bytes > found->end || ((uintptr_t)p & (align - 1)) != 0)
        emulator_check_either(p, bytes, align, what, at);
}

// Queues work on a stream, in order with launches and copies: it runs as late as is legal, or, if
// the stream is being captured, at each replay. The CPU can access device memory while it runs.
void emulator_enqueue(cudaStream_t stream, std::function<void()> work);

// Registers a function for cudaGetDriverEntryPoint.
void emulator_driver_function(const char *name, void *function);

// ---- launches -----------------------------------------------------------------------------------

struct emulator_config {
    const char *name;
    struct emulator_place at;
    unsigned cluster;
    dim3 grid, block;
    size_t bytes;
    cudaStream_t stream;
};
void emulator_launch(const struct emulator_config *config, std::function<void()> thread);

// Arguments are stored by value, converted to the kernel's types.
template <class... Param, class... Arg>
static void emulator_launch_kernel(const struct emulator_config &config, void (*kernel)(Param...),
                                   Arg... arg) {
    static_assert((sizeof(Param) + ... + 0) <= 4096, "a kernel's parameters are at most 4 KiB");
    std::tuple<Param...> values(arg...);
    emulator_launch(&config, [kernel, values]() { std::apply(kernel, values); });
}

#define LAUNCH(kernel, grid, block, bytes, stream, ...)                                            \
    LAUNCH_CLUSTER(kernel, 1, grid, block, bytes, stream, ##__VA_ARGS__)
#define LAUNCH_CLUSTER(kernel, cluster, grid, block, bytes, stream, ...)                           \
    emulator_launch_kernel({#kernel,                                                               \
                            {__FILE__, __LINE__},                                                  \
                            (unsigned)(cluster),                                                   \
                            grid,                                                                  \
                            block,                                                                 \
                            (size_t)(bytes),                                                       \
                            stream},                                                               \
                           kernel, ##__VA_ARGS__)

#define KERNEL(threads) [[maybe_unused]] static void
#define KERNEL_BLOCKS(threads, blocks) [[maybe_unused]] static void
#define DEVICE [[maybe_unused]] static inline
#define HOST_DEVICE [[maybe_unused]] static inline

// ---- shared memory ------------------------------------------------------------------------------

struct emulator_array { // a declaration of shared memory, and its offset in the current launch
    unsigned launch;
    size_t offset;
};
void emulator_place_array(struct emulator_array *array, size_t bytes, struct emulator_place at);
extern unsigned emulator_launches;

static inline void *emulator_shared(struct emulator_array *array, size_t bytes,
                                    struct emulator_place at) {
    if (array->launch != emulator_launches)
        emulator_place_array(array, bytes, at);
    return emulator_self->block->shared + array->offset;
}
void *emulator_dynamic(size_t align, struct emulator_place at);

#define SHARED(type, name, dims)                                                                   \
    static struct emulator_array name##_array;                                                     \
    typedef type name##_type dims;                                                                 \
    name##_type &name = *static_cast<name##_type *>(                                               \
        emulator_shared(&name##_array, sizeof(name##_type), {__FILE__, __LINE__}))
#define SHARED_DYNAMIC(type, name)                                                                 \
    type *name = static_cast<type *>(emulator_dynamic(128, {__FILE__, __LINE__}))
#define SHARED_DYNAMIC_1024(type, name)                                                            \
    type *name = static_cast<type *>(emulator_dynamic(1024, {__FILE__, __LINE__}))

// ---- elements -----------------------------------------------------------------------------------

struct bf16 {
    uint16_t bits;
};
struct f16 {
    uint16_t bits;
};

static inline uint32_t emulator_float_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

static inline float emulator_bits_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

static inline float to_f32(float x) {
    return x;
}

static inline float to_f32(bf16 x) {
    return emulator_bits_float((uint32_t)x.bits << 16);
}

static inline float to_f32(f16 x) {
    const uint32_t sign = (uint32_t)(x.bits & 0x8000) << 16, rest = x.bits & 0x7fff;
    if (rest < 0x0400) // zero or subnormal: rest * 2^-24, which float holds
        return emulator_bits_float(sign | emulator_float_bits((float)rest * 0x1p-24f));
    if (rest >= 0x7c00)
        return emulator_bits_float(sign | 0x7f800000 | (rest & 0x3ff) << 13);
    return emulator_bits_float(sign | ((rest << 13) + (112u << 23)));
}

template <class T> static inline T from_f32(float x);
template <> inline float from_f32<float>(float x) {
    return x;
}
template <> inline bf16 from_f32<bf16>(float x) {
    uint32_t bits = emulator_float_bits(x);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return {0x7fff}; // the hardware's NaN
    return {(uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
template <> inline f16 from_f32<f16>(float x) {
    const uint32_t bits = emulator_float_bits(x), rest = bits & 0x7fffffff;
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    if (rest > 0x7f800000)
        return {0x7fff};
    if (rest >= 0x477ff000) // 65520 and more
        return {(uint16_t)(sign | 0x7c00)};
    if (rest < 0x38800000) // below 2^-14: adding 0.5 rounds to multiples of 2^-24
        return {(uint16_t)(sign | (emulator_float_bits(emulator_bits_float(rest) + 0.5f) -
                                   emulator_float_bits(0.5f)))};
    return {(uint16_t)(sign | ((rest - (112u << 23) + 0xfff + (rest >> 13 & 1)) >> 13))};
}

template <class T> static inline uint32_t pack2(float low, float high) {
    static_assert(sizeof(T) == 2, "pairs are of 16-bit elements");
    return from_f32<T>(low).bits | (uint32_t)from_f32<T>(high).bits << 16;
}

#ifdef DIECAST_KERNEL_CUH // which has struct vec; other files need only what is above

template <class T> static inline struct vec vec_load(const T *p PLACE_PARAM) {
    emulator_check_memory(p, VEC * sizeof(T), 16, "vec_load", at);
    struct vec x;
    for (int i = 0; i < VEC; i++)
        x.v[i] = to_f32(p[i]);
    return x;
}

template <class T> static inline void vec_store(T *p, struct vec x PLACE_PARAM) {
    emulator_check_memory(p, VEC * sizeof(T), 16, "vec_store", at);
    for (int i = 0; i < VEC; i++)
        p[i] = from_f32<T>(x.v[i]);
}

template <class T> static inline struct vec vec_load_once(const T *p PLACE_PARAM) {
    emulator_check_global(p, VEC * sizeof(T), 16, "vec_load_once", at);
    return vec_load(p, at);
}

template <class T> static inline void vec_store_once(T *p, struct vec x PLACE_PARAM) {
    emulator_check_global(p, VEC * sizeof(T), 16, "vec_store_once", at);
    vec_store(p, x, at);
}

#endif

// ---- barriers, shuffles, atomics ----------------------------------------------------------------

void block_sync(PLACE_FIRST);
void warp_sync(PLACE_FIRST);
void barrier_sync(int id, int threads PLACE_PARAM);
void barrier_arrive(int id, int threads PLACE_PARAM);

// The value of lane `from`; from < 0: the own value.
uint32_t emulator_shuffle(uint32_t x, int from, const char *operation, struct emulator_place at);

template <class T>
static inline T emulator_shuffle_as(T x, int from, const char *operation,
                                    struct emulator_place at) {
    static_assert(sizeof(T) == 4, "shuffles move 4 bytes");
    uint32_t bits;
    memcpy(&bits, &x, 4);
    bits = emulator_shuffle(bits, from, operation, at);
    memcpy(&x, &bits, 4);
    return x;
}

template <class T> static inline T warp_shfl_xor(T x, int mask PLACE_PARAM) {
    return emulator_shuffle_as(x, (emulator_self->lane ^ mask) & 31, "warp_shfl_xor", at);
}

template <class T> static inline T warp_shfl(T x, int lane PLACE_PARAM) {
    return emulator_shuffle_as(x, lane & 31, "warp_shfl", at);
}

template <class T> static inline T warp_shfl_up(T x, unsigned by PLACE_PARAM) {
    return emulator_shuffle_as(x, emulator_self->lane - (int)by, "warp_shfl_up", at);
}

template <class T> static inline T warp_shfl_down(T x, unsigned by PLACE_PARAM) {
    const int from = emulator_self->lane + (int)by;
    return emulator_shuffle_as(x, from < EMULATOR_WARP ? from : -1, "warp_shfl_down", at);
}

uint32_t atomic_add(uint32_t *p, uint32_t x PLACE_PARAM);

static inline void fence_device() {
}

// ---- tiles --------------------------------------------------------------------------------------

void cp_async16(void *shared, const void *global, bool in PLACE_PARAM);
void cp_async_commit();
void emulator_copies_wait(int groups);

template <int N> static inline void cp_async_wait() {
    emulator_copies_wait(N);
}

void ldmatrix_x4(uint32_t (&r)[4], const void *row PLACE_PARAM);
void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row PLACE_PARAM);
void ldmatrix_x2(uint32_t (&r)[2], const void *row PLACE_PARAM);
void ldmatrix_x2_trans(uint32_t (&r)[2], const void *row PLACE_PARAM);

template <class T>
void mma_16816(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1 PLACE_PARAM);
extern template void mma_16816<bf16>(float (&)[4], const uint32_t (&)[4], uint32_t, uint32_t,
                                     struct emulator_place);
extern template void mma_16816<f16>(float (&)[4], const uint32_t (&)[4], uint32_t, uint32_t,
                                    struct emulator_place);

// ---- functions ----------------------------------------------------------------------------------

static inline float exp2_fast(float x) {
    const float y = exp2f(x);
    return y < 0x1p-126f ? 0.0f : y; // NaN passes through
}

static inline float rsqrtf(float x) {
    return 1.0f / sqrtf(x);
}

#endif
