#!/bin/sh
# ranks_memory.sh: the memory that a job of ranks says it takes is what each of its processes has at its peak, with
# moments everywhere and shared out, on 2 and 4 ranks of a model of 6 million parameters (make test-ranks).
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
gen/tools/setup.sh ranks || exit
build=build/ranks_memory_$$
trap 'rm -rf "$tmp" "$build"' EXIT
export DIECAST_PROCESSORS=4 RANKS_BIND=none
unset OMP_NUM_THREADS

data_set fox
cat >"$tmp/size.lua" <<LUA
return { n_layer = 2, n_head = 4, n_embd = 512, block_size = 16, batch_size = 1, dataset = "fox", data_dir = "$tmp",
  max_iters = 3, lr_decay_iters = 3, eval_interval = 2, eval_iters = 1, gradient_accumulation_steps = 4 }
LUA
cat >"$tmp/peak.c" <<'C'
// Runs a program as one of several ranks, and says the most memory that it had, in bytes.
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv) {
    (void)argc;
    pid_t child = fork();
    if (child == 0) {
        execv(argv[1], argv + 1);
        _exit(127);
    }
    int status;
    struct rusage usage;
    wait4(child, &status, 0, &usage);
    printf("peak of rank %s: %ld\n", getenv("OMPI_COMM_WORLD_RANK"), usage.ru_maxrss * 1024);
    return status != 0;
}
C
cc -o "$tmp/peak" "$tmp/peak.c" || exit 70
make build build/limits CONFIG="$tmp/size.lua" RANKS=4 PROGRAMS=train BUILD=$build >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
trainer=$(sed -n 's/^built: \([^:]*\):.*/\1/p' "$tmp/log")/train

# Planned are the program and the model, gradients that are kept, and what rank 0 has more of while it writes the state.
# A rank's peak is within 3% and 1 MiB of that; where moments are shared out it may have four pages of 2 MiB more, at
# both ends of its share of two moments.
near() { # ranks, zero
    runtime/ranks/start.sh "$1" "$tmp/peak" "$trainer" --out_dir="$tmp/$1-$2" --zero="$2" >"$tmp/log" 2>&1 || return
    awk -v ranks="$1" -v zero="$2" '
        function bytes(number, unit) { return number * (unit ~ /^k/ ? 1e3 : unit ~ /^M/ ? 1e6 : 1e9) }
        /^planned memory: / { planned = bytes($3, $4) }
        /^zero: / { sub(/.*rank 0 takes /, ""); first = bytes($1, $2) }
        / are kept, / { sub(/.* are kept, /, ""); kept = bytes($1, $2) }
        /^peak of rank / { peak[$4 + 0] = $5; count++ }
        END {
            for (rank in peak) {
                all = planned + kept + (rank == 0 ? first : 0); apart = peak[rank] - all; within = 0.03 * all + 1048576
                printf "%d ranks, zero=%d, rank %d: %.1f MB planned, %.1f taken\n", ranks, zero, rank, all / 1e6, peak[rank] / 1e6
                bad = bad || apart < -within || apart > within + (zero ? 4 * 2097152 : 0)
            }
            exit bad || count != ranks || !planned || zero && !first
        }' "$tmp/log" >"$tmp/near"
}
for ranks in 2 4; do
    for zero in 0 1; do
        check "$ranks ranks, zero=$zero" near $ranks $zero
        cat "$tmp/near"
    done
done
finish
