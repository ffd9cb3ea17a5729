#!/bin/sh
# test_import.sh: a GPT-2 in Hugging Face's files becomes a config and a checkpoint with the same numbers, in all ways in
# which it can be stored; runs begin from it and do not write over it; what is wrong is one line, and nothing is left.
# shares: import
. tests/check.sh

out=build/import-test
rm -rf "$out"
mkdir -p "$out"
make build/import >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }

# Imports $tmp/hf as out/NAME; the words are hf.lua's.
import() { # name
    lua5.4 gen/import.lua --build=build --out="$out" --name="$1" "${2-$tmp/hf}"
}
store() { # hf.lua's words...
    rm -rf "$tmp/hf"
    mkdir "$tmp/hf" && lua5.4 tests/train/hf.lua "$tmp/hf" "$@"
}
same_numbers() { # name
    tensors "$out/$1/ckpt.safetensors" | cmp - "$tmp/hf/wanted.bin"
}
both() { # name
    import "$1" && same_numbers "$1"
}
# The command ends with this code and one line that has the words; nothing of the import is left.
refuses() { # code words path [name]
    import "${4-refused}" "$3" >"$tmp/said" 2>"$tmp/line"
    code=$?
    [ $code = "$1" ] && [ "$(wc -l <"$tmp/line")" = 1 ] && grep -qF -- "$2" "$tmp/line" &&
        [ ! -e "$out/refused" ] && return
    echo "ended with $code, wanted $1 and '$2'"
    cat "$tmp/line"
    ls "$out/refused"
    return 1
}
# The same where the weights' transposition was said before.
refuses_late() { # code words path
    import refused "$3" >"$tmp/said" 2>"$tmp/line"
    code=$?
    [ $code = "$1" ] && tail -n 1 "$tmp/line" | grep -qF -- "$2" && [ ! -e "$out/refused" ] && return
    echo "ended with $code, wanted $1 and '$2'"
    cat "$tmp/line"
    return 1
}
edit_config() { # sed script
    sed "$1" "$tmp/config" >"$tmp/hf/config.json"
}

i=0
for words in "" "prefix=true" "prefix=true head=true" "masks=true" "type=BF16" "type=F16 prefix=true" \
    "shards=3" "shards=2 type=BF16 head=true masks=true"; do
    i=$((i + 1))
    # shellcheck disable=SC2086
    check "a model is written" store $words
    check "its numbers are those that were stored: $words" both "m$i"
done
check "the config says what it is" grep -q 'activation = "gelu_tanh"' "$out/m1/m1.lua"
check "a folder with an import in it is not imported to again" refuses 64 'is there already' "$tmp/hf" m1
check "the file may be named instead of its folder" import named "$tmp/hf/model.safetensors.index.json"
check "with the same numbers" same_numbers named
check "nothing to sample without a tokenizer: another next command" sh -c "
    lua5.4 gen/import.lua --out='$out' --name=next '$tmp/hf' | tail -n 1 | grep -qx 'next: make inspect FILE=$out/next/ckpt.safetensors VERIFY=1'"

# ---- what a file is ------------------------------------------------------------------------------

says() { # words file [flag]
    build/inspect --file="$2" ${3+"$3"} >"$tmp/said" 2>&1
    code=$?
    cat "$tmp/said"
    grep -qF -- "$1" "$tmp/said" && [ $code = "${4-0}" ]
}
make build/inspect >/dev/null
check "an imported checkpoint" says 'a checkpoint that make import made; 29 tensors, 16,320 numbers' "$out/m1/ckpt.safetensors"
check "its tensors" says 'transformer.h.1.mlp.c_fc.weight     F32   (64, 16)' "$out/m1/ckpt.safetensors"
check "all of it" says '29 of 29 tensors have a hash, which matches' "$out/m1/ckpt.safetensors" --verify=1
check "a model in three files" store shards=3
check "its index" says "another program's; 28 tensors in 3 files" "$tmp/hf/model.safetensors.index.json"
cp "$out/m1/ckpt.safetensors" "$tmp/flipped"
printf '\001' | dd of="$tmp/flipped" bs=1 seek=$(($(stat -c %s "$tmp/flipped") - 5)) conv=notrunc 2>/dev/null
check "a flipped byte" says "has hash" "$tmp/flipped" --verify=1 65
check "no such file" says "cannot open" "$tmp/none" --verify=1 66

# ---- tokens --------------------------------------------------------------------------------------

if [ -f data/gpt2/vocab.bpe ] && [ -f data/gpt2/encoder.json ]; then
    check "a model is written" store
    cp data/gpt2/vocab.bpe "$tmp/hf/merges.txt"
    cp data/gpt2/encoder.json "$tmp/hf/vocab.json"
    check "a tokenizer with more tokens than the model has rows" refuses 65 'has 50257 tokens, the model 300' "$tmp/hf"
else
    skipped=$((skipped + 1))
    echo "test_import: GPT-2's tokens: skipped: data/gpt2/vocab.bpe and encoder.json are not there"
fi

# A tokenizer.json whose texts are in Unicode's form C first, cut to three tokens and filled to eight.
rows() {
    mkdir "$tmp/rows" && { i=0; while [ $i -lt 40 ]; do printf 'ab abe\314\201'; i=$((i + 1)); done; } >"$tmp/form" &&
        build/prepare --text="$tmp/form" --out="$tmp/rows" --name=rows --tokenizer=tests/train/tokenizer.json \
            --sha256="$(sha256sum <"$tmp/form" | cut -d ' ' -f 1)" 2>"$tmp/line" || return
    grep 'tokenizer.json: its truncation is left out: texts are taken whole' "$tmp/line" &&
        grep 'tokenizer.json: its padding is left out: texts are taken whole' "$tmp/line" || return
    cat "$tmp/rows/train.bin" "$tmp/rows/val.bin" | od -An -v -tu2 | tr -s ' \n' ' ' >"$tmp/found"
    awk 'BEGIN { for (i = 0; i < 40; i++) printf " 2 6 2 5"; printf " " }' | cmp - "$tmp/found"
}
make build/prepare >/dev/null
check "what a tokenizer does to rows is left out, which it says" rows

# ---- what is wrong -------------------------------------------------------------------------------

check "a model is written" store
cp "$tmp/hf/config.json" "$tmp/config"
check "no such folder" refuses 66 'no such folder or file' "$tmp/none"
check "no weights" refuses 66 'has neither model.safetensors' data
for case in \
    's/"gpt2"/"mamba"/|is of model_type mamba' \
    's/"n_layer":2/"n_layer":"two"/|n_layer is two; a whole number from 1' \
    's/"n_head":2/"n_head":3/|n_head 3 does not divide n_embd 16' \
    's/"vocab_size":300,*//|has no vocab_size' \
    's/gelu_new/mish/|activation_function is mish' \
    's/{/{"n_inner":17.5,/|n_inner is 17.5; a whole number from 1' \
    's/{/{"n_inner":0,/|n_inner is 0; a whole number from 1' \
    's/{/{"layer_norm_epsilon":0,/|layer_norm_epsilon is 0; a number above 0' \
    's/{/{"layer_norm_epsilon":"small",/|layer_norm_epsilon is small; a number above 0' \
    's/{/{"scale_attn_by_inverse_layer_idx":true,/|scale_attn_by_inverse_layer_idx is true' \
    's/{/{"scale_attn_weights":false,/|scale_attn_weights is false' \
    's/{/{"add_cross_attention":true,/|add_cross_attention is true' \
    's/{/[/|is not a JSON object'; do
    edit_config "${case%|*}"
    check "config.json: ${case#*|}" refuses 65 "${case#*|}" "$tmp/hf"
done
edit_config 's/{/{"n_inner":17,/'
check "a width that the weights have not" refuses_late 65 'mlp.c_fc.weight is (16, 64), but its config.json makes it (17, 16)' "$tmp/hf"
edit_config 's/{/{"layer_norm_epsilon":1e-6,/'
other_eps() {
    lua5.4 gen/import.lua --build=build --out="$tmp/eps" --name=eps "$tmp/hf" >"$tmp/said" &&
        grep -q 'norm_eps = 1e-06' "$tmp/eps/eps/eps.lua"
}
check "what norms add is a key" other_eps
edit_config 's/"n_layer":2/"n_layer":3/'
check "fewer layers than stated" refuses_late 65 'has no transformer.h.2.ln_1.weight, which its config.json makes (16)' "$tmp/hf"
edit_config 's/"n_layer":2/"n_layer":1/'
check "more layers than stated" refuses_late 65 'which is not in the model' "$tmp/hf"
edit_config 's/"n_positions":8/"n_positions":9/'
check "another size than stated" refuses_late 65 'transformer.wpe.weight is (8, 16), but its config.json makes it (9, 16)' "$tmp/hf"
edit_config 's/^//'
head -c 20000 "$tmp/hf/model.safetensors" >"$tmp/cut"
mv "$tmp/cut" "$tmp/hf/model.safetensors"
check "weights that are cut off" refuses 65 'the file is truncated' "$tmp/hf"
check "a model in three files is written" store shards=3
for case in \
    's/-00002-of/-00009-of/g|model-00009-of-00003.safetensors: cannot open' \
    's/model-00002/..\/model-00002/g|one in the same folder is wanted' \
    's/"wpe.weight"/"wpe.other"/|has wpe.other, which it has not' \
    's/"weight_map"/"weights"/|has no weight_map' \
    's/}$//|is broken JSON'; do
    cp "$tmp/hf/model.safetensors.index.json" "$tmp/index"
    sed "${case%|*}" "$tmp/index" >"$tmp/hf/model.safetensors.index.json"
    code=65
    case $case in *cannot*) code=66 ;; esac
    check "an index: ${case#*|}" refuses $code "${case#*|}" "$tmp/hf"
    cp "$tmp/index" "$tmp/hf/model.safetensors.index.json"
done
sed 's/,*"ln_f.weight":"[^"]*"//' "$tmp/index" >"$tmp/hf/model.safetensors.index.json"
check "an index that leaves a tensor out" refuses 65 'tensors, of which' "$tmp/hf"

# ---- a run begins from it ------------------------------------------------------------------------

data_set lines
words="batch_size=2 vocab_size=300 dataset=lines data_dir=$tmp"
train() { # out_dir flags...
    folder=$1
    shift
    "build/m1-test/cpu/train" --out_dir="$folder" --max_iters=2 --eval_iters=1 --warmup_iters=0 "$@"
}
prepare_build() {
    # shellcheck disable=SC2086
    lua5.4 gen/main.lua --name m1-test "$out/m1/m1.lua" $words &&
        make BUILD_NAME=m1-test BUILD=build BACKEND=cpu PROGRAMS=train programs
}
check "its trainer builds" prepare_build
begins_from_it() {
    train "$tmp/run" --init_from="$out/m1/ckpt.safetensors" >"$tmp/said"
    code=$?
    cat "$tmp/said"
    [ $code = 0 ] && grep -q '^starts from the weights in ' "$tmp/said"
}
check "a run begins from it" begins_from_it
no_differences() { # such as of the optimizer, of which an imported model says nothing
    ! grep ', is now ' "$tmp/said"
}
check "and lists no settings that it has not" no_differences
sum=$(sha256sum <"$out/m1/ckpt.safetensors")
not_over() {
    train "$out/m1" --init_from=auto >"$tmp/said" 2>"$tmp/line"
    code=$?
    cat "$tmp/line"
    [ $code = 64 ] && grep -q 'holds an imported model, which no run writes over' "$tmp/line" &&
        [ "$(sha256sum <"$out/m1/ckpt.safetensors")" = "$sum" ] && [ ! -e "$out/m1/state.safetensors" ]
}
check "but not into its folder" not_over
check "an evaluation of it is no run" train "$out/m1" --eval_only=true --init_from="$out/m1/ckpt.safetensors"
rm -rf "$out"
finish
