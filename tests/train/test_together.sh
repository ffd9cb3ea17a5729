#!/bin/sh
# test_together.sh: texts that are written together are what each is alone, to the last digit of their log
# probabilities, past the end of the context too; and a token's logits do not depend on the number of tokens that went
# through the model with it, with a window of several blocks of keys.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
export DIECAST_PROCESSORS=3

data_set fox
cat >"$tmp/windowed.lua" <<END
return { model = "gpt", n_layer = 2, n_head = 4, n_kv_head = 2, n_embd = 32, block_size = 400, vocab_size = 32,
  batch_size = 1, dropout = 0.0, window = "SL", window_size = 300, dataset = "fox", max_iters = 20, eval_interval = 20,
  eval_iters = 1, learning_rate = 0.003 }
END
make build CONFIG="$tmp/windowed.lua" PROGRAMS="train sample" BUILD="$tmp/build" >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
bin=$tmp/build/windowed/cpu
"$bin/train" --data_dir="$tmp" --out_dir="$tmp/out" --threads=1 >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
sample() {
    "$bin/sample" "$tmp/out/ckpt.safetensors" "$@" 2>"$tmp/log" | sed 's/"\(prompt_\)*seconds":[0-9.]*/"\1seconds":0/g'
}

# ---- together and alone --------------------------------------------------------------------------
as_alone() { # flags: 9 texts by 1 to 9 at a time
    sample --num_samples=9 --together=1 --threads=1 "$@" >"$tmp/alone"
    [ -s "$tmp/alone" ] || return 1
    for way in "0 3" "2 1" "4 3" "9 2"; do
        sample --num_samples=9 --together="${way% *}" --threads="${way#* }" "$@" >"$tmp/together"
        cmp "$tmp/alone" "$tmp/together" || return 1
    done
}
head -c 380 "$tmp/text" >"$tmp/long"
head -c 700 "$tmp/text" >"$tmp/longer" # than the context
check "text" as_alone --max_new_tokens=60
check "the likeliest text" as_alone --max_new_tokens=60 --temperature=0 --start="Line 7" --json --logprobs=1
check "text past the context" as_alone --max_new_tokens=24 --start="FILE:$tmp/long" --temperature=1.5 --json
check "after a prompt that is longer than the context" as_alone --max_new_tokens=3 --start="FILE:$tmp/longer" --json
check "JSON" as_alone --max_new_tokens=20 --json --logprobs=3 --start="Line 1"
check "all that changes a choice" as_alone --max_new_tokens=60 --top_k=9 --top_p=0.9 --min_p=0.01 --repetition_penalty=1.2
check "texts that end early" as_alone --max_new_tokens=60 --stop=e --stop=is
check "no tokens" as_alone --max_new_tokens=0 --start="Line 1"

# ---- drafts --------------------------------------------------------------------------------------
as_without() { # flags: the same with drafts of 1, 5 and 64 tokens, some of which are right
    sample --num_samples=5 --json --start="Line 7" --slide=half "$@" >"$tmp/alone"
    [ -s "$tmp/alone" ] || return 1
    for way in "1 1" "5 2" "64 3"; do
        sample --num_samples=5 --json --start="Line 7" --slide=half --timing --lookup="${way% *}" \
            --threads="${way#* }" "$@" >"$tmp/together"
        cmp "$tmp/alone" "$tmp/together" && grep -q '^lookup: .* [1-9][0-9]* of them right' "$tmp/log" || return 1
    done
}
check "drafts of the likeliest texts, past the context" as_without --temperature=0 --max_new_tokens=420
check "drafts of drawn texts" as_without --temperature=0.5 --max_new_tokens=60 --top_k=5 --together=2 --logprobs=2

# ---- prompts of a file, which come and go as there is room, and one by one -----------------------
prompts() { # writes 14 prompts, of 1 to 450 characters, to $tmp/prompts, and what each alone gets to $tmp/alone
    : >"$tmp/prompts"
    : >"$tmp/alone"
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do
        length=$((1 + i * i * i % 450)) tokens=$((i * 37 % 50)) stop=$(echo efghis | cut -c $((1 + i % 6)))
        tail -c +$((80 * i)) "$tmp/text" | tr '\n' ' ' | head -c $length >"$tmp/prompt"
        echo "{\"prompt\":\"$(cat "$tmp/prompt")\",\"max_new_tokens\":$tokens,\"seed\":$i,\"stop\":\"$stop\"}" |
            sed 's/ "/\\u0020"/' >>"$tmp/prompts"
        sample --start="FILE:$tmp/prompt" --max_new_tokens=$tokens --seed=$i --stop="$stop" --json --num_samples=1 \
            --threads=1 "$@" >>"$tmp/alone"
    done
}
one_by_one() { # flags
    prompts "$@"
    [ "$(wc -l <"$tmp/alone")" = 14 ] || return 1
    for way in "0 3" "1 1" "3 2" "14 3"; do
        sample --prompts="$tmp/prompts" --together="${way% *}" --threads="${way#* }" "$@" >"$tmp/together"
        cmp "$tmp/alone" "$tmp/together" || return 1
    done
}
check "prompts of a file" one_by_one
check "the likeliest texts, and half of a context" one_by_one --temperature=0 --slide=half --logprobs=2

# ---- a token alone, and in a prompt --------------------------------------------------------------
by_one_and_all() { # tokens: the log probabilities of what comes behind them, taken in one by one and together
    head -c $(($1 + 1)) "$tmp/text" >"$tmp/some"
    head -c "$1" "$tmp/text" >"$tmp/prompt"
    sample --score="$tmp/some" --json --logprobs=9 | sed 's/.*"top_logprobs"://' >"$tmp/one"
    sample --start="FILE:$tmp/prompt" --num_samples=1 --max_new_tokens=1 --json --logprobs=9 |
        sed 's/.*"top_logprobs"://' >"$tmp/all"
    [ -s "$tmp/one" ] && cmp "$tmp/one" "$tmp/all"
}
for tokens in 2 5 13 264 270 300 339 364 399; do
    check "$tokens tokens" by_one_and_all $tokens
done
finish
