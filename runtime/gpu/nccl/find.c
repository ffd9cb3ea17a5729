// find.c: which rank a process is, by what launchers leave in the environment: no library of MPI's
// is needed for that.
#include "runtime/gpu/nccl/nccl.h"

#include <stdlib.h>

enum { FIND_PORT = 29500 }; // torchrun's default MASTER_PORT; its agent holds it, so one more

static const struct find_launcher {
    const char *rank, *size, *local_rank, *local_size;
} find_launchers[] = {
    {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"}, // torchrun
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"}, // MPICH
    {"SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE"},
};

// A whole number from low on; `absent` if the variable is not there.
static int find_number(const char *name, int low, int absent) {
    const char *text = getenv(name);
    if (!text) {
        return absent;
    }
    char *end;
    const long number = strtol(text, &end, 10);
    if (end == text || *end || number < low || number > 65535) {
        die(EXIT_USAGE, "ranks: %s=%s: wanted a number from %d on, as launchers set it", name, text,
            low);
    }
    return (int)number;
}

struct found find_rank(void) {
    struct found f = {.rank = 0, .size = 1, .local_rank = 0, .local_size = 1};
    for (size_t i = 0; i < sizeof find_launchers / sizeof find_launchers[0] && !f.by; i++) {
        const struct find_launcher *l = &find_launchers[i];
        if (getenv(l->rank) && getenv(l->size)) {
            f.by = l->rank;
            f.rank = find_number(l->rank, 0, 0);
            f.size = find_number(l->size, 1, 1);
            f.local_rank = find_number(l->local_rank, 0, 0);
            f.local_size = find_number(l->local_size, 1, 1);
        }
    }
    if (f.rank >= f.size) {
        die(EXIT_USAGE, "ranks: %s=%d is no rank of %d", f.by, f.rank, f.size);
    }
    f.port = find_number("MASTER_PORT", 1, FIND_PORT) + 1;
    f.address = getenv("MASTER_ADDR");
    if (!f.address && f.local_size == f.size) {
        f.address = "127.0.0.1";
    } else if (!f.address) {
        f.address = getenv("SLURM_LAUNCH_NODE_IPADDR"); // the first node, of a batch script
    }
    if (!f.address) {
        die(EXIT_USAGE,
            "ranks: %d ranks on several machines, and nothing says where rank 0 is; give its "
            "address to all, as mpirun -x MASTER_ADDR=HOST does",
            f.size);
    }
    return f;
}
