#!/bin/sh
# test_hellaswag.sh: 40 made-up items of HellaSwag's form, from their lines to the share of right endings: as a plain
# count that asks for the losses of whole texts, for any batch, any number of threads; what is wrong is one line.
# shares: hellaswag
. tests/check.sh

out=build/hellaswag-test
rm -rf "$out" build/eval-hellaswag
mkdir -p "$out" "$tmp/hf"
lines=$tmp/lines.jsonl
items=$tmp/hellaswag/hellaswag_val.bin
lua5.4 tests/train/hellaswag.lua items "$lines"
import() {
    make build/import && lua5.4 tests/train/hf.lua "$tmp/hf" block=64 tokens=true &&
        lua5.4 gen/import.lua --out="$out" --name=model "$tmp/hf"
}
check "a model with a tokenizer is imported" import
makes_items() {
    make build/hellaswag && mkdir -p "$tmp/hellaswag" &&
        build/hellaswag --text="$lines" --gpt2="$tmp/hf" --out="$items"
}
check "the file of items is made" makes_items
for words in batch_size=3 "batch_size=1 block_size=24" "batch_size=5 block_size=24"; do
    check "its program builds: $words" make build BUILD=build/eval-hellaswag CONFIG="$out/model/model.lua" \
        SET="$words" PROGRAMS=eval
done
program() { # batch [block]
    echo "build/eval-hellaswag/model-batch_size@$1${2+-block_size@$2}/cpu/eval"
}
# What the JSON says.
evaluate() { # program, flags...
    program=$1
    shift
    "$program" --checkpoint="$out/model/ckpt.safetensors" --hellaswag="$items" --json="$tmp/json" "$@" >"$tmp/said" ||
        return
    sed 's/.*"data_xxh3"/"data_xxh3"/; s/"block_size": [0-9]*, //' "$tmp/json"
}
as_counted() {
    lua5.4 tests/train/hellaswag.lua count "$lines" "$(program 3)" "$out/model/ckpt.safetensors" "$tmp" >"$tmp/counted" &&
        evaluate "$(program 3)" >"$tmp/got" || return
    sed 's/.*"correct": \([0-9]*\), "correct_sum": \([0-9]*\), .*"chosen": "\([0-3]*\)", "chosen_sum": "\([0-3]*\)".*/\1 \2 \3 \4/' \
        "$tmp/got" | diff - "$tmp/counted" && grep -q '"items": 40, "cut": 0' "$tmp/got"
}
check "as a plain count" as_counted
said() { # words
    cat "$tmp/said"
    read -r mean sum _ <"$tmp/counted"
    grep -q "^HellaSwag accuracy: $mean/40=0\.[0-9]*, by the sum of losses $sum/40=0\.[0-9]*$1" "$tmp/said"
}
check "and said" said '$'
same() { # wanted, program, flags...
    wanted=$1
    shift
    evaluate "$@" | diff - "$wanted"
}
check "the same by two threads" same "$tmp/got" "$(program 3)" --threads=2
evaluate "$(program 1 24)" >"$tmp/short"
cut() {
    cat "$tmp/said"
    grep -q '; [1-9][0-9]* items are longer than' "$tmp/said" && grep -q '"cut": [1-9]' "$tmp/short"
}
check "items that are longer than the model's context are cut, and counted" cut
check "the same in batches of another size" same "$tmp/short" "$(program 5 24)"
check "and by two threads" same "$tmp/short" "$(program 5 24)" --threads=2
check "make eval" make eval BUILD=build/eval-hellaswag CONFIG="$out/model/model.lua" EVAL=hellaswag \
    SET=batch_size=3 RUN="--out_dir=$out/model --data_dir=$tmp"
check "writes its JSON beside the checkpoint" grep -q '"items": 40' "$out/model/eval-hellaswag.json"
inspects() {
    make build/inspect && build/inspect --file="$items" --verify=1 >"$tmp/said" && cat "$tmp/said" &&
        grep -q 'items *40, of 4 endings' "$tmp/said" && grep -q '^verified: every item, and the hash' "$tmp/said"
}
check "what the file is" inspects

# ---- what is wrong -------------------------------------------------------------------------------

refuses() { # code words command...
    wanted=$1 words=$2
    shift 2
    rm -f "$tmp/json"
    "$@" >/dev/null 2>"$tmp/line"
    code=$?
    [ $code = "$wanted" ] && [ "$(wc -l <"$tmp/line")" = 1 ] && grep -qF -- "$words" "$tmp/line" && [ ! -e "$tmp/json" ] &&
        return
    echo "ended with $code, wanted $wanted and '$words'"
    cat "$tmp/line"
    return 1
}
program=$(program 3)
check "no such file" refuses 66 "'make data EVAL=hellaswag TEXT=hellaswag_val.jsonl' makes it" \
    evaluate "$program" --hellaswag="$tmp/none.bin"
check "no such lines" refuses 66 "TEXT is the path of hellaswag_val.jsonl" data/prepare.sh --hellaswag "$tmp/none"
check "no path of lines" refuses 64 "TEXT is missing" data/prepare.sh --hellaswag ""
mv "$tmp/hellaswag/hellaswag_val.json" "$tmp/meta.json"
check "a file of GPT-2's tokens, for a model of others" refuses 65 "is made of the tokens of tokenizer 30bf1a2974c14196" \
    evaluate "$program"
check "inspect takes it to be of GPT-2's" sh -c "build/inspect --file='$items' | grep -q 'taken to be GPT-2'"
sed 's/xxh3": "./xxh3": "x/' "$tmp/meta.json" >"$tmp/hellaswag/hellaswag_val.json"
check "another hash" refuses 65 "it is damaged or another file" evaluate "$program"
check "inspect says so" refuses 65 "it is damaged or another file" build/inspect --file="$items"
mv "$tmp/meta.json" "$tmp/hellaswag/hellaswag_val.json"
head -c 3000 "$items" >"$tmp/cut.bin"
check "a part of the file" refuses 65 "$tmp/cut.bin: " evaluate "$program" --hellaswag="$tmp/cut.bin"
# A model that has no tokenizer is asked as long as its vocabulary has the file's tokens.
rm "$tmp/hf/merges.txt" "$tmp/hf/vocab.json"
without() {
    lua5.4 gen/import.lua --out="$out" --name=without "$tmp/hf" &&
        evaluate "$program" --checkpoint="$out/without/ckpt.safetensors" | diff - "$tmp/got"
}
check "a model without a tokenizer" without
full_disk() { # program, flags...
    "$@" >/dev/full 2>"$tmp/line"
    [ $? = 74 ] && grep -q 'stdout: could not be written' "$tmp/line"
}
check "a result that could not be printed" full_disk "$program" --checkpoint="$out/model/ckpt.safetensors" --hellaswag="$items"
rm -rf "$out" build/eval-hellaswag
finish
