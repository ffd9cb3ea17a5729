// nccl.h: between the files of this folder: a job of several processes with one GPU each, on NCCL,
// in place of ranks/one.c. NCCL carries all data, between devices; a TCP connection from each rank
// to rank 0 (link.c) brings NCCL's ids before it can, and heartbeats while it does.
#ifndef DIECAST_GPU_NCCL_H
#define DIECAST_GPU_NCCL_H

#include "runtime/base/base.h"
#include "runtime/gpu/gpu.h"
#include "runtime/ranks/ranks.h"

#include <nccl.h>

// ---- find.c: which rank this process is ---------------------------------------------------------

struct found {
    int rank, size;             // of the job
    int local_rank, local_size; // of this machine
    const char *by;             // the variable that says so; NULL: nothing does, it is alone
    const char *address;        // of rank 0
    int port;
};
// From what torchrun, Open MPI's mpirun, MPICH's or srun left in the environment. Dies with
// EXIT_USAGE if that is no rank, or does not say where rank 0 is.
struct found find_rank(void);

// ---- link.c: a connection to rank 0 -------------------------------------------------------------

enum { NCCL_COMMS = 2 }; // of gradients and weights; of messages between hosts

// All ranks meet at rank 0's address: it gives them its ids. Dies with EXIT_IO if one is not there
// within so many seconds, with EXIT_USAGE if they are of different jobs.
void link_open(const struct found *found, ncclUniqueId ids[NCCL_COMMS], double seconds);
// Begins to send heartbeats, in a thread of its own, which also looks for errors of the
// communicators (nccl.c). Where a rank ends, is not heard of for so many seconds, or NCCL has an
// error, it prints one line and ends this process and all others with EXIT_IO.
void link_watch(double timeout);
void link_limit(double timeout); // another number of seconds
// Tells all others, through rank 0, that this rank ends the job.
void link_end_job(int code);
// After all have agreed to leave.
void link_close(void);

// ---- nccl.c -------------------------------------------------------------------------------------

// The first error of a communicator that is not over, or ncclSuccess.
ncclResult_t nccl_error(void);
// What is going on: "iteration 5, gradients are added".
void nccl_going_on(char text[160]);
// Ends this process at once, after the others have been told and NCCL's transfers are aborted. From
// any thread.
_Noreturn void nccl_abort(int code);
// The communicator of gradients; and what follows each call on it. Dies with EXIT_IO.
ncclComm_t nccl_comm(void);
void nccl_check(ncclResult_t result, const char *call);

// ---- gradient.c: gradients on the device --------------------------------------------------------

// A rank's share of weights and gradients is a multiple of the floats that a thread block of
// grad_norm (templates/cuda/optimizer.cu) takes at a time, of which each thread takes so many: the
// norm's sums in float, one a thread, are then the same whoever computes them.
enum { NCCL_TILE = 16384, NCCL_SQUARES = 32 };
extern const struct ranks_device gradient_device;

// ---- sums.cu: its kernels, launched on a stream -------------------------------------------------

// x += other (count, which 4 divides).
void sums_add(cudaStream_t stream, float *x, const float *other, int64_t count);
// The sums of squares in float that grad_norm takes of x (count, which NCCL_TILE divides) ->
// squares (count / NCCL_SQUARES).
void sums_squares(cudaStream_t stream, const float *x, float *squares, int64_t count);
// losses (count) of a step's micro-steps -> state->total, their sum in order, and state->loss.
void sums_losses(cudaStream_t stream, struct step_state *state, const double *losses,
                 int64_t count);

#endif
