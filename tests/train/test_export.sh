#!/bin/sh
# test_export.sh: a checkpoint becomes the files of other tools: what is in them, byte for byte where that can be; what a
# format cannot express is refused by name; nothing is written over, or left half-done.
# shares: export
. tests/check.sh

out=build/export-test
rm -rf "$out"
mkdir -p "$out"
make build/import build/export build/inspect >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }

# Runs gen/export.lua on $1, a folder of $out; the words are its flags.
export_of() { # name flags...
    checkpoint=$out/$1/ckpt.safetensors
    shift
    lua5.4 gen/export.lua --build=build --checkpoint="$checkpoint" "$@"
}
# The command ends with this code and one line that has the words; $out/x does not appear.
refuses() { # code words command...
    wanted=$1 words=$2
    shift 2
    "$@" --to="$out/x" >"$tmp/said" 2>"$tmp/line"
    code=$?
    [ $code = "$wanted" ] && [ "$(wc -l <"$tmp/line")" = 1 ] && grep -qF -- "$words" "$tmp/line" &&
        [ ! -e "$out/x" ] && [ ! -e "$out/x.tmp" ] && return
    echo "ended with $code, wanted $wanted and '$words'"
    cat "$tmp/line"
    return 1
}
verified() { # path words...
    build/inspect --file="$1" --verify=1 >"$tmp/said" || return
    shift
    for words in "$@"; do
        grep -qF -- "$words" "$tmp/said" || { echo "no '$words' in"; cat "$tmp/said"; return 1; }
    done
}

# A checkpoint with made-up weights in $out/NAME; the words are tests/train/checkpoint.lua's.
model() { # name words...
    mkdir -p "$out/$1" && to=$out/$1/ckpt.safetensors && shift &&
        lua5.4 tests/train/checkpoint.lua "$to" "$@"
}

# ---- safetensors ---------------------------------------------------------------------------------

mkdir "$tmp/hf"
check "a model is written" lua5.4 tests/train/hf.lua "$tmp/hf"
check "and imported" lua5.4 gen/import.lua --build=build --out="$out" --name=m "$tmp/hf"
for type in float32 bfloat16 float16; do
    check "$type" export_of m --format=safetensors --type=$type
    check "$type: all of it" verified "$out/m/m-$type.safetensors" '29 of 29 tensors have a hash' \
        'a model that make export made; 29 tensors, 16,320 numbers'
done
same_tensors() {
    tensors "$out/m/ckpt.safetensors" >"$tmp/own"
    tensors "$out/m/m-float32.safetensors" | cmp - "$tmp/own"
}
check "float32 has the checkpoint's bytes" same_tensors
# The weights are numbers that all types hold: what is converted and read again is what it was.
again() { # type
    mkdir -p "$out/again-$1" && cp "$out/m/m-$1.safetensors" "$out/again-$1/ckpt.safetensors" &&
        export_of "again-$1" --format=safetensors --to="$out/again-$1/f32" &&
        tensors "$out/again-$1/f32" | cmp - "$tmp/own"
}
check "bfloat16 read again" again bfloat16
check "float16 read again" again float16
check "it is imported" lua5.4 gen/import.lua --build=build --out="$out" --name=sf "$out/m/m-float32.safetensors"
check "with the same bytes" cmp "$out/sf/ckpt.safetensors" "$out/m/ckpt.safetensors"
check "the default is float32" export_of m --format=safetensors --to="$out/default"
check "with the same bytes" cmp "$out/default" "$out/m/m-float32.safetensors"

# ---- Hugging Face's folder ------------------------------------------------------------------------

files_are() { # folder names
    found=$(ls "$1") && [ "$(echo $found)" = "$2" ] || { echo "there are: $found"; return 1; }
}
has() { # file words...
    file=$1
    shift
    for words in "$@"; do
        grep -qF -- "$words" "$file" || { echo "no '$words' in"; cat "$file"; return 1; }
    done
}
no_tokenizer() {
    export_of m --format=hf >"$tmp/said" && has "$tmp/said" 'has no tokenizer, so none is written'
}
check "a folder for transformers" no_tokenizer
check "its files" files_are "$out/m/hf" 'config.json generation_config.json model.safetensors'
check "its sizes" has "$out/m/hf/config.json" '"n_layer": 2' '"n_head": 2' '"n_embd": 16' '"n_inner": 64' \
    '"n_positions": 8' '"n_ctx": 8' '"vocab_size": 300' '"activation_function": "gelu_new"' \
    '"tie_word_embeddings": true' '"bos_token_id": null' '"eos_token_id": null' '"torch_dtype": "float32"'
check "all of it, by the folder's name" verified "$out/m/hf" 'a model that make export made; 28 tensors, 11,520 numbers' \
    '28 of 28 tensors have a hash' 'F32   (16, 48)'
# Each tensor as Hugging Face has it: what was imported comes out again.
theirs() { # folder
    build/inspect --file="$1" | sed -n 's/^  \(transformer\.\)\{0,1\}\([a-z]*[._][a-z0-9_.]*  *F32 .*\)/\2/p' |
        tr -s ' ' | sort
}
same_names() {
    theirs "$tmp/hf" >"$tmp/theirs" && theirs "$out/m/hf" | diff "$tmp/theirs" - && [ "$(wc -l <"$tmp/theirs")" = 28 ]
}
check "the tensors of the model that was imported" same_names
import() { # name folder
    lua5.4 gen/import.lua --build=build --out="$out" --name="$1" "$2"
}
# import(export(x)) has x's tensors.
back() { # name
    export_of "$1" --format=hf --to="$out/$1-hf" && verified "$out/$1-hf" && import "$1-back" "$out/$1-hf" &&
        tensors "$out/$1/ckpt.safetensors" >"$tmp/own" &&
        tensors "$out/$1-back/ckpt.safetensors" | cmp - "$tmp/own" &&
        said "$out/$1/ckpt.safetensors" >"$tmp/own" && said "$out/$1-back/ckpt.safetensors" | diff "$tmp/own" -
}
# What a file's metadata says of the model.
said() { # path
    build/inspect --file="$1" | sed -n 's/^  \(config\|tokenizer\) /\1/p' | tr -s ' '
}
# A folder without hashes, in whose weights a program makes a change: as other tools leave it.
changed() { # name sed script
    rm -rf "$out/changed" && cp -r "$out/$1" "$out/changed" && sed -i "s/\"xxh3/\"yxh3/g;$2" "$out/changed/model.safetensors"
}
check "and back" back m
for type in bfloat16 float16; do
    check "a folder in $type" export_of m --format=hf --type=$type --to="$out/m-$type"
    check "$type says so" has "$out/m-$type/config.json" "\"torch_dtype\": \"$type\""
    check "$type: all of it" verified "$out/m-$type" '28 of 28 tensors have a hash' 'all numbers of 28 tensors of floats are finite'
    check "$type is read again" import "m-$type-back" "$out/m-$type"
done
check "with characters" model char
check "a folder with its tokenizer" export_of char --format=hf
check "its files" files_are "$out/char/hf" \
    'config.json generation_config.json model.safetensors tokenizer.json tokenizer_config.json vocab.json'
check "its tokens" has "$out/char/hf/vocab.json" '{"\u000a":0," ":1,"a":2,"b":3,"é":4,"東":5,"😀":6}'
check "its tokenizer" has "$out/char/hf/tokenizer.json" '"type":"WordLevel"' '"decoder":{"type":"Fuse"}' \
    '{"\u000a":0," ":1,"a":2,"b":3,"é":4,"東":5,"😀":6}'
check "its class" has "$out/char/hf/tokenizer_config.json" '"tokenizer_class": "PreTrainedTokenizerFast"' \
    '"bos_token": null' '"eos_token": null'
for case in 'gelu_tanh gelu_new' 'gelu_erf gelu' 'relu relu' 'silu silu'; do
    name=act-${case% *}
    check "activation ${case% *}" model "$name" "activation=${case% *}"
    check "is theirs, and back" back "$name"
    check "as ${case#* }" has "$out/$name-hf/config.json" "\"activation_function\": \"${case#* }\""
done
check "another width and other norms" model inner n_ff=24 norm_eps=0.001
check "are theirs, and back" back inner
check "as said" has "$out/inner-hf/config.json" '"n_inner": 24' '"layer_norm_epsilon": 0.001'
check "an untied head" model untied tie_weights=false
check "is stored" export_of untied --format=hf
check "as it is" verified "$out/untied/hf" 'lm_head.weight                      F32   (7, 16)'
check "and said" has "$out/untied/hf/config.json" '"tie_word_embeddings": false'
check "more rows than tokens" model padded vocab_size=10
check "are kept" export_of padded --format=hf
check "and not written" has "$out/padded/hf/generation_config.json" '"suppress_tokens": [7, 8, 9]'
check "no biases" model plain bias=false
check "are zeros" export_of plain --format=hf
check "in all places" verified "$out/plain/hf" '28 tensors'
check "biases of queries, keys and values alone" model qkv bias=false qkv_bias=true
check "and zeros" export_of qkv --format=hf
check "in the others" verified "$out/qkv/hf" '28 tensors'
check "all but those" model others bias=true qkv_bias=false
for name in char untied padded plain qkv others; do
    check "$name, and back" back $name
done
check "a NUL among the characters" model nul "tokenizer=char 00 0a 61 10ffff"
check "comes back" back nul
check "a vocabulary of one" model one vocab_size=1 "tokenizer=char 61"
check "comes back" back one

# ---- what transformers may have made of it -------------------------------------------------------

check "without the key that says what was added" changed plain-hf 's/"diecast"/"diecasz"/'
check "it is imported" import changed "$out/changed"
check "with all biases" has "$out/changed/changed.lua" 'bias = true'
check "its tokenizer too" said "$out/changed/ckpt.safetensors"
check "a bias that is no more zero" changed plain-hf ''
printf '\000\000\200\077' | dd of="$out/changed/model.safetensors" bs=1 conv=notrunc \
    seek=$(($(stat -c %s "$out/changed/model.safetensors") - 4)) 2>/dev/null
import_refuses() { # words
    rm -rf "$out/refused"
    import refused "$out/changed" >"$tmp/said" 2>"$tmp/line"
    code=$?
    [ $code = 65 ] && tail -n 1 "$tmp/line" | grep -qF -- "$1" && [ ! -e "$out/refused" ] && return
    echo "ended with $code, wanted 65 and '$1'"
    cat "$tmp/line"
    return 1
}
check "is not dropped" import_refuses 'transformer.ln_f.bias is not zero, but the model that make export wrote has no such bias'
check "other sizes in config.json" changed plain-hf ''
sed -i 's/"n_head": 2/"n_head": 4/' "$out/changed/config.json"
check "are refused" import_refuses 'n_head is 4, but n_head is 2 in the metadata that make export wrote (diecast)'
check "a config that is none" changed plain-hf 's/"diecast":"model=gpt n_layer=2/"diecast":"model=gpt n_layer=x/'
check "is refused" import_refuses "n_layer = 'x'"
for case in 's/"a":2,"b":3/"b":2,"a":3/|token 3 is no character, or before the one of token 2' \
    's/"a":2/"ab":2/|token 2 is no character' \
    's/"a":2/"a":3/|its 7 tokens do not have the ids 0, 1, 2 ..., each once' \
    's/"a":2/"a":7/|its 7 tokens do not have the ids 0, 1, 2 ..., each once' \
    's/"a":2/"a":"2"/|its 7 tokens do not have the ids 0, 1, 2 ..., each once' \
    's/WordLevel/Unigram/|its model is Unigram'; do
    check "characters: ${case%|*}" changed char-hf ''
    sed -i "${case%|*}" "$out/changed/tokenizer.json"
    check "are refused" import_refuses "${case#*|}"
done
for case in 'model=bigram|model = bigram: a GPT-2 has layers' \
    "norm=rmsnorm|norm = rmsnorm: a GPT-2's norms are layernorms" \
    'attn_scale=embd|attn_scale = embd: a GPT-2 divides scores' \
    "lm_head_bias=true|lm_head_bias = true: a GPT-2's head has no bias" \
    "tie_weights=false lm_head_bias=true|lm_head_bias = true: a GPT-2's head has no bias"; do
    # shellcheck disable=SC2086
    check "${case%|*}" model lack ${case%|*}
    check "is refused by name" refuses 65 "${case#*|}" export_of lack --format=hf
done
check "which the format of our own takes" export_of lack --format=safetensors
for words in "model=bigram" "norm=rmsnorm attn_scale=embd tie_weights=false lm_head_bias=true bias=false"; do
    # shellcheck disable=SC2086
    check "$words" model any $words
    rm -rf "$out/any-back" "$out/any/any-float32.safetensors"
    check "is exported" export_of any --format=safetensors
    check "and imported" import any-back "$out/any/any-float32.safetensors"
    tensors "$out/any/ckpt.safetensors" >"$tmp/own"
    tensors "$out/any-back/ckpt.safetensors" >"$tmp/back"
    check "the same" cmp "$tmp/own" "$tmp/back"
done
leftover() {
    mkdir "$out/left.tmp" && echo half >"$out/left.tmp/config.json" && echo half >"$out/left.tmp/model.safetensors.tmp" &&
        export_of m --format=hf --to="$out/left/" && [ ! -e "$out/left.tmp" ] &&
        files_are "$out/left" 'config.json generation_config.json model.safetensors' &&
        cmp "$out/left/config.json" "$out/m/hf/config.json"
}
check "what a killed export left is no hindrance" leftover
not_ours() {
    mkdir "$out/other.tmp" && echo mine >"$out/other.tmp/mine"
    export_of m --format=hf --to="$out/other" 2>"$tmp/line"
    [ $? = 74 ] && grep -q 'other.tmp: cannot be made a folder: ' "$tmp/line" && [ "$(cat "$out/other.tmp/mine")" = mine ] &&
        [ ! -e "$out/other" ]
}
check "a folder of somebody else's is" not_ours
if [ -f data/gpt2/vocab.bpe ] && [ -f data/gpt2/encoder.json ]; then
    cp -r "$tmp/hf" "$tmp/gpt2"
    check "a model with GPT-2's tokens is written" lua5.4 tests/train/hf.lua "$tmp/gpt2" vocab=50257
    cp data/gpt2/vocab.bpe "$tmp/gpt2/merges.txt"
    cp data/gpt2/encoder.json "$tmp/gpt2/vocab.json"
    check "and imported" import gpt2 "$tmp/gpt2"
    check "and exported" export_of gpt2 --format=hf
    check "its files" files_are "$out/gpt2/hf" 'config.json generation_config.json merges.txt model.safetensors tokenizer.json tokenizer_config.json vocab.json'
    check "its merges" cmp data/gpt2/vocab.bpe "$out/gpt2/hf/merges.txt"
    check "the token that ends a text" has "$out/gpt2/hf/config.json" '"bos_token_id": 50256' '"eos_token_id": 50256'
    check "and back" back gpt2
    check "with the same tokenizer, and all else" cmp "$out/gpt2/ckpt.safetensors" "$out/gpt2-back/ckpt.safetensors"
    rm "$out/gpt2/hf/merges.txt"
    check "tokenizer.json alone says it too" import gpt2-json "$out/gpt2/hf"
    check "the same" cmp "$out/gpt2/ckpt.safetensors" "$out/gpt2-json/ckpt.safetensors"
else
    skipped=$((skipped + 1))
    echo "test_export: GPT-2's tokens: skipped: data/gpt2/vocab.bpe and encoder.json are not there"
fi

# ---- the command ---------------------------------------------------------------------------------

command_says() { # wanted words...
    wanted=$1
    shift
    make export CONFIG="$out/m/m.lua" RUN="--out_dir=$out/m" BUILD="$out/build" "$@" >"$tmp/said" 2>&1
    code=$?
    cat "$tmp/said"
    [ $code = "$wanted" ]
}
check "make export" command_says 0 FORMAT=hf TO="$out/by make"
check "says what to type next" has "$tmp/said" "next: make inspect FILE='$out/by make' VERIFY=1"
check "writes the same" cmp "$out/by make/model.safetensors" "$out/m/hf/model.safetensors"
check "make export without a format" command_says 2
check "says which there are" has "$tmp/said" 'FORMAT: is missing; there are: hf, '
check "make export without a run" command_says 2 FORMAT=hf RUN="--out_dir=$out/none"
check "says so" has "$tmp/said" 'no run is there; make train'

# ---- what is wrong -------------------------------------------------------------------------------

check "no format" refuses 64 'FORMAT: is missing; there are: ' export_of m
check "an unknown format" refuses 64 "FORMAT: 'onnx' is not known; there are: " export_of m --format=onnx
check "an unknown type" refuses 64 "TYPE: 'q4' is not known to FORMAT=safetensors; there are: float32, bfloat16, float16" \
    export_of m --format=safetensors --type=q4
check "no checkpoint" refuses 66 'cannot open' export_of none --format=safetensors
sum=$(sha256sum <"$out/default")
there() {
    export_of m --format=safetensors --to="$out/default" 2>"$tmp/line"
    [ $? = 64 ] && grep -q 'default: is there already; remove it, or name another place with TO=path' "$tmp/line" &&
        [ "$(sha256sum <"$out/default")" = "$sum" ]
}
check "what is there is not replaced" there
no_folder() {
    export_of m --format=safetensors --to="$out/none/x" 2>"$tmp/line"
    [ $? = 74 ] && [ "$(wc -l <"$tmp/line")" = 1 ] && grep -q 'cannot write' "$tmp/line"
}
check "no such folder" no_folder
mkdir "$out/flipped"
cp "$out/m/ckpt.safetensors" "$out/flipped"
printf '\001' | dd of="$out/flipped/ckpt.safetensors" bs=1 seek=$(($(stat -c %s "$out/flipped/ckpt.safetensors") - 5)) \
    conv=notrunc 2>/dev/null
check "a flipped byte" refuses 65 'has hash' export_of flipped --format=safetensors
last_value() { # name bytes
    model "$1" && printf "$2" | dd of="$out/$1/ckpt.safetensors" bs=1 conv=notrunc \
        seek=$(($(stat -c %s "$out/$1/ckpt.safetensors") - 4)) 2>/dev/null
}
check "a weight that is no number" last_value nan '\000\000\300\177'
check "is not exported" refuses 65 'lm_head.weight has a value that is not finite' export_of nan --format=hf
check "a weight of 1e5" last_value large '\000\120\303\107'
check "is none of float16" refuses 65 'lm_head.weight has the value 100000, and float16 ends at 65,504' \
    export_of large --format=safetensors --type=float16
check "but one of bfloat16" export_of large --format=safetensors --type=bfloat16
check "another tensor" model more
sed -i 's/transformer\.ln_f\.bias/transformer.ln_g.bias/' "$out/more/ckpt.safetensors"
check "is refused by name" refuses 65 'has transformer.ln_g.bias, which its config does not have' export_of more --format=hf
check "no config" model bare
sed -i 's/"config":/"confit":/' "$out/bare/ckpt.safetensors"
check "is refused" refuses 65 'has no config in its metadata' export_of bare --format=hf
check "a config of another version" model later
sed -i 's/attn_scale=head/attn_skale=head/' "$out/later/ckpt.safetensors"
check "is refused by the key" refuses 65 "its config has 'attn_skale=head', which no key of this version is" \
    export_of later --format=hf
check "a config that is none" model wrong
sed -i 's/n_layer=2/n_layer=0/' "$out/wrong/ckpt.safetensors"
check "is refused by the value" refuses 65 'n_layer = 0; wanted a whole number from 1' export_of wrong --format=hf
check "sizes that are not the weights'" model sizes
sed -i 's/n_embd=16/n_embd=32/' "$out/sizes/ckpt.safetensors"
check "are refused by name" refuses 65 'transformer.wte.weight is (7, 16), but its config makes it (7, 32)' \
    export_of sizes --format=hf
rm -rf "$out"
finish
