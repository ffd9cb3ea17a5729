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
// mpi.c: prints one line about a lost rank and ends the job.
_Noreturn void mpi_lost(int rank, double timeout);

#endif
