#!/bin/sh
# hf.sh: a GPT-2 that transformers makes and saves is imported; then both evaluate the same text, and continue the same
# prompt: `make hf-parity`. Needs Python, a network, and data/gpt2, whose tokenizer it gives the model.
set -u
cd "$(dirname "$0")/../.." || exit 74
here=tests/reference
venv=${VENV:-build/venv-hf}
. tests/reference/venv.sh
. tests/check.sh
[ -n "${VENV-}" ] || update_venv "$venv" transformers 'torch, transformers' torch numpy transformers
"$venv/bin/python" -c 'import torch, transformers; print("hf-parity: transformers", transformers.__version__, "PyTorch", torch.__version__)'
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
made() { # name hf.py's words...
    name=$1
    shift
    python make "$out/$name-hf" "$@" && cp data/gpt2/vocab.bpe "$out/$name-hf/merges.txt" &&
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
    check "a model of $words is imported and built" made $words
    for stride in 64 17; do
        check "$name: the same loss at stride $stride" same_loss "$name" $stride
    done
    check "$name: the same text" same_text "$name"
done
check "llm.c's file in float32 has the same tensors" same_llmc f32 3
check "in bfloat16 too" same_llmc bf16 5
finish
