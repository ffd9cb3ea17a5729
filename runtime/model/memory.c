// memory.c: one allocation for a whole model.
//
//     params | grads | m | v | acts | tokens | targets | norms | scratch of each thread | muon |
//     image of params
//
// Each part starts at a page. The total is computed first and compared with the available memory,
// before any of it is touched. A process that has the moments of a part alone (optimizer.c) keeps
// addresses for all of them, and has memory for those that it touches.
#include "runtime/model/model.h"
#include "runtime/base/base.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MEMORY_ALIGN = 4096, MEMORY_PARTS = 11 };

static size_t memory_whole_pages(size_t bytes) {
    return (bytes + MEMORY_ALIGN - 1) / MEMORY_ALIGN * MEMORY_ALIGN;
}

// Offsets of the parts in bytes, and, as the last entry, the total size. Returns how much of it
// other processes have.
static size_t memory_layout(const struct model_info *info, bool with_optimizer,
                            size_t offset[MEMORY_PARTS + 1]) {
    size_t state = (size_t)info->state_floats * sizeof(float);
    bool moments = with_optimizer && info->optimizer != OPTIMIZER_SGD;
    size_t ids = (size_t)info->batch_size * (size_t)info->block_size * sizeof(int32_t);
    const size_t bytes[MEMORY_PARTS] = {
        state,
        state,
        moments ? state : 0,
        moments ? state : 0,
        (size_t)info->acts_floats * sizeof(float),
        ids,
        ids,
        (size_t)optimizer_chunks(info) * sizeof(double),
        memory_whole_pages(info->scratch_bytes) * (size_t)parallel_count(),
        with_optimizer ? (size_t)info->muon_floats * sizeof(float) : 0,
        info->bf16 ? (size_t)info->state_floats * sizeof(uint16_t) : 0,
    };
    offset[0] = 0;
    for (int i = 0; i < MEMORY_PARTS; i++) {
        offset[i + 1] = offset[i] + memory_whole_pages(bytes[i]);
    }
    const int64_t to =
        optimizer_part.to < info->state_floats ? optimizer_part.to : info->state_floats;
    const size_t own = memory_whole_pages((size_t)(to - optimizer_part.from) * sizeof(float));
    const size_t each = memory_whole_pages(bytes[2]);
    return own < each ? 2 * (each - own) : 0;
}

size_t model_plan_bytes(const struct model_info *info, bool with_optimizer) {
    size_t offset[MEMORY_PARTS + 1];
    const size_t elsewhere = memory_layout(info, with_optimizer, offset);
    return offset[MEMORY_PARTS] - elsewhere;
}

size_t model_program_bytes(void) {
    return (size_t)groups_number_of("", "/proc/self", "status", "VmRSS:") * 1024;
}

size_t model_peak_bytes(void) {
    return (size_t)groups_number_of("", "/proc/self", "status", "VmHWM:") * 1024;
}

void model_create(struct model *m, const struct model_info *info, bool with_optimizer) {
    size_t offset[MEMORY_PARTS + 1];
    const size_t elsewhere = memory_layout(info, with_optimizer, offset);
    size_t mapped = offset[MEMORY_PARTS], bytes = mapped - elsewhere;
    size_t available = memory_available("");
    void *memory = MAP_FAILED;
    if (bytes <= available) {
        const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (elsewhere ? MAP_NORESERVE : 0);
        memory = mmap(NULL, mapped, PROT_READ | PROT_WRITE, flags, -1, 0);
    }
    if (memory == MAP_FAILED) {
        die(EXIT_MEMORY,
            "memory: this model takes %s (%zu bytes) and %s are available; build one with a "
            "smaller "
            "batch_size, block_size, n_layer or n_embd",
            figure_bytes((double)bytes).s, bytes, figure_bytes((double)available).s);
    }
    madvise(memory, mapped, MADV_HUGEPAGE);
    char *base = memory;
    bool moments = offset[3] > offset[2];
    *m = (struct model){
        .params = (float *)(base + offset[0]),
        .grads = (float *)(base + offset[1]),
        .m = moments ? (float *)(base + offset[2]) : NULL,
        .v = moments ? (float *)(base + offset[3]) : NULL,
        .acts = (float *)(base + offset[4]),
        .tokens = (int32_t *)(base + offset[5]),
        .targets = (int32_t *)(base + offset[6]),
        .norms = (double *)(base + offset[7]),
        .scratch = base + offset[8],
        .muon = (float *)(base + offset[9]),
        .packed = info->bf16 ? (uint16_t *)(base + offset[10]) : NULL,
        .memory = memory,
        .memory_bytes = mapped,
    };
}

void *model_scratch(const struct model *m, int thread) {
    return m->scratch + memory_whole_pages(model_info.scratch_bytes) * (size_t)thread;
}

void model_destroy(struct model *m) {
    munmap(m->memory, m->memory_bytes);
    *m = (struct model){0};
}
