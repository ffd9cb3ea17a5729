#!/bin/sh
# test_threads.sh: trainer, sampler and bench reduce a number of threads that may not run at once, with a warning; a
# sweep divides the processors among its runs; and a hundred threads on two processors give the same bytes and stop on
# a signal.
# shares: resume
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
unset OMP_NUM_THREADS DIECAST_PROCESSORS

data_set fox
make build CONFIG=tests/train/resume.lua PROGRAMS="train sample bench" >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
make build/limits >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
most=$(build/limits | head -n 1)

train() { # folder, flags
    out=$1
    shift
    build/resume/cpu/train --data_dir="$tmp" --out_dir="$tmp/$out" --max_iters=10 --lr_decay_iters=10 --eval_interval=5 "$@" >"$tmp/$out.txt" 2>"$tmp/said"
}
same_weights() { # as with one thread
    tensors "$tmp/one/state.safetensors" >"$tmp/a" && tensors "$tmp/$1/state.safetensors" >"$tmp/b" &&
        cmp "$tmp/a" "$tmp/b"
}
says() { # line, or nothing
    if [ -n "$1" ]; then echo "$1"; fi | diff - "$tmp/said"
}
takes() { # folder, threads
    grep -q ", threads: $2\$" "$tmp/$1.txt"
}
limited() { # source and number, threads
    echo "$1: only $2 may run at once here, so $2 it is; results are the same"
}

check "one thread" train one --threads=1
check "no message" says ''
check "as many as may run at once" train all
check "no message" says ''
check "all run" takes all "$most"
check "the same weights" same_weights all
check "more than may run" train more --threads=1000
check "a line says so" says "$(limited --threads=1000 "$most")"
check "and they do not run" takes more "$most"
check "the same weights" same_weights more
OMP_NUM_THREADS=1000
export OMP_NUM_THREADS
check "with OpenMP's variable too" train variable
check "a line says so" says "$(limited OMP_NUM_THREADS=1000 "$most")"
unset OMP_NUM_THREADS
narrow() { # on the first of the processors that this process may use
    first=$(taskset -cp $$ | sed 's/.*: \([0-9]*\).*/\1/')
    taskset -c "$first" build/resume/cpu/train --data_dir="$tmp" --out_dir="$tmp/one" --eval_only --threads=2 \
        >"$tmp/narrow.txt" 2>"$tmp/said"
}
check "on one processor" narrow
check "a line says so" says "$(limited --threads=2 1)"
check "one thread runs" takes narrow 1

sample() {
    build/resume/cpu/sample --checkpoint="$tmp/one/state.safetensors" --start=Line --max_new_tokens=40 \
        --num_samples=1 --slide=half "$@" 2>"$tmp/said"
}
sample --threads=1 >"$tmp/a"
sample --threads=200 >"$tmp/b"
check "the sampler says so" says "$(limited --threads=200 "$most")"
check "and writes the same" cmp "$tmp/a" "$tmp/b"
build/resume/cpu/bench --threads=1000 --seconds=0.05 --json="$tmp/bench.json" >"$tmp/log" 2>"$tmp/said"
check "bench says so" says "$(limited --threads=1000 "$most")"
check "and times those that run" grep -q "\"threads\": $most," "$tmp/bench.json"

planned() { # processors, jobs, words that are in the plan
    env DIECAST_PROCESSORS="$1" lua5.4 gen/sweep.lua --plan grid32_quick --dry ${2:+--jobs "$2"} >"$tmp/log" 2>&1
    grep -q "$3" "$tmp/log"
}
check "a sweep on one processor" planned 1 '' '1 run at a time with 1 thread each'
check "on seven" planned 7 '' '2 runs at a time with 3 threads each'
check "four runs at a time on seven" planned 7 4 '4 runs at a time with 1 thread each'

# A hundred threads that share the machine's processors.
DIECAST_PROCESSORS=100
export DIECAST_PROCESSORS
check "a hundred threads" train hundred --threads=100
check "no message" says ''
check "all run" takes hundred 100
check "the same weights" same_weights hundred
build/resume/cpu/train --data_dir="$tmp" --out_dir="$tmp/heard" --threads=100 --max_iters=100000 >"$tmp/heard.txt" 2>&1 &
pid=$!
waited=0
until grep -qs grad_norm "$tmp/heard/metrics.jsonl" || [ $waited = 1200 ]; do
    sleep 0.05
    waited=$((waited + 1))
done
kill -TERM $pid
wait $pid
code=$?
check "SIGTERM stops them" test $code = 75
finish
