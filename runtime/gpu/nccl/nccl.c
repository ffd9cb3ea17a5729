// nccl.c: several processes with a GPU each, on NCCL, in place of ranks/one.c.
//
// There are two communicators: one for gradients and weights, whose transfers are queued between
// the graphs of a step, and one for messages between hosts, on a stream of its own, so that a host
// does not wait for the steps that are queued. Neither blocks: each call is looked after until it
// is done, and link.c looks for errors of both.
#include "runtime/gpu/nccl/nccl.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    NCCL_LAST_SECONDS = 2,      // that an abort may take
    NCCL_START_SECONDS = 60,    // for all ranks to come, and after which one is missed at the start
    NCCL_LEAVE_SECONDS = 60,    // for NCCL to end what it has under way
    NCCL_OPEN_SECONDS = 300,    // for NCCL to connect them
    NCCL_LOOK_NS = 20000,       // between two looks at a call that is under way
    NCCL_PIECE = 4 << 20,       // bytes of a message that go at a time
    NCCL_ALL_AT_ONCE = 1 << 16, // bytes that all ranks may send to all
    NCCL_LINE = 512             // a line that is kept for rank 0
};
enum nccl_use { NCCL_GRADIENTS, NCCL_MESSAGES };

// Before ranks_begin, a rank that exits meets the others; after it, it ends the job.
static _Atomic enum { NCCL_ALONE, NCCL_STARTS, NCCL_WORKS, NCCL_LEFT } nccl_phase;
static struct found nccl_found = {.size = 1};
static _Atomic(ncclComm_t) nccl_comms[NCCL_COMMS];
static char nccl_line[NCCL_LINE];          // why this rank ends
static _Atomic int64_t nccl_iter = -1;     // what is going on
static const char *_Atomic nccl_what = ""; //
static atomic_flag nccl_aborts = ATOMIC_FLAG_INIT;
static int nccl_code; // of an abort
static double nccl_seconds;
static struct {
    cudaStream_t stream;
    char *host, *device; // (bytes), host's pinned
    size_t bytes;
} nccl_stage;

int ranks_rank(void) {
    return nccl_found.rank;
}

int ranks_size(void) {
    return nccl_found.size;
}

void ranks_at(int64_t iter, const char *what) {
    nccl_iter = iter;
    nccl_what = what;
}

void nccl_going_on(char text[160]) {
    const char *what = nccl_what;
    if (*what) {
        snprintf(text, 160, "iteration %" PRId64 ", %s", (int64_t)nccl_iter, what);
    } else {
        snprintf(text, 160, "the start");
    }
}

double ranks_seconds(void) {
    return nccl_seconds;
}

void ranks_patient(bool patient) {
    (void)patient; // a device waits by itself
}

const struct buckets *ranks_buckets(void) {
    return NULL; // gradients travel between graphs
}

// ---- the end ------------------------------------------------------------------------------------

static void nccl_end_now(int signal) {
    (void)signal;
    _exit(nccl_code);
}

_Noreturn void nccl_abort(int code) {
    if (atomic_flag_test_and_set(&nccl_aborts)) { // another thread does
        for (;;) {
            pause();
        }
    }
    nccl_phase = NCCL_LEFT;
    nccl_code = code;
    link_end_job(code);
    signal(SIGALRM, nccl_end_now); // an abort that finds no network may never return
    alarm(NCCL_LAST_SECONDS);
    for (int i = 0; i < NCCL_COMMS; i++) {
        const ncclComm_t comm = nccl_comms[i];
        if (comm) {
            ncclCommAbort(comm);
        }
    }
    _exit(code);
}

ncclResult_t nccl_error(void) {
    for (int i = 0; i < NCCL_COMMS; i++) {
        const ncclComm_t comm = nccl_comms[i];
        ncclResult_t error = ncclSuccess;
        if (comm && ncclCommGetAsyncError(comm, &error) == ncclSuccess && error != ncclSuccess &&
            error != ncclInProgress) {
            return error;
        }
    }
    return ncclSuccess;
}

// Waits until a call on a communicator is done, which does not mean its transfer.
static void nccl_settle(ncclComm_t comm, ncclResult_t result, const char *call, double seconds) {
    const double until = time_now() + seconds;
    while (result == ncclInProgress && time_now() < until) {
        if (ncclCommGetAsyncError(comm, &result) == ncclSuccess && result == ncclInProgress) {
            nanosleep(&(struct timespec){.tv_nsec = NCCL_LOOK_NS}, NULL);
        }
    }
    if (result != ncclSuccess) {
        const char *detail = ncclGetLastError(comm);
        char text[160];
        nccl_going_on(text);
        // Not by die, at whose end ranks meet.
        fprintf(stderr,
                "ranks: rank %d: %s: %s%s%.200s: %s; NCCL_DEBUG=INFO says more; the job ends, and "
                "the same command goes on from the last state\n",
                nccl_found.rank, call,
                result == ncclInProgress ? "it takes too long" : ncclGetErrorString(result),
                detail && *detail ? ": " : "", detail ? detail : "", text);
        nccl_abort(EXIT_IO);
    }
}

ncclComm_t nccl_comm(void) {
    return nccl_comms[NCCL_GRADIENTS];
}

void nccl_check(ncclResult_t result, const char *call) {
    nccl_settle(nccl_comm(), result, call, NCCL_OPEN_SECONDS);
}

static void nccl_sent(ncclResult_t result, const char *call) {
    nccl_settle(nccl_comms[NCCL_MESSAGES], result, call, NCCL_OPEN_SECONDS);
}

// What a rank but 0 says: all ranks warn of the same things, and rank 0 says those.
static void nccl_log(const char *line, bool dies) {
    if (dies && nccl_phase == NCCL_WORKS) {
        fprintf(stderr, "rank %d on %s: %s\n", nccl_found.rank, ranks_host(nccl_found.rank), line);
    } else if (dies) {
        snprintf(nccl_line, sizeof nccl_line, "%s", line);
    }
}

static void nccl_at_exit(int code, void *context) {
    (void)context;
    if (nccl_phase == NCCL_STARTS) {
        ranks_leave(code, nccl_line);
        ranks_close();
    } else if (nccl_phase != NCCL_LEFT && nccl_found.size > 1) {
        nccl_abort(code);
    }
}

// ---- the start ----------------------------------------------------------------------------------

static void nccl_stage_open(size_t bytes) {
    if (nccl_stage.bytes >= bytes) {
        return;
    }
    if (nccl_stage.host) {
        CUDA_CHECK(cudaFreeHost(nccl_stage.host));
        CUDA_CHECK(cudaFree(nccl_stage.device));
    }
    void *host, *device;
    CUDA_CHECK(cudaHostAlloc(&host, bytes, cudaHostAllocDefault));
    CUDA_CHECK(cudaMalloc(&device, bytes));
    nccl_stage.host = host;
    nccl_stage.device = device;
    nccl_stage.bytes = bytes;
}

void ranks_open(int *argc, char ***argv) {
    (void)argc, (void)argv;
    struct found *f = &nccl_found;
    *f = find_rank();
    on_exit(nccl_at_exit, NULL);
    ncclUniqueId ids[NCCL_COMMS];
    for (int i = 0; i < NCCL_COMMS && f->rank == 0; i++) {
        const ncclResult_t result = ncclGetUniqueId(&ids[i]);
        if (result != ncclSuccess) {
            die(EXIT_IO, "ranks: ncclGetUniqueId: %s; NCCL_DEBUG=INFO says more",
                ncclGetErrorString(result));
        }
    }
    if (f->size > 1) {
        link_open(f, ids, NCCL_START_SECONDS);
        link_watch(NCCL_OPEN_SECONDS);
    }
    gpu_device = gpu_of_rank(f->local_rank);
    CUDA_CHECK(cudaSetDevice(gpu_device));
    for (int i = 0; i < NCCL_COMMS; i++) {
        ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
        config.blocking = 0;
        ncclComm_t comm = NULL;
        const ncclResult_t result =
            ncclCommInitRankConfig(&comm, f->size, ids[i], f->rank, &config);
        nccl_settle(comm, result, "ncclCommInitRankConfig", NCCL_OPEN_SECONDS);
        nccl_comms[i] = comm;
    }
    CUDA_CHECK(cudaStreamCreateWithFlags(&nccl_stage.stream, cudaStreamNonBlocking));
    nccl_stage_open(NCCL_PIECE);
    memory_sharers = f->local_size;
    ranks_device = &gradient_device;
    gpu_round = (int64_t)f->size * NCCL_TILE;
    nccl_phase = NCCL_STARTS;
    link_limit(NCCL_START_SECONDS);
    if (f->rank > 0) {
        const int nothing = open("/dev/null", O_WRONLY);
        dup2(nothing, STDOUT_FILENO);
        log_hook = nccl_log;
    }
}

void ranks_begin(double timeout) {
    nccl_phase = NCCL_WORKS;
    link_limit(timeout);
}

void ranks_close(void) {
    if (nccl_phase != NCCL_STARTS && nccl_phase != NCCL_WORKS) {
        return;
    }
    ranks_at(nccl_iter, "all leave");
    ranks_most(0); // a barrier
    nccl_phase = NCCL_LEFT;
    if (nccl_found.size > 1) {
        link_close();
    }
    for (int i = 0; i < NCCL_COMMS; i++) {
        const ncclComm_t comm = nccl_comms[i];
        nccl_comms[i] = NULL;
        nccl_settle(comm, ncclCommFinalize(comm), "ncclCommFinalize", NCCL_LEAVE_SECONDS);
        ncclCommDestroy(comm);
    }
}

// ---- messages between hosts ---------------------------------------------------------------------
// Through the device: from pinned memory of one host to that of another.

enum nccl_way { NCCL_TO_DEVICE, NCCL_TO_HOST };

static void nccl_move(size_t from, size_t bytes, enum nccl_way way) {
    char *host = nccl_stage.host + from, *device = nccl_stage.device + from;
    if (way == NCCL_TO_DEVICE) {
        CUDA_CHECK(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, nccl_stage.stream));
    } else {
        CUDA_CHECK(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, nccl_stage.stream));
        const double began = time_now();
        CUDA_CHECK(cudaStreamSynchronize(nccl_stage.stream));
        nccl_seconds += time_now() - began;
    }
}

void ranks_share(void *all, size_t bytes) {
    const size_t total = (size_t)nccl_found.size * bytes, own = (size_t)nccl_found.rank * bytes;
    nccl_stage_open(total);
    memcpy(nccl_stage.host + own, (char *)all + own, bytes);
    nccl_move(own, bytes, NCCL_TO_DEVICE);
    nccl_sent(ncclAllGather(nccl_stage.device + own, nccl_stage.device, bytes, ncclUint8,
                            nccl_comms[NCCL_MESSAGES], nccl_stage.stream),
              "ncclAllGather");
    nccl_move(0, total, NCCL_TO_HOST);
    memcpy(all, nccl_stage.host, total);
}

// Sends the stage's first bytes to one rank, and receives as many, or others, behind them from one;
// -1: none.
static void nccl_pass(int to, size_t out, int from, size_t at, size_t in) {
    const ncclComm_t comm = nccl_comms[NCCL_MESSAGES];
    nccl_sent(ncclGroupStart(), "ncclGroupStart");
    if (from >= 0 && in > 0) {
        nccl_sent(ncclRecv(nccl_stage.device + at, in, ncclUint8, from, comm, nccl_stage.stream),
                  "ncclRecv");
    }
    if (to >= 0 && out > 0) {
        nccl_sent(ncclSend(nccl_stage.device, out, ncclUint8, to, comm, nccl_stage.stream),
                  "ncclSend");
    }
    nccl_sent(ncclGroupEnd(), "ncclGroupEnd");
}

// A large one goes from rank to rank, in pieces.
static void nccl_give_on(char *bytes, size_t count) {
    const int rank = nccl_found.rank, last = nccl_found.size - 1;
    for (char *piece = bytes, *end = piece + count; piece < end; piece += NCCL_PIECE) {
        const size_t length = end - piece < NCCL_PIECE ? (size_t)(end - piece) : NCCL_PIECE;
        if (rank == 0) {
            memcpy(nccl_stage.host, piece, length);
            nccl_move(0, length, NCCL_TO_DEVICE);
        } else {
            nccl_pass(-1, 0, rank - 1, 0, length);
        }
        if (rank < last) {
            nccl_pass(rank + 1, length, -1, 0, 0);
        }
        nccl_move(0, length, NCCL_TO_HOST);
        memcpy(piece, nccl_stage.host, length);
    }
}

void ranks_give(void *bytes, size_t count) {
    const size_t size = (size_t)nccl_found.size;
    if (size == 1 || count == 0) {
        return;
    }
    if (count * size > NCCL_ALL_AT_ONCE) {
        nccl_give_on(bytes, count);
        return;
    }
    char *all = allocate(size, count, "a message to all ranks");
    memcpy(all + (size_t)nccl_found.rank * count, bytes, count);
    ranks_share(all, count);
    memcpy(bytes, all, count);
    free(all);
}

void ranks_exchange(int other, const void *out, size_t out_bytes, void *in, size_t in_bytes) {
    const char *from = out;
    char *to = in;
    while (out_bytes > 0 || in_bytes > 0) {
        enum { HALF = NCCL_PIECE / 2 };
        const size_t give = out_bytes < HALF ? out_bytes : HALF;
        const size_t take = in_bytes < HALF ? in_bytes : HALF;
        if (give > 0) {
            memcpy(nccl_stage.host, from, give);
            nccl_move(0, give, NCCL_TO_DEVICE);
        }
        nccl_pass(other, give, other, HALF, take);
        nccl_move(HALF, take, NCCL_TO_HOST);
        if (take > 0) {
            memcpy(to, nccl_stage.host + HALF, take);
        }
        from += give, to += take;
        out_bytes -= give, in_bytes -= take;
    }
}
