#!/bin/sh
# test_import_llama.sh: models with Hugging Face's names, of each of the Llama family, are trained for a step; their
# weights alone, with a config.json beside them, become the same config and the same tensors again, and so does what make
# export writes of them.
# shares: import
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh

out=build/import-llama-test
rm -rf "$out"
mkdir -p "$out"
make build/import build/export build/inspect >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
data_set letters

sizes='"num_hidden_layers":2,"num_attention_heads":4,"hidden_size":32,"vocab_size":31,"intermediate_size":40,
"max_position_embeddings":16,"num_key_value_heads":2,"rms_norm_eps":1e-6'
# Trains one for a step, and puts its tensors and a config.json into $tmp/NAME-hf.
made() { # name, config's words, config.json's words
    {
        echo 'return { n_layer = 2, n_head = 4, n_embd = 32, n_ff = 40, block_size = 16, n_kv_head = 2, bias = false,'
        echo 'norm = "rmsnorm", norm_eps = 1e-6, pos = "rope", tensor_names = "llama", batch_size = 2, max_iters = 1,'
        echo 'gradient_accumulation_steps = 1, eval_interval = 1, eval_iters = 1, dataset = "letters",'
        echo "data_dir = \"$tmp\", out_dir = \"$tmp/$1\", $2 }"
    } >"$out/$1.lua"
    make train CONFIG="$out/$1.lua" PROGRAMS=train && mkdir "$tmp/$1-hf" &&
        lua5.4 tests/train/plain.lua "$tmp/$1/ckpt.safetensors" "$tmp/$1-hf/model.safetensors" || return
    echo "{$sizes,$3}" >"$tmp/$1-hf/config.json"
}
imported() { # name
    lua5.4 gen/import.lua --out="$out" --name="$1-in" "$tmp/$1-hf" || return
    tensors "$tmp/$1/ckpt.safetensors" >"$tmp/own"
    tensors "$out/$1-in/ckpt.safetensors" | cmp - "$tmp/own"
}
# The imported config is a model of the same keys: its trainer takes the first one's weights.
goes_on() { # name
    make build CONFIG="$out/$1-in/$1-in.lua" SET="batch_size=2" PROGRAMS="train eval" || return
    for file in "$tmp/$1/ckpt.safetensors" "$out/$1-in/ckpt.safetensors"; do
        "build/$1-in-batch_size@2/cpu/train" --init_from="$file" --dataset=letters --data_dir="$tmp" --eval_only=true \
            --eval_iters=3 --out_dir="$tmp/$1-eval" | grep '^step 0' || return
    done | uniq >"$tmp/losses"
    [ "$(wc -l <"$tmp/losses")" = 1 ] || { cat "$tmp/losses"; return 1; }
}
# What is exported is the model whole: config, tokenizer and tensors come back.
comes_back() { # name format
    to=$out/$1-$2
    [ "$2" = hf ] || to=$to.gguf
    lua5.4 gen/export.lua --checkpoint="$out/$1-in/ckpt.safetensors" --format="$2" --to="$to" &&
        build/inspect --file="$to" --verify=1 && lua5.4 gen/import.lua --out="$out" --name="$1-$2-in" "$to" &&
        cmp "$out/$1-in/ckpt.safetensors" "$out/$1-$2-in/ckpt.safetensors" || return
    # Its sizes are read without our own config, too.
    [ "$2" = gguf ] && return
    lua5.4 tests/train/plain.lua "$to/model.safetensors" "$to/plain" && mv "$to/plain" "$to/model.safetensors" &&
        lua5.4 gen/import.lua --out="$out" --name="$1-plain-in" "$to" &&
        cmp "$out/$1-in/ckpt.safetensors" "$out/$1-plain-in/ckpt.safetensors"
}
while IFS='|' read -r name keys json; do
    check "$name: a model is trained" made "$name" "$keys" "$json"
    check "$name: it is imported, each tensor the same" imported "$name"
    check "$name: the imported config computes the same" goes_on "$name"
    check "$name: it comes back from transformers' files" comes_back "$name" hf
    case $name in
        tied | nanochat) ;; # what GGUF cannot say
        *) check "$name: it comes back from a GGUF file" comes_back "$name" gguf ;;
    esac
done <<'END'
llama|activation = "swiglu", tie_weights = false, rope_theta = 500|"model_type":"llama","rope_theta":500
tied|activation = "geglu", qkv_bias = true, attn_bias = true, mlp_bias = true|"model_type":"llama","hidden_act":"gelu","attention_bias":true,"mlp_bias":true,"tie_word_embeddings":true
scaled|activation = "swiglu", rope_scaling = "llama3", rope_original_context = 8|"model_type":"llama","tie_word_embeddings":true,"rope_parameters":{"rope_type":"llama3","rope_theta":10000.0,"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8}
qwen2|activation = "swiglu", qkv_bias = true|"model_type":"qwen2","tie_word_embeddings":true
qwen3|activation = "swiglu", qk_norm = "gain", head_size = 10, tie_weights = false|"model_type":"qwen3","head_dim":10
arcee|activation = "relu2"|"model_type":"arcee","tie_word_embeddings":true
nanochat|tensor_names = "nanochat", activation = "relu2", norm_gain = false, embd_norm = true, rope_sign = -1, qk_norm = "plain", qk_norm_at = "after", logit_softcap = 12.5, tie_weights = false, qkv_bias = true, attn_bias = true|"model_type":"nanochat","final_logit_softcapping":12.5,"attention_bias":true
END
check "the config says what it is" grep -q 'qk_norm = "gain"' "$out/qwen3-in/qwen3-in.lua"

# A context that is too long to be baked at import is the model's own all the same, in what is exported of it.
long() {
    mkdir "$tmp/long-hf" && cp "$tmp/qwen2-hf/model.safetensors" "$tmp/long-hf/" &&
        sed 's/"max_position_embeddings":16/"max_position_embeddings":32768/' "$tmp/qwen2-hf/config.json" \
            >"$tmp/long-hf/config.json" && lua5.4 gen/import.lua --out="$out" --name=long-in "$tmp/long-hf" || return
    grep 'block_size = 1024' "$out/long-in/long-in.lua" && comes_back long hf && comes_back long gguf &&
        grep '"max_position_embeddings": 32768' "$out/long-hf/config.json" &&
        build/inspect --file="$out/long-gguf.gguf" | grep 'qwen2.context_length  *32768'
}
check "a long context is kept" long

# Of a GGUF file of another program, the scaling of angles is found by what they are divided by.
foreign() { # name, sed script of the file
    sed "$2" "$out/scaled-gguf.gguf" >"$out/$1.gguf" && lua5.4 gen/import.lua --out="$out" --name="$1-in" "$out/$1.gguf"
}
divided() {
    foreign divided 's/diecast\.config/someone.config/' && grep 'rope_scaling = "llama3"' "$out/divided-in/divided-in.lua" &&
        grep 'rope_factor = 8.0' "$out/divided-in/divided-in.lua" || return
    tensors "$out/scaled-in/ckpt.safetensors" >"$tmp/own"
    tensors "$out/divided-in/ckpt.safetensors" | cmp - "$tmp/own"
}
check "divided angles are read" divided
not_divided() { # sed script, words of the line
    ! foreign other "$1" 2>"$tmp/line" && grep -F "$2" "$tmp/line" && [ ! -e "$out/other-in" ]
}
check "angles that are divided otherwise than the config says" not_divided \
    's/rope_original_context=8/rope_original_context=9/' 'rope_freqs.weight, which angles are divided by, is not what'
check "or not at all" not_divided 's/rope_freqs/rope_frogs/' 'rope_freqs.weight, which angles are divided by, is not what'

# A NanoChat whose logits are not capped says so: what leaves it out has a cap of 15.
uncapped() {
    mkdir "$out/uncapped" && lua5.4 tests/train/checkpoint.lua "$out/uncapped/ckpt.safetensors" tensor_names=nanochat \
        bias=false norm=rmsnorm norm_gain=false embd_norm=true pos=rope rope_sign=-1 qk_norm=plain qk_norm_at=after \
        activation=relu2 &&
        lua5.4 gen/export.lua --checkpoint="$out/uncapped/ckpt.safetensors" --format=hf --to="$out/uncapped-hf" &&
        lua5.4 tests/train/plain.lua "$out/uncapped-hf/model.safetensors" "$tmp/plain" &&
        mv "$tmp/plain" "$out/uncapped-hf/model.safetensors" &&
        lua5.4 gen/import.lua --out="$out" --name=uncapped-in "$out/uncapped-hf" &&
        ! grep softcap "$out/uncapped-in/uncapped-in.lua" || return
    tensors "$out/uncapped/ckpt.safetensors" >"$tmp/own"
    tensors "$out/uncapped-in/ckpt.safetensors" | cmp - "$tmp/own"
}
check "a cap that is off comes back" uncapped
no_gguf() {
    lua5.4 gen/export.lua --checkpoint="$out/nanochat-in/ckpt.safetensors" --format=gguf --to="$out/x" 2>"$tmp/line"
    code=$?
    [ $code = 65 ] && [ "$(wc -l <"$tmp/line")" = 1 ] && [ ! -e "$out/x" ] &&
        grep -q 'tensor_names = nanochat: llama.cpp has no architecture' "$tmp/line"
}
check "no GGUF file is written of a NanoChat" no_gguf

refused() { # words of the line, sed script
    mkdir -p "$tmp/bad-hf" && cp "$tmp/llama-hf/model.safetensors" "$tmp/bad-hf/" &&
        sed "$2" "$tmp/llama-hf/config.json" >"$tmp/bad-hf/config.json"
    lua5.4 gen/import.lua --out="$out" --name=bad "$tmp/bad-hf" >"$tmp/said" 2>"$tmp/line"
    code=$?
    [ $code = 65 ] && [ "$(wc -l <"$tmp/line")" = 1 ] && grep -qF -- "$1" "$tmp/line" && [ ! -e "$out/bad" ] && return
    cat "$tmp/line"
    return 1
}
check "another family is refused by name" refused 'is of model_type mistral; gpt2, llama, qwen2' 's/"llama"/"mistral"/'
check "a head that is not tied to the tokens" refused 'lm_head.weight' 's/"rope_theta"/"tie_word_embeddings":true,"rope_theta"/'
check "a width that is not the tensors'" refused 'but its config.json makes it' 's/"intermediate_size":40/"intermediate_size":41/'
check "biases that are not there" refused 'self_attn.q_proj.bias' 's/"rope_theta"/"attention_bias":true,"rope_theta"/'
finish
