// heart.h: between the two files of this folder.
#ifndef DIECAST_RANKS_HEART_H
#define DIECAST_RANKS_HEART_H

#include "runtime/ranks/ranks.h"

#include <mpi.h>

// Begins to send heartbeats to the next rank and to expect those of the one before. Where they stop
// for so many seconds, mpi_lost is called, in another thread.
void heart_begin(double timeout);
void heart_limit(double timeout); // another number of seconds
void heart_end(void);
// Tells all others that can be reached to end with this code, by mpi_abort, in another thread.
void heart_last(int code);
// mpi.c: prints one line about a lost rank and ends the job.
_Noreturn void mpi_lost(int rank, double timeout);
// Ends the job, or at least this process.
_Noreturn void mpi_abort(int code);

#endif
