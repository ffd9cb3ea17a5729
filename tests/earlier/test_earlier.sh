#!/bin/sh
# test_earlier.sh: this build resumes what an earlier one made: stopped runs, a finetuned one, half a sweep, with data;
# each ends with the tensors and losses that the earlier build had. It also samples from a finished run's checkpoint,
# exports and imports it, and makes reports of all of them. make.sh lists the files; made.txt has the commit that made them.
# shares: runtime/generic
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
root=$PWD
sweep=test_earlier_$$
out=out/sweeps/$sweep
trap 'rm -rf "$tmp" "$out" "out/reports/$sweep.html"; rmdir out/sweeps out/reports 2>/dev/null' EXIT

make build/prepare build CONFIG=tests/earlier/harbour.lua PROGRAMS="train sample" >"$tmp/log" 2>&1 ||
    { cat "$tmp/log"; exit 1; }
cp -R tests/earlier/data tests/earlier/runs "$tmp/"

make build CONFIG=tests/earlier/harbour.lua BACKEND=cuda EMULATED=1 SET="isa=native dtype=float16" PROGRAMS=train \
    >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
train=$root/build/harbour/cpu/train
scaled=$root/build/emulated/harbour-isa@native-dtype@float16/cuda/train

# Paths in a run are relative to where it was made.
run() { # name, flags
    name=$1
    shift
    (cd "$tmp" && "$train" --data_dir=data --out_dir="runs/$name" --threads=2 "$@") \
        >"$tmp/log" 2>&1 || { cat "$tmp/log"; return 1; }
}
says() { grep -qF -- "$1" "$tmp/log"; }
comes_to() { # name in expected.txt, its folder
    lua5.4 -E tests/same/hash.lua "$1" "$2" >"$tmp/came" && grep "^$1 " tests/earlier/expected.txt >"$tmp/wanted" &&
        diff "$tmp/wanted" "$tmp/came"
}
lines() { # file, how many
    [ "$(wc -l <"$1")" = "$2" ]
}

# ---- runs ---------------------------------------------------------------------------------------------

check "a finished run" run finished
check "has nothing left to do" says "this run is finished, after 61 iterations"
check "and is unchanged" comes_to stopped "$tmp/runs/finished"
check "a stopped run" run stopped --csv=1
check "resumes" says "resuming from runs/stopped/state.safetensors, iteration "
check "and has the same results" comes_to stopped "$tmp/runs/stopped"
check "with a line for each step" lines "$tmp/runs/stopped/metrics.csv" 62
check "a run that a budget of time ended" run spent --max_seconds=0.1
check "has nothing left to do" says "this run is finished, after 6 iterations in 0.1 s of training"
check "without the budget" run spent
check "resumes" says "resuming from runs/spent/state.safetensors, iteration 6"
check "and has the same results" comes_to stopped "$tmp/runs/spent"
check "a finetuned run" run finetuned --init_from=runs/finished/ckpt.safetensors --seed=5 --max_iters=40
check "resumes" says "resuming from runs/finetuned/state.safetensors, iteration "
check "and has the same results" comes_to finetuned "$tmp/runs/finetuned"

train=$scaled
check "a stopped run in float16" run scaled --gradient_accumulation_steps=1 --max_iters=30
check "resumes" says "resuming from runs/scaled/state.safetensors, iteration "
check "and has the same results" comes_to scaled "$tmp/runs/scaled"
train=$root/build/harbour/cpu/train

same_sample() {
    build/harbour/cpu/sample --checkpoint=tests/earlier/runs/finished/ckpt.safetensors --num_samples=2 \
        --max_new_tokens=60 2>"$tmp/log" | cmp - tests/earlier/sample.txt
}
check "a checkpoint is sampled from" same_sample

# ---- data ---------------------------------------------------------------------------------------------

check "nanoGPT's data, with our meta.json" run adopted --dataset=adopted --max_iters=5
check "gives the same results" comes_to adopted "$tmp/runs/adopted"
mkdir "$tmp/again"
text=tests/earlier/data/harbour/input.txt
check "the text" build/prepare --text=$text --out="$tmp/again" --name=harbour \
    --sha256="$(sha256sum <$text | cut -d ' ' -f 1)"
for file in train.bin val.bin; do check "gives the same $file" cmp "$tmp/again/$file" tests/earlier/data/harbour/$file; done

# ---- to other tools, and back -------------------------------------------------------------------------

earlier=tests/earlier/runs/finished/ckpt.safetensors
make build/inspect build/export build/import >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
check "the metadata is of earlier trainers" grep -aq '"format":"diecast"' $earlier
inspected() {
    build/inspect --file="$1" --verify=1 >"$tmp/log" && says "$2" && says 'verified: 17 of 17 tensors have a hash'
}
check "a checkpoint is inspected" inspected $earlier 'ckpt.safetensors: a checkpoint; 17 tensors'
back() { # what is imported, name
    lua5.4 -E gen/import.lua --out="$tmp" --name="$2" "$1" && tensors $earlier >"$tmp/own" &&
        tensors "$tmp/$2/ckpt.safetensors" | cmp - "$tmp/own"
}
check "and exported" lua5.4 -E gen/export.lua --checkpoint=$earlier --format=hf --to="$tmp/hf"
check "and imported again" back "$tmp/hf" from_hf
check "or as it is" back $earlier from_itself

# ---- half a sweep -------------------------------------------------------------------------------------

cp tests/earlier/rates.lua "$tmp/$sweep.lua"
mkdir -p out/sweeps
cp -R tests/earlier/rates "$out"
check "half a sweep" make sweep SWEEP="$tmp/$sweep.lua" JOBS=1
cp "$tmp/checked" "$tmp/log"
check "the run that is done is kept" says "done already: 1 of 3 runs"
check "the stopped run resumes" grep -q "resuming from .*, iteration " "$out/exp02-lr0.01/log.txt"
check "no run starts from scratch" test -z "$(find "$out" -name '*previous*')"
for path in "$out"/exp*; do check "${path##*/}" comes_to "rates/${path##*/}" "$path"; done

# ---- reports ------------------------------------------------------------------------------------------

report() { # words
    lua5.4 -E gen/report.lua --live --out "$tmp/page.html" "$@"
}
has() { # words of the page
    for word in "$@"; do grep -qF -- "$word" "$tmp/page.html" || { echo "no $word"; return 1; }; done
}
rm -rf "$tmp/runs"
cp -R tests/earlier/runs "$tmp/"
check "a report of them" report "$tmp/runs/stopped" "$tmp/runs/finished" "$tmp/runs/finetuned"
check "has all three" has '"stopped"' '"finished"' '"finetuned"'
check "a report of the sweep" report --sweep "$sweep"
check "has its runs" has exp01-lr0.003 exp02-lr0.01 exp03-lr0.03

finish
