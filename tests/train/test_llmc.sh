#!/bin/sh
# test_llmc.sh: llm.c's weights, and nanoGPT's in a safetensors file alone, become a config and a checkpoint with the same
# numbers; llm.c's padding is cut, its tokenizer compared; nanoGPT's meta.pkl is taken; a checkpoint becomes llm.c's files,
# which a reader of llm.c's layout (llmc.lua) reads, and import again; what is wrong is one line.
# shares: llmc
. tests/check.sh

out=build/llmc-test
rm -rf "$out"
mkdir -p "$out"
make build/import build/export build/inspect >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }

import() { # name path words...
    name=$1 path=$2
    shift 2
    lua5.4 gen/import.lua --build=build --out="$out" --name="$name" "$@" "$path"
}
store() { # hf.lua's words...
    rm -rf "$tmp/m"
    mkdir "$tmp/m" && lua5.4 tests/train/hf.lua "$tmp/m" "$@"
}
same_numbers() { # name
    tensors "$out/$1/ckpt.safetensors" | cmp - "$tmp/m/wanted.bin"
}
both() { # name path words...
    import "$@" && same_numbers "$1"
}
config_says() { # name words
    grep -qF -- "$2" "$out/$1/$1.lua" || { cat "$out/$1/$1.lua"; return 1; }
}
# The command ends with this code and one line that has the words; nothing of the import is left.
refuses() { # code words path import's words...
    wanted=$1 words=$2 path=$3
    shift 3
    import refused "$path" "$@" >"$tmp/said" 2>"$tmp/line"
    code=$?
    [ $code = "$wanted" ] && [ "$(wc -l <"$tmp/line")" = 1 ] && grep -qF -- "$words" "$tmp/line" &&
        [ ! -e "$out/refused" ] && return
    echo "ended with $code, wanted $wanted and '$words'"
    cat "$tmp/said" "$tmp/line"
    return 1
}
says() { # words file [flag [code]]
    build/inspect --file="$2" ${3+"$3"} >"$tmp/said" 2>&1
    code=$?
    cat "$tmp/said"
    grep -qF -- "$1" "$tmp/said" && [ $code = "${4-0}" ]
}
# Writes a number of four bytes, little-endian, over those of a file.
poke() { # file offset number
    number=$3 lua5.4 -e 'io.write(("<i4"):pack(os.getenv("number")))' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# ---- llm.c's weights -----------------------------------------------------------------------------

for type in F32 BF16; do
    check "llm.c's weights are written" store layout=llmc type=$type
    check "$type: its numbers are those that were stored" both "llmc-$type" "$tmp/m/model.bin"
done
check "GPT-2 as llm.c has it" config_says llmc-F32 'activation = "gelu_tanh"'
check "has the heads of the header" config_says llmc-F32 'n_head = 2'
check "has biases" config_says llmc-F32 'bias = true'
check "what it is" says "llm.c's weights; 28 tensors" "$tmp/m/model.bin"
check "its padding" says "padded_vocab_size 384" "$tmp/m/model.bin"
check "all of it" says "all numbers of 28 tensors of floats are finite" "$tmp/m/model.bin" --verify=1
cp "$tmp/m/model.bin" "$tmp/good"
poke "$tmp/m/model.bin" 1024 2139095040 # infinity is 7f80 in bfloat16
check "a number that is not finite" says "transformer.wte.weight has a value that is not finite" "$tmp/m/model.bin" --verify=1 65
check "is not imported" refuses 65 "transformer.wte.weight has a value that is not finite" "$tmp/m/model.bin"
head -c 20001 "$tmp/good" >"$tmp/m/model.bin"
check "weights that are cut" refuses 65 "has 20001 bytes, but the sizes in its header take" "$tmp/m/model.bin"
cp "$tmp/good" "$tmp/m/model.bin"
poke "$tmp/m/model.bin" 4 1
check "version 1" refuses 65 "is of version 1; 3, float32, and 5, bfloat16, are read" "$tmp/m/model.bin"
cp "$tmp/good" "$tmp/m/model.bin"
poke "$tmp/m/model.bin" 20 3
check "heads that do not divide" refuses 65 "num_heads 3 does not divide channels 16" "$tmp/m/model.bin"
poke "$tmp/m/model.bin" 0 20240327
check "another file of llm.c's" refuses 65 "is llm.c's debug state; its weights of GPT-2" "$tmp/m/model.bin"
poke "$tmp/m/model.bin" 0 1
check "another file" refuses 65 "is neither a .safetensors nor a .gguf file, nor llm.c's" "$tmp/m/model.bin"
: >"$tmp/m/model.bin"
check "an empty file" refuses 65 "is neither a .safetensors nor a .gguf file, nor llm.c's" "$tmp/m/model.bin"

# ---- its tokens ----------------------------------------------------------------------------------

# Writes gpt2_tokenizer.bin beside a model, of data/gpt2's tokens, with token 7 as said.
tokens() { # token
    token=$1 lua5.4 -e '
        local tokens, bytes, hidden = {}, {}, 256
        for byte = 0, 255 do
            local seen = byte > 32 and byte < 127 or byte > 160 and byte ~= 173
            bytes[utf8.char(seen and byte or hidden)] = string.char(byte)
            if not seen then hidden = hidden + 1 end
        end
        for token, id in pairs(require("dkjson").decode(io.open("data/gpt2/encoder.json"):read("a"))) do
            tokens[id] = token == "<|endoftext|>" and token or (token:gsub(utf8.charpattern, bytes))
        end
        if os.getenv("token") ~= "" then tokens[7] = os.getenv("token") end
        local header = ("<i4i4i4i4"):pack(20240328, 2, 50257, 50256)
        local parts = { header .. ("\0"):rep(1024 - #header) }
        for id = 0, 50256 do parts[#parts + 1] = ("<s1"):pack(tokens[id]) end
        io.write(table.concat(parts))' >"$tmp/m/gpt2_tokenizer.bin"
}
if [ -f data/gpt2/vocab.bpe ] && [ -f data/gpt2/encoder.json ]; then
    check "a model of GPT-2's vocabulary is written" store layout=llmc vocab=50257
    check "and its tokens" tokens ""
    check "they are read" says "llm.c's tokenizer, of version 2: 50257 tokens; <|endoftext|> is 50256" "$tmp/m/gpt2_tokenizer.bin"
    check "the model has them" both tokens "$tmp/m/model.bin"
    check "with the merges of data/gpt2" says "gpt2, 50257 tokens" "$out/tokens/ckpt.safetensors"
    check "another token is written" tokens x
    check "and found" refuses 65 "gpt2_tokenizer.bin: token 7 has other bytes than the tokenizer's" "$tmp/m/model.bin"
    head -c 5000 "$tmp/m/gpt2_tokenizer.bin" >"$tmp/cut"
    mv "$tmp/cut" "$tmp/m/gpt2_tokenizer.bin"
    check "tokens that are cut" refuses 65 "gpt2_tokenizer.bin: states 50257 tokens, for which its 5000 bytes have no room" "$tmp/m/model.bin"
    check "are no tokenizer" says "have no room" "$tmp/m/gpt2_tokenizer.bin" --verify=1 65
else
    skipped=$((skipped + 1))
    echo "test_llmc: GPT-2's tokens: skipped: data/gpt2/vocab.bpe and encoder.json are not there"
fi

# ---- exported to llm.c ---------------------------------------------------------------------------

model() { # name checkpoint.lua's words...
    rm -rf "${out:?}/$1" && mkdir "$out/$1" && to=$out/$1/ckpt.safetensors && shift &&
        lua5.4 tests/train/checkpoint.lua "$to" "$@"
}
export_of() { # name flags...
    checkpoint=$out/$1/ckpt.safetensors
    shift
    lua5.4 gen/export.lua --build=build --checkpoint="$checkpoint" --format=llmc "$@"
}
reads() { # name type tensors
    [ "$(lua5.4 tests/train/llmc.lua "$out/$1/$1-$2.bin" "$out/$1/ckpt.safetensors")" = "$3 tensors" ]
}
# import(export(x)) has x's tensors.
back() { # name
    rm -rf "${out:?}/$1-back"
    import "$1-back" "$out/$1/$1-float32.bin" && tensors "$out/$1/ckpt.safetensors" >"$tmp/own" &&
        tensors "$out/$1-back/ckpt.safetensors" | cmp - "$tmp/own"
}
check "a model" model x
for type in float32 bfloat16; do
    check "in $type" export_of x --type=$type
    check "$type: llm.c's reader reads each tensor" reads x $type 28
    check "$type: all of it" says 'all numbers of 28 tensors of floats are finite' "$out/x/x-$type.bin" --verify=1
done
check "and back" back x
check "characters have no file of llm.c's" [ ! -e "$out/x/gpt2_tokenizer.bin" ]
check "three layers, heads, a vocabulary of 128" model x n_layer=3 n_head=3 n_embd=12 vocab_size=128 block_size=5
check "in float32" export_of x
check "is read" reads x float32 40
check "and back" back x
check "numbers that bfloat16 rounds" model x scale=1.2345
check "in bfloat16" export_of x --type=bfloat16
check "are rounded" reads x bfloat16 28
check "no biases" model x bias=false
bias_is_said() {
    export_of x | grep -F 'bias = false: llm.c has biases and trains them; they are zeros'
}
check "are said" bias_is_said
check "and are zeros" reads x float32 28
lacks() { # words checkpoint.lua's words...
    words=$1
    shift
    model lack "$@" && export_of lack >"$tmp/said" 2>"$tmp/line"
    [ $? = 65 ] && [ "$(wc -l <"$tmp/line")" = 1 ] && grep -qF -- "$words" "$tmp/line" && [ "$(ls "$out/lack")" = ckpt.safetensors ]
}
check "an untied head is refused" lacks "tie_weights = false: llm.c's head is the table of tokens" tie_weights=false
check "relu is refused" lacks "activation = relu: llm.c computes GELU" activation=relu
check "silu is refused" lacks "activation = silu: llm.c computes GELU" activation=silu
check "rmsnorm is refused" lacks "norm = rmsnorm" norm=rmsnorm
check "a bias of the head is refused" lacks "lm_head_bias = true" lm_head_bias=true
check "another scale of attention is refused" lacks "attn_scale = embd" attn_scale=embd
check "a bigram is refused" lacks "model = bigram" model=bigram
check "float16 is no type of llm.c's" model x
float16() {
    export_of x --type=float16 2>"$tmp/line"
    [ $? = 64 ] && grep -qF "TYPE: 'float16' is not known to FORMAT=llmc; there are: float32, bfloat16" "$tmp/line"
}
check "and is refused" float16
if [ -f data/gpt2/vocab.bpe ] && [ -f data/gpt2/encoder.json ]; then
    check "GPT-2's tokens" mv "$out/tokens" "$out/gpt2"
    check "with the model" export_of gpt2 --type=bfloat16
    check "are llm.c's tokenizer" lua5.4 tests/train/llmc.lua "$out/gpt2/gpt2_tokenizer.bin" data/gpt2/encoder.json
    check "which is taken as it is" export_of gpt2
    check "the model has 50,304 rows" reads gpt2 float32 28
    check "and back" back gpt2
    rm "$out"/gpt2/*.bin
    printf x >"$out/gpt2/gpt2_tokenizer.bin"
    other_tokens() {
        export_of gpt2 2>"$tmp/line"
        [ $? = 64 ] && grep -qF "gpt2_tokenizer.bin: is there already, and is not of this model's tokens" "$tmp/line" &&
            [ "$(cat "$out/gpt2/gpt2_tokenizer.bin")" = x ] && [ ! -e "$out/gpt2/gpt2-float32.bin" ]
    }
    check "other tokens are not written over" other_tokens
    rm "$out/gpt2/gpt2_tokenizer.bin"
    full() { # a limit of 512 KiB, which the tokens pass and the weights do not
        (ulimit -f 1024 && export_of gpt2) 2>"$tmp/line"
        [ $? = 74 ] && [ "$(wc -l <"$tmp/line")" = 1 ] && grep -qF 'cannot write' "$tmp/line" &&
            [ -z "$(find "$out/gpt2" -name '*bin*' -o -name '*tmp*')" ]
    }
    check "a disk that is full leaves nothing" full
    own_name() {
        export_of gpt2 --to="$out/gpt2/gpt2_tokenizer.bin" 2>"$tmp/line"
        [ $? = 64 ] && grep -qF 'is the name of the tokens beside it' "$tmp/line" && [ ! -e "$out/gpt2/gpt2_tokenizer.bin" ]
    }
    check "weights are not called as the tokens are" own_name
fi

# ---- nanoGPT's weights alone ---------------------------------------------------------------------

i=0
for words in "" "type=BF16" "bias=false" "head=true" "type=F16 bias=false head=true"; do
    i=$((i + 1))
    # shellcheck disable=SC2086
    check "nanoGPT's weights are written" store layout=nanogpt $words
    check "its numbers are those that were stored: $words" both "nano$i" "$tmp/m/model.safetensors"
done
check "nanoGPT's GELU" config_says nano1 'activation = "gelu_erf"'
check "biases, or none" config_says nano3 'bias = false'
dropout_is_said() {
    import again "$tmp/m" | grep -F 'dropout = 0.1 is left out: dropout is 0'
}
check "its dropout is said" dropout_is_said
check "a folder with such a file" both folder "$tmp/m"
check "nobody says how many heads" store layout=nanogpt n_head=0
check "so it is asked for" refuses 65 'SET="n_head=12" does' "$tmp/m/model.safetensors"
check "and taken" both asked "$tmp/m/model.safetensors" --set=n_head=4 --set=activation=gelu_tanh
check "with the activation" config_says asked 'activation = "gelu_tanh"'
check "heads are those" config_says asked 'n_head = 4'
check "heads that do not divide" refuses 65 'n_head 5 does not divide n_embd 16' "$tmp/m/model.safetensors" --set=n_head=5
check "heads that are no number" refuses 65 'n_head is x' "$tmp/m/model.safetensors" --set=n_head=x
check "another key" refuses 64 "make import takes n_head and activation alone" "$tmp/m/model.safetensors" --set=n_layer=2
check "a file that says it" store layout=nanogpt
check "is not contradicted" refuses 64 "n_head=4, but" "$tmp/m/model.safetensors" --set=n_head=4
check "Hugging Face's weights" store
rm "$tmp/m/config.json"
check "without a config.json" refuses 65 'SET="n_head=12" does' "$tmp/m"
check "take the heads too" both theirs "$tmp/m" --set=n_head=2
check "and their GELU" config_says theirs 'activation = "gelu_tanh"'
check "a file that says it" store layout=nanogpt
: >"$tmp/m/ckpt.pt"
check "a PyTorch file" refuses 65 'tests/reference/pytorch.py makes a .safetensors file' "$tmp/m/ckpt.pt"
sed 's/transformer.wte/transformer.xte/' "$tmp/m/model.safetensors" >"$tmp/m/other.safetensors"
check "another model" refuses 65 'has no matrix wte.weight' "$tmp/m/other.safetensors"
sed 's/transformer.h.1.ln_2.bias/transformer.h.1.ln_3.bias/' "$tmp/m/model.safetensors" >"$tmp/m/other.safetensors"
check "one that lacks a tensor" refuses 65 'has no transformer.h.1.ln_2.bias, which its list of tensors makes (16)' "$tmp/m/other.safetensors"

# nanoGPT's meta.pkl of the characters a to d.
pickle() {
    printf '\200\004}(\214\012vocab_sizeK\004\214\004itos}(K\000\214\001aK\001\214\001bK\002\214\001cK\003\214\001du\214\004stoi}(\214\001aK\000\214\001bK\001\214\001cK\002\214\001dK\003uu.' \
        >"$tmp/m/meta.pkl"
}
check "nanoGPT's characters" pickle
check "are the tokenizer" import characters "$tmp/m/model.safetensors"
check "of four characters" says "char, 4 characters" "$out/characters/ckpt.safetensors"
printf 'cos\nsystem\n.' >"$tmp/m/meta.pkl"
check "a pickle that is none" refuses 65 "meta.pkl: " "$tmp/m/model.safetensors"
rm -rf "$out"
finish
