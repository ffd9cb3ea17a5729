// shared.cpp: shared memory of emulator.h: its arrays, the red zones around them, and checks of
// addresses.
#include "launch.h"

enum { STATIC_LIMIT = 48 * 1024 };

// A byte of the pattern, by address, so that a red zone may begin at an odd one.
static unsigned char red_byte(const unsigned char *p) {
    return (unsigned char)((uintptr_t)p & 1 ? red >> 8 : red & 255);
}

void emulator_guard(void *p, size_t bytes, bool on) {
    (void)p, (void)bytes, (void)on;
#ifdef EMULATOR_ASAN
    if (on)
        __asan_poison_memory_region(p, bytes);
    else
        __asan_unpoison_memory_region(p, bytes);
#endif
}

void emulator_red_set(void *p, size_t bytes) {
    unsigned char *to = (unsigned char *)p;
    emulator_guard(p, bytes, false);
    for (size_t i = 0; i < bytes; i++)
        to[i] = red_byte(to + i);
    emulator_guard(p, bytes, true);
}

long emulator_red_written(void *p, size_t bytes) {
    const uint64_t whole = red * 0x0001000100010001u;
    emulator_guard(p, bytes, false);
    const unsigned char *from = (const unsigned char *)p;
    long found = -1;
    for (size_t i = 0; i < bytes && found < 0;) {
        uint64_t eight;
        if ((uintptr_t)(from + i) % 2 == 0 && i + 8 <= bytes &&
            (memcpy(&eight, from + i, 8), eight == whole)) {
            i += 8;
            continue;
        }
        if (from[i] != red_byte(from + i))
            found = (long)i;
        i++;
    }
    emulator_guard(p, bytes, true);
    return found;
}

void emulator_array_start(struct emulator_block *block, size_t offset, size_t bytes) {
    emulator_guard(block->shared + offset, bytes, false);
    memset(block->shared + offset, unwritten & 255, bytes);
    emulator_red_set(block->shared + offset + bytes, RED_ZONE);
}

// The launch's first block places each array when it gets to its declaration; later blocks use the
// same places.
void emulator_place_array(struct emulator_array *array, size_t bytes, struct emulator_place at) {
    const size_t offset = emulator_run.static_top;
    emulator_run.static_bytes = ((emulator_run.static_bytes + 15) & ~(size_t)15) + bytes;
    if (emulator_run.static_bytes > STATIC_LIMIT)
        emulator_fail(at, "%zu bytes of static shared memory: at most %d",
                      emulator_run.static_bytes, STATIC_LIMIT);
    if (emulator_run.static_bytes + emulator_grid.dynamic_bytes > emulator_shared_limit())
        emulator_fail(at, "%zu bytes of static and dynamic shared memory: this device has %zu",
                      emulator_run.static_bytes + emulator_grid.dynamic_bytes,
                      emulator_shared_limit());
    emulator_run.static_top = (offset + bytes + RED_ZONE + 127) & ~(size_t)127;
    if (emulator_run.static_top > STATIC_ROOM)
        emulator_fail(at, "too many shared arrays");
    // aligned to 16 bytes, and to no more
    array->offset = offset + 16;
    emulator_run.static_top += 128;
    array->launch = emulator_launches;
    emulator_run.arrays.push_back({array->offset, bytes, at});
    for (struct emulator_block &block : emulator_run.blocks)
        emulator_array_start(&block, array->offset, bytes);
}

// Dynamic shared memory is one more array, aligned to `align` and to no more.
void *emulator_dynamic(size_t align, struct emulator_place at) {
    const size_t offset = STATIC_ROOM + 1024 + (align == 1024 ? 0 : align);
    const char *kind = align == 1024 ? "SHARED_DYNAMIC_1024" : "SHARED_DYNAMIC";
    if (!emulator_grid.dynamic_kind) {
        emulator_grid.dynamic_kind = kind;
        // an empty array before it, since red zones are behind arrays
        emulator_run.arrays.push_back({offset - RED_ZONE, 0, at});
        emulator_run.arrays.push_back({offset, emulator_grid.dynamic_bytes, at});
        for (struct emulator_block &block : emulator_run.blocks) {
            emulator_array_start(&block, offset - RED_ZONE, 0);
            emulator_array_start(&block, offset, emulator_grid.dynamic_bytes);
        }
    } else if (strcmp(emulator_grid.dynamic_kind, kind))
        emulator_fail(at, "%s and %s in one kernel", kind, emulator_grid.dynamic_kind);
    return emulator_self->block->shared + offset;
}

void emulator_shared_check(const struct emulator_block *block) {
    for (const struct array &array : emulator_run.arrays) {
        unsigned char *end = block->shared + array.offset + array.bytes;
        const long behind = emulator_red_written(end, RED_ZONE);
        const uint3 b = block->index;
        if (behind < 0)
            continue;
        if (array.bytes == 0)
            emulator_fail(array.at, "written before dynamic shared memory, in block %u %u %u", b.x,
                          b.y, b.z);
        emulator_fail(array.at,
                      "written %ld bytes behind this shared array of %zu, in block %u %u %u",
                      behind, array.bytes, b.x, b.y, b.z);
    }
}

struct emulator_found emulator_found[64];

void emulator_forget(void) {
    memset(emulator_found, 0, sizeof emulator_found);
}

// Whether the address is in the room of the launch's blocks, where no device memory is.
static bool in_room(const void *p) {
    return emulator_run.room &&
           (uintptr_t)p - (uintptr_t)emulator_run.room < (uintptr_t)MAX_CLUSTER * SHARED_ROOM;
}

static bool in_shared(const void *p, size_t bytes) {
    const size_t at = (uintptr_t)p - (uintptr_t)emulator_run.room, offset = at % SHARED_ROOM;
    if (!in_room(p) || at / SHARED_ROOM >= emulator_run.blocks.size())
        return false;
    for (const struct array &array : emulator_run.arrays)
        if (offset >= array.offset && offset + bytes <= array.offset + array.bytes) {
            const unsigned char *begin = (const unsigned char *)p - (offset - array.offset);
            emulator_found[((uintptr_t)p >> 12) % 64] = {begin, begin + array.bytes};
            return true;
        }
    return false;
}

static void check_align(const void *p, size_t align, const char *what, struct emulator_place at) {
    if ((uintptr_t)p % align)
        emulator_fail(at, "%s: address %p is not %zu-byte aligned", what, p, align);
}

void emulator_check_global(const void *p, size_t bytes, size_t align, const char *what,
                           struct emulator_place at) {
    check_align(p, align, what, at);
    if (!emulator_device_holds(p, bytes))
        emulator_fail(at, "%s: %zu bytes at %p: %s", what, bytes, p,
                      in_shared(p, bytes) ? "shared memory, wanted global"
                                          : emulator_device_why(p, bytes).c_str());
}

void emulator_check_shared(const void *p, size_t bytes, size_t align, const char *what,
                           struct emulator_place at) {
    check_align(p, align, what, at);
    if (!in_shared(p, bytes))
        emulator_fail(at, "%s: %zu bytes at %p: not inside one array of shared memory", what, bytes,
                      p);
}

void emulator_check_either(const void *p, size_t bytes, size_t align, const char *what,
                           struct emulator_place at) {
    check_align(p, align, what, at);
    if (in_room(p) ? !in_shared(p, bytes) : !emulator_device_holds(p, bytes))
        emulator_fail(at, "%s: %zu bytes at %p: %s", what, bytes, p,
                      emulator_device_why(p, bytes).c_str());
}

uint32_t atomic_add(uint32_t *p, uint32_t x, struct emulator_place at) {
    emulator_check_memory(p, 4, 4, "atomic_add", at);
    const uint32_t before = *p;
    *p = before + x;
    return before;
}
