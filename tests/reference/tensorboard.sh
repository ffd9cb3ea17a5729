#!/bin/sh
# tensorboard.sh: trains a small model that is stopped, killed and started again, with --tensorboard=1, and
# reads its event files with the newest TensorBoard. Needs Python, and a network unless its virtual
# environment was made earlier.
set -eu
cd "$(dirname "$0")/../.."
here=tests/reference
venv=build/venv-tensorboard
work=build/tensorboard
. tests/reference/venv.sh
update_venv $venv TensorBoard tensorboard tensorboard
"$venv/bin/python" -c 'import tensorboard; print("tensorboard", tensorboard.__version__)'

rm -rf "$work"
mkdir -p "$work/data/fox"
i=0
while [ $i -lt 300 ]; do
    echo "Line $i of a text that is easy to learn, and then to be shown elsewhere."
    i=$((i + 1))
done >"$work/text"
{ make --no-print-directory build/prepare build CONFIG=tests/train/resume.lua PROGRAMS=train &&
    build/prepare --text="$work/text" --out="$work/data/fox" --name=fox \
        --sha256="$(sha256sum "$work/text" | cut -d ' ' -f 1)"; } >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }

flags="--tensorboard=1 --sample_interval=100 --checkpoint_interval=40"
train() { # folder, more flags
    out=$1
    shift
    # shellcheck disable=SC2086 # a list of words
    build/resume/cpu/train $flags --data_dir="$work/data" --out_dir="$work/$out" "$@" >>"$work/$out.log" 2>&1
}
steps() { # of a run, so far
    if [ -f "$work/$1/metrics.jsonl" ]; then grep -c grad_norm "$work/$1/metrics.jsonl" || true; else echo 0; fi
}
interrupted() { # folder, steps, signal: sent once so many are done
    # shellcheck disable=SC2086 # a list of words
    build/resume/cpu/train $flags --data_dir="$work/data" --out_dir="$work/$1" >>"$work/$1.log" 2>&1 &
    pid=$!
    while [ "$(steps "$1")" -lt "$2" ] && kill -0 $pid; do sleep 0.02; done
    kill -"$3" $pid || true
    wait $pid || true
}
train straight
interrupted stopped 60 TERM
interrupted stopped 150 KILL
interrupted stopped 170 KILL
train stopped
train anew --max_iters=20
train anew --init_from=scratch
for run in straight stopped anew; do "$venv/bin/python" "$here/event_files.py" "$work/$run"; done
