#!/bin/sh
# test_eval.sh: the mean loss of a text, as PyTorch computes it, for any batch and any number of threads; what is wrong is
# one line.
# shares: eval
. tests/check.sh

out=build/eval-test
rm -rf "$out"
mkdir -p "$out"
data_set lines
mkdir "$tmp/hf"
import() {
    make build/import && lua5.4 tests/train/hf.lua "$tmp/hf" && lua5.4 gen/import.lua --out="$out" --name=model "$tmp/hf"
}
check "a model is imported" import
for batch in 1 3; do
    check "its program builds, for batches of $batch" make build BUILD=build/eval CONFIG="$out/model/model.lua" \
        SET="batch_size=$batch" PROGRAMS=eval
done
# The loss as JSON states it.
evaluate() { # batch stride flags...
    batch=$1 stride=$2
    shift 2
    "build/eval/model-batch_size@$batch/cpu/eval" --checkpoint="$out/model/ckpt.safetensors" --stride="$stride" \
        --dataset=lines --data_dir="$tmp" --json="$tmp/json" "$@" >"$tmp/said" || return
    sed 's/.*"loss": \([0-9.]*\),.*"targets": \([0-9]*\),.*/\1 \2/' "$tmp/json"
}
# tests/reference/hf.py tokens, in double: 1,548 tokens are predicted.
near() { # batch stride wanted
    evaluate "$1" "$2" >"$tmp/got" || return
    cat "$tmp/got"
    awk -v wanted="$3" '{ d = ($1 - wanted) / wanted; exit !(d < 1e-6 && d > -1e-6 && $2 == 1548) }' "$tmp/got"
}
check "PyTorch's loss" near 3 8 16.737465885
check "and with windows that overlap" near 3 3 16.857046026
evaluate 3 3 >"$tmp/first"
same() { # batch threads
    evaluate "$1" 3 --threads="$2" | cmp - "$tmp/first"
}
for case in "1 1" "1 2" "3 1" "3 2"; do
    # shellcheck disable=SC2086
    check "the same to the last digit: batch and threads $case" same $case
done
# A character is a byte here, and every token but the first is predicted.
bytes_are() {
    evaluate 3 8 >/dev/null && grep -q '"bytes": 1548,' "$tmp/json" &&
        json=$tmp/json lua5.4 -e 'local t = io.open(os.getenv("json")):read("a")
            local token, byte = t:match("bits_per_token\": ([%d.]+), \"bits_per_byte\": ([%d.]+)")
            os.exit(math.abs(token - byte) < 1e-12)'
}
check "bits per byte" bytes_are
# The result says of which weights it is: by the hash that the checkpoint begins with.
names_the_checkpoint() {
    hash=$(head -c 200 "$out/model/ckpt.safetensors" | sed -n 's/.*"xxh3":"\([0-9a-f]*\)".*/\1/p')
    [ ${#hash} = 16 ] && grep -qF "\"checkpoint_xxh3\": \"$hash\", \"split\": " "$tmp/json"
}
check "it names the checkpoint" names_the_checkpoint
check "the other split" evaluate 3 8 --split=train
check "of which each token but the first is predicted" grep -q '"targets": 13940,' "$tmp/json"

# ---- what is wrong -------------------------------------------------------------------------------

refuses() { # code words flags...
    wanted=$1 words=$2
    shift 2
    rm -f "$tmp/json"
    evaluate 3 8 "$@" >/dev/null 2>"$tmp/line"
    code=$?
    [ $code = "$wanted" ] && [ "$(wc -l <"$tmp/line")" = 1 ] && grep -qF -- "$words" "$tmp/line" && [ ! -e "$tmp/json" ] &&
        return
    echo "ended with $code, wanted $wanted and '$words'"
    cat "$tmp/line"
    return 1
}
check "a stride of more than a window" refuses 64 "--stride: found '9', wanted a whole number from 1 to 8" --stride=9
check "another split" refuses 64 "there are: val, train" --split=test
check "an unknown flag" refuses 64 "unknown argument '--x=1'" --x=1
check "no such data" refuses 66 "is not there" --dataset=none
check "no such checkpoint" refuses 66 "cannot open" --checkpoint="$tmp/none"
printf 'one line' >"$tmp/short"
check "a text, where the checkpoint has no tokenizer" refuses 65 "has no tokenizer in its metadata" --text="$tmp/short"
full_disk() { # program, flags...
    "$@" >/dev/full 2>"$tmp/line"
    [ $? = 74 ] && grep -q 'stdout: could not be written' "$tmp/line"
}
check "a result that could not be printed" full_disk "build/eval/model-batch_size@3/cpu/eval" \
    --checkpoint="$out/model/ckpt.safetensors" --dataset=lines --data_dir="$tmp"
make build/inspect >/dev/null
check "and what a file is" full_disk build/inspect --file="$out/model/ckpt.safetensors"
rm -rf "$out" build/eval
finish
