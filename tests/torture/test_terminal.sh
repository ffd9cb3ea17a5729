#!/bin/sh
# test_terminal.sh: Ctrl-C on a terminal, the byte 3, while a trainer runs there by itself and through make: it says so,
# exits with 75, and before that begins one micro-step at most and one write, counted by the trainer itself; a second
# Ctrl-C soon after changes nothing; one two seconds later ends it at once, and writes nothing. After all these stops the
# run is, byte for byte, one that nobody stopped.
# shares: resume terminal
set -u
cd "$(dirname "$0")/../.." || exit 74
untraced=yes
. tests/torture/torture.sh

pairs=3
late=1
[ -z "$all" ] || { pairs=100; late=10; }

${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -O1 -Wall -Wextra -o "$tmp/terminal" tests/torture/terminal.c -lutil || exit 1
data_set fox
make build CONFIG=tests/train/resume.lua PROGRAMS="train" >"$tmp/log" 2>&1 &&
    make build BUILD=build/terminal CONFIG=tests/train/resume.lua PROGRAMS="train torture_counted" >"$tmp/log" 2>&1 ||
    { cat "$tmp/log"; exit 1; }
# What make train runs there is the trainer that counts.
counted=build/terminal/resume/cpu/train
cp build/terminal/resume/cpu/torture_counted $counted || exit 1
flags="--data_dir=$tmp --log_interval=1 --eval_interval=20 --sample_interval=25 --checkpoint_interval=15 \
    --lr_decay_iters=1000000 --max_iters=1000000 --always_save_checkpoint=1"

random() { # number, most: the same for a seed
    awk -v seed="$((seed + $1))" -v most="$2" 'BEGIN { srand(seed); rand(); print int(rand() * most) }'
}

# Before each micro-step it asks whether it should stop; when it has been told so, it begins one at most, to see whether
# the weights are sound, no preview, and one write at most.
counts_are_right() { # most writes
    awk -v most="$1" '
        $1 == "asked" { asked = 1; if ($2) told = 1; next }
        told { behind[$1]++; next }
        $1 == "micro" { if (!asked) { print "a micro-step without a question, line " NR; bad = 1 } asked = 0 }
        END {
            print "after the stop: micro-steps " behind["micro"] + 0 ", writes " behind["write"] + 0
            exit bad || !told || behind["micro"] > 1 || behind["preview"] || behind["write"] > most
        }' "$tmp/counted"
}
# Types Ctrl-C at a random moment, and again so many microseconds later if that is not 0.
type_stop() { # number, again, command...
    number=$1
    again=$2
    shift 2
    rm -f "$tmp/counted"
    COUNTED=$tmp/counted "$tmp/terminal" 'iter ' $((2 + $(random "$number" 40))) "$(random $((number + 5000)) 5000)" \
        "$again" "$@" >"$tmp/screen" 2>&1
    code=$?
    tail -n 5 "$tmp/screen"
    echo "code $code"
}
# The first run of all starts, each next one resumes where the last one stopped.
resumed=
goes_on() {
    [ -z "$resumed" ] || grep -q "resuming from .*, iteration $resumed" "$tmp/screen" || return 1
    resumed=$(sed -n 's/.*stopped before iteration \([0-9]*\).*/\1/p' "$tmp/screen")
    [ -n "$resumed" ]
}
again_of() { # number: none for every second one, else within a second
    if [ $(($1 % 2)) = 0 ]; then echo 0; else random $(($1 + 9000)) 900000; fi
}
one_stop() { # number
    # shellcheck disable=SC2086 # words
    type_stop "$1" "$(again_of "$1")" $counted $flags --out_dir="$tmp/run"
    goes_on && [ $code = 75 ] && counts_are_right 1
}
# make says the trainer's code, and ends as a program does that Ctrl-C ended; or, once in a hundred times, GNU make 4.3
# takes the trainer's end in its signal handler and then misses it, and ends with 2. The trainer has stopped all the same.
one_make() { # number
    type_stop "$1" "$(again_of "$1")" make train BUILD=build/terminal CONFIG=tests/train/resume.lua PROGRAMS=train \
        RUN="$flags --out_dir=$tmp/run"
    goes_on && counts_are_right 1 || return 1
    case $code in
        130) grep -q '^make: .*Error 75' "$tmp/screen" ;;
        2) grep -q '^make: .*wait: No child processes' "$tmp/screen" ;;
        *) false ;;
    esac
}
# While the micro-step before the write takes nine seconds.
one_late() { # number
    rm -rf "$tmp/late"
    cp -r "$tmp/run" "$tmp/late"
    # shellcheck disable=SC2086
    COUNTED_SLEEP=9 type_stop "$1" 2600000 $counted $flags --checkpoint_interval=0 --eval_interval=1000000 \
        --sample_interval=0 --gradient_accumulation_steps=1 --init_from=resume --out_dir="$tmp/late"
    [ $code = 130 ] && ! grep -q 'stopped before' "$tmp/screen" && counts_are_right 0 && cmp "$tmp/run/state.safetensors" "$tmp/late/state.safetensors"
}
# Without what the stopped run knew of the iteration that it stopped before: its losses, if an evaluation was due.
before_the_stop() { # folder
    untimed "$1/metrics.jsonl" | grep -v "\"iter\": *$resumed[,}]"
}
as_undisturbed() {
    # shellcheck disable=SC2086
    build/resume/cpu/train $flags --out_dir="$tmp/straight" --max_iters=$((resumed - 1)) --threads=1 \
        >"$tmp/said" 2>&1 || { tail "$tmp/said"; return 1; }
    tensors "$tmp/straight/state.safetensors" >"$tmp/a" && tensors "$tmp/run/state.safetensors" >"$tmp/b" &&
        cmp "$tmp/a" "$tmp/b" && untimed "$tmp/straight/metrics.jsonl" >"$tmp/a" &&
        before_the_stop "$tmp/run" | cmp "$tmp/a" -
}

n=0
while [ $n -lt $((2 * pairs)) ]; do
    check "stop $n, SEED=$seed" one_stop $n
    n=$((n + 1))
done
made=0
while [ $made -lt $((pairs / 3)) ]; do
    check "stop $((n + made)), through make, SEED=$seed" one_make $((n + made))
    made=$((made + 1))
done
right=$((passed))
check "after $((n + made)) stops, before iteration $resumed: as undisturbed" as_undisturbed
i=0
while [ $i -lt $late ]; do
    check "a second one two seconds later, SEED=$((seed + i))" one_late $((20000 + i))
    i=$((i + 1))
done
reached "stops by Ctrl-C on a terminal, at most one micro-step and one write" \
    "$right of $((n + made)), $made of them through make; $late by a second Ctrl-C"
finish
