#!/bin/sh
# gguf.sh: GGUF files beside llama.cpp's: what its own writer makes, in each type that is read, is imported to the bit;
# what make export writes, of a GPT-2 and of each of the Llama family, is read by it, with the same ids, log-probabilities
# and text; of a GPT-2 it is what its converter makes of the model in Hugging Face's folder: `make gguf-parity`. Needs
# Python, a network, and data/gpt2. The converter is in an environment of its own, since it brings another gguf;
# CONVERTER=path names one, as VENV=path does for the rest.
set -u
cd "$(dirname "$0")/../.." || exit 74
here=tests/reference
venv=${VENV:-build/venv-gguf}
. tests/reference/venv.sh
. tests/check.sh
[ -n "${VENV-}" ] || update_venv "$venv" llama.cpp 'gguf, xllamacpp' numpy gguf xllamacpp
converter=${CONVERTER:-build/venv-converter}
[ -n "${VENV-}${CONVERTER-}" ] ||
    update_venv "$converter" "llama.cpp's converter" 'torch, transformers' torch transformers convert-hf-to-gguf pyyaml tqdm
"$venv/bin/python" -c 'from importlib.metadata import version
print("gguf-parity:", *(name + " " + version(name) for name in ("gguf", "xllamacpp", "numpy")))'
out=build/gguf-parity
rm -rf "$out"
mkdir -p "$out"
make build/import build/export build/inspect build/encode build/prepare >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }

python() { "$venv/bin/python" "$here/llama_cpp.py" "$@" 2>"$tmp/python" || { tail -n 3 "$tmp/python"; return 1; }; }
import() { # name
    lua5.4 gen/import.lua --out "$out" --name "$1" "$out/$1.gguf"
}
export_as() { # name type
    lua5.4 gen/export.lua --checkpoint "$out/$1/ckpt.safetensors" --format gguf --type "$2" &&
        build/inspect --file="$out/$1/$1-$2.gguf" --verify=1
}
says() { # what command, name, type: what it printed is shown
    python "$1" "$out/$2/$2-$3.gguf" "$out/$2/ckpt.safetensors" || return
}
told() { # what, command...
    check "$@"
    sed "s/^/gguf-parity: /" "$tmp/checked" | tail -n 1
}

# ---- in ------------------------------------------------------------------------------------------

for type in F32 F16 BF16 Q8_0 Q4_0 Q4_1; do
    check "gguf writes $type" python make "$out/$type.gguf" $type
    check "it is imported" import $type
    check "with its numbers" python imported "$out/$type.gguf" "$out/$type/ckpt.safetensors"
    [ $type = F32 ] || rm -rf "$out/$type.gguf" "${out:?}/$type"
done
big_endian() {
    cp "$out/F32.gguf" "$out/big.gguf" && yes YES | "$venv/bin/gguf-convert-endian" "$out/big.gguf" big &&
        ! build/import --describe="$out/big.gguf" 2>"$tmp/line" && grep 'is a big-endian GGUF file' "$tmp/line"
}
check "a big-endian file is refused" big_endian
rm -f "$out/big.gguf"

# ---- out -----------------------------------------------------------------------------------------

# Characters of one to four bytes, and a model that has learned something, without biases and with rows to spare.
data() {
    i=0
    while [ $i -lt 300 ]; do
        echo "Line $i of a text, naïve as it is — 東京, 😀 and so on, don't you think?"
        i=$((i + 1))
    done >"$out/text" && build/prepare --text="$out/text" --out="$out/lines" --name=lines \
        --sha256="$(sha256sum <"$out/text" | cut -d ' ' -f 1)"
}
trained() { # name, words of the config...
    name=$1
    shift
    cat >"$out/$name.lua" <<LUA
return { n_layer = 2, n_head = 2, n_embd = 64, block_size = 128, batch_size = 4, dataset = "lines", data_dir = "$out",
  max_iters = 60, lr_decay_iters = 60, eval_interval = 60, eval_iters = 2, gradient_accumulation_steps = 1,
  learning_rate = 3e-3, warmup_iters = 5, dropout = 0.0, activation = "gelu_tanh", $* }
LUA
    make build CONFIG="$out/$name.lua" PROGRAMS="train sample" && "build/$name/cpu/train" --out_dir="$out/$name"
}
check "a data set of characters" data
check "a model of characters" trained chars 'vocab_size = 64'
check "another, with all biases and a head of its own" trained untied 'bias = true, tie_weights = false'
check "the model of words is built" make build CONFIG="$out/F32/F32.lua" PROGRAMS=sample
mv "$out/F32.gguf" "$out/theirs.gguf"
for name in F32 chars untied; do
    for type in float32 bfloat16 float16 q8_0 q4_0; do
        check "$name is exported in $type" export_as $name $type
        check "gguf would store the same" says exported $name $type
        # With half a byte a number they are further apart than models are.
        [ $type = q4_0 ] || told "$name in $type: llama.cpp's numbers" says numbers $name $type
    done
    told "$name: 200 texts" says ids $name float32
done
same_text() { # name, prompt
    "build/$1/cpu/sample" --checkpoint="$out/$1/ckpt.safetensors" --start="$2" --num_samples=1 --max_new_tokens=64 \
        --top_k=1 | sed '$d' >"$out/ours" || return # the last line ends the sample
    python greedy "$out/$1/$1-float32.gguf" "$out/$1/ckpt.safetensors" "$2" 64 "$out/ours"
}
# With our own config in the file and without it, as another program's file is.
comes_back() { # name
    sed 's/diecast\.config/someone.config/' "$out/$1/$1-float32.gguf" >"$out/foreign.gguf" || return
    tensors "$out/$1/ckpt.safetensors" >"$tmp/own"
    for file in "$out/$1/$1-float32.gguf" "$out/foreign.gguf"; do
        rm -rf "${out:?}/back" && lua5.4 gen/import.lua --out "$out" --name back "$file" &&
            tensors "$out/back/ckpt.safetensors" | cmp - "$tmp/own" || return
    done
}

# The Llama family: each of llama.cpp's architectures, with what only some of them have.
while IFS='|' read -r name words; do
    check "a model of the kind $name" trained "$name" "tensor_names = 'llama', norm = 'rmsnorm', pos = 'rope', n_head = 4,
        n_ff = 96, bias = false, $words"
    for type in float32 bfloat16 float16 q8_0 q4_0; do
        check "$name is exported in $type" export_as "$name" $type
        told "$name: gguf would store the same" says exported "$name" $type
        [ $type = q4_0 ] || told "$name in $type: llama.cpp's numbers" says numbers "$name" $type
    done
    told "$name: 200 texts" says ids "$name" float32
    check "$name comes back to the byte" comes_back "$name"
    told "$name: the same text" same_text "$name" 'Line 7 of a'
done <<'END'
llama|activation = 'swiglu', tie_weights = false, n_kv_head = 2, rope_theta = 500.0, norm_eps = 1e-6
llama-biased|activation = 'swiglu', qkv_bias = true, attn_bias = true, n_kv_head = 1
llama-scaled|activation = 'swiglu', rope_scaling = 'llama3', rope_theta = 500.0, rope_original_context = 32
qwen2|activation = 'swiglu', qkv_bias = true, n_kv_head = 2
qwen3|activation = 'swiglu', qk_norm = 'gain', head_size = 24, tie_weights = false
arcee|activation = 'relu2', n_kv_head = 2, rope_scaling = 'llama3', rope_theta = 500.0, rope_original_context = 32
END

converted() { # type, in the converter's words
    "$converter/bin/convert-hf-to-gguf" "$out/hf" --outtype "$2" --outfile "$out/converted.gguf" >"$tmp/converter" 2>&1 ||
        { tail -n 3 "$tmp/converter"; return 1; }
    python same "$out/F32/F32-$1.gguf" "$out/converted.gguf"
}
back() {
    lua5.4 gen/import.lua --out "$out" --name converted "$out/converted.gguf" &&
        cmp "$out/converted/ckpt.safetensors" "$out/F32/ckpt.safetensors"
}
if [ -x "$converter/bin/convert-hf-to-gguf" ]; then
    check "a folder of Hugging Face's" lua5.4 gen/export.lua --checkpoint "$out/F32/ckpt.safetensors" --format hf --to "$out/hf"
    for words in 'bfloat16 bf16' 'float16 f16' 'q8_0 q8_0' 'float32 f32'; do
        # shellcheck disable=SC2086
        check "llama.cpp's converter writes the same in ${words% *}" converted $words
    done
    check "which is imported to the byte" back
else
    skipped=$((skipped + 1))
    echo "gguf-parity: llama.cpp's converter: skipped: CONVERTER=path names no environment with it"
fi
for name in F32 chars untied; do
    for prompt in 'Line 7 of a' '東京' 'e'; do
        told "$name: the same text after '$prompt'" same_text $name "$prompt"
    done
done
finish
