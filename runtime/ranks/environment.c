// environment.c: what launchers of many processes leave in the environment.
#include "runtime/ranks/ranks.h"

#include <stdlib.h>

void ranks_check_alone(const char *why) {
    // Open MPI's mpirun, MPICH's, Slurm's srun, torchrun
    static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS",
                                        "WORLD_SIZE"};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const char *size = getenv(sizes[i]);
        if (size && atoi(size) > 1) {
            die(EXIT_USAGE,
                "%s=%s: one of several processes, each of which would write the same run: %s; a "
                "process that is alone runs with 'env -u %s'",
                sizes[i], size, why, sizes[i]);
        }
    }
}
