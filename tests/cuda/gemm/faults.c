// faults.c: errors that end the program: products that cannot be made, and calls without their
// operands.
#include "tests/cuda/gemm/gemm_test.h"

#ifdef DIECAST_EMULATED // a process that has a device open can't be forked

#include <sys/wait.h>
#include <unistd.h>

// Runs fn in a child process; returns its exit code and the first line of its output.
int ended(void (*fn)(void *), void *argument, char line[512]) {
    int channel[2];
    fflush(NULL);
    if (pipe(channel) != 0) {
        return -1;
    }
    const pid_t child = fork();
    if (child == 0) {
        dup2(channel[1], STDERR_FILENO);
        close(channel[0]);
        close(channel[1]);
        fn(argument);
        _exit(0);
    }
    close(channel[1]);
    ssize_t held = 0;
    for (ssize_t got; held < 511 && (got = read(channel[0], line + held, 511 - held)) > 0;) {
        held += got;
    }
    line[held] = 0;
    close(channel[0]);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256;
}

static void check_dies(void (*fn)(void *), void *argument, int code, const char *word) {
    char line[512], what[640];
    const int got = ended(fn, argument, line);
    const char *newline = strchr(line, '\n');
    snprintf(what, sizeof what, "ends with %d and one line with '%s'; it was %d: %s", code, word,
             got, line);
    check(got == code && newline && newline[1] == 0 && strstr(line, word), what);
}

static void create(void *gemm) {
    gemm_create(gpu.gemm, gemm);
}

struct bad_call {
    const struct gemm *gemm;
    char *out;
    void *a, *b;
    struct gemm_extra extra;
};

static void call(void *argument) {
    struct bad_call *bad = argument;
    gemm_run(&gpu, bad->gemm, bad->out, bad->a, bad->b, &bad->extra, 0.0f);
}

void check_faults(void) {
    const struct gemm good = {.name = "good",
                              .rows = 8,
                              .cols = 16,
                              .inner = 24,
                              .out_ld = 16,
                              .a_ld = 24,
                              .b_ld = 16,
                              .type = GEMM_BF16,
                              .out_type = GEMM_BF16};
    // A product with an impossible shape is not made.
    struct gemm bad[13];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bad[i] = good;
    }
    bad[0].rows = 0;
    bad[1].out_ld = 8;
    bad[2].a_ld = 16;
    bad[3].b_ld = 8;
    bad[4].a_ld = 28; // 56 bytes
    bad[5].out_ld = 20;
    bad[12].b_ld = 20;
    bad[6].out_type = GEMM_TF32;
    bad[7].gelu = bad[7].residual = true;
    bad[8].kept = true;
    bad[9].dgelu = bad[9].bias = true;
    bad[10].accumulate = bad[10].bias = true;
    // 4 floats are 16 bytes, but GELU's input wants 8 elements
    bad[11].type = bad[11].out_type = GEMM_F32;
    bad[11].out_ld = 20, bad[11].gelu = bad[11].kept = true;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        check_dies(create, &bad[i], EXIT_INTERNAL, "no product can be made of");
    }

    // Without an algorithm: one line with the product, the call, the status and what to do.
    const size_t bytes = gpu.workspace_bytes;
    struct gemm_context *context = gpu.gemm;
    gpu.workspace_bytes = 0;
    gpu.gemm = gemm_context_create(&gpu, NULL);
    struct gemm none = good;
    check_dies(create, &none, EXIT_MEMORY,
               "good: cublasLtMatmulAlgoGetHeuristic: CUBLAS_STATUS_NOT_SUPPORTED (15): ");
    gemm_context_destroy(gpu.gemm);
    gpu.workspace_bytes = bytes;
    gpu.gemm = context;

    // A call without an operand, with one too many, or with one that is not aligned is refused.
    struct gemm g = good;
    g.bias = true;
    struct operands o = operands_make(&g, 0);
    gemm_create(context, &g);
    const struct bad_call fine = {&g, o.out.device, o.a.device, o.b.device, o.extra};
    struct bad_call calls[] = {fine, fine, fine, fine};
    calls[0].a = NULL;
    calls[1].extra.bias = NULL;
    calls[2].extra.residual = o.residual.device;
    calls[3].out += 8;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        check_dies(call, &calls[i], EXIT_INTERNAL, "good: ");
    }
    gemm_destroy(&g);
    operands_free(&o);
}

#endif
