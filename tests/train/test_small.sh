#!/bin/sh
# test_small.sh: samplers with small weights, or keys and values in bfloat16, of a GPT-2 and of a Llama with a head of
# its own: their losses are near float32's, but not the same; texts are the same together and alone, with drafts, and in
# halves of a context, a token's logits in a prompt and by themselves; a file of another type, of another model, or damaged is refused in one line.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
export DIECAST_PROCESSORS=3

data_set fox
make build/export >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
common='vocab_size = 40, batch_size = 4, dropout = 0.0, dataset = "fox", max_iters = 60, eval_interval = 60, eval_iters = 1,
  learning_rate = 0.003, warmup_iters = 0, gradient_accumulation_steps = 1'
cat >"$tmp/gpt.lua" <<END
return { n_layer = 2, n_head = 2, n_embd = 40, block_size = 300, bias = true, $common }
END
cat >"$tmp/llama.lua" <<END
return { n_layer = 2, n_head = 4, n_kv_head = 2, n_embd = 32, n_ff = 72, block_size = 48, tensor_names = "llama",
  norm = "rmsnorm", pos = "rope", activation = "swiglu", bias = false, tie_weights = false, qkv_bias = true, $common }
END
write() { # model, type: its file
    lua5.4 -E gen/export.lua --checkpoint="$tmp/$1/ckpt.safetensors" --format=sampler --type="$2" --to="$tmp/$1/$2" \
        >"$tmp/log" 2>&1
}
loss() { # program, weights
    "$1" "$2" --score="$tmp/some" | sed 's/.*loss \([0-9.]*\),.*/\1/'
}
near() { # program, weights, at least, at most: by how much the loss is another than float32's
    loss "$1" "$2" >"$tmp/loss"
    echo "$3: $wanted and $(cat "$tmp/loss")"
    awk -v a="$wanted" -v b="$(cat "$tmp/loss")" -v least="$3" -v most="$4" \
        'BEGIN { d = a - b; d = d < 0 ? -d : d; exit !(b != "" && d >= least && d < most) }'
}
together() { # program, weights
    "$1" "$2" --num_samples=7 --max_new_tokens=60 --slide=half --together=1 --threads=1 >"$tmp/alone"
    [ -s "$tmp/alone" ] || return 1
    for way in "0 3 0" "2 1 0" "4 2 3"; do
        # shellcheck disable=SC2086
        set -- "$1" "$2" $way
        "$1" "$2" --num_samples=7 --max_new_tokens=60 --slide=half --together="$3" --threads="$4" --lookup="$5" |
            cmp "$tmp/alone" - || return 1
    done
}
by_one_and_all() { # program, weights, tokens
    head -c $(($3 + 1)) "$tmp/text" >"$tmp/more"
    head -c "$3" "$tmp/text" >"$tmp/prompt"
    "$1" "$2" --score="$tmp/more" --json --logprobs=9 | sed 's/.*"top_logprobs"://' >"$tmp/one"
    "$1" "$2" --start="FILE:$tmp/prompt" --num_samples=1 --max_new_tokens=1 --json --logprobs=9 |
        sed 's/.*"top_logprobs"://' >"$tmp/all"
    [ -s "$tmp/one" ] && cmp "$tmp/one" "$tmp/all"
}

head -c 600 "$tmp/text" >"$tmp/some"
for model in gpt llama; do
    bin=$tmp/build/$model/cpu run=$tmp/$model
    kinds="q8_0 bfloat16 float32-kv_bfloat16"
    [ $model = gpt ] || kinds="q4_0-kv_bfloat16" # with its table in q8_0
    for kind in $kinds; do
        programs="sample-$kind"
        [ "$kind" != q8_0 ] || programs="sample-q8_0 sample_bench-q8_0 quantize quantize-q8_0"
        [ "$kind" != float32-kv_bfloat16 ] || programs="$programs quantize-$kind"
        [ "$kind" = "${kinds##* }" ] && programs="train eval sample $programs"
        make build CONFIG="$tmp/$model.lua" TYPE="${kind%-kv*}" KV="$(expr "$kind" : '.*-kv_\(.*\)')" PROGRAMS="$programs" \
            BUILD="$tmp/build" >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
    done
    "$bin/train" --data_dir="$tmp" --out_dir="$run" --threads=1 >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
    wanted=$(loss "$bin/sample" "$run/ckpt.safetensors")
    for kind in $kinds; do
        weights=$run/${kind%-kv*}
        [ "$kind" = float32-kv_bfloat16 ] && weights=$run/ckpt.safetensors || write "$model" "${kind%-kv*}"
        case $kind in
            bfloat16) least=0 most=0.003 ;;
            float32*) least=0.0000005 most=0.003 ;;
            q8_0) least=0 most=0.01 ;;
            *) least=0.0001 most=0.2 ;;
        esac
        check "$model, $kind: the loss" near "$bin/sample-$kind" "$weights" $least $most
        check "$model, $kind: together" together "$bin/sample-$kind" "$weights"
        check "$model, $kind: a token alone" by_one_and_all "$bin/sample-$kind" "$weights" 29
    done
done

gpt=$tmp/build/gpt/cpu run=$tmp/gpt
check "a prompt of many rows" by_one_and_all "$gpt/sample-q8_0" "$run/q8_0" 290
check "a sampler of float32" exits 65 "its weights are q8_0, this sampler computes with float32" "$gpt/sample" "$run/q8_0"
check "weights in float32" exits 65 "its weights are float32, this sampler computes with q8_0" \
    "$gpt/sample-q8_0" "$run/ckpt.safetensors"
check "of another type" exits 65 "its weights are q8_0, this sampler computes with bfloat16" "$gpt/sample-bfloat16" "$run/q8_0"
write llama q8_0
check "of another model" exits 65 "which computes something else" "$gpt/sample-q8_0" "$tmp/llama/q8_0"
tensor() { # name: a file with this tensor alone
    header="{\"__metadata__\":{\"weights\":\"q8_0\"},\"$1\":{\"dtype\":\"U8\",\"shape\":[4,4],\"data_offsets\":[0,16]}}"
    while [ $((${#header} % 4)) != 0 ]; do header="$header "; done
    printf '%b\0\0\0\0\0\0\0%s0123456789abcdef' "\\0$(printf %o ${#header})" "$header" >"$tmp/bad"
}
tensor transformer.h.0.ln_1.weight
check "a tensor is missing" exits 65 "transformer.wte.weight is missing" "$gpt/sample-q8_0" "$tmp/bad"
tensor transformer.wte.weight
check "of another shape" exits 65 "transformer.wte.weight is (4, 4) of U8, this sampler wants (48, 68) of U8" \
    "$gpt/sample-q8_0" "$tmp/bad"
check "in a trainer" exits 65 "is of type U8" "$gpt/train" --data_dir="$tmp" --init_from="$run/q8_0" --out_dir="$tmp/other"
cp "$run/q8_0" "$tmp/bad"
printf '\377' | dd of="$tmp/bad" bs=1 seek=9000 conv=notrunc 2>"$tmp/log"
check "damaged" exits 65 "but its bytes give" "$gpt/sample-q8_0" "$tmp/bad"
head -c 20000 "$run/q8_0" >"$tmp/bad"
check "cut off" exits 65 "truncated" "$gpt/sample-q8_0" "$tmp/bad"
# ---- what they cost ------------------------------------------------------------------------------
mkdir "$tmp/table"
quantize() { # dataset
    gen/tools/quantize.sh "$gpt" "$run/ckpt.safetensors" "$tmp/table" "$1" "$tmp" q8_0 float32-kv_bfloat16
}
table() { # a line for each; the same tokens are counted
    quantize fox || return 1
    cat "$tmp/table/quantize.txt"
    awk 'NR == 1 && $1 == "weights" || NR == 2 && $1 == "float32" && $4 == "+0.000000" && $5 == "100.000%" && $6 > 0 ||
        NR == 3 && $1 == "q8_0" && $4 < 0.01 && $4 > -0.01 && $5 + 0 > 90 && $6 > 0 ||
        NR == 4 && $1 == "float32-kv_bfloat16" && $4 != 0 && $4 < 0.001 && $4 > -0.001 && $5 + 0 > 90 && $6 > 0 { good++ }
        END { exit good != 4 || NR != 4 }' "$tmp/table/quantize.txt"
}
check "make quantize's table" table
losses() { # float32's is the loss of eval
    "$gpt/eval" --checkpoint="$run/ckpt.safetensors" --dataset=fox --data_dir="$tmp" >"$tmp/log"
    awk -v a="$(sed -n 's/^val: loss \([0-9.]*\),.*/\1/p' "$tmp/log")" -v b="$(awk 'NR == 2 { print $3 }' \
        "$tmp/table/quantize.txt")" 'BEGIN { print a, b; d = a - b; exit !(a > 0 && d < 0.02 && d > -0.02) }'
}
check "of which float32's is eval's" losses
check "without data" exits 66 "none/train.bin: is not there" quantize none
check "sample_bench" exits 0 "weights in q8_0" "$gpt/sample_bench-q8_0" --seconds=0.01 --threads=1
made_up() { # a checkpoint for samplers of any type, and for other tools
    "$gpt/sample_bench-q8_0" --weights="$tmp/made-up.safetensors" --seed=3 &&
        "$gpt/sample" "$tmp/made-up.safetensors" --num_samples=1 --max_new_tokens=5 --start=5 &&
        lua5.4 -E gen/export.lua --checkpoint="$tmp/made-up.safetensors" --format=gguf --to="$tmp/made-up.gguf"
}
check "its weights in float32" made_up
check "a type that is not known" exits 2 "TYPE: 'q5_1' is not known to a sampler" make sampler CONFIG="$tmp/gpt.lua" TYPE=q5_1
check "of keys and values" exits 2 "KV: 'q8_0' is not known to a sampler" make sampler CONFIG="$tmp/gpt.lua" KV=q8_0
check "in a build" exits 2 "KV: 'q8_0' is not known to a sampler" make build CONFIG="$tmp/gpt.lua" KV=q8_0
finish
