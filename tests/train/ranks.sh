#!/bin/sh
# ranks.sh: jobs of 1, 2, 4 and 8 ranks, with moments everywhere or shared out, one after another on one run, of
# which each is killed, stopped or frozen, or loses all of its sockets, at a random moment; the run then has the bytes
# of one process without a stop (make test-ranks). Every fourth job is MPICH's where that is installed. Sockets are
# closed from outside, by `ss -K`, which takes root and a kernel with CONFIG_INET_DIAG_DESTROY: ranks of such a job talk
# by TCP, not by shared memory. Where none can be closed the rank is killed.
#
#     tests/train/ranks.sh [ROUNDS] [SEED]
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
. tests/train/processes.sh
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
iterations() { sed -n 's/.*"iter":\([0-9]*\),"loss".*/\1/p' "$tmp/run/metrics.jsonl" 2>/dev/null | tail -n 1; }
# A job ends within comm_timeout and 5 s, or five times as many on a busy machine; 60 s are allowed to a rank that freezes
# before the first iteration.
round() { # number
    below 4
    number=$((1 << drawn))
    below $number
    rank=$drawn
    below 5
    signal=$(echo "KILL STOP USR1 TERM SOCKET" | cut -d ' ' -f $((drawn + 1)))
    [ $number != 1 ] || case $signal in STOP | SOCKET) signal=KILL ;; esac # nobody misses the one process of a job
    below 2
    zero=$drawn
    MPI='' many=build/resume/cpu-mpi/train
    [ -z "$mpich" ] || [ $(($1 % 4)) != 0 ] || { MPI=mpich many=build/resume/cpu-mpich/train; }
    export MPI
    [ $signal$MPI != SOCKETmpich ] || signal=STOP # it has none: its ranks share memory
    tcp=
    [ $signal != SOCKET ] || tcp=$by_tcp
    below 4000
    moment=$(awk "BEGIN { print 0.3 + $drawn / 1000 }")
    before=$(iterations)
    # shellcheck disable=SC2086
    env $tcp timeout -k 10 180 runtime/ranks/start.sh $number "$many" $flags --out_dir="$tmp/run" --max_iters=1000000 \
        --zero=$zero >"$tmp/log" 2>&1 &
    starter=$!
    sleep "$moment"
    limit=80
    [ "$(iterations)" = "$before" ] || limit=28
    pid=$(process_of "$many" "$tmp/run" $rank)
    began=$(date +%s)
    wanted='7[45]'
    if [ -z "$pid" ]; then
        kill -TERM $starter
        signal="$signal of nobody"
    elif [ $signal = SOCKET ]; then
        closed=$(close_sockets "$pid")
        signal="$closed closed sockets"
        [ "$closed" != 0 ] || { kill -KILL "$pid"; signal="KILL, for no socket was closed,"; }
    else
        kill -$signal "$pid"
    fi
    case $pid:$signal in [0-9]*KILL* | [0-9]*STOP | [0-9]*sockets) wanted=74 ;; esac
    [ $limit = 80 ] || case $signal in USR1 | TERM) wanted=75 ;; esac
    wait $starter
    code=$?
    took=$(($(date +%s) - began))
    echo "round $1: $number ranks${MPI:+ of $MPI}, zero=$zero, rank $rank, $signal after $moment s: code $code in $took s, iteration $(iterations)"
    check "round $1 ends in time" test $took -le $limit
    check "round $1 ends with $wanted" expr $code : "$wanted\$"
    case $pid:$signal in # each a word of its own
        [0-9]*KILL* | [0-9]*STOP | [0-9]*sockets)
            check "round $1 says who was lost" grep -qE "^ranks: .*(rank|process) [0-9]+ on .* the same command goes on" "$tmp/log" ;;
    esac
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
