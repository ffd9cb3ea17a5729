#!/bin/sh
# test_generic.sh: specialise=false makes kernels that take their sizes as arguments: none of the model's
# sizes is in their text, and a model trains to the same bytes with them.
# shares: runtime/generic
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh

data_set sizes

model_dir() { # specialise
    sed -n 's/^MODEL_DIR := //p' "$tmp/build/$config-specialise@$1/cpu/build.mk"
}
build() { # specialise
    make build CONFIG="$tmp/$config.lua" SET="specialise=$1" PROGRAMS="train $programs" BUILD="$tmp/build"
}
train() { # specialise, threads
    "$tmp/build/$config-specialise@$1/cpu/train" --data_dir="$tmp" --out_dir="$tmp/$config-$1" --threads="$2" \
        --init_from=scratch
}
weights() { # specialise
    tensors "$tmp/$config-$1/state.safetensors" | sha256sum
}
same_weights() {
    weights true >"$tmp/a" && weights false >"$tmp/b" && cmp "$tmp/a" "$tmp/b"
}
losses() {
    untimed "$tmp/$config-$1/metrics.jsonl" | grep grad_norm
}
same_losses() {
    losses true >"$tmp/a" && losses false >"$tmp/b" && cmp "$tmp/a" "$tmp/b" && test "$(wc -l <"$tmp/a")" = 4
}
# How many lines of kernels and their helper functions have one of the words.
lines_with() { # specialise, word...
    words=$(shift && echo "$@" | tr ' ' '|')
    awk '/^[A-Za-z].*\(/ { inside = 1 } /^\/\/ ---- the model/ { exit } inside { print } /^}/ { inside = 0 }' \
        "$(model_dir "$1")/train.c" | grep -v '^ *//' | grep -cwE "$words"
}
try() { # config, its keys: the same bytes on one thread and on three
    config=$1
    echo "return { dataset = 'sizes', max_iters = 3, gradient_accumulation_steps = 2, eval_iters = 1," \
        "learning_rate = 1e-2, warmup_iters = 1, data_dir = '$tmp', $2 }" >"$tmp/$config.lua"
    check "$config: builds with its sizes" build true
    check "$config: builds without its sizes" build false
    check "$config: trains" train true 1
    check "$config: trains without its sizes" train false 3
    check "$config: the same weights" same_weights
    check "$config: the same losses" same_losses
}

programs=
try odd "n_layer = 2, n_head = 2, n_embd = 20, block_size = 9, batch_size = 3, bias = true, dropout = 0.1"
try plain "n_layer = 1, n_head = 3, n_embd = 24, block_size = 5, batch_size = 1, activation = 'silu', isa = 'generic',
    tie_weights = false, lm_head_bias = true, logits_rows = 3, recompute = 'block', dropout = 0.1"
try llama "n_layer = 1, n_head = 4, n_kv_head = 2, n_embd = 24, block_size = 9, batch_size = 3, norm = 'rmsnorm',
    pos = 'rope', activation = 'swiglu', n_ff = 37, dropout = 0.1"
try bigram "model = 'bigram', block_size = 7, batch_size = 2"
# Heads wider than their panel, more rows than a tile and a longer sum than a slice.
programs=gradcheck
try large "n_layer = 2, n_head = 2, n_embd = 118, block_size = 149, batch_size = 5, vocab_size = 1021"
check "large: gradients" "$tmp/build/large-specialise@false/cpu/gradcheck"
sizes="118 354 472 368 496 59 149 745 1021 1040"
check "a specialised kernel has sizes in it" test "$(lines_with true $sizes)" -gt 20
check "a generic one has none" test "$(lines_with false $sizes)" = 0
check "there are fewer generic kernels" test "$(grep -c '^ANY_SIZES' "$(model_dir false)/train.c")" -lt \
    "$(grep -c '^ *{"[a-z]' "$(model_dir true)/train.c")"
check "every call passes sizes" test \
    "$(grep -c '^ *RUN(' "$(model_dir false)/train.c")" = "$(grep -c '&(struct sizes){' "$(model_dir false)/train.c")"

# A product whose sum is divided into slices, and whose store reads an operand as large as its result.
try wide "n_layer = 1, n_head = 4, n_embd = 400, block_size = 9, batch_size = 2"
check "wide: gradients" "$tmp/build/wide-specialise@true/cpu/gradcheck"

lua5.4 gen/main.lua --backend cuda --build "$tmp/build" "$tmp/odd.lua" specialise=false >"$tmp/log" 2>&1
check "cuda has no such kernels: one line" test $? = 64 -a "$(wc -l <"$tmp/log")" = 1

finish
