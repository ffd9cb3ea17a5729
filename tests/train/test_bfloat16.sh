#!/bin/sh
# test_bfloat16.sh: a CPU's trainer in bfloat16: PyTorch's numbers, the same bytes for any number of threads, after a
# stop, and with the processor's products and without them; its checkpoint is float32's, and goes from one to the other.
# ALL=1 compares every model of tests/reference with PyTorch.
# shares: bfloat16
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh

# ---- PyTorch's numbers ------------------------------------------------------------------------------

parity() { # config
    make build BUILD=build/reference CONFIG="tests/reference/configs/$1.lua" SET=dtype=bfloat16 PROGRAMS=test_parity &&
        "build/reference/$1-dtype@bfloat16/cpu/test_parity" "tests/reference/golden/$1.safetensors"
}
# As on CUDA (tests/cuda/test_train.sh). Left out of all: those that autocast has no numbers of, and llama_names, whose
# numbers are under other names.
configs="gpt2_small adam_all muon large_vocabulary ignored_untied heads64 llama one_kv_head"
if [ -n "${ALL-}" ]; then
    configs=$(cd tests/reference/golden && ls ./*.autocast.json | sed 's|^./||; s/.autocast.json//' | grep -vx llama_names)
fi
for config in $configs; do
    check "parity of $config" parity "$config"
done

# ---- the same bytes ---------------------------------------------------------------------------------

cat >"$tmp/harbour.lua" <<'LUA'
return { n_layer = 2, n_head = 3, n_embd = 33, block_size = 17, batch_size = 3, bias = true, dropout = 0.1,
  dataset = "harbour", data_dir = "tests/earlier/data", vocab_size = 36, gradient_accumulation_steps = 2,
  learning_rate = 1e-3, warmup_iters = 1, lr_decay_iters = 8, max_iters = 8, eval_interval = 3, eval_iters = 2,
  tiling = "model" }
LUA
build() { # keys
    make build CONFIG="$tmp/harbour.lua" BUILD="$tmp/build" PROGRAMS=train SET="$*"
}
train() { # keys, folder, flags
    program=$tmp/build/harbour$(for word in $1; do printf -- '-%s' "$word"; done | tr = @)/cpu/train
    out=$2
    shift 2
    "$program" --out_dir="$tmp/$out" "$@" >"$tmp/$out.txt" 2>&1
}
same() { # two folders: tensors of states and checkpoints, losses
    for file in state ckpt; do
        tensors "$tmp/$1/$file.safetensors" >"$tmp/a" && tensors "$tmp/$2/$file.safetensors" >"$tmp/b" &&
            test -s "$tmp/a" && cmp "$tmp/a" "$tmp/b" || return
    done
    untimed "$tmp/$1/metrics.jsonl" >"$tmp/a"
    untimed "$tmp/$2/metrics.jsonl" >"$tmp/b"
    cmp "$tmp/a" "$tmp/b"
}
header() { # path; names, types and shapes of its tensors, without the metadata
    size=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    tail -c +9 "$1" | head -c "$size" | sed 's/"__metadata__":{[^}]*},\{0,1\}//; s/ *$//'
}
slow='dtype: this build multiplies bfloat16 as float32; dtype=float32 is faster here'

half=dtype=bfloat16
check "builds" build $half
check "trains" train $half straight --threads=1
check "three threads" train $half three --threads=3
check "the same bytes" same straight three
check "a run to be stopped" train $half stopped --max_iters=3
check "resumes" train $half stopped --init_from=resume
check "the same bytes after a stop" same straight stopped

# With the processor's products, or with those of float32 in their place.
if grep -qw avx512_bf16 /proc/cpuinfo; then
    check "does not say that float32 is faster" sh -c "! grep -q '^dtype:' '$tmp/straight.txt'"
    check "builds without the processor's products" build "$half isa=avx512"
    check "trains without them" train "$half isa=avx512" widened
    check "the same bytes without them" same straight widened
    check "says that float32 is faster" grep -qx "$slow" "$tmp/widened.txt"
else
    check "says that float32 is faster" grep -qx "$slow" "$tmp/straight.txt"
    skipped=$((skipped + 1))
fi

# ---- float32's checkpoints --------------------------------------------------------------------------

check "builds float32" build dtype=float32
check "trains float32" train dtype=float32 exact
for file in state ckpt; do
    check "the same tensors in a $file" \
        eval 'test "$(header "$tmp/exact/$file.safetensors")" = "$(header "$tmp/straight/$file.safetensors")"'
done
check "but not the same numbers" eval '! same exact straight'
differs() { # keys, folder: a run of the other type is not resumed unasked
    train "$1" "$2" --max_iters=12
    [ $? = 64 ] && grep -q "differs in dtype" "$tmp/$2.txt"
}
check "float32 does not resume it unasked" differs dtype=float32 straight
check "float32 resumes it" train dtype=float32 straight --max_iters=12 --init_from=resume
check "bfloat16 resumes float32's" train $half exact --max_iters=12 --init_from=resume
check "bfloat16 begins with a checkpoint of float32" train $half tuned --init_from="$tmp/exact/ckpt.safetensors"
finish
