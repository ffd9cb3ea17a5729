// backend_cuda.c: runs a case's kernels on a CUDA device: on a real one, or, if the headers of
// tests/cuda/emulator come first, on the emulated one.
//
// The ways: on a device a case runs twice; on the emulator under each of its schedules. Memory is
// as long as its tensor, or lies between canaries that must not change. Rows have their leading
// dimension: the padding of weights and of logits' gradients is 0 and must stay 0; other padding
// starts as NaN, which must not reach a result.
#include "tests/ops/backend_cuda.h"

#include "runtime/kernel/gemm.h"
#include "runtime/gpu/gpu.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const bool backend_overwrites = true;
const double backend_work = 1e7;
#ifdef DIECAST_EMULATED
const double backend_seconds = 120;
#else
const double backend_seconds = 20; // the first test opens the device, too
#endif

enum { LOSS_SCALER = 8 }; // float16: the loss scaler's factor; loss_scale is divided by it
#ifdef DIECAST_EMULATED
enum { WORKSPACE = 1 << 20 }; // small, since it often touches all of its device memory
#else
enum { WORKSPACE = GEMM_WORKSPACE };
#endif
static const double TOTAL = 3; // the losses of micro-batches before this one

// ---- ways ---------------------------------------------------------------------------------------

static const struct way_of {
    size_t guard;
    const char *text;
} ways[] = {
#ifdef DIECAST_EMULATED
    {0, "under the ascending schedule"},
    {CANARY, "under the descending schedule"},
    {0, "under a random schedule"},
#else
    {0, "the first time"},
    {CANARY, "the second time"},
#endif
};

int backend_ways(void) {
    return sizeof ways / sizeof *ways;
}

const char *backend_way(int number) {
    return ways[number].text;
}

void backend_choose(int way) {
#ifdef DIECAST_EMULATED
    emulator_choose(way);
#else
    (void)way;
#endif
}

// ---- the device ---------------------------------------------------------------------------------

struct gpu *backend_device(void) {
    static struct gpu gpu = {.part_to = INT64_MAX};
    if (!gpu.state) {
        gpu_open(&gpu);
        gpu.workspace_bytes = WORKSPACE;
        CUDA_CHECK(cudaMalloc(&gpu.workspace, gpu.workspace_bytes));
        CUDA_CHECK(cudaMalloc((void **)&gpu.state, sizeof *gpu.state));
        gpu.gemm = gemm_context_create(&gpu, NULL);
    }
    return &gpu;
}

static void create_products(struct gpu *gpu, const struct op_case *c) {
    for (int i = 0; i < c->gemms_count; i++) {
        if (!c->gemms[i]->setup) {
            gemm_create(gpu->gemm, c->gemms[i]);
        }
    }
}

static void write_state(struct gpu *gpu, const struct settings *settings) {
    struct step_state state = {
        .in = {.loss_scale = settings->loss_scale, .dropout = settings->dropout},
        .loss = NAN,
        .total = TOTAL,
        .scale = 1,
    };
    memcpy(state.in.dropout_key, settings->dropout_key, sizeof state.in.dropout_key);
    if (elem_format == F16) {
        state.scale = LOSS_SCALER;
        state.in.loss_scale /= LOSS_SCALER;
    }
    memory_write(gpu->state, &state, sizeof state);
}

// ---- memory -------------------------------------------------------------------------------------

// cudaMemcpy of pageable memory may return while the bytes are still under way, on the default
// stream, for which the kernels' stream does not wait.
void memory_write(void *to, const void *from, size_t bytes) {
    CUDA_CHECK(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice));
    CUDA_CHECK(cudaDeviceSynchronize());
}

struct memory memory_new(size_t bytes, size_t guard) {
    struct memory memory = {.bytes = bytes, .guard = guard};
    void *base;
    CUDA_CHECK(cudaMalloc(&base, bytes + 2 * guard));
    CUDA_CHECK(cudaMemset(base, POISON, bytes + 2 * guard));
    CUDA_CHECK(cudaDeviceSynchronize()); // kernels run on another stream
    memory.at = (char *)base + guard;
    return memory;
}

bool memory_free(const struct memory *memory) {
    bool intact = true;
    char *base = memory->at - memory->guard, *guard = allocate(1, memory->guard, "a case");
    for (int side = 0; side < 2 && memory->guard > 0; side++) {
        const char *from = side ? memory->at + memory->bytes : base;
        CUDA_CHECK(cudaMemcpy(guard, from, memory->guard, cudaMemcpyDeviceToHost));
        for (size_t i = 0; i < memory->guard; i++) {
            intact = intact && guard[i] == (char)POISON;
        }
    }
    free(guard);
    CUDA_CHECK(cudaFree(base));
    return intact;
}

// ---- tensors: rows with a leading dimension -----------------------------------------------------

static size_t tensor_bytes(const struct tensor *t) {
    return (size_t)t->rows * (size_t)t->width * format_bytes(t->format);
}

// Copies rows without padding, in floats, to the device.
static void tensor_write(const struct tensor *t, const void *dense, const struct memory *memory) {
    const size_t size = format_bytes(t->format);
    char *padded = allocate(1, memory->bytes, "a case");
    memset(padded, t->zero ? 0 : POISON, memory->bytes);
    for (int i = 0; i < t->count; i++) {
        const size_t at = (size_t)(i / t->columns) * (size_t)t->width + (size_t)(i % t->columns);
        format_store(t->format, padded + at * size, (const float *)dense + i);
    }
    memory_write(memory->at, padded, memory->bytes);
    free(padded);
}

// And back. False if padding that has to be 0 is not.
static bool tensor_read(const struct tensor *t, const struct memory *memory, void *dense) {
    const size_t size = format_bytes(t->format);
    bool clean = true;
    char *padded = allocate(1, memory->bytes, "a case");
    CUDA_CHECK(cudaMemcpy(padded, memory->at, memory->bytes, cudaMemcpyDeviceToHost));
    for (int row = 0; row < t->rows; row++) {
        for (int column = 0; column < t->width; column++) {
            const char *from = padded + ((size_t)row * (size_t)t->width + (size_t)column) * size;
            const int i = row * t->columns + column;
            if (column < t->columns && i < t->count) {
                format_load(t->format, (float *)dense + i, from);
            } else if (t->zero) {
                float value;
                format_load(t->format, &value, from);
                clean = clean && value == 0;
            }
        }
    }
    free(padded);
    return clean;
}

// The places of tokens (count) sorted by token, rising for equal tokens.
static void write_order(const struct op_case *c, const struct settings *settings, int tensor,
                        const struct memory *order) {
    const struct tensor *t = &c->tensors[tensor];
    int32_t *tokens = allocate((size_t)t->count, sizeof *tokens, "a case");
    int32_t *places = allocate((size_t)t->count, sizeof *places, "a case");
    fill_start(c, tensor, settings, tokens);
    int n = 0;
    for (int token = 0; token < t->below; token++) {
        for (int i = 0; i < t->count; i++) {
            if (tokens[i] == token) {
                places[n++] = i;
            }
        }
    }
    memory_write(order->at, places, order->bytes);
    free(tokens);
    free(places);
}

// ---- kernels ------------------------------------------------------------------------------------

struct job {
    const struct call *call;
    struct call_context context;
    struct memory workspace, order; // bytes 0: none
};

static struct memory *tensors_new(const struct op_case *c, const struct settings *settings,
                                  size_t guard) {
    struct memory *tensors = allocate((size_t)c->tensors_count, sizeof *tensors, "a case");
    for (int k = 0; k < c->tensors_count; k++) {
        const struct tensor *t = &c->tensors[k];
        void *start = allocate((size_t)t->count, sizeof(float), "a case");
        tensors[k] = memory_new(tensor_bytes(t), guard);
        fill_start(c, k, settings, start);
        tensor_write(t, start, &tensors[k]);
        free(start);
    }
    return tensors;
}

static struct job job_new(const struct op_case *c, const struct call *call,
                          const struct settings *settings, const struct memory *tensors,
                          size_t guard) {
    struct gpu *gpu = backend_device();
    struct job job = {.call = call, .context = {.gpu = gpu, .site = call->site}};
    for (int i = 0; i < OP_OPERANDS; i++) {
        job.context.at[i] = call->operands[i] < 0 ? NULL : tensors[call->operands[i]].at;
    }
    for (int i = 0; i < OP_BETAS; i++) {
        job.context.beta[i] = settings->overwrite && call->first[i] ? 0 : 1;
    }
    if (call->scratch_bytes > 0) {
        job.workspace = memory_new(call->scratch_bytes, guard);
        job.context.scratch = job.workspace.at;
    }
    if (call->tokens >= 0) {
        job.order = memory_new((size_t)c->tensors[call->tokens].count * sizeof(int32_t), guard);
        write_order(c, settings, call->tokens, &job.order);
        gpu->order = (int32_t *)job.order.at;
    }
    return job;
}

static void job_run(const struct job *job) {
    job->call->kernel(&job->context);
    CUDA_CHECK(cudaGetLastError());
}

static bool job_free(const struct job *job) {
    CUDA_CHECK(cudaStreamSynchronize(job->context.gpu->stream));
    bool intact = job->workspace.bytes == 0 || memory_free(&job->workspace);
    return (job->order.bytes == 0 || memory_free(&job->order)) && intact;
}

// Runs a job that writes its result over an operand, then copies it to its own memory.
static void job_run_aliased(const struct op_case *c, struct job *job, int operand,
                            const struct memory *tensors) {
    const int result = job->call->operands[0];
    const size_t bytes = tensors[result].bytes;
    ck_assert_msg(bytes == tensors[operand].bytes, "%s: %s does not fit in %s", c->name,
                  c->tensors[result].name, c->tensors[operand].name);
    char *before = allocate(1, bytes, "a case");
    CUDA_CHECK(cudaMemcpy(before, tensors[operand].at, bytes, cudaMemcpyDeviceToHost));
    job->context.at[0] = tensors[operand].at;
    job_run(job);
    CUDA_CHECK(cudaStreamSynchronize(job->context.gpu->stream));
    CUDA_CHECK(
        cudaMemcpy(tensors[result].at, tensors[operand].at, bytes, cudaMemcpyDeviceToDevice));
    memory_write(tensors[operand].at, before, bytes); // waits for the copy before it, too
    free(before);
}

// The mean loss, or NAN if no call has computed it; and the sum of losses that it was added to.
static double read_loss(const struct op_case *c, const struct settings *settings,
                        const struct gpu *gpu) {
    struct step_state state;
    CUDA_CHECK(cudaMemcpy(&state, gpu->state, sizeof state, cudaMemcpyDeviceToHost));
    double total = TOTAL;
    for (int i = 0; i < c->calls_count; i++) {
        if (strncmp(c->calls[i].name, "mean_loss", strlen("mean_loss")) == 0) {
            total = (settings->overwrite ? 0 : total) + state.loss;
        }
    }
    ck_assert_msg(fabs(total - state.total) <= 1e-12 * fabs(total),
                  "%s: the sum of losses is %.17g, wanted %.17g", c->name, state.total, total);
    return state.loss;
}

double backend_run(const struct op_case *c, const struct settings *settings, struct way way,
                   void **results) {
    const size_t guard = ways[way.number].guard;
    struct gpu *gpu = backend_device();
    backend_choose(way.number);
    create_products(gpu, c);
    write_state(gpu, settings);
    struct memory *tensors = tensors_new(c, settings, guard);
    for (int i = 0; i < c->calls_count; i++) {
        struct job job = job_new(c, &c->calls[i], settings, tensors, guard);
        if (i == way.alias_call) {
            job_run_aliased(c, &job, way.alias_tensor, tensors);
        } else {
            job_run(&job);
        }
        ck_assert_msg(job_free(&job), "%s: %s writes beside its workspace or order", c->name,
                      job.call->name);
    }
    for (int k = 0; k < c->tensors_count; k++) {
        const struct tensor *t = &c->tensors[k];
        results[k] = allocate((size_t)t->count, sizeof(float), "a case");
        ck_assert_msg(tensor_read(t, &tensors[k], results[k]), "%s: %s has padding that is not 0",
                      c->name, t->name);
        ck_assert_msg(memory_free(&tensors[k]), "%s: something is written beside %s", c->name,
                      t->name);
    }
    free(tensors);
    return read_loss(c, settings, gpu);
}

// ---- figures ------------------------------------------------------------------------------------

void backend_bench(const struct op_case *c, const struct settings *settings) {
    enum { RUNS = 20 };
    struct gpu *gpu = backend_device();
    create_products(gpu, c);
    write_state(gpu, settings);
    struct memory *tensors = tensors_new(c, settings, 0);
    cudaEvent_t start, end;
    CUDA_CHECK(cudaEventCreate(&start));
    CUDA_CHECK(cudaEventCreate(&end));
    for (int i = 0; i < c->calls_count; i++) {
        const struct job job = job_new(c, &c->calls[i], settings, tensors, 0);
        double best = INFINITY;
        for (int run = 0; run < RUNS; run++) {
            float ms;
            CUDA_CHECK(cudaEventRecord(start, gpu->stream));
            job_run(&job);
            CUDA_CHECK(cudaEventRecord(end, gpu->stream));
            CUDA_CHECK(cudaEventSynchronize(end));
            CUDA_CHECK(cudaEventElapsedTime(&ms, start, end));
            best = fmin(best, ms * 1e-3);
        }
        printf("    %-56s %10.2f us %8.2f TFLOP/s %8.1f GB/s\n", c->calls[i].name, best * 1e6,
               c->calls[i].flops / best * 1e-12, c->calls[i].bytes / best * 1e-9);
        job_free(&job);
    }
    CUDA_CHECK(cudaEventDestroy(start));
    CUDA_CHECK(cudaEventDestroy(end));
    for (int k = 0; k < c->tensors_count; k++) {
        memory_free(&tensors[k]);
    }
    free(tensors);
}
