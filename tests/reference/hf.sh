#!/bin/sh
# hf.sh: a GPT-2 that transformers makes and saves is imported; then both evaluate the same text, and continue the same
# prompt. Models that are trained here are exported: transformers computes the same logits, text and ids by them, and
# what it saves of them is imported: `make hf-parity`. Needs Python, a network, and data/gpt2, whose tokenizer it uses.
set -u
cd "$(dirname "$0")/../.." || exit 74
here=tests/reference
venv=${VENV:-build/venv-hf}
. tests/reference/venv.sh
. tests/check.sh
[ -n "${VENV-}" ] || update_venv "$venv" transformers 'torch, transformers, safetensors' \
    torch numpy transformers safetensors
"$venv/bin/python" -c 'import safetensors, tokenizers, torch, transformers as t
print("hf-parity: transformers", t.__version__, "tokenizers", tokenizers.__version__, "safetensors", safetensors.__version__,
      "PyTorch", torch.__version__)'
out=build/hf-parity
rm -rf "$out"
mkdir -p "$out"
# Prose with characters of two and three bytes.
i=0
while [ $i -lt 60 ]; do
    echo "Line $i of a text, naïve as it is — 東京, $((i * 7919 % 1000)) and so on, don't you think?"
    i=$((i + 1))
done >"$out/text"

python() { "$venv/bin/python" "$here/hf.py" "$@" 2>"$tmp/python" || { cat "$tmp/python"; return 1; }; }
made() { # name, hf.py's command and words...
    name=$1 command=$2
    shift 2
    python "$command" "$out/$name-hf" "$@" && cp data/gpt2/vocab.bpe "$out/$name-hf/merges.txt" &&
        cp data/gpt2/encoder.json "$out/$name-hf/vocab.json" &&
        make build/import && lua5.4 gen/import.lua --out "$out" --name "$name" "$out/$name-hf" &&
        make build CONFIG="$out/$name/$name.lua" SET=batch_size=3 PROGRAMS="train eval sample"
}
same_loss() { # name stride
    theirs=$(python loss "$out/$1-hf" "$out/text" "$2") || return
    "build/$1-batch_size@3/cpu/eval" --checkpoint="$out/$1/ckpt.safetensors" --text="$out/text" --stride="$2" \
        --json="$out/json" || return
    echo "theirs: $theirs"
    echo "$theirs" | json="$out/json" lua5.4 -e '
        local loss, count = io.read("n", "n")
        local ours = io.open(os.getenv("json")):read("a")
        local own, targets = tonumber(ours:match("\"loss\": ([%d.]+)")), tonumber(ours:match("\"targets\": (%d+)"))
        print(("off by %.1e of %g"):format(math.abs(own - loss), loss))
        os.exit(targets == count and math.abs(own - loss) < 1e-6 * loss)'
}
same_text() { # name
    prompt='The line of a text'
    python text "$out/$1-hf" "$prompt" 40 >"$out/theirs" || return
    "build/$1-batch_size@3/cpu/sample" --checkpoint="$out/$1/ckpt.safetensors" --start="$prompt" --num_samples=1 \
        --max_new_tokens=40 --top_k=1 | sed '$d' >"$out/ours" || return # the last line ends the sample
    diff "$out/theirs" "$out/ours"
}
# The same model in llm.c's file is imported to the same tensors.
same_llmc() { # name version
    python llmc "$out/$1-hf" "$out/$1.bin" "$2" && lua5.4 gen/import.lua --out "$out" --name "$1-llmc" "$out/$1.bin" &&
        tensors "$out/$1/ckpt.safetensors" >"$out/ours" && tensors "$out/$1-llmc/ckpt.safetensors" | cmp - "$out/ours"
}
for words in "f32 float32" "bf16 bfloat16 5MB" "f16 float16"; do
    name=${words%% *}
    # shellcheck disable=SC2086
    check "a model of $words is imported and built" made "$name" make ${words#* }
    for stride in 64 17; do
        check "$name: the same loss at stride $stride" same_loss "$name" $stride
    done
    check "$name: the same text" same_text "$name"
done
# What is exported of an import is to transformers the model that it saved.
same_export() { # name
    lua5.4 gen/export.lua --checkpoint="$out/$1/ckpt.safetensors" --format=hf --to="$out/$1-out" &&
        build/inspect --file="$out/$1-out" --verify=1 && theirs=$(python loss "$out/$1-hf" "$out/text" 64) &&
        [ "$(python loss "$out/$1-out" "$out/text" 64)" = "$theirs" ]
}
make build/export build/inspect >/dev/null
for words in llama "llama tied" "llama scaled" qwen2 qwen3 arcee nanochat "nanochat uncapped"; do
    name=$(echo "$words" | tr ' ' -)
    check "a $words is imported and built" made "$name" family "$words"
    check "$name: the same loss" same_loss "$name" 64
    check "$name: the same loss at stride 17" same_loss "$name" 17
    check "$name: the same text" same_text "$name"
    check "$name: its export is the same model" same_export "$name"
done
check "a llama of bfloat16" made llama-bf16 family llama bfloat16
check "llama-bf16: the same loss" same_loss llama-bf16 64
check "llm.c's file in float32 has the same tensors" same_llmc f32 3
check "in bfloat16 too" same_llmc bf16 5

# ---- what is trained here and exported -----------------------------------------------------------

export_py() { "$venv/bin/python" "$here/hf_export.py" "$@" 2>"$tmp/python" || { cat "$tmp/python"; return 1; }; }
prepared() { # kind of tokens
    mkdir -p "$out/of-$1" && build/prepare --text="$out/text" --out="$out/of-$1" --name="of-$1" --tokenizer="$1" \
        --sha256="$(sha256sum <"$out/text" | cut -d ' ' -f 1)"
}
trained() { # name tokens words...
    name=$1 config=$out/hf-$1.lua
    {
        echo 'return {'
        for word in n_layer=2 n_head=4 n_embd=64 block_size=64 batch_size=8 gradient_accumulation_steps=1 \
            learning_rate=1e-3 max_iters=150 warmup_iters=10 eval_interval=150 eval_iters=2 "dataset=of-$2" "data_dir=$out" \
            "out_dir=$out/$1"; do
            echo "$word"
        done
        shift 2
        for word in "$@"; do echo "$word"; done
        echo '}'
    } | sed 's/=\([a-z/].*\)/="\1"/; s/="\(true\|false\)"/=\1/; s/=.*/&,/' >"$config"
    make train CONFIG="$config" PROGRAMS="train sample"
}
exported() { # name type
    lua5.4 gen/export.lua --checkpoint="$out/$1/ckpt.safetensors" --format=hf --type="$2" --to="$out/$1-$2" &&
        build/inspect --file="$out/$1-$2" --verify=1
}
same_continuation() { # name folder
    prompt='Line 7 of a text, na'
    export_py text "$out/$2" "$prompt" 30 >"$out/theirs" || return
    "build/hf-$1/cpu/sample" --checkpoint="$out/$1/ckpt.safetensors" --start="$prompt" --num_samples=1 \
        --max_new_tokens=30 --top_k=1 | sed '$d' >"$out/ours" || return
    cat "$out/ours"
    diff "$out/theirs" "$out/ours"
}
saved_again() { # name
    export_py save "$out/$1-float32" "$out/$1-saved" && lua5.4 gen/import.lua --out="$out" --name="$1-again" "$out/$1-saved" &&
        lua5.4 gen/import.lua --out="$out" --name="$1-back" "$out/$1-float32" &&
        tensors "$out/$1/ckpt.safetensors" >"$tmp/own" && tensors "$out/$1-back/ckpt.safetensors" | cmp - "$tmp/own"
}
make build/prepare build/import build/export build/inspect >/dev/null
for words in "characters char activation=gelu_tanh bias=true" \
    "plain char bias=false activation=gelu_erf" \
    "untied char tie_weights=false activation=relu bias=true qkv_bias=false" \
    "tokens gpt2 vocab_size=50304 activation=silu bias=false qkv_bias=true"; do
    name=${words%% *} tokens=${words#* }
    tokens=${tokens%% *}
    [ -d "$out/of-$tokens" ] || check "the text is prepared: $tokens" prepared "$tokens"
    # shellcheck disable=SC2086
    check "$name is trained" trained $words
    for type in float32 bfloat16 float16; do
        check "$name: it is exported in $type" exported "$name" $type
        check "$name: the same logits" export_py logits "$out/$name-$type" "$out/$name/ckpt.safetensors" "$out/of-$tokens/train.bin"
        sed -n 's/^/    /p' "$tmp/checked"
    done
    check "$name: the same ids, and the text comes back" export_py ids "$out/$name-float32" "$out/text" "$out/of-$tokens/train.bin"
    check "$name: the same text" same_continuation "$name" "$name-float32"
    check "$name: it is imported again, and so is what transformers saves of it" saved_again "$name"
done
finish
