#!/bin/sh
# test_memory.sh: the memory that a trainer plans is what it uses at its peak, for small and large models, also when it
# resumes a run, whose state it then reads.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
build=build/test_memory_$$
trap 'rm -rf "$tmp" "$build"' EXIT

data_set fox
cat >"$tmp/size.lua" <<LUA
return { n_layer = 1, n_head = 2, n_embd = 16, block_size = 32, batch_size = 2, dataset = "fox", data_dir = "$tmp",
  max_iters = 3, lr_decay_iters = 3, eval_interval = 2, eval_iters = 1, gradient_accumulation_steps = 1 }
LUA
cat >"$tmp/peak.c" <<'C'
// Runs a program; the last line is the most memory that it had, in bytes.
#include <stdio.h>
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
    printf("%ld\n", usage.ru_maxrss * 1024);
    return status != 0;
}
C
cc -o "$tmp/peak" "$tmp/peak.c" || exit 70

# Runs a trainer; planned and used memory must be within 3% and 1 MiB of each other.
near() { # folder, flags
    "$tmp/peak" "$trainer" --out_dir="$tmp/$1" --threads=2 "$2" >"$tmp/log" 2>&1 || return
    peak=$(tail -n 1 "$tmp/log")
    sed -n 's/^planned memory: \([0-9.]*\) \([kMG]\)B.*/\1 \2/p' "$tmp/log" | awk -v peak="$peak" '{
        planned = $1 * ($2 == "k" ? 1e3 : $2 == "M" ? 1e6 : 1e9); apart = peak - planned
        print planned " planned, " peak " taken"
        exit !((apart < 0 ? -apart : apart) <= 0.03 * peak + 1048576)
    }'
}
for size in "n_layer=1" "n_embd=512 n_layer=3" "vocab_size=50304 n_embd=128 dtype=bfloat16"; do
    make build CONFIG="$tmp/size.lua" SET="$size" PROGRAMS=train BUILD=$build >"$tmp/log" 2>&1
    trainer=$(sed -n 's/^built: \([^:]*\):.*/\1/p' "$tmp/log")/train
    name=$(echo "$size" | tr ' ' -)
    check "$size" near "$name" --max_iters=3
    check "$size, resumed" near "$name" --max_iters=5
done
finish
