#!/bin/sh
# test_resume.sh: a model with dropout trains to the same bytes without a stop and when stopped and resumed,
# on 1, 2 and 4 threads; a killed process loses only the steps since its last state; the same with muon.
# shares: resume
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
export DIECAST_PROCESSORS=4 # so that every machine runs as many threads as are asked for

data_set fox
make build CONFIG=tests/train/resume.lua PROGRAMS=train >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }

program=build/resume/cpu/train
train() { # folder, threads, flags
    out=$1
    threads=$2
    shift 2
    "$program" --data_dir="$tmp" --out_dir="$tmp/$out" --threads="$threads" "$@" >"$tmp/$out.log" 2>&1
}
steps() { # of a run, so far
    if [ -f "$tmp/$1/metrics.jsonl" ]; then grep -c grad_norm "$tmp/$1/metrics.jsonl"; else echo 0; fi
}
# Starts a run, sends it a signal after so many steps, and waits; its exit code in code. A shell starts background
# processes with SIGINT ignored, which trainers leave so.
interrupted() { # folder, threads, steps, signal
    env --default-signal=INT "$program" --data_dir="$tmp" --out_dir="$tmp/$1" --threads="$2" >"$tmp/$1.log" 2>&1 &
    pid=$!
    waited=0
    while [ "$(steps "$1")" -lt "$3" ] && [ $waited -lt 600 ]; do
        sleep 0.05
        waited=$((waited + 1))
    done
    kill -"$4" $pid
    wait $pid
    code=$?
}
same_run() { # as the run without a stop; or as another
    other=$tmp/${2:-straight}
    cmp "$other/state.safetensors" "$tmp/$1/state.safetensors" &&
        cmp "$other/ckpt.safetensors" "$tmp/$1/ckpt.safetensors" &&
        untimed "$other/metrics.jsonl" >"$tmp/a" && untimed "$tmp/$1/metrics.jsonl" >"$tmp/b" &&
        cmp "$tmp/a" "$tmp/b"
}
last_loss_is_lower() {
    awk -F'[:,]' '/"loss"/ { if (!first) first = $4; last = $4 } END { exit !(last < first - 0.5) }' \
        "$tmp/straight/metrics.jsonl"
}

check "without a stop, on one thread" train straight 1
check "it learns" last_loss_is_lower
check "every step is in metrics.jsonl" test "$(steps straight)" = 401
check "two threads" train two 2
check "two threads give the same bytes" same_run two
check "four threads" train four 4
check "four threads give the same bytes" same_run four

interrupted stopped 2 30 TERM
check "SIGTERM ends with 75" test "$code" = 75
first=$(steps stopped)
check "after some steps, not all: $first" test "$first" -ge 30 -a "$first" -lt 401
interrupted stopped 4 200 INT
check "so does SIGINT, after resuming" test "$code" = 75 -a "$(steps stopped)" -gt "$first"
check "resumes and ends on one thread" train stopped 1
check "stopped twice, the same bytes" same_run stopped

train killed 2 --checkpoint_interval=40 --max_iters=80
interrupted killed 1 150 KILL
check "a killed run resumes from its last state" train killed 2
check "killed, the same bytes" same_run killed

make build CONFIG=tests/train/resume.lua SET="optimizer=muon muon_momentum_warmup=300" PROGRAMS=train \
    >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
program=build/resume-optimizer@muon-muon_momentum_warmup@300/cpu/train
check "muon, on one thread" train muon 1
check "muon, two threads" train muon_two 2
check "muon, two threads give the same bytes" same_run muon_two muon
interrupted muon_stopped 2 20 TERM
first=$(steps muon_stopped)
check "muon, SIGTERM ends with 75 after some steps, not all: $first" test "$code" = 75 -a "$first" -lt 401
check "muon, resumes and ends on one thread" train muon_stopped 1
check "muon, stopped, the same bytes" same_run muon_stopped muon

check "muon, with the first momentum throughout" train muon_first 2 --muon_momentum_warmup=0 --muon_momentum=0.85
tensors "$tmp/muon/ckpt.safetensors" >"$tmp/a"
tensors "$tmp/muon_first/ckpt.safetensors" >"$tmp/b"
check "muon, comes to other weights" eval '! cmp -s "$tmp/a" "$tmp/b"'

finish
