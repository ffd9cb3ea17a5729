// mpi.c: several processes on MPI, in place of ../one.c.
//
// Each call starts a transfer and looks after it until it is done, giving way to other processes
// meanwhile: MPI's own waits keep a processor busy, which on a machine with more ranks than
// processors slows down those that compute.
#include "runtime/ranks/mpi/heart.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    MPI_LOOKS = 2000,       // before a wait sleeps between two looks
    MPI_SLEEP_NS = 50000,   // and how long,
    MPI_LONG_NS = 800000,   // at most where others compute: each time twice as long
    MPI_PIECE = 64 << 20,   // bytes of one broadcast, and of one sum
    MPI_LAST_SECONDS = 2,   // that an abort may take
    MPI_START_SECONDS = 60, // after which a rank is missed before ranks_begin, or as it leaves
    MPI_ONE_LINE_ONLY = 512 // a line that is kept for rank 0
};

// Before ranks_begin, a rank that exits meets the others; after it, it ends the job.
static enum { MPI_ALONE, MPI_STARTS, MPI_WORKS, MPI_LEFT } mpi_phase;
static int mpi_rank, mpi_size = 1;
static char mpi_line[MPI_ONE_LINE_ONLY];  // why this rank ends
static _Atomic int64_t mpi_iter = -1;     // what is going on
static const char *_Atomic mpi_what = ""; //
static _Thread_local double mpi_seconds;  // in transfers
static atomic_bool mpi_patient;           // other threads compute

int ranks_rank(void) {
    return mpi_rank;
}

int ranks_size(void) {
    return mpi_size;
}

void ranks_at(int64_t iter, const char *what) {
    mpi_iter = iter;
    mpi_what = what;
}

// ---- the end ------------------------------------------------------------------------------------

static volatile sig_atomic_t mpi_code;

static void mpi_exit(int signal) {
    (void)signal;
    _exit(mpi_code);
}

_Noreturn void mpi_abort(int code) {
    static atomic_bool ends;
    while (atomic_exchange(&ends, true)) {
        pause(); // another thread is at it
    }
    mpi_phase = MPI_LEFT;
    mpi_code = code;
    signal(SIGALRM, mpi_exit); // an abort that finds no network may never return
    alarm(MPI_LAST_SECONDS);
    heart_last(code);
    MPI_Abort(MPI_COMM_WORLD, code);
    _exit(code);
}

_Noreturn void mpi_lost(int rank, double timeout) {
    // Not by die: another thread may be within exit.
    fprintf(stderr,
            "ranks: rank %d on %s has not been heard of for %g s: iteration %" PRId64
            ", %s; the job ends, and the "
            "same command goes on from the last state\n",
            rank, ranks_host(rank), timeout, (int64_t)mpi_iter, mpi_what);
    mpi_abort(EXIT_IO);
}

static void mpi_check(int result, const char *call) {
    if (result != MPI_SUCCESS) {
        char text[MPI_MAX_ERROR_STRING];
        int length;
        MPI_Error_string(result, text, &length);
        die(EXIT_IO,
            "ranks: %s failed: %s: iteration %" PRId64 ", %s; the job ends, and the same "
            "command goes on from the last state",
            call, text, (int64_t)mpi_iter, mpi_what);
    }
}

// What a rank but 0 says: all ranks warn of the same things, and rank 0 says those.
static void mpi_log(const char *line, bool dies) {
    if (dies && mpi_phase == MPI_WORKS) {
        fprintf(stderr, "rank %d on %s: %s\n", mpi_rank, ranks_host(mpi_rank), line);
    } else if (dies) {
        snprintf(mpi_line, sizeof mpi_line, "%s", line);
    }
}

static void mpi_at_exit(int code, void *context) {
    (void)context;
    if (mpi_phase == MPI_STARTS) {
        ranks_leave(code, mpi_line);
        ranks_close();
    } else if (mpi_phase == MPI_WORKS) {
        mpi_abort(code);
    }
}

// ---- the start ----------------------------------------------------------------------------------

void ranks_open(int *argc, char ***argv) {
    int level;
    alarm(MPI_START_SECONDS); // there are no heartbeats yet
    MPI_Init_thread(argc, argv, MPI_THREAD_MULTIPLE, &level);
    alarm(0);
    MPI_Comm_rank(MPI_COMM_WORLD, &mpi_rank);
    MPI_Comm_size(MPI_COMM_WORLD, &mpi_size);
    if (mpi_size == 1) {
        ranks_check_alone(
            "MPI knows of no other; srun wants --mpi=pmix, and mpirun and the trainer "
            "the same MPI");
    } else if (level < MPI_THREAD_MULTIPLE) {
        die(EXIT_USAGE, "ranks: this MPI takes no calls of several threads; take Open MPI");
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    mpi_phase = MPI_STARTS;
    MPI_Comm here; // ranks of this host, which share its memory
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here);
    MPI_Comm_size(here, &memory_sharers);
    MPI_Comm_free(&here);
    if (mpi_size > 1) {
        heart_begin(MPI_START_SECONDS);
    }
    on_exit(mpi_at_exit, NULL);
    if (mpi_rank > 0) {
        const int nothing = open("/dev/null", O_WRONLY);
        dup2(nothing, STDOUT_FILENO);
        log_hook = mpi_log;
    }
}

void ranks_begin(double timeout) {
    mpi_phase = MPI_WORKS;
    heart_limit(timeout);
}

void ranks_close(void) {
    if (mpi_phase == MPI_STARTS || mpi_phase == MPI_WORKS) {
        ranks_at(mpi_iter, "all leave");
        ranks_most(0); // a barrier
        mpi_phase = MPI_LEFT;
        heart_end();
        alarm(MPI_START_SECONDS); // there are no heartbeats any more
        MPI_Finalize();
        alarm(0);
    }
}

// ---- transfers ----------------------------------------------------------------------------------

// count: 1 or 2.
static void mpi_wait(MPI_Request *requests, int count, const char *call) {
    MPI_Status statuses[2];
    const double began = time_now();
    long nap = MPI_SLEEP_NS;
    for (int looks = 0, done = 0;; looks++) {
        mpi_check(MPI_Testall(count, requests, &done, statuses), call);
        if (done) {
            mpi_seconds += time_now() - began;
            return;
        }
        if (looks < MPI_LOOKS && !mpi_patient) {
            sched_yield();
        } else {
            nanosleep(&(struct timespec){.tv_nsec = nap}, NULL);
            nap = !mpi_patient ? MPI_SLEEP_NS : 2 * nap < MPI_LONG_NS ? 2 * nap : MPI_LONG_NS;
        }
    }
}

double ranks_seconds(void) {
    return mpi_seconds;
}

void ranks_patient(bool patient) {
    mpi_patient = patient;
}

const struct buckets *ranks_buckets(void) {
    return &model_buckets;
}

void ranks_share(void *all, size_t bytes) {
    MPI_Request request;
    mpi_check(MPI_Iallgather(MPI_IN_PLACE, 0, MPI_BYTE, all, (int)bytes, MPI_BYTE, MPI_COMM_WORLD,
                             &request),
              "MPI_Iallgather");
    mpi_wait(&request, 1, "MPI_Iallgather");
}

void ranks_give(void *bytes, size_t count) {
    for (char *piece = bytes, *end = piece + count; piece < end; piece += MPI_PIECE) {
        const int length = end - piece < MPI_PIECE ? (int)(end - piece) : MPI_PIECE;
        MPI_Request request;
        mpi_check(MPI_Ibcast(piece, length, MPI_BYTE, 0, MPI_COMM_WORLD, &request), "MPI_Ibcast");
        mpi_wait(&request, 1, "MPI_Ibcast");
    }
}

void ranks_exchange(int other, const void *out, size_t out_bytes, void *in, size_t in_bytes) {
    MPI_Request requests[2];
    mpi_check(MPI_Irecv(in, (int)in_bytes, MPI_BYTE, other, 0, MPI_COMM_WORLD, &requests[0]),
              "MPI_Irecv");
    mpi_check(MPI_Isend(out, (int)out_bytes, MPI_BYTE, other, 0, MPI_COMM_WORLD, &requests[1]),
              "MPI_Isend");
    mpi_wait(requests, 2, "MPI_Isend and MPI_Irecv");
}

void ranks_add(float *x, int64_t count) {
    enum { PIECE = MPI_PIECE / sizeof *x };
    for (int64_t from = 0; from < count; from += PIECE) {
        const int length = count - from < PIECE ? (int)(count - from) : PIECE;
        MPI_Request request;
        mpi_check(MPI_Iallreduce(MPI_IN_PLACE, x + from, length, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD,
                                 &request),
                  "MPI_Iallreduce");
        mpi_wait(&request, 1, "MPI_Iallreduce");
    }
}

static int *mpi_numbers(void) {
    return allocate((size_t)mpi_size, sizeof(int), "the ranks' shares");
}

void ranks_add_shares(float *x, const int64_t *cut) {
    int *counts = mpi_numbers();
    for (int i = 0; i < mpi_size; i++) {
        counts[i] = (int)(cut[i + 1] - cut[i]);
    }
    const size_t own = (size_t)counts[mpi_rank];
    float *sum = allocate(own + 1, sizeof *sum, "a rank's share of the gradient"); // own may be 0
    MPI_Request request;
    mpi_check(
        MPI_Ireduce_scatter(x + cut[0], sum, counts, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD, &request),
        "MPI_Ireduce_scatter");
    mpi_wait(&request, 1, "MPI_Ireduce_scatter");
    memcpy(x + cut[mpi_rank], sum, own * sizeof *sum);
    free(sum);
    free(counts);
}

void ranks_gather(float *x, const int64_t *cut) {
    int *counts = mpi_numbers(), *places = mpi_numbers();
    for (int i = 0; i < mpi_size; i++) {
        counts[i] = (int)(cut[i + 1] - cut[i]);
        places[i] = (int)cut[i];
    }
    MPI_Request request;
    mpi_check(MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_FLOAT, x, counts, places, MPI_FLOAT,
                              MPI_COMM_WORLD, &request),
              "MPI_Iallgatherv");
    mpi_wait(&request, 1, "MPI_Iallgatherv");
    free(counts);
    free(places);
}
