#!/bin/sh
# test_failing.sh: each call of trainer, sampler and prepare that asks for memory or touches a file fails once: the
# program carries on with the same results, or ends with the right code and one line that names the file; then the same
# command ends as if nothing had been. Calls that a signal interrupts, and reads and writes of half, are no errors.
# shares: mite
# shellcheck disable=SC2086 # lists of words
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/torture/torture.sh
. tests/torture/mite.sh

each() { # what, how many in the quick part, words of failing, --, program ...
    what=$1
    sample="--sample=$2 --seed=$seed"
    [ -z "$all" ] || sample=
    shift 2
    judged "$what (SEED=$seed)" nice "$tmp/failing" $sample "$@"
}
printf 'ab\r\nba\r' >"$tmp/start/crlf"
cat "$tmp/start/text" >>"$tmp/start/crlf"
crlf=$(sha256sum <"$tmp/start/crlf" | cut -d ' ' -f 1)
printf ab >"$tmp/begun/prompt"
mkdir -p "$tmp/none/ab"
cp "$tmp/start/text" "$tmp/start/crlf" "$tmp/none/ab"
# Documents, in parts of which two are saved before the end.
mkdir -p "$tmp/many/in/more" && lua5.4 tests/torture/bpe.lua "$tmp/many"
for i in 1 2 3 4 5 6 7 8 9; do printf '{"text": "a bad cab %s"}\n{"text": "dab"}\n' $i; done >"$tmp/many/in/lines.jsonl"
cp "$tmp/start/text" "$tmp/many/in/more"
documents="--documents=in --gpt2=. --val=0.3 --unit=20 --threads=2"
run="$files_of_a_run --from"
logs="--csv=1 --tensorboard=1 --sample_interval=2 --checkpoint_interval=2"
made="--result=ab/train.bin --result=ab/val.bin --result=ab/meta.json --final --from"
prepare="--out=ab --name=ab"

# Every program, with calls that fail in one way.
programs() { # how, how many in the quick part, -static or nothing, the codes, prefix ...
    how=$1
    few=$2
    static=$3
    codes=$4
    many=$few
    [ "$how" != EIO ] || many=60 # each call: a rename that fails between two others has to be among them
    shift 4
    {
        each "a new run, $how" "$few" $run="$tmp/start" $codes -- "$@" -- "$tmp/train$static" --out_dir=out --threads=2 $logs
        each "a run that resumes, $how" "$few" $run="$tmp/begun" $codes -- "$@" -- \
            "$tmp/train$static" --out_dir=out --threads=2 --init_from=resume
        each "a run from a checkpoint, $how" "$few" --result=tuned/state.safetensors --from="$tmp/begun" $codes -- "$@" -- \
            "$tmp/train$static" --out_dir=tuned --threads=1 --init_from=out/ckpt.safetensors
        each "the sampler, $how" "$few" --out --from="$tmp/begun" $codes -- "$@" -- \
            "$tmp/sample$static" --checkpoint=out/ckpt.safetensors --start=FILE:prompt --num_samples=1 --max_new_tokens=9 --slide=half
        each "attention, $how" "$few" --result=heads.json --final --notes --from="$tmp/begun" $codes -- "$@" -- \
            "$tmp/sample$static" --checkpoint=out/ckpt.safetensors --start=FILE:prompt --attention=heads.json
        each "new data, $how" "$many" $made="$tmp/none" $codes -- "$@" -- \
            "$tmp/prepare$static" --text=ab/text $prepare --sha256="$sum"
        each "data with other line ends, $how" "$many" $made="$tmp/none" $codes -- "$@" -- \
            "$tmp/prepare$static" --text=ab/crlf $prepare --sha256="$crlf" --newlines=lf
        each "documents, $how" "$many" $made="$tmp/many" $codes -- "$@" -- "$tmp/prepare$static" $documents $prepare
        each "check, $how" "$few" --out --from="$tmp/begun" $codes -- "$@" -- "$tmp/check$static" --data=data/ab
    }
}
# What is printed does not arrive, on a full disk.
full() { # program ...
    (cd "$tmp/begun" && "$@" >/dev/full 2>"$tmp/said")
    code=$?
    cat "$tmp/said"
    [ $code = 74 ] && [ "$(wc -l <"$tmp/said")" = 1 ] && grep -q '^stdout: ' "$tmp/said"
}
check "a full disk, an evaluation" full "$tmp/train" --threads=1 --eval_only=1
check "a full disk, a sample" full "$tmp/sample" --checkpoint=out/ckpt.safetensors --num_samples=1 --slide=half
check "a full disk, check" full "$tmp/check" --data=data/ab
# A state that cannot be looked at, here for its link leads to itself, is not one that is missing.
looped() {
    mkdir -p "$tmp/looped" && ln -s state.safetensors "$tmp/looped/state.safetensors"
    (cd "$tmp/begun" && "$tmp/train" --out_dir="$tmp/looped" --threads=1 >"$tmp/said" 2>&1)
    code=$?
    tail -n 1 "$tmp/said"
    [ $code = 74 ] && [ ! -e "$tmp/looped/metrics.jsonl" ]
}
check "a state that cannot be looked at" looped

first=$cases
programs "no memory" 15 "" --codes=71 \
    env LD_PRELOAD="$tmp/failing_memory.so" FAILING_CALL=@K FAILING_HIT=@HIT
reached "each allocation of trainer, sampler, prepare and check fails once" \
    "$((cases - first)) calls: carried on, or 71, one line, and the next start exact"

first=$cases
look=files,stat,lstat,fstat,newfstatat,access,lseek,getdents64,flock
[ -n "$all" ] && errors="EIO EACCES ENOSPC" || errors=EIO
for error in $errors; do
    programs $error 10 -static --codes=74 "$PWD/$tracer" --hit=@HIT --calls=$look fail @K $error
done
# ENOMEM where the kernel says it: threads, mappings, and files.
programs ENOMEM 8 -static --codes=71 "$PWD/$tracer" --hit=@HIT --calls=openat,mmap,clone,clone3 fail @K ENOMEM
reached "each system call on files of trainer, sampler, prepare and check fails once" \
    "$((cases - first)) calls ($errors ENOMEM): carried on, or 74 (71), one line, and the next start exact"
first=$cases
programs EINTR 8 -static --codes=99 "$PWD/$tracer" --hit=@HIT --calls=$look fail @K EINTR
reached "each system call on files is interrupted once" "$((cases - first)) calls: carried on"
first=$cases
programs "a short read or write" 8 -static --codes=99 "$PWD/$tracer" --hit=@HIT short @K
reached "each read and write does half" "$((cases - first)) calls: carried on"

# ---- make export: a folder is there whole, or not at all -----------------------------------------

# What gen/export.lua gives to build/export: $tmp/table, $tmp/config.
asked() {
    mkdir -p "$tmp/asked" && lua5.4 -E tests/train/checkpoint.lua "$tmp/asked/model" && {
        echo '#!/bin/sh'
        echo '[ $# != 1 ] || exec build/export "$@"'
        echo 'for word in "$@"; do case $word in --config=*) printf %s "$word" >"$asked/config" ;; esac; done'
        echo 'cat >"$asked/table"'
    } >"$tmp/asked/export" && chmod +x "$tmp/asked/export" &&
        asked="$tmp/asked" lua5.4 gen/export.lua --build="$tmp/asked" --checkpoint="$tmp/asked/model" --format=hf &&
        build_export build/export && [ -s "$tmp/asked/table" ]
}
build_export() { # program ...
    rm -rf "$tmp/folder" "$tmp/hit"
    mkdir "$tmp/folder"
    "$@" --checkpoint="$tmp/asked/model" --out="$tmp/folder/hf" --format=hf --type=float32 "$(cat "$tmp/asked/config")" \
        <"$tmp/asked/table" 2>"$tmp/said"
}
whole() {
    [ "$(ls "$tmp/folder")" = hf ] && [ "$(ls "$tmp/folder/hf" | wc -l)" = 6 ]
}
# One run for each call on the folder, or, in the quick part, for each third.
exports() { # error, code
    k=$((seed % 3 + 1)) step=3
    [ -z "$all" ] || k=1 step=1
    while :; do
        build_export "$tracer" --hit="$tmp/hit" --under="$tmp/folder" --calls=$look fail $k "$1" build/export
        code=$?
        [ -s "$tmp/hit" ] || break
        exported=$((exported + 1))
        if [ $code = 0 ]; then
            whole || { echo "$1, $(cat "$tmp/hit"): not whole"; return 1; }
        elif [ $code != "$2" ] || [ "$(wc -l <"$tmp/said")" != 1 ]; then
            echo "$1, $(cat "$tmp/hit"): ended with $code"
            cat "$tmp/said"
            return 1
        elif [ -e "$tmp/folder/hf" ]; then # its name alone could not be synced
            whole && grep -q 'cannot write' "$tmp/said" || { echo "$1, $(cat "$tmp/hit"): not whole"; return 1; }
        else
            [ -z "$(ls "$tmp/folder")" ] || { echo "$1, $(cat "$tmp/hit"): left $(ls "$tmp/folder")"; return 1; }
        fi
        k=$((k + step))
    done
}
exported=0
make build/export >"$tmp/log" 2>&1
check "an export" asked
check "an export, EIO" exports EIO 74
check "an export, ENOSPC" exports ENOSPC 74
check "an export that is interrupted" exports EINTR 0
reached "each call of an export on its folder fails once" "$exported calls: there whole, or not at all, and one line"
finish
