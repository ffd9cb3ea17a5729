#!/bin/sh
# ranks.sh: jobs of 1, 2, 4 and 8 ranks, with moments everywhere or shared out, one after another on one run, of
# which each is killed, stopped or frozen at a random moment; the run then has the bytes of one process without a
# stop (make test-ranks). Every fourth job is MPICH's where that is installed.
#
#     tests/train/ranks.sh [ROUNDS] [SEED]
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
gen/tools/setup.sh ranks || exit
rounds=${1:-40}
seed=${2:-$(date +%s)}
export DIECAST_PROCESSORS=8 RANKS_BIND=none
echo "ranks: $rounds rounds, SEED=$seed"

data_set fox
make build build/limits CONFIG=tests/train/resume.lua PROGRAMS=train >"$tmp/log" 2>&1 &&
    make build CONFIG=tests/train/resume.lua RANKS=8 PROGRAMS=train >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
one=build/resume/cpu/train
if gen/tools/setup.sh --check mpich >/dev/null 2>&1; then
    mpich=1
    make build CONFIG=tests/train/resume.lua RANKS=8 MPI=mpich PROGRAMS=train >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
else
    mpich=
    echo "ranks: skipped: MPICH is missing; gen/tools/setup.sh mpich installs it"
    skipped=$((skipped + 1))
fi
flags="--data_dir=$tmp --gradient_accumulation_steps=8 --reduce_groups=8 --eval_interval=10 --eval_iters=5
    --checkpoint_interval=7 --comm_timeout=3"

below() { # a random number below this
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    drawn=$((seed / 65536 % $1))
}
process_of() { # rank
    for process in /proc/[0-9]*; do
        if tr '\0' ' ' 2>/dev/null <"$process/cmdline" | grep -q "^$many .*--out_dir=$tmp/run " &&
            tr '\0' '\n' 2>/dev/null <"$process/environ" | grep -qxE "(OMPI_COMM_WORLD|PMI)_RANK=$1"; then
            echo "${process#/proc/}"
        fi
    done
}
iterations() { sed -n 's/.*"iter":\([0-9]*\),"loss".*/\1/p' "$tmp/run/metrics.jsonl" 2>/dev/null | tail -n 1; }
# A job ends within comm_timeout and 5 s, and what a busy machine needs more; 60 s are allowed to a rank that freezes
# before the first iteration.
round() { # number
    below 4
    number=$((1 << drawn))
    below $number
    rank=$drawn
    below 4
    signal=$(echo "KILL STOP USR1 TERM" | cut -d ' ' -f $((drawn + 1)))
    [ $number != 1 ] || [ $signal != STOP ] || signal=KILL # nobody misses the one process of a job that freezes
    below 2
    zero=$drawn
    MPI='' many=build/resume/cpu-mpi/train
    [ -z "$mpich" ] || [ $(($1 % 4)) != 0 ] || { MPI=mpich many=build/resume/cpu-mpich/train; }
    export MPI
    below 3000
    limit=20
    [ $signal != STOP ] || limit=80
    moment=$(awk "BEGIN { print 0.3 + $drawn / 1000 }")
    # shellcheck disable=SC2086
    timeout -k 10 180 runtime/ranks/start.sh $number "$many" $flags --out_dir="$tmp/run" --max_iters=1000000 \
        --zero=$zero >"$tmp/log" 2>&1 &
    starter=$!
    sleep "$moment"
    began=$(date +%s)
    pid=$(process_of $rank)
    [ -z "$pid" ] || kill -$signal $pid
    [ -n "$pid" ] || kill -TERM $starter
    wait $starter
    code=$?
    took=$(($(date +%s) - began))
    echo "round $1: $number ranks${MPI:+ of $MPI}, zero=$zero, rank $rank, $signal after $moment s: code $code in $took s, iteration $(iterations)"
    check "round $1 ends in time" test $took -le $limit
}
n=0
while [ $n -lt "$rounds" ]; do
    n=$((n + 1))
    round $n
done
last=$(($(iterations) + 10))
# shellcheck disable=SC2086
check "one process goes on" "$one" $flags --out_dir="$tmp/run" --max_iters=$last
# shellcheck disable=SC2086
check "one process straight through" "$one" $flags --out_dir="$tmp/straight" --max_iters=$last
check "the same state" cmp "$tmp/run/state.safetensors" "$tmp/straight/state.safetensors"
check "the same checkpoint" cmp "$tmp/run/ckpt.safetensors" "$tmp/straight/ckpt.safetensors"
untimed "$tmp/run/metrics.jsonl" >"$tmp/a"
untimed "$tmp/straight/metrics.jsonl" >"$tmp/b"
check "the same metrics" cmp "$tmp/a" "$tmp/b"
finish
