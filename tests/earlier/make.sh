#!/bin/sh
# make.sh: remakes the runs, the sweep and the data of this folder with the build that is checked out here, and the
# hashes that they must lead to.
#
#     tests/earlier/make.sh
#
# They are meant to be of an *earlier* build: remake them only after a change that abandons earlier runs on purpose,
# or to add one. It writes
#
#     data/harbour/      from input.txt, tokens are characters
#     data/adopted/      the same tokens as nanoGPT would leave them, with meta.pkl, and our meta.json beside them
#     runs/stopped/      a run that was stopped, to be resumed; with a metrics.csv
#     runs/finished/     the same run, finished; its checkpoint is sampled from
#     runs/finetuned/    a run that started from finished's checkpoint and was stopped
#     runs/spent/        the run of finished, ended by a budget of time
#     runs/scaled/       a run in float16, on the emulator, that was stopped
#     rates/             out/sweeps/rates: one run finished, one stopped, one not started
#     expected.txt       the results at their ends: NAME HASH, as tests/same/hash.lua makes it
#     made.txt           the commit that made them
set -eu
cd "$(dirname "$0")/../.."
root=$PWD
here=$root/tests/earlier
tmp=$(mktemp -d)
sweep=earlier_made_$$
trap 'rm -rf "$tmp" "out/sweeps/$sweep" "out/reports/$sweep.html"' EXIT
unset MAKEFLAGS MAKELEVEL
hash() { lua5.4 -E tests/same/hash.lua "$@"; }

make build/prepare build CONFIG=tests/earlier/harbour.lua PROGRAMS="train sample" >"$tmp/log" 2>&1 ||
    { cat "$tmp/log" >&2; exit 1; }
make build CONFIG=tests/earlier/harbour.lua BACKEND=cuda EMULATED=1 SET="isa=native dtype=float16" PROGRAMS=train \
    >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; exit 1; }
scaled=$root/build/emulated/harbour-isa@native-dtype@float16/cuda/train
train=$root/build/harbour/cpu/train
sample=$root/build/harbour/cpu/sample

# ---- data -------------------------------------------------------------------------------------------

data=$here/data
build/prepare --text="$data/harbour/input.txt" --out="$data/harbour" --name=harbour \
    --sha256="$(sha256sum <"$data/harbour/input.txt" | cut -d ' ' -f 1)"
cp "$data/harbour/train.bin" "$data/harbour/val.bin" "$data/adopted/"
rm -f "$data/adopted/meta.json"
build/prepare --adopt="$data/adopted" --name=adopted

# ---- runs, made where relative paths lead to them -----------------------------------------------------

cp -R "$data" "$tmp/data"
cd "$tmp"
run() { # name, flags
    name=$1
    shift
    "$train" --data_dir=data --out_dir="runs/$name" --threads=2 "$@"
}
# A run whose reader ends after so many lines is stopped, and saves its state.
stopped() { # lines, name, flags
    lines=$1
    shift
    { code=0; run "$@" || code=$?; [ $code = 75 ] || echo "$1: ended with $code, wanted 75" >&2; } | head -n "$lines"
}
run finished
run straight_adopted --dataset=adopted --max_iters=5
stopped 30 stopped --csv=1
run spent --max_seconds=0.1
tuned="--init_from=runs/finished/ckpt.safetensors --seed=5 --max_iters=40"
# shellcheck disable=SC2086 # a word each
{
    stopped 30 finetuned $tuned
    run straight_finetuned $tuned
}
train=$scaled
few="--gradient_accumulation_steps=1 --max_iters=30"
# shellcheck disable=SC2086 # a word each
{
    stopped 20 scaled $few
    run straight_scaled $few
}
cd "$root"
rm -rf "$here/runs"
mkdir "$here/runs"
for name in stopped finished spent finetuned scaled; do
    cp -R "$tmp/runs/$name" "$here/runs/"
    rm -f "$here/runs/$name/lock"
done

# ---- half a sweep -------------------------------------------------------------------------------------

cp tests/earlier/rates.lua "$tmp/$sweep.lua"
setsid --wait make sweep SWEEP="$tmp/$sweep.lua" JOBS=1 &
until [ "$(cat "out/sweeps/$sweep"/exp02*/metrics.jsonl 2>/dev/null | grep -c grad_norm)" -ge 15 ]; do sleep 0.02; done
kill -TERM "$(head -n 1 "out/sweeps/$sweep/lock")"
wait $! || true
cat "out/sweeps/$sweep"/exp*/status.json
rm -rf "$here/rates"
cp -R "out/sweeps/$sweep" "$here/rates"
rm -rf "$here/rates/lock" "$here/rates"/exp*/lock "$here/rates/builds" "$here/rates/make.txt"
grep -rl "$sweep" "$here/rates" | xargs sed -i "s|$tmp/||g; s/$sweep/rates/g"
make sweep SWEEP="$tmp/$sweep.lua" JOBS=1

# ---- their ends -----------------------------------------------------------------------------------------

{
    hash stopped "$tmp/runs/finished"
    hash finetuned "$tmp/runs/straight_finetuned"
    hash scaled "$tmp/runs/straight_scaled"
    hash adopted "$tmp/runs/straight_adopted"
    for path in "out/sweeps/$sweep"/exp*; do hash "rates/${path##*/}" "$path"; done
} >"$here/expected.txt"
"$sample" --checkpoint="$here/runs/finished/ckpt.safetensors" --num_samples=2 --max_new_tokens=60 \
    >"$here/sample.txt"
git log -1 --format='made by the build of commit %h, %as' >"$here/made.txt"
cat "$here/made.txt"
du -sk "$here"
