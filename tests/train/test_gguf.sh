#!/bin/sh
# test_gguf.sh: a GPT-2 in a GGUF file becomes a config and a checkpoint with the same numbers and tokenizer, in all
# types that are read; inspect says what such a file is; what is wrong is one line, and nothing is left.
# shares: import
. tests/check.sh

out=build/gguf-test
rm -rf "$out"
mkdir -p "$out" "$tmp/gguf"
make build/import build/inspect >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
model=$tmp/gguf/model.gguf

store() { # gguf.lua's words...
    lua5.4 tests/train/gguf.lua "$tmp/gguf" "$@"
}
import() { # name
    lua5.4 gen/import.lua --build=build --out="$out" --name="$1" "$model"
}
same_numbers() { # name
    import "$1" && tensors "$out/$1/ckpt.safetensors" | cmp - "$tmp/gguf/wanted.bin"
}
says() { # words file [flag]
    build/inspect --file="$2" ${3+"$3"} >"$tmp/said" 2>&1
    code=$?
    cat "$tmp/said"
    grep -qF -- "$1" "$tmp/said" && [ $code = "${4-0}" ]
}
# The command ends with 65 and one line that has the words; nothing of the import is left.
refuses() { # words
    import refused >"$tmp/said" 2>"$tmp/line"
    code=$?
    [ $code = 65 ] && [ "$(wc -l <"$tmp/line")" = 1 ] && grep -qF -- "$1" "$tmp/line" && [ ! -e "$out/refused" ] && return
    echo "ended with $code, wanted 65 and '$1'"
    cat "$tmp/line"
    return 1
}

# ---- what is right -------------------------------------------------------------------------------

i=0
for words in "" "type=F16" "type=BF16" "type=Q8_0" "type=Q4_0" "type=Q4_1" "version=2 alignment=64" "alignment=1" \
    "tokens=char" "tokens=none" "head=same" "head=other type=F16"; do
    i=$((i + 1))
    # shellcheck disable=SC2086
    check "a model is written" store $words
    check "its numbers are those that were stored: $words" same_numbers "m$i"
    check "all of it is right" says 'verified: all numbers of' "$model" --verify=1
done
check "its sizes are a config" grep -q 'activation = "gelu_tanh"' "$out/m1/m1.lua"
check "a head of its own is not tied" grep -q 'tie_weights = false' "$out/m12/m12.lua"
check "a head that is the table's is tied" sh -c "! grep -q tie_weights '$out/m11/m11.lua'"
check "its tokenizer is GPT-2's" says 'gpt2, 260 tokens' "$out/m1/ckpt.safetensors"
check "or of characters" says 'char, 260 characters' "$out/m9/ckpt.safetensors"
check "or there is none" sh -c "! build/inspect --file=$out/m10/ckpt.safetensors | grep -q tokenizer"
check "a file of another name is known by its first bytes" sh -c "cp '$model' '$tmp/gguf/other.bin' &&
    lua5.4 gen/import.lua --out='$out' --name=other '$tmp/gguf/other.bin'"
store
check "what a file is" says 'a GGUF file; 28 tensors, 34,176 numbers' "$model"
check "its pairs" says 'gpt2.attention.layer_norm_epsilon  1e-05' "$model"
check "its lists" says '264 texts' "$model"
check "its tensors" says 'blk.1.ffn_down.weight     F32   (32, 128)' "$model"

# ---- what is not ---------------------------------------------------------------------------------

for case in \
    'llama|is of model_type llama; gpt2 is what can be read' \
    'no_general_architecture|is of model_type missing' \
    'no_gpt2_block_count|has no gpt2.block_count' \
    'layers_text|its gpt2.block_count is not a whole number' \
    'many|n_layer is 2147483648; a whole number from 1' \
    'heads|n_head 3 does not divide n_embd 32' \
    'inner|n_inner is 160' \
    'epsilon|layer_norm_epsilon is 1e-06' \
    'epsilon_nan|layer_norm_epsilon is ' \
    'epsilon_text|its gpt2.attention.layer_norm_epsilon is no float32' \
    'no_gpt2_attention_layer_norm_epsilon|has no gpt2.attention.layer_norm_epsilon' \
    'layers|has no transformer.h.2.ln_1.weight, which its metadata makes (32)' \
    'positions|transformer.wpe.weight is (9, 32), but its metadata makes it (8, 32)' \
    'missing|has no transformer.h.0.attn.c_attn.weight' \
    'name|has no transformer.h.0.attn.c_attn.weight' \
    'layer|has no transformer.h.0.attn.c_attn.weight' \
    'nan|transformer.ln_f.bias has a value that is not finite' \
    'q6_k|is of type Q6_K; F32, F16, BF16, Q8_0, Q4_0 or Q4_1 is wanted' \
    'spm|its tokenizer is '\''llama'\''; '\''gpt2'\'', byte-pair encoding, is wanted' \
    'pre|its tokenizer cuts text as '\''llama-bpe'\'' does' \
    'no_tokens|has a tokenizer without tokenizer.ggml.tokens' \
    'tokens_numbers|its tokenizer.ggml.tokens is no list of texts' \
    'kind|token 2 is of type 7; 1 to 6 are known' \
    'kind0|token 2 is of type 0; 1 to 6 are known' \
    'kinds|has 264 tokens, but tokenizer.ggml.token_type is of 263' \
    'merge|merge 2: is not a merge of two earlier tokens' \
    'token|token 258 is '\''Ġthx'\'', but its merges make it '\''Ġthe'\' \
    'used|has 264 tokens, but its merges make 260'; do
    check "a model is written" store "fault=${case%%|*}"
    check "${case%%|*}" refuses "${case#*|}"
done
check "characters out of order" store tokens=char fault=characters
check "are no tokenizer" refuses 'its tokens are no rising list of characters'
check "a model is written" store
size=$(stat -c %s "$model")
cp "$model" "$tmp/whole"
for bytes in 3 23 60 1000 10000 $((size - 200)) $((size - 1)); do
    head -c "$bytes" "$tmp/whole" >"$model"
    check "a file cut at byte $bytes" refuses ''
done
: >"$model"
check "an empty file" refuses 'has 0 bytes, too few for a GGUF file'
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n' >"$model"
check "a pointer to a file" refuses 'is Git LFS'
check "a model with a number that is none is written" store fault=nan
check "inspect finds it" says 'output_norm.bias has a value that is not finite' "$model" --verify=1 65
check "a model with a wrong tokenizer is written" store fault=merge
check "inspect finds it" says 'is not a merge of two earlier tokens' "$model" --verify=1 65
check "but shows the rest" says 'a GGUF file; 28 tensors' "$model"
rm -rf "$out"
finish
