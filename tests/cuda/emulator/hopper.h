// hopper.h: runtime/kernel/hopper.cuh on a CPU, for tests: Hopper's asynchronous hardware, which
// completes as late as is legal, so that a missing wait shows.
//
//     tma_load, bulk_load   poison their destination at once; the bytes arrive, and count for their
//                           mbarrier, when a thread waits for it and no other thread can run
//     wgmma                 poisons its accumulators at once, and an a in registers; when its warp
//                           group waits for it and no other thread can run, it reads its operands
//                           (through descriptors and swizzle), stores its results, and restores a
//     tma_store             reads its tile and writes memory, in the same way, at its thread's wait
//
// These faults are tracked and end the program: shared memory that changes between the issue of an
// operation that reads it and the wait; a product without a wgmma_fence since the last wait;
// threads of a warp group that issue different products; a descriptor with another swizzle, or
// outside the block's memory; an accumulator read before its wait; an a in registers that is
// written before the wait, or read by pair_at, weights_copy, shared_store_pair or another product;
// shared memory that a product or a store reads without fence_proxy_async by the thread that stored
// it; an mbarrier that was not initialised, or gets more arrivals than it counts; copies that were
// not waited for when the block ends; registers taken that were never given.
#ifndef DIECAST_EMULATOR_HOPPER_H
#define DIECAST_EMULATOR_HOPPER_H

#include "emulator.h"

#include <deque>
#include <map>

// ---- operations in flight -----------------------------------------------------------------------

struct hopper_load {
    int bytes;
    std::function<void()> act;
};

struct hopper_barrier {
    int count, pending; // arrivals in a phase; those still to come
    int64_t bytes;      // expected and still to come
    unsigned phase;     // the current one
    std::deque<struct hopper_load> loads;
    struct emulator_queue queue;
};

struct hopper_product { // one thread's part of a wgmma
    float *d;
    int columns, a_major, b_major;
    uint32_t *a;       // null: in shared memory
    uint32_t value[4]; // of a, which is poisoned meanwhile
    uint64_t a_word, b_word;
    bool add, bf16;
    struct emulator_place at;
};

// A warp group's state. operands: hashes of what the async proxy may read at any time between an
// operation's issue and its end, which must be the same at both.
struct hopper_group {
    struct emulator_meeting meeting;
    struct emulator_queue landing;
    uint64_t issued; // products, by the thread that has issued most
    std::deque<uint64_t> operands;
};

struct hopper_sum { // accumulators of products in flight
    int products;
    std::vector<float> value;
};

struct hopper_weights { // an a in registers, of products in flight
    int products;
    uint32_t value[4];
};

struct hopper_thread {
    bool fenced;   // wgmma_fence since the last wait
    int registers; // per setmaxnreg; 0: as launched
    std::deque<struct hopper_product> products;
    std::deque<size_t> groups; // products in each committed group
    size_t open;               // products since the last commit
    uint64_t issued;
    std::map<float *, struct hopper_sum> sums;
    std::map<uint32_t *, struct hopper_weights> weights;
    std::deque<std::vector<std::function<void()>>> stores; // groups; the last one is open
    std::vector<size_t> unfenced;                          // 16-byte pieces that it stored to
};

struct hopper_due { // what completes next when no thread can run
    std::function<void()> act;
    struct emulator_queue *queue;
};

struct hopper_block {
    unsigned char *dynamic; // where its SHARED_DYNAMIC_1024 begins
    std::map<const uint64_t *, struct hopper_barrier> barriers;
    std::vector<struct hopper_thread> threads;
    std::vector<struct hopper_group> groups;
    std::vector<struct emulator_queue> storing; // one for each thread
    std::deque<struct hopper_due> due;
    std::vector<uint16_t> writer; // of each 16-byte piece: thread + 1 that stored and did not fence
    int pool;                     // registers that no thread has
    struct emulator_queue pool_queue;
};

inline std::deque<struct hopper_block> hopper_blocks; // of the current cluster

// Completes the oldest operation that is due, or else the loads of a barrier that threads wait for.
inline bool hopper_idle(void) {
    for (struct hopper_block &block : hopper_blocks) {
        if (!block.due.empty()) {
            const struct hopper_due due = block.due.front();
            block.due.pop_front();
            due.act();
            emulator_wake(due.queue);
            return true;
        }
    }
    for (struct hopper_block &block : hopper_blocks) {
        for (auto &entry : block.barriers) {
            struct hopper_barrier &bar = entry.second;
            if (bar.queue.sleeping.empty() || bar.loads.empty())
                continue;
            const unsigned phase = bar.phase;
            while (!bar.loads.empty() && bar.phase == phase) {
                const struct hopper_load load = bar.loads.front();
                bar.loads.pop_front();
                load.act();
                bar.bytes -= load.bytes;
                if (bar.pending == 0 && bar.bytes == 0) {
                    bar.phase++;
                    bar.pending = bar.count;
                }
            }
            emulator_wake(&bar.queue);
            return true;
        }
    }
    return false;
}

inline void hopper_start(void) {
    hopper_blocks.clear();
}

inline void hopper_end(void) {
    const struct emulator_place nowhere = {"block's end", 0};
    for (struct hopper_block &block : hopper_blocks) {
        for (auto &entry : block.barriers)
            if (!entry.second.loads.empty())
                emulator_fail(nowhere, "a load has not been waited for");
        for (struct hopper_thread &thread : block.threads) {
            if (!thread.products.empty())
                emulator_fail(nowhere, "a product has not been waited for");
            for (auto &group : thread.stores)
                if (!group.empty())
                    emulator_fail(nowhere, "a store has not been waited for");
        }
    }
    hopper_blocks.clear();
}

inline struct hopper_block *hopper_here(void) {
    static const bool once =
        (emulator_on_idle(hopper_idle), emulator_on_block(hopper_start, hopper_end), true);
    (void)once;
    const size_t rank = (size_t)emulator_self->block->rank;
    while (hopper_blocks.size() <= rank) {
        hopper_blocks.emplace_back();
        struct hopper_block &block = hopper_blocks.back();
        const dim3 size = emulator_grid.block;
        const int threads = (int)(size.x * size.y * size.z), groups = (threads + 127) / 128;
        block.dynamic = (unsigned char *)emulator_dynamic(1024, {__FILE__, __LINE__});
        block.threads.resize(threads);
        for (struct hopper_thread &thread : block.threads)
            thread.stores.resize(1);
        block.groups.resize(groups);
        block.storing.resize(threads);
        block.writer.resize(emulator_grid.dynamic_bytes / 16 + 1);
        block.pool = 65536 - threads * (65536 / threads / 8 * 8);
    }
    return &hopper_blocks[rank];
}

inline struct hopper_thread *hopper_self(void) {
    return &hopper_here()->threads[emulator_self->number];
}

// Sleeps until no other thread can run and act has been called.
inline void hopper_late(struct emulator_queue *queue, const char *what, struct emulator_place at,
                        std::function<void()> act) {
    hopper_here()->due.push_back({act, queue});
    emulator_sleep(queue, what, at);
}

// The offset of an address in the block's dynamic memory.
inline size_t hopper_address(const void *p, size_t bytes, size_t align, const char *what,
                             struct emulator_place at) {
    const unsigned char *base = hopper_here()->dynamic;
    const size_t offset = (size_t)((const unsigned char *)p - base);
    if ((const unsigned char *)p < base || offset + bytes > emulator_grid.dynamic_bytes)
        emulator_fail(at, "%s: not in the block's dynamic shared memory", what);
    if (offset % align != 0)
        emulator_fail(at, "%s: address %zu of shared memory is not a multiple of %zu", what, offset,
                      align);
    return offset;
}

inline size_t hopper_swizzle(size_t address) {
    return address ^ (address >> 7 & 7) << 4;
}

inline uint64_t hopper_hash(const unsigned char *p, size_t bytes, uint64_t hash) {
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    return hash;
}

// A 16-byte piece that the async proxy reads; checks that it was fenced.
inline const unsigned char *hopper_piece(struct hopper_block *state, size_t address,
                                         const char *what, struct emulator_place at) {
    if (address + 16 > emulator_grid.dynamic_bytes)
        emulator_fail(at, "%s: reads behind the block's dynamic shared memory", what);
    if (state->writer[address / 16])
        emulator_fail(at, "%s: reads what thread %d stored and has not fenced (fence_proxy_async)",
                      what, state->writer[address / 16] - 1);
    return state->dynamic + address;
}

// ---- heads, registers ---------------------------------------------------------------------------

#define HOPPER_KERNEL(threads) KERNEL_BLOCKS(threads, 1)
#define HOPPER_BODY()

inline void hopper_registers(int registers, bool give, struct emulator_place at) {
    struct hopper_block *block = hopper_here();
    struct hopper_thread *self = hopper_self();
    const int threads = (int)block->threads.size();
    const int had = self->registers ? self->registers : 65536 / threads / 8 * 8;
    if (registers % 8 != 0 || registers < 24 || registers > 256)
        emulator_fail(at, "%d registers: a multiple of 8 from 24 to 256 is wanted", registers);
    if (give ? registers > had : registers < had)
        emulator_fail(at, "%d registers: the thread has %d", registers, had);
    while (!give && block->pool < registers - had)
        emulator_sleep(&block->pool_queue, "registers", at);
    block->pool -= registers - had;
    self->registers = registers;
    emulator_wake(&block->pool_queue);
}

template <int N> static inline void registers_give(PLACE_FIRST) {
    hopper_registers(N, true, at);
}

template <int N> static inline void registers_take(PLACE_FIRST) {
    hopper_registers(N, false, at);
}

template <int R> static inline void registers_pin(float (&)[R]) {
}

inline int warp_group_thread(void) {
    return emulator_self->number % 128;
}

// ---- barriers in shared memory ------------------------------------------------------------------

inline struct hopper_barrier *hopper_find(const uint64_t *bar, struct emulator_place at) {
    struct hopper_block *block = hopper_here();
    auto found = block->barriers.find(bar);
    if (found == block->barriers.end())
        emulator_fail(at, "this mbarrier has not been initialised");
    return &found->second;
}

inline void mbarrier_init(uint64_t *bar, int count PLACE_PARAM) {
    emulator_check_shared(bar, 8, 8, "mbarrier_init", at);
    struct hopper_barrier fresh = {};
    fresh.count = fresh.pending = count;
    hopper_here()->barriers[bar] = fresh;
}

inline void mbarrier_fence_init(void) {
}

inline void mbarrier_expect(uint64_t *bar, int bytes PLACE_PARAM) {
    struct hopper_barrier *b = hopper_find(bar, at);
    if (b->pending == 0)
        emulator_fail(at, "more arrivals than the mbarrier's %d", b->count);
    b->bytes += bytes;
    b->pending--;
    if (b->pending == 0 && b->bytes == 0) {
        b->phase++;
        b->pending = b->count;
        emulator_wake(&b->queue);
    }
}

inline void mbarrier_arrive(uint64_t *bar PLACE_PARAM) {
    mbarrier_expect(bar, 0, at);
}

inline void mbarrier_wait(uint64_t *bar, int parity PLACE_PARAM) {
    if (parity != 0 && parity != 1)
        emulator_fail(at, "a parity is 0 or 1, not %d", parity);
    struct hopper_barrier *b = hopper_find(bar, at);
    while ((int)(b->phase & 1) == parity)
        emulator_sleep(&b->queue, "an mbarrier", at);
}

// ---- copies -------------------------------------------------------------------------------------

struct tensor_map {
    unsigned char *base;
    int columns, rows, batches;
    int64_t stride; // bytes
};
#define TENSOR_MAP(name) const tensor_map name

enum { HOPPER_TILE = 64 * 128 };

template <class T>
static inline tensor_map tensor_map_make(const T *base, int columns, int rows, int batches,
                                         int stride PLACE_PARAM) {
    static_assert(sizeof(T) == 2, "tiles are of 16-bit elements");
    if ((uintptr_t)base % 16 != 0 || stride % 8 != 0 || stride < columns || columns < 1 ||
        rows < 1 || batches < 1)
        emulator_fail(at, "no tensor map of %d matrices of (%d, %d), rows %d apart, at %p", batches,
                      rows, columns, stride, (const void *)base);
    return {(unsigned char *)base, columns, rows, batches, (int64_t)stride * 2};
}

inline void hopper_load_later(uint64_t *bar, void *to, int bytes, std::function<void()> act,
                              struct emulator_place at) {
    memset(to, 0xff, bytes);
    hopper_find(bar, at)->loads.push_back({bytes, act});
}

// Calls visit(address in the tile, address in memory or null, bytes inside the matrix) for each
// 16-byte piece of a tile.
template <class F>
inline void hopper_tile(const tensor_map &map, int column, int row, int batch, const char *what,
                        struct emulator_place at, F visit) {
    for (int r = 0; r < 64; r++) {
        for (int piece = 0; piece < 8; piece++) {
            const int c = column + 8 * piece, in = map.columns - c < 8 ? map.columns - c : 8;
            const bool inside = c >= 0 && in > 0 && row + r >= 0 && row + r < map.rows &&
                                batch >= 0 && batch < map.batches;
            unsigned char *p = NULL;
            if (inside) {
                p = map.base + ((int64_t)batch * map.rows + row + r) * map.stride + 2 * c;
                emulator_check_global(p, 2 * in, 2, what, at);
            }
            visit((size_t)(r * 128 + ((piece ^ (r & 7)) << 4)), p, inside ? 2 * in : 0);
        }
    }
}

inline void tma_load(void *tile, const tensor_map *map, uint64_t *bar, int column, int row,
                     int batch PLACE_PARAM) {
    hopper_address(tile, HOPPER_TILE, 1024, "tma_load", at);
    const tensor_map copy = *map;
    unsigned char *to = (unsigned char *)tile;
    hopper_load_later(
        bar, tile, HOPPER_TILE,
        [=]() {
            hopper_tile(copy, column, row, batch, "tma_load", at,
                        [&](size_t where, const unsigned char *from, int bytes) {
                            memset(to + where, 0, 16);
                            if (bytes)
                                memcpy(to + where, from, bytes);
                        });
        },
        at);
}

inline void bulk_load(void *to, const void *from, int bytes, uint64_t *bar PLACE_PARAM) {
    if (bytes % 16 != 0)
        emulator_fail(at, "bulk_load: %d bytes are no multiple of 16", bytes);
    emulator_check_shared(to, bytes, 16, "bulk_load", at);
    emulator_check_global(from, bytes, 16, "bulk_load", at);
    hopper_load_later(
        bar, to, bytes, [=]() { memcpy(to, from, bytes); }, at);
}

inline void tma_store(const tensor_map *map, const void *tile, int column, int row,
                      int batch PLACE_PARAM) {
    const size_t start = hopper_address(tile, HOPPER_TILE, 1024, "tma_store", at);
    const tensor_map copy = *map;
    struct hopper_block *state = hopper_here();
    const uint64_t before = hopper_hash(state->dynamic + start, HOPPER_TILE, 0);
    hopper_self()->stores.back().push_back([=]() {
        if (hopper_hash(state->dynamic + start, HOPPER_TILE, 0) != before)
            emulator_fail(at, "tma_store: the tile changed before it was read");
        hopper_tile(copy, column, row, batch, "tma_store", at,
                    [&](size_t where, unsigned char *to, int bytes) {
                        const unsigned char *from =
                            hopper_piece(state, start + where, "tma_store", at);
                        if (bytes)
                            memcpy(to, from, bytes);
                    });
    });
}

inline void tma_store_commit(void) {
    hopper_self()->stores.emplace_back();
}

template <int N> static inline void tma_store_wait(PLACE_FIRST) {
    struct hopper_block *block = hopper_here();
    struct hopper_thread *self = hopper_self();
    if (self->stores.size() <= N + 1)
        return;
    hopper_late(&block->storing[emulator_self->number], "a store", at, [self]() {
        while (self->stores.size() > N + 1) {
            for (auto &store : self->stores.front())
                store();
            self->stores.pop_front();
        }
    });
}

inline void fence_proxy_async(void) {
    struct hopper_block *block = hopper_here();
    struct hopper_thread *self = hopper_self();
    for (size_t piece : self->unfenced)
        if (block->writer[piece] == emulator_self->number + 1)
            block->writer[piece] = 0;
    self->unfenced.clear();
}

inline uint32_t shared_address(const void *p PLACE_PARAM) {
    return (uint32_t)hopper_address(p, 1, 1, "a shared address", at);
}

// Two NaNs that no rounding makes: the poison for a pair that a product in flight reads.
enum : uint32_t { HOPPER_TAKEN = 0xffa5ffa5 };

inline uint32_t hopper_pair(uint32_t pair, struct emulator_place at) {
    if (pair == HOPPER_TAKEN)
        emulator_fail(at, "an operand of a product under way is read");
    return pair;
}

inline void shared_store_pair(uint32_t address, uint32_t pair PLACE_PARAM) {
    struct hopper_block *block = hopper_here();
    if (address % 4 != 0 || address + 4 > emulator_grid.dynamic_bytes)
        emulator_fail(at, "shared_store_pair: address %u of %zu", address,
                      emulator_grid.dynamic_bytes);
    hopper_pair(pair, at);
    memcpy(block->dynamic + address, &pair, 4);
    if (block->writer[address / 16] != emulator_self->number + 1) {
        block->writer[address / 16] = (uint16_t)(emulator_self->number + 1);
        hopper_self()->unfenced.push_back(address / 16);
    }
}

template <class T> static inline void global_store_pair(T *to, float low, float high PLACE_PARAM) {
    emulator_check_global(to, 4, 4, "global_store_pair", at);
    to[0] = from_f32<T>(low);
    to[1] = from_f32<T>(high);
}

template <class T> static inline float pair_at(uint32_t pair, int high PLACE_PARAM) {
    hopper_pair(pair, at);
    return to_f32(T{(uint16_t)(high ? pair >> 16 : pair)});
}

template <int K>
static inline void weights_copy(uint32_t (&copy)[K][4], const uint32_t (&a)[K][4] PLACE_PARAM) {
    for (int i = 0; i < 4 * K; i++)
        copy[i / 4][i % 4] = hopper_pair(a[i / 4][i % 4], at);
}

// ---- products -----------------------------------------------------------------------------------

inline uint64_t wgmma_word(const void *p, int tile_bytes PLACE_PARAM) {
    const size_t address = hopper_address(p, 16, 16, "wgmma", at);
    return (uint64_t)(address & 0x3ffff) >> 4 | (uint64_t)(tile_bytes >> 4) << 16 |
           (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
}

inline void wgmma_fence(void) {
    hopper_self()->fenced = true;
}

inline float hopper_float(const unsigned char *p, bool is_bf16) {
    uint16_t bits;
    memcpy(&bits, p, 2);
    return is_bf16 ? to_f32(bf16{bits}) : to_f32(f16{bits});
}

// The address of piece `piece` of an operand of `count` rows (of a; of b: columns) and an inner
// dimension of 16: 8 elements from (i, k) on, along k (BY_ROWS) or along i.
struct hopper_spot {
    int i, k;
    size_t address;
};

inline struct hopper_spot hopper_spot_of(uint64_t word, int major, int count, int piece) {
    const size_t start = (word & 0x3fff) << 4, tile = (word >> 16 & 0x3fff) << 4;
    const size_t stride = (word >> 32 & 0x3fff) << 4;
    struct hopper_spot spot;
    if (major == 0) {
        spot.i = piece / 2, spot.k = piece % 2 * 8;
        spot.address = start + spot.i / 8 * stride + spot.i % 8 * 128 + spot.k * 2;
    } else {
        spot.i = piece % (count / 8) * 8, spot.k = piece / (count / 8);
        spot.address =
            start + spot.i / 64 * tile + spot.i % 64 * 2 + spot.k / 8 * stride + spot.k % 8 * 128;
    }
    spot.address = hopper_swizzle(spot.address);
    return spot;
}

inline uint64_t hopper_operand_hash(struct hopper_block *state, uint64_t word, int major, int count,
                                    uint64_t hash) {
    for (int piece = 0; piece < 2 * count; piece++) {
        const size_t address = hopper_spot_of(word, major, count, piece).address;
        if (address + 16 <= emulator_grid.dynamic_bytes)
            hash = hopper_hash(state->dynamic + address, 16, hash);
    }
    return hash;
}

inline uint64_t hopper_operands_hash(struct hopper_block *state,
                                     const struct hopper_product &product) {
    uint64_t hash = 1;
    if (!product.a)
        hash = hopper_operand_hash(state, product.a_word, product.a_major, 64, hash);
    return hopper_operand_hash(state, product.b_word, product.b_major, product.columns, hash);
}

// Reads an operand to m[k][i].
inline void hopper_operand(struct hopper_block *state, uint64_t word, int major, int count,
                           bool is_bf16, float (*m)[128], struct emulator_place at) {
    if (word >> 62 != 1 || (word >> 49 & 7) != 0)
        emulator_fail(at, "wgmma: the descriptor has another swizzle than 128 bytes");
    for (int piece = 0; piece < 2 * count; piece++) {
        const struct hopper_spot spot = hopper_spot_of(word, major, count, piece);
        const unsigned char *p = hopper_piece(state, spot.address, "wgmma", at);
        for (int e = 0; e < 8; e++)
            m[major == 0 ? spot.k + e : spot.k][major == 0 ? spot.i : spot.i + e] =
                hopper_float(p + 2 * e, is_bf16);
    }
}

// Takes an a in registers for a product that starts: saves and poisons it.
inline void hopper_take(struct hopper_thread *thread, struct hopper_product *product) {
    struct hopper_weights *weights = &thread->weights[product->a];
    for (int i = 0; i < 4; i++) {
        if (weights->products == 0)
            weights->value[i] = hopper_pair(product->a[i], product->at);
        else if (product->a[i] != HOPPER_TAKEN)
            emulator_fail(product->at, "an operand of a product under way is overwritten");
        product->a[i] = HOPPER_TAKEN;
        product->value[i] = weights->value[i];
    }
    weights->products++;
}

inline void hopper_give_back(struct hopper_thread *thread, const struct hopper_product &product) {
    struct hopper_weights *weights = &thread->weights[product.a];
    for (int i = 0; i < 4; i++)
        if (product.a[i] != HOPPER_TAKEN)
            emulator_fail(product.at, "an operand of a product under way is overwritten");
    if (--weights->products == 0) {
        memcpy(product.a, weights->value, sizeof weights->value);
        thread->weights.erase(product.a);
    }
}

// Computes the oldest product of the warp group whose first thread is `first`.
inline void hopper_multiply(struct hopper_block *state, int first) {
    static float a[16][128], b[16][128], c[64][128];
    const struct hopper_product product = state->threads[first].products.front();
    for (int t = 0; t < 128; t++) {
        struct hopper_thread *thread = &state->threads[first + t];
        const bool same = !thread->products.empty() &&
                          thread->products.front().a_word == product.a_word &&
                          thread->products.front().b_word == product.b_word &&
                          thread->products.front().add == product.add &&
                          thread->products.front().columns == product.columns &&
                          thread->products.front().at.line == product.at.line;
        if (!same)
            emulator_fail(product.at, "wgmma: threads of a warp group issue different products");
        const uint32_t *r = thread->products.front().value;
        for (int pair = 0; product.a && pair < 4; pair++) {
            const int i = t / 32 * 16 + t % 32 / 4 + pair % 2 * 8, k = pair / 2 * 8 + t % 4 * 2;
            const uint32_t bits = r[pair];
            a[k][i] = hopper_float((const unsigned char *)&bits, product.bf16);
            a[k + 1][i] = hopper_float((const unsigned char *)&bits + 2, product.bf16);
        }
    }
    if (!product.a)
        hopper_operand(state, product.a_word, product.a_major, 64, product.bf16, a, product.at);
    hopper_operand(state, product.b_word, product.b_major, product.columns, product.bf16, b,
                   product.at);
    struct hopper_group *group = &state->groups[first / 128];
    if (hopper_operands_hash(state, product) != group->operands.front())
        emulator_fail(product.at, "wgmma: an operand in shared memory changed while the product "
                                  "was under way");
    group->operands.pop_front();
    memset(c, 0, sizeof c);
    for (int i = 0; i < 64; i++)
        for (int k = 0; k < 16; k++)
            for (int n = 0; n < product.columns; n++)
                c[i][n] += a[k][i] * b[k][n];
    for (int t = 0; t < 128; t++) {
        struct hopper_thread *thread = &state->threads[first + t];
        float *d = thread->products.front().d;
        struct hopper_sum *sum = &thread->sums[d];
        for (int r = 0; r < product.columns / 2; r++) {
            const float x =
                c[t / 32 * 16 + t % 32 / 4 + r % 4 / 2 * 8][r / 4 * 8 + t % 4 * 2 + r % 2];
            sum->value[r] = product.add ? sum->value[r] + x : x;
        }
        if (--sum->products == 0) {
            memcpy(d, sum->value.data(), sum->value.size() * sizeof(float));
            thread->sums.erase(d);
        }
        if (product.a)
            hopper_give_back(thread, thread->products.front());
        thread->products.pop_front();
    }
}

inline void hopper_issue(struct hopper_product product) {
    struct hopper_thread *self = hopper_self();
    if (!self->fenced)
        emulator_fail(product.at, "wgmma: no wgmma_fence since the last wait");
    struct hopper_sum *sum = &self->sums[product.d];
    const size_t size = (size_t)product.columns / 2;
    if (sum->products++ == 0)
        sum->value.assign(product.d, product.d + size);
    if (sum->value.size() != size)
        emulator_fail(product.at, "wgmma: accumulators of another shape are under way");
    memset(product.d, 0xff, size * sizeof(float));
    if (product.a)
        hopper_take(self, &product);
    self->products.push_back(product);
    self->open++;
    struct hopper_block *state = hopper_here();
    struct hopper_group *group = &state->groups[emulator_self->number / 128];
    if (self->issued++ == group->issued) {
        group->issued++;
        group->operands.push_back(hopper_operands_hash(state, product));
    }
}

template <class T> constexpr bool HOPPER_BF16 = false;
template <> constexpr bool HOPPER_BF16<bf16> = true;

template <class T, int A, int B, int R>
static inline void wgmma_m64k16(float (&d)[R], uint64_t a, uint64_t b, bool add PLACE_PARAM) {
    static_assert(R == 32 || R == 64, "64 or 128 columns");
    hopper_issue({d, 2 * R, A, B, NULL, {}, a, b, add, HOPPER_BF16<T>, at});
}

template <class T, int B, int R>
static inline void wgmma_m64k16(float (&d)[R], const uint32_t (&a)[4], uint64_t b,
                                bool add PLACE_PARAM) {
    static_assert(R == 32 || R == 64, "64 or 128 columns");
    hopper_issue({d, 2 * R, 0, B, const_cast<uint32_t *>(a), {}, 0, b, add, HOPPER_BF16<T>, at});
}

inline void wgmma_commit(void) {
    struct hopper_thread *self = hopper_self();
    self->groups.push_back(self->open);
    self->open = 0;
}

// Finishes the groups of a warp group's threads, except for the `leave` youngest.
inline void hopper_finish(struct hopper_block *state, int first, size_t leave) {
    while (state->threads[first].groups.size() > leave) {
        for (size_t p = state->threads[first].groups.front(); p > 0; p--)
            hopper_multiply(state, first);
        for (int t = 0; t < 128; t++)
            state->threads[first + t].groups.pop_front();
    }
}

template <int N> static inline void wgmma_wait(PLACE_FIRST) {
    struct hopper_block *state = hopper_here();
    const int group = emulator_self->number / 128;
    struct emulator_queue *queue = &state->groups[group].landing;
    emulator_meet(&state->groups[group].meeting, 128, "wgmma_wait", at, [=]() {
        if (state->threads[group * 128].groups.size() > N)
            state->due.push_back({[=]() { hopper_finish(state, group * 128, N); }, queue});
    });
    while (hopper_self()->groups.size() > N)
        emulator_sleep(queue, "wgmma_wait", at);
    hopper_self()->fenced = false;
}

template <int R> static inline void wgmma_landed(float (&d)[R] PLACE_PARAM) {
    if (hopper_self()->sums.count(d))
        emulator_fail(at, "accumulators are looked at before the wait for their product");
}

#endif
