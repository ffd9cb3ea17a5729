// heart.c: heartbeats, which a thread of its own sends: a rank that computes, writes or waits for
// others is alive, however long that takes; one that is stopped, or that the network has lost, is
// not. A rank that ends the job tells all others, so that those that it reaches end too: where the
// network is cut, an abort does not come from one side to the other.
#include "runtime/ranks/mpi/heart.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { HEART_BEAT, HEART_LAST };              // tags
static const double HEART_LAST_SECONDS = 0.5; // for last words to be sent

static pthread_t heart_thread;
static atomic_bool heart_stops;
static bool heart_runs;
static _Atomic double heart_timeout;
static MPI_Comm heart_comm;

static void heart_sleep(double seconds) {
    const time_t whole = (time_t)seconds;
    nanosleep(&(struct timespec){whole, (long)((seconds - (double)whole) * 1e9)}, NULL);
}

static void *heart_run(void *context) {
    (void)context;
    const int size = ranks_size(), rank = ranks_rank();
    const int next = (rank + 1) % size, before = (rank + size - 1) % size;
    MPI_Request out = MPI_REQUEST_NULL, in, last;
    int code;
    MPI_Irecv(NULL, 0, MPI_BYTE, before, HEART_BEAT, heart_comm, &in);
    MPI_Irecv(&code, 1, MPI_INT, MPI_ANY_SOURCE, HEART_LAST, heart_comm, &last);
    double heard = time_now(), looked = heard;
    while (!heart_stops) {
        const double timeout = heart_timeout;
        int done = 0;
        MPI_Test(&out, &done, MPI_STATUS_IGNORE); // true of no request
        if (done) {
            MPI_Isend(NULL, 0, MPI_BYTE, next, HEART_BEAT, heart_comm, &out);
        }
        MPI_Test(&last, &done, MPI_STATUS_IGNORE);
        if (done) {
            mpi_abort(code); // who sent it has said why
        }
        MPI_Test(&in, &done, MPI_STATUS_IGNORE);
        const double now = time_now();
        // This process itself may have been stopped meanwhile: the others' time begins again.
        if (done || now - looked > timeout / 2) {
            heard = now;
        }
        looked = now;
        if (done) {
            MPI_Irecv(NULL, 0, MPI_BYTE, before, HEART_BEAT, heart_comm, &in);
        } else if (now - heard > timeout) {
            mpi_lost(before, timeout);
        }
        heart_sleep(timeout < 8 ? timeout / 16 : 0.5);
    }
    MPI_Cancel(&in);
    MPI_Wait(&in, MPI_STATUS_IGNORE);
    MPI_Cancel(&last);
    MPI_Wait(&last, MPI_STATUS_IGNORE);
    return NULL;
}

void heart_begin(double timeout) {
    heart_timeout = timeout;
    MPI_Comm_dup(MPI_COMM_WORLD, &heart_comm);
    if (pthread_create(&heart_thread, NULL, heart_run, NULL)) {
        die(EXIT_MEMORY, "threads: none is left for the heartbeats of ranks");
    }
    heart_runs = true;
}

void heart_limit(double timeout) {
    heart_timeout = timeout;
}

void heart_last(int code) {
    const int size = ranks_size();
    MPI_Request *sent = heart_runs ? allocate_or_null((size_t)size, sizeof(MPI_Request)) : NULL;
    if (!sent) {
        return;
    }
    for (int rank = 0; rank < size; rank++) {
        sent[rank] = MPI_REQUEST_NULL;
        if (rank != ranks_rank()) {
            MPI_Isend(&code, 1, MPI_INT, rank, HEART_LAST, heart_comm, &sent[rank]);
        }
    }
    int done = 0;
    for (const double began = time_now(); !done && time_now() - began < HEART_LAST_SECONDS;) {
        MPI_Testall(size, sent, &done, MPI_STATUSES_IGNORE);
        heart_sleep(HEART_LAST_SECONDS / 100);
    }
}

void heart_end(void) {
    if (heart_runs) {
        heart_stops = true;
        pthread_join(heart_thread, NULL);
        heart_runs = false;
    }
}
