#!/bin/sh
# ranks.sh: steps of a job of several ranks in turns with those of one process on the same processors (make bench-ranks):
# medians, the time in exchanges, and efficiency, one process's time over the job's. A turn starts the trainer anew, on a
# data set made for it, and counts its steps behind the fifth; what is printed per turn is the median of these.
#
#     tests/bench/ranks.sh RANKS build/NAME/cpu/train build/NAME/cpu-mpi/train [--rounds=3] [--steps=5] [FLAG ...]
set -u
cd "$(dirname "$0")/../.." || exit 74
[ $# -ge 3 ] || { echo "ranks: which trainers? as in: tests/bench/ranks.sh 2 build/NAME/cpu/train build/NAME/cpu-mpi/train" >&2; exit 64; }
ranks=$1 one=$2 many=$3 rounds=3 steps=5
shift 3
while [ $# -gt 0 ]; do
    case $1 in
        --rounds=[1-9] | --rounds=[1-9][0-9]) rounds=${1#*=} ;;
        --steps=[1-9] | --steps=[1-9][0-9]) steps=${1#*=} ;;
        --rounds=* | --steps=*) echo "ranks: $1: wanted a number from 1 to 99" >&2; exit 64 ;;
        *) break ;;
    esac
    shift
done
. tests/check.sh
settles=5 # PACE_AFTER of runtime/train/pace.c, which counts exchanges behind as many
case " $* " in *" --gradient_accumulation_steps="*) ;; *) set -- --gradient_accumulation_steps=8 "$@" ;; esac
data_set lines
set -- --data_dir="$tmp" --dataset=lines --out_dir="$tmp/run" --init_from=scratch --max_iters=$((settles + steps)) \
    --eval_interval=1000000 --eval_iters=1 --log_interval=1000000 "$@"

# Numbers, one a line: the median, the least and the most.
median() { sort -n | awk '{ x[NR] = $1 } END { print NR % 2 ? x[(NR + 1) / 2] : (x[NR / 2] + x[NR / 2 + 1]) / 2, x[1], x[NR] }'; }
# A turn: its log in $tmp/log, its median in milliseconds in ms.
turn() { # command...
    rm -rf "$tmp/run"
    "$@" >"$tmp/log" 2>&1 || { code=$?; tail -n 5 "$tmp/log" >&2; exit $code; }
    ms=$(sed -n 's/.*"iter":\([0-9]*\),"loss".*"ms":\([0-9.]*\).*/\1 \2/p' "$tmp/run/metrics.jsonl" |
        awk -v first=$settles '$1 >= first { print $2 }' | median)
    ms=${ms%% *}
}
n=0
while [ $n -lt "$rounds" ]; do
    n=$((n + 1))
    turn "$one" "$@"
    alone=$ms
    turn runtime/ranks/start.sh "$ranks" "$many" "$@"
    # shown, and hidden where a trainer exchanges while it computes
    exchange=$(sed -n 's/^ranks: of [0-9.]* ms a step rank 0 spends \([0-9.]*\) in exchanges[^0-9]*\([0-9.]*\).*/\1 \2/p' "$tmp/log")
    # shellcheck disable=SC2086 # two numbers
    set -- ${exchange:-0 0} "$@"
    shown=$1
    shift
    case $1 in --*) hidden=0 ;; *) hidden=$1; shift ;; esac
    awk "BEGIN { print $alone / $ms }" >>"$tmp/efficiency"
    echo "$alone" >>"$tmp/alone"
    echo "$ms" >>"$tmp/together"
    echo "$shown" >>"$tmp/shown"
    echo "$hidden" >>"$tmp/hidden"
    echo "round $n: one process $alone ms a step, $ranks ranks $ms, of which $shown in exchanges, $hidden more hidden: $(tail -n 1 "$tmp/efficiency")"
done
line() { # what, file
    median <"$tmp/$2" | awk -v what="$1" -v digits="${3-2}" '{ printf "%-28s %.*f (%.*f to %.*f)\n", what, digits, $1, digits, $2, digits, $3 }'
}
echo "medians of $rounds rounds of $steps steps:"
line "one process, ms a step" alone
line "$ranks ranks, ms a step" together
line "in exchanges and waiting, ms" shown
line "hidden behind computing, ms" hidden
line "efficiency" efficiency 3
