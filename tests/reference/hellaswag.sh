#!/bin/sh
# hellaswag.sh: 40 made-up items of HellaSwag's form in GPT-2's tokens: the file is the one that Python writes by llm.c's
# layout, and a model that transformers made chooses the same endings there and here: `make hellaswag-parity`. Needs
# Python, a network, and data/gpt2.
set -u
cd "$(dirname "$0")/../.." || exit 74
here=tests/reference
venv=${VENV:-build/venv-hf}
. tests/reference/venv.sh
. tests/check.sh
[ -n "${VENV-}" ] || update_venv "$venv" transformers 'torch, transformers' torch numpy transformers
"$venv/bin/python" -c 'import torch, transformers; print("hellaswag-parity: transformers", transformers.__version__, "PyTorch", torch.__version__)'
out=build/hellaswag-parity
rm -rf "$out"
mkdir -p "$out"
lines=$out/lines.jsonl
lua5.4 tests/train/hellaswag.lua items "$lines"

python() { "$venv/bin/python" "$@" 2>"$tmp/python" || { cat "$tmp/python"; return 1; }; }
made() {
    python "$here/hf.py" make "$out/hf" && cp data/gpt2/vocab.bpe "$out/hf/merges.txt" &&
        cp data/gpt2/encoder.json "$out/hf/vocab.json" &&
        make build/import && lua5.4 gen/import.lua --out "$out" --name model "$out/hf" &&
        for T in 64 6; do
            make build CONFIG="$out/model/model.lua" SET="batch_size=3 block_size=$T" PROGRAMS=eval || return
        done
}
check "a model is imported and built" made
same_file() {
    make build/hellaswag && build/hellaswag --text="$lines" --out="$out/ours.bin" &&
        python "$here/hellaswag.py" file "$lines" "$out/hf" "$out/theirs.bin" && cmp "$out/ours.bin" "$out/theirs.bin"
}
check "the same file" same_file
same_choices() { # T
    python "$here/hellaswag.py" score "$lines" "$out/hf" "$1" >"$out/theirs" || return
    "build/model-batch_size@3-block_size@$1/cpu/eval" --checkpoint="$out/model/ckpt.safetensors" \
        --hellaswag="$out/theirs.bin" --json="$out/json" || return
    cat "$out/theirs"
    json="$out/json" lua5.4 -e '
        local text = io.open(os.getenv("json")):read("a")
        local function of(key) return text:match("\"" .. key .. "\": \"?(%d+)") end
        print(of("correct"), of("correct_sum"), of("cut"), of("chosen"), of("chosen_sum"))' | tr '\t' ' ' | diff - "$out/theirs"
}
for T in 64 6; do
    check "the same choices with a context of $T tokens" same_choices $T
done
finish
