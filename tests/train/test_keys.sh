#!/bin/sh
# test_keys.sh: how a run and a sampler treat keys that differ, by the schema; and, in a copy of this folder with new
# made-up keys, that earlier runs resume where those have the value that is assumed for an absent key.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
export DIECAST_PROCESSORS=2

data_set fox
copy=$tmp/copy
mkdir -p "$copy/build"
cp -a Makefile gen templates runtime configs "$copy/"
cp -a build/runtime build/include "$copy/build/" 2>/dev/null # no other test writes them
cp tests/train/resume.lua "$copy/run.lua"
cd "$copy" || exit 74

build() { # SET
    make build CONFIG=run.lua SET="$1" PROGRAMS="train sample" >"$tmp/log" 2>&1
}
bin() { # SET
    echo "build/run$(echo "${1:+-$1}" | tr ' =' '-@')/cpu"
}
train() { # SET, folder, flags
    program=$(bin "$1")/train
    out=$tmp/$2
    shift 2
    "$program" --data_dir="$tmp" --out_dir="$out" --threads=2 "$@" >"$out.log" 2>&1
}
resumes() { # SET, folder of the run, flags: exit code in code
    rm -rf "$tmp/on"
    cp -r "$tmp/$2" "$tmp/on"
    set="$1"
    shift 2
    train "$set" on --max_iters=12 "$@"
    code=$?
    cat "$tmp/on.log"
}
refused() { # what, SET, folder, flags
    words=$1
    shift
    resumes "$@"
    [ $code = 64 ] && grep -q "differs in $words; --init_from=resume" "$tmp/on.log"
}
samples() { # SET, checkpoint: exit code in code
    "$(bin "$1")/sample" --checkpoint="$2" --num_samples=1 --max_new_tokens=20 >"$tmp/sampled" 2>&1
    code=$?
    cat "$tmp/sampled"
    return $code
}
computes_else() { # theirs, ours, SET, checkpoint
    theirs=$1
    ours=$2
    shift 2
    samples "$@"
    [ $code = 65 ] && [ "$(wc -l <"$tmp/sampled")" = 1 ] &&
        grep -q "trained with $theirs, this sampler has $ours, which computes something else" "$tmp/sampled"
}

# ---- existing keys -------------------------------------------------------------------------------

check "builds" build ""
check "trains" train "" old --max_iters=6
check "straight" train "" straight --max_iters=12
check "another activation builds" build activation=relu
check "its sampler refuses these weights" computes_else activation=gelu_erf activation=relu activation=relu \
    "$tmp/old/state.safetensors"
check "its trainer refuses the run" refused "activation (gelu_erf there, relu here)" activation=relu old
check "kernels that take their sizes as arguments build" build specialise=false
check "they resume the run" resumes specialise=false old
check "a difference that changes nothing is not mentioned" eval '! grep "was .*, is now" "$tmp/on.log"'

# ---- made-up keys --------------------------------------------------------------------------------

check "the config has a hash" eval 'was=$(grep HASH "$(bin "")/build.mk") && cp -r "$(bin "")" "$tmp/before"'
sed -i '/^return {$/a\
  { name = "made_up", type = "int", min = 0, max = 9, default = 3, absent = 3, baked = true, changes = "function",\
    help = "made up" },\
  { name = "made_up_rate", type = "float", min = 0, max = 1, default = 0.1, absent = 0.1, changes = "results",\
    help = "made up" },\
  { name = "made_up_flag", type = "bool", default = false, absent = false, changes = "results", help = "made up" },
' gen/config/keys.lua

check "builds with them" build ""
check "the hash is the same" eval 'grep -qx "$was" "$(bin "")/build.mk"'
check "an earlier run resumes" resumes "" old
check "they are not mentioned" eval '! grep made_up "$tmp/on.log"'
check "to the same bytes" cmp "$tmp/straight/state.safetensors" "$tmp/on/state.safetensors"
check "in which they are not mentioned" eval '! grep -a made_up "$tmp/on/state.safetensors"'
check "samples from an earlier run" samples "" "$tmp/old/state.safetensors"
check "another value of the number is refused" refused "made_up_rate (0.1 there, 0.5 here)" "" old --made_up_rate=0.5
check "and of the flag" refused "made_up_flag (False there, True here)" "" old --made_up_flag=True
check "trains with such a value" train "" rated --max_iters=6 --made_up_rate=0.5
check "which is in the state" grep -aq "made_up_rate=0.5" "$tmp/rated/state.safetensors"
check "and is refused without it" refused "made_up_rate (0.5 there, 0.1 here)" "" rated
check "another baked value builds" build made_up=4
check "its trainer refuses the earlier run" refused "made_up (3 there, 4 here)" made_up=4 old
check "its sampler refuses the earlier weights" computes_else made_up=3 made_up=4 made_up=4 "$tmp/old/state.safetensors"
check "trains from scratch" train made_up=4 new --max_iters=6
check "its weights are refused by a sampler without it" computes_else made_up=4 made_up=3 "" "$tmp/new/state.safetensors"
finish
