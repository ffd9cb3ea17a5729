// one.c: a job of one process. mpi/mpi.c has the same functions.
#include "runtime/ranks/ranks.h"

void ranks_open(int *argc, char ***argv) {
    (void)argc, (void)argv;
    ranks_check_alone("this trainer is built for one process; make train RANKS=N builds one with "
                      "MPI or, of BACKEND=cuda, NCCL, in build/NAME/cpu-mpi or cuda-nccl");
}

int ranks_rank(void) {
    return 0;
}

int ranks_size(void) {
    return 1;
}

void ranks_at(int64_t iter, const char *what) {
    (void)iter, (void)what;
}

void ranks_begin(double timeout) {
    (void)timeout;
}

void ranks_share(void *all, size_t bytes) {
    (void)all, (void)bytes;
}

void ranks_give(void *bytes, size_t count) {
    (void)bytes, (void)count;
}

void ranks_exchange(int other, const void *out, size_t out_bytes, void *in, size_t in_bytes) {
    (void)other, (void)out, (void)out_bytes, (void)in, (void)in_bytes;
}

void ranks_add(float *x, int64_t count) {
    (void)x, (void)count;
}

void ranks_add_shares(float *x, const int64_t *cut) {
    (void)x, (void)cut;
}

void ranks_gather(float *x, const int64_t *cut) {
    (void)x, (void)cut;
}

double ranks_seconds(void) {
    return 0;
}

void ranks_patient(bool patient) {
    (void)patient;
}

const struct buckets *ranks_buckets(void) {
    return NULL;
}

void ranks_close(void) {
}
