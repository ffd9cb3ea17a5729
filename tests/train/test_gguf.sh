#!/bin/sh
# test_gguf.sh: a GPT-2 in a GGUF file becomes a config and a checkpoint with the same numbers and tokenizer, in all
# types that are read; inspect says what such a file is; what is wrong is one line, and nothing is left. A checkpoint
# becomes such a file, as llama.cpp wants it, and comes back from it to the byte.
# shares: import export
. tests/check.sh

out=build/gguf-test
rm -rf "$out"
mkdir -p "$out" "$tmp/gguf"
make build/import build/export build/inspect >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
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
    lua5.4 gen/import.lua --out='$out' --name=other '$tmp/gguf/other.bin' >'$tmp/said'"
check "a model with a tokenizer is to be sampled next" grep -qx "next: make sample CONFIG=$out/other/other.lua START=\"The \"" "$tmp/said"
store type=F32
check "what a file is" says 'a GGUF file; 28 tensors, 34,176 numbers' "$model"
check "its pairs" says 'gpt2.attention.layer_norm_epsilon  1e-05' "$model"
check "its lists" says '264 texts' "$model"
check "its tensors" says 'blk.1.ffn_down.weight     F32   (32, 128)' "$model"

plain() { # a file whose names would drive a terminal
    sed 's/gpt2.context_length/gpt2.\x1b[31mxt\nleng\xc2\x9b/; s/blk.1.ffn_up.bias/blk.1\x1b[2J\x07up\nbias/' "$model" >"$tmp/odd.gguf" &&
        build/inspect --file="$tmp/odd.gguf" >"$tmp/said" && grep -q 'gpt2.?\[31mxt?leng??' "$tmp/said" &&
        grep -q 'blk.1?\[2J?up?bias ' "$tmp/said" && ! LC_ALL=C grep -q "$(printf '[\001-\011\013-\037\177]')" "$tmp/said"
}
check "names are printed without what drives a terminal" plain

# ---- what is not ---------------------------------------------------------------------------------

for case in \
    'mamba|is of model_type mamba; ' \
    'llama|has no llama.block_count, which each such model' \
    'no_general_architecture|is of model_type missing' \
    'no_gpt2_block_count|has no gpt2.block_count' \
    'layers_text|its gpt2.block_count is not a whole number' \
    'many|n_layer is 2147483648; a whole number from 1' \
    'heads|n_head 3 does not divide n_embd 32' \
    'inner|transformer.h.0.mlp.c_fc.weight is (128, 32), but its metadata makes it (160, 32)' \
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
    'pre|its tokenizer cuts text as '\''viking'\'' does' \
    'no_tokens|has a tokenizer without tokenizer.ggml.tokens' \
    'tokens_numbers|its tokenizer.ggml.tokens is no list of texts' \
    'kind|token 2 is of type 7; 1 to 6 are known' \
    'kind0|token 2 is of type 0; 1 to 6 are known' \
    'kinds|has 264 tokens, but tokenizer.ggml.token_type is of 263' \
    'merge|merge 2, '\''th qq'\'', is not of two tokens that make a third' \
    'token|is not of two tokens that make a third'; do
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
check "inspect finds it" says 'is not of two tokens that make a third' "$model" --verify=1 65
check "but shows the rest" says 'a GGUF file; 28 tensors' "$model"

# ---- out -----------------------------------------------------------------------------------------

model() { # name checkpoint.lua's words...
    mkdir -p "$out/$1" && path=$out/$1/ckpt.safetensors && shift && lua5.4 tests/train/checkpoint.lua "$path" "$@"
}
export_of() { # name flags...
    checkpoint=$out/$1/ckpt.safetensors
    shift
    lua5.4 gen/export.lua --build=build --checkpoint="$checkpoint" --format=gguf "$@"
}
has() { # name words... : lines of the file
    lua5.4 tests/train/gguf_read.lua "$out/$1/$1-${type-float32}.gguf" >"$tmp/read" || return
    shift
    for words in "$@"; do
        grep -qxF -- "$words" "$tmp/read" || { echo "no '$words' in"; cat "$tmp/read"; return 1; }
    done
}
# What a checkpoint says of the model.
said() { # name
    build/inspect --file="$out/$1/ckpt.safetensors" | sed -n 's/^  \(config\|tokenizer\) /\1/p' | tr -s ' '
}
# import(export(x)) is x.
back() { # name
    rm -rf "${out:?}/$1-back"
    export_of "$1" && build/inspect --file="$out/$1/$1-float32.gguf" --verify=1 &&
        lua5.4 gen/import.lua --build=build --out="$out" --name="$1-back" "$out/$1/$1-float32.gguf" &&
        tensors "$out/$1/ckpt.safetensors" >"$tmp/own" && tensors "$out/$1-back/ckpt.safetensors" | cmp - "$tmp/own" &&
        said "$1" >"$tmp/own" && said "$1-back" | diff "$tmp/own" -
}
export_refuses() { # code words flags...
    wanted=$1 words=$2
    shift 2
    export_of lack --to="$out/x" "$@" >"$tmp/said" 2>"$tmp/line"
    code=$?
    [ $code = "$wanted" ] && [ "$(wc -l <"$tmp/line")" = 1 ] && grep -qF -- "$words" "$tmp/line" &&
        [ ! -e "$out/x" ] && [ ! -e "$out/x.tmp" ] && return
    echo "ended with $code, wanted $wanted and '$words'"
    cat "$tmp/line"
    return 1
}
check "a model of characters" model char n_embd=32
check "comes back" back char
check "its sizes" has char 'general.architecture = gpt2' 'general.alignment = 32' 'general.file_type = 0' \
    'gpt2.vocab_size = 7' 'gpt2.context_length = 8' 'gpt2.embedding_length = 32' 'gpt2.block_count = 2' \
    'gpt2.attention.head_count = 2' 'gpt2.feed_forward_length = 128'
check "its tokens, whose bytes are merged" has char 'tokenizer.ggml.model = gpt2' 'tokenizer.ggml.pre = gpt-2' \
    'tokenizer.ggml.tokens = Ċ,Ġ,a,b,Ã©,æĿ±,ðŁĺĢ' 'tokenizer.ggml.token_type = 1,1,1,1,1,1,1' \
    'tokenizer.ggml.merges = Ã ©,æ Ŀ,æĿ ±,ð Ł,ðŁ ĺ,ðŁĺ Ģ' 'tokenizer.ggml.add_bos_token = 0'
check "it ends texts somewhere" grep -q '^tokenizer.ggml.eos_token_id = 6$' "$tmp/read"
check "its tensors" has char 'token_embd.weight F32 (7, 32)' 'position_embd.weight F32 (8, 32)' \
    'blk.1.attn_qkv.weight F32 (96, 32)' 'blk.1.attn_qkv.bias F32 (96)' 'blk.1.ffn_down.weight F32 (32, 128)' \
    'output_norm.bias F32 (32)'
check "no head, which is the table" sh -c "! grep -q '^output.weight' '$tmp/read'"
for case in 'float16 F16 1' 'bfloat16 BF16 30' 'q8_0 Q8_0 7'; do
    # shellcheck disable=SC2086
    set -- $case
    type=$1
    check "$type" export_of char --type="$type"
    check "its matrices alone" has char "token_embd.weight $2 (7, 32)" "blk.0.ffn_up.weight $2 (128, 32)" \
        'position_embd.weight F32 (8, 32)' 'blk.0.ffn_up.bias F32 (128)' 'output_norm.weight F32 (32)'
    check "all of it" says 'all numbers of 28 of 28 tensors are finite; the tokenizer is whole' \
        "$out/char/char-$type.gguf" --verify=1
    check "is read again" lua5.4 gen/import.lua --build=build --out="$out" --name="char-$type" \
        "$out/char/char-$type.gguf"
    unset type
done
type=q4_0
check "$type" export_of char --type=$type
check "its table is in q8_0" has char 'general.file_type = 2' 'token_embd.weight Q8_0 (7, 32)' \
    'blk.0.ffn_up.weight Q4_0 (128, 32)' 'position_embd.weight F32 (8, 32)' 'output_norm.weight F32 (32)'
check "all of it" says 'all numbers of 28 of 28 tensors are finite' "$out/char/char-$type.gguf" --verify=1
check "is read again" lua5.4 gen/import.lua --build=build --out="$out" --name="char-$type" "$out/char/char-$type.gguf"
unset type
check "small halves and sixteenths come back from float16" sh -c "tail -c 25000 '$out/char/ckpt.safetensors' >'$tmp/own' &&
    tail -c 25000 '$out/char-float16/ckpt.safetensors' | cmp - '$tmp/own'"
bytes=
for hidden in 0 1; do
    i=0
    while [ $i -lt 256 ]; do
        case $i in 3[3-9] | [4-9]? | 10? | 11? | 12[0-6] | 16[1-9] | 17[0-24-9] | 1[89]? | 2??) shown=0 ;; *) shown=1 ;; esac
        [ $shown = $hidden ] && bytes=$bytes$(printf %02x $i)
        i=$((i + 1))
    done
done
check "a model of GPT-2's tokens, with rows to spare" model words vocab_size=262 n_embd=32 \
    "tokenizer=bpe gpt2 $bytes 0053004700dc0100 <|endoftext|>"
check "comes back" back words
check "its merges" has words 'tokenizer.ggml.merges = t h,Ġ th' 'tokenizer.ggml.eos_token_id = 258' \
    'tokenizer.ggml.bos_token_id = 258'
check "the rows to spare" grep -q ',th,Ġth,<|endoftext|>,\[PAD259\],\[PAD260\],\[PAD261\]$' "$tmp/read"
check "are unused" grep -q '1,1,3,5,5,5$' "$tmp/read"
for words in "vocab_size=9" "bias=false" "bias=false qkv_bias=true" "qkv_bias=false" "tie_weights=false" \
    "activation=gelu_erf" "n_embd=12" "tokenizer=char 7f 80 7ff 800 ffff 10000 10ffff" "vocab_size=1 tokenizer=char 61"; do
    # shellcheck disable=SC2086
    case $words in
    *tokenizer*) check "a model: $words" model any ${words%%tokenizer*} "tokenizer=${words#*tokenizer=}" ;;
    *) check "a model: $words" model any $words ;;
    esac
    check "comes back" back any
    rm -f "$out/any/any-float32.gguf"
done
check "an unused row ends texts" sh -c "lua5.4 tests/train/checkpoint.lua '$out/any/ckpt.safetensors' vocab_size=9"
check "in a file" export_of any
check "of more rows than tokens" has any 'tokenizer.ggml.eos_token_id = 7' 'tokenizer.ggml.token_type = 1,1,1,1,1,1,1,5,5'
rm -f "$out/any/any-float32.gguf"
check "no biases" model any bias=false
check "are zeros" export_of any
check "in all places" says '28 tensors' "$out/any/any-float32.gguf"
sed -i 's/diecast.config/diecasx.config/' "$out/any/any-float32.gguf"
check "without the key that says so" lua5.4 gen/import.lua --build=build --out="$out" --name=zeros "$out/any/any-float32.gguf"
check "they stay" grep -q 'bias = true' "$out/zeros/zeros.lua"
for case in 'model=bigram|model = bigram: a GPT-2 has layers' \
    "norm=rmsnorm|norm = rmsnorm: a GPT-2's norms are layernorms" \
    'attn_scale=embd|attn_scale = embd: a GPT-2 divides scores' \
    "lm_head_bias=true|lm_head_bias = true: a GPT-2's head has no bias" \
    'activation=relu|activation = relu: llama.cpp computes GELU' \
    'activation=silu|activation = silu: llama.cpp computes GELU' \
    "activation=swiglu|activation = swiglu: a GPT-2's feed-forward layers have no gate" \
    'n_kv_head=1|n_kv_head = 1: each head of a GPT-2 has its own keys' \
    "head_size=4|head_size = 4: a GPT-2's heads" \
    "pos=rope|pos = rope: a GPT-2's positions are a learned table"; do
    # shellcheck disable=SC2086
    check "${case%|*}" model lack ${case%|*}
    check "is refused by name" export_refuses 65 "${case#*|}"
done
check "another width and other norms" model inner n_ff=40 norm_eps=0.001
check "come back" back inner
check "and are in the file" says 'gpt2.attention.layer_norm_epsilon  0.001' "$out/inner/inner-float32.gguf"
check "rows that no block fills" model lack n_embd=48
check "are refused" export_refuses 64 'q8_0 stores 32 neighbours in a row together, and the rows of transformer.wte.weight are 48 long' --type=q8_0
check "rows of one matrix alone" model lack n_embd=32 n_ff=40
check "are refused too" export_refuses 64 'the rows of transformer.h.0.mlp.c_proj.weight are 40 long' --type=q8_0
check "a number that is too large" model lack n_embd=32 scale=5000000
check "is refused" export_refuses 65 'q8_0 ends at 8,319,008; TYPE=bfloat16 holds it' --type=q8_0
check "or for less" export_refuses 65 'q4_0 ends at 524,032; TYPE=bfloat16 holds it' --type=q4_0
check "a type that is none" export_refuses 64 "'q5_0' is not known to FORMAT=gguf" --type=q5_0
no_room() {
    (ulimit -f 20 && export_of lack --to="$out/x") >"$tmp/said" 2>"$tmp/line"
    code=$?
    cat "$tmp/line"
    [ $code = 74 ] && [ "$(wc -l <"$tmp/line")" = 1 ] && grep -q 'cannot write: File too large' "$tmp/line" &&
        [ ! -e "$out/x" ] && [ ! -e "$out/x.tmp" ]
}
check "no room for the file" no_room
note() {
    model erf activation=gelu_erf && export_of erf | grep -q 'activation = gelu_erf: llama.cpp computes GELU by tanh'
}
check "another GELU is said" note
rm -rf "$out"
finish
