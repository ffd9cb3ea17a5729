// step.c: training steps and evaluation batches on a device.
//
// A micro-step is one CUDA graph: take the batch, forward, backward. The first micro-step of a step
// has its own graph, which overwrites gradients (beta 0); the others add to them (beta 1). Norm and
// update are a third graph. What changes from step to step is in device memory (struct step_state).
//
// Batches alternate between two slots, on the host and on the device, so that one is filled and
// copied while the device computes with the other:
//
//     host      fill slot 0 | fill slot 1      | fill slot 0 (after its copy is done)
//     copies                | slot 0 ->        | slot 1 ->  (after slot 1 was taken)
//     device                                   | take slot 0, forward, backward | take slot 1 ...
#include "runtime/gpu/gpu.h"
#include "runtime/base/base.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 2, AHEAD = 1 };

enum graph_kind {
    GRAPH_FIRST,      // take, forward, backward, beta 0
    GRAPH_LATER,      // the same with beta 1
    GRAPH_LOSS_FIRST, // take, forward, loss; overwrites the total
    GRAPH_LOSS_LATER, // the same, but adds to the total
    GRAPH_UPDATE,
    GRAPHS,
};

static struct {
    cudaStream_t copies;
    cudaEvent_t copied[SLOTS]; // the host's slot is free again
    cudaEvent_t taken[SLOTS];  // the device's slot is free again
    bool loaded[GRAPHS];       // all of the graph's kernels have run once
    cudaGraphExec_t graphs[GRAPHS];
    int64_t micro;                  // micro-steps so far, equal to state->micro
    int64_t submitted, read;        // steps submitted, results read
    struct step_result *results;    // (STEP_RING), pinned: copies of the ring's entries
    struct step_settings *settings; // (STEP_RING), pinned: the updates' settings
    cudaEvent_t done[STEP_RING];    // a step's result has been copied
    int32_t *starts;                // (V + 1), to sort tokens
    bool open;
} steps;

// ---- set-up -------------------------------------------------------------------------------------

static void steps_open(const struct model_info *info) {
    if (steps.open) {
        return;
    }
    CUDA_CHECK(cudaStreamCreateWithFlags(&steps.copies, cudaStreamNonBlocking));
    for (int i = 0; i < SLOTS; i++) {
        CUDA_CHECK(cudaEventCreateWithFlags(&steps.copied[i], cudaEventDisableTiming));
        CUDA_CHECK(cudaEventCreateWithFlags(&steps.taken[i], cudaEventDisableTiming));
    }
    for (int i = 0; i < STEP_RING; i++) {
        CUDA_CHECK(cudaEventCreateWithFlags(&steps.done[i], cudaEventDisableTiming));
    }
    void *results, *settings;
    CUDA_CHECK(cudaHostAlloc(&results, STEP_RING * sizeof *steps.results, cudaHostAllocDefault));
    CUDA_CHECK(cudaHostAlloc(&settings, STEP_RING * sizeof *steps.settings, cudaHostAllocDefault));
    steps.results = results;
    steps.settings = settings;
    steps.starts = malloc(((size_t)info->vocab_size + 1) * sizeof *steps.starts);
    if (!steps.starts) {
        die(EXIT_MEMORY, "memory: no room on the host to sort tokens");
    }
    steps.open = true;
}

void gpu_step_restart(void) {
    steps.micro = steps.submitted = steps.read = 0;
}

void gpu_step_end(void) {
    if (!steps.open) {
        return;
    }
    for (int i = 0; i < GRAPHS; i++) {
        if (steps.graphs[i]) {
            CUDA_CHECK(cudaGraphExecDestroy(steps.graphs[i]));
        }
    }
    for (int i = 0; i < SLOTS; i++) {
        CUDA_CHECK(cudaEventDestroy(steps.copied[i]));
        CUDA_CHECK(cudaEventDestroy(steps.taken[i]));
    }
    for (int i = 0; i < STEP_RING; i++) {
        CUDA_CHECK(cudaEventDestroy(steps.done[i]));
    }
    CUDA_CHECK(cudaFreeHost(steps.results));
    CUDA_CHECK(cudaFreeHost(steps.settings));
    CUDA_CHECK(cudaStreamDestroy(steps.copies));
    free(steps.starts);
    memset(&steps, 0, sizeof steps);
}

// ---- graphs -------------------------------------------------------------------------------------

static void graph_launch_kernels(struct gpu *gpu, enum graph_kind kind) {
    gpu->beta = kind == GRAPH_LATER || kind == GRAPH_LOSS_LATER ? 1.0f : 0.0f;
    if (kind == GRAPH_UPDATE) {
        device_update(gpu);
        return;
    }
    device_take(gpu);
    device_forward(gpu);
    if (kind == GRAPH_FIRST || kind == GRAPH_LATER) {
        device_backward(gpu);
    } else {
        device_loss(gpu);
    }
}

// Runs a graph's work on the stream. The first time, and when kernels are timed, it launches the
// kernels one by one: a first launch may load code and allocate, which capturing forbids.
static void graph_run(struct gpu *gpu, enum graph_kind kind) {
    if (profile_on || !steps.loaded[kind]) {
        steps.loaded[kind] = true;
        graph_launch_kernels(gpu, kind);
        return;
    }
    if (!steps.graphs[kind]) {
        cudaGraph_t graph;
        CUDA_CHECK(cudaStreamBeginCapture(gpu->stream, cudaStreamCaptureModeThreadLocal));
        graph_launch_kernels(gpu, kind);
        CUDA_CHECK(cudaStreamEndCapture(gpu->stream, &graph));
        CUDA_CHECK(cudaGraphInstantiate(&steps.graphs[kind], graph, 0));
        CUDA_CHECK(cudaGraphDestroy(graph));
    }
    CUDA_CHECK(cudaGraphLaunch(steps.graphs[kind], gpu->stream));
}

// ---- batches ------------------------------------------------------------------------------------

// order (N) = 0..N-1, stably sorted by token.
static void sort_by_token(const int32_t *tokens, int64_t rows, int vocab_size, int32_t *order) {
    int32_t *starts = steps.starts;
    memset(starts, 0, ((size_t)vocab_size + 1) * sizeof *starts);
    for (int64_t n = 0; n < rows; n++) {
        starts[tokens[n] + 1]++;
    }
    for (int v = 0; v < vocab_size; v++) {
        starts[v + 1] += starts[v];
    }
    for (int64_t n = 0; n < rows; n++) {
        order[starts[tokens[n]]++] = (int32_t)n;
    }
}

// Submits m's batch to the device, and points m at the other slot once that is free.
static void batch_submit(struct model *m, const struct model_info *info, int micro_steps,
                         enum graph_kind kind) {
    struct gpu *gpu = &gpu_model;
    steps_open(info);
    const int64_t rows = (int64_t)info->batch_size * info->block_size;
    const int slot = (int)(steps.micro % SLOTS), other = 1 - slot;
    int64_t counted = 0;
    for (int64_t n = 0; n < rows; n++) {
        counted += m->targets[n] >= 0;
    }
    *(struct step_input *)gpu_host_slot(slot) = (struct step_input){
        .loss_scale = counted ? (float)(1 / ((double)counted * micro_steps)) : 0,
        .dropout = m->dropout,
        .dropout_key = {m->dropout_key[0], m->dropout_key[1]},
    };
    sort_by_token(m->tokens, rows, info->vocab_size, m->targets + rows);

    if (steps.micro >= SLOTS) {
        CUDA_CHECK(cudaStreamWaitEvent(steps.copies, steps.taken[slot], 0));
    }
    CUDA_CHECK(cudaMemcpyAsync(gpu->staging[slot], gpu_host_slot(slot), gpu_slot_bytes(info),
                               cudaMemcpyHostToDevice, steps.copies));
    CUDA_CHECK(cudaEventRecord(steps.copied[slot], steps.copies));
    CUDA_CHECK(cudaStreamWaitEvent(gpu->stream, steps.copied[slot], 0));
    graph_run(gpu, kind);
    CUDA_CHECK(cudaEventRecord(steps.taken[slot], gpu->stream));
    steps.micro++;

    if (steps.micro >= SLOTS) {
        CUDA_CHECK(cudaEventSynchronize(steps.copied[other]));
    }
    gpu_next_slot(m, info, other);
}

// ---- what train and bench call ------------------------------------------------------------------

void step_gradients(struct model *m, const struct model_info *info, int micro_steps, bool first) {
    batch_submit(m, info, micro_steps, first ? GRAPH_FIRST : GRAPH_LATER);
}

void step_loss(struct model *m, const struct model_info *info, bool first) {
    batch_submit(m, info, 1, first ? GRAPH_LOSS_FIRST : GRAPH_LOSS_LATER);
}

double step_total(struct model *m) {
    double values[2]; // loss, total
    CUDA_CHECK(cudaMemcpyAsync(values, (char *)gpu_model.state + offsetof(struct step_state, loss),
                               sizeof values, cudaMemcpyDeviceToHost, gpu_model.stream));
    CUDA_CHECK(cudaStreamSynchronize(gpu_model.stream));
    m->loss = values[0];
    return m->total = values[1];
}

void step_losses(struct model *m, const struct model_info *info, float *losses) {
    (void)m;
    const size_t rows = (size_t)info->batch_size * (size_t)info->block_size;
    CUDA_CHECK(cudaMemcpyAsync(losses, gpu_model.acts + info->losses, rows * sizeof *losses,
                               cudaMemcpyDeviceToHost, gpu_model.stream));
    CUDA_CHECK(cudaStreamSynchronize(gpu_model.stream));
}

static void update_submit(const struct model_info *info, const struct step_settings *settings) {
    struct gpu *gpu = &gpu_model;
    steps_open(info);
    const int entry = (int)(steps.submitted % STEP_RING);
    char *state = (char *)gpu->state;
    steps.settings[entry] = *settings;
    CUDA_CHECK(cudaMemcpyAsync(state + offsetof(struct step_state, set), &steps.settings[entry],
                               sizeof steps.settings[entry], cudaMemcpyHostToDevice, gpu->stream));
    graph_run(gpu, GRAPH_UPDATE);
    CUDA_CHECK(cudaMemcpyAsync(&steps.results[entry],
                               state + offsetof(struct step_state, ring) +
                                   (size_t)entry * sizeof(struct step_result),
                               sizeof(struct step_result), cudaMemcpyDeviceToHost, gpu->stream));
    CUDA_CHECK(cudaEventRecord(steps.done[entry], gpu->stream));
    steps.submitted++;
}

void step_update(struct model *m, const struct model_info *info,
                 const struct step_settings *settings, int64_t t) {
    (void)m, (void)t;
    update_submit(info, settings);
}

void step_try(struct model *m, const struct model_info *info) {
    (void)m;
    const struct step_settings settings = {.only_try = true};
    update_submit(info, &settings);
}

void step_finish(struct model *m, const struct model_info *info, int micro_steps, bool first,
                 const struct step_settings *settings, int64_t t) {
    step_gradients(m, info, micro_steps, first);
    step_update(m, info, settings, t);
}

int step_pending(const struct model *m) {
    (void)m;
    return (int)(steps.submitted - steps.read);
}

int step_ahead(const struct model *m) {
    (void)m;
    return AHEAD;
}

struct step_result step_wait(struct model *m) {
    const int entry = (int)(steps.read++ % STEP_RING);
    CUDA_CHECK(cudaEventSynchronize(steps.done[entry]));
    m->loss = steps.results[entry].last;
    m->total = steps.results[entry].total;
    return steps.results[entry];
}
