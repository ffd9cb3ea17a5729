#!/bin/sh
# step.sh: one run of a sweep: trains or resumes it, and writes its samples. sweep.mk calls it.
#
#     gen/sweep/step.sh SWEEP_FOLDER RUN BUILD FROM THREADS TO TRAINER_FLAG ...
#
# FROM is the folder of a finished run that is the beginning of this one, or -. TO is -, or with halving the iteration
# to which the run is trained for now, or end. The trainer's output goes to log.txt. Exit code 0 if the run is
# trained, so that runs which continue it can start; else the trainer's. With halving a run that has failed, or that
# was stopped at an earlier rung, gives 0 too: the others go on.
set -u
sweep=$1 name=$2 build=$3 from=$4 threads=$5 to=$6
shift 6
run=$sweep/$name
log=$run/log.txt
is() { grep -q "\"status\":\"$1\"" "$2/status.json" 2>/dev/null; }
if [ "$to" != - ]; then
    ! is halted "$run" || exit 0
    [ -f "$run/state.safetensors" ] || [ "$from" = - ] || is 'done' "$from" || exit 0
fi
rm -f "$run/status.json"

# A stop is passed on to the trainer, which saves its state and exits 75.
pid=
stopped=
stop() {
    stopped=1
    [ -z "$pid" ] || kill -TERM "$pid" 2>/dev/null
}
trap stop TERM HUP INT
finish() { # code
    lua5.4 -E gen/sweep.lua --finish "$name" --code "$1" --folder "$sweep"
}
# Runs a command that is stopped with this script, even if the script is killed, and waits for its end.
attend() {
    [ -z "$stopped" ] || return 75
    setpriv --pdeathsig TERM "$@" &
    pid=$!
    # A second signal that came between fork and here would be lost.
    [ -z "$stopped" ] || kill -TERM "$pid" 2>/dev/null
    while :; do
        wait "$pid"
        code=$?
        kill -0 "$pid" 2>/dev/null || break
    done
    pid=
    return "$code"
}

# Copies the shorter run's files, except those about that run alone. The state comes last, since a folder without one
# starts from scratch.
copy_beginning() {
    for path in "$from"/*; do
        case ${path##*/} in
            lock | log.txt | run.json | resolved.json | status.json | state.safetensors) continue ;;
            sample-* | report* | attention* | *.tmp | *previous*) continue ;;
        esac
        cp -R "$path" "$run/" || return
    done
    # A power cut leaves no state without what belongs to it.
    cp "$from/state.safetensors" "$run/state.safetensors.tmp" && sync "$run"/* "$run" &&
        mv "$run/state.safetensors.tmp" "$run/state.safetensors" && sync "$run" &&
        echo "continues a copy of $from: the same run up to there" >>"$log"
}
if [ ! -f "$run/state.safetensors" ]; then
    # Removes what a killed process wrote before its first state; other files stay.
    for path in "$run"/*; do
        case ${path##*/} in
            lock | log.txt | run.json | status.json | *.tmp) rm -f "$path" ;;
            metrics.* | evaluations.csv | ckpt.safetensors | sample-*.txt | report.html | events.out.*) rm -f "$path" ;;
        esac
    done
    if [ "$from" != - ] && ! copy_beginning 2>>"$log"; then
        finish 74
        exit 74
    fi
fi

own_gpu=
case $build in */cuda) own_gpu="gen/sweep/device.sh $sweep" ;; esac
# shellcheck disable=SC2086 # two words
attend $own_gpu "$build/train" --out_dir="$run" --init_from=auto --threads="$threads" "$@" >>"$log" 2>&1
code=$?
if [ $code != 0 ]; then
    finish $code
    [ "$to" = - ] || [ $code = 75 ] || exit 0
    exit $code
fi
case $to in
    - | end) ;;
    *) exit 0 ;;
esac

# Text by the final weights and by the best ones. A prompt that is a line's end alone is the sampler's default, so it
# is not given: a vocabulary may lack it.
sample() { # weights, file
    [ -f "$run/$1.safetensors" ] || return 0
    start=--start=FILE:$sweep/prompt.txt
    echo | cmp -s - "$sweep/prompt.txt" && start=
    attend "$build/sample" --checkpoint="$run/$1.safetensors" ${start:+"$start"} --num_samples=1 \
        --max_new_tokens=300 --temperature=1 --top_k=0 --top_p=1 --seed=1337 --threads="$threads" \
        >"$run/$2.tmp" 2>>"$log" && mv "$run/$2.tmp" "$run/$2"
}
sample state sample-final.txt && sample ckpt sample-best.txt
finish $?
exit 0
