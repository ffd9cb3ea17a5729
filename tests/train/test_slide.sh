#!/bin/sh
# test_slide.sh: --slide=half beside a plain reference that recomputes (slide.lua): exactly with a table of positions, and
# within rounding with rotary ones, whose keys and values stay where they are in a cache whose context of 45 is no whole
# number of panels; together and alone; what it costs to do without is said.
# shares: resume
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
export DIECAST_PROCESSORS=3

data_set fox
cat >"$tmp/turned.lua" <<END
return { n_layer = 1, n_head = 4, n_kv_head = 2, n_embd = 32, vocab_size = 65, block_size = 45, pos = "rope",
  batch_size = 8, dropout = 0.0, dataset = "fox", learning_rate = 0.01 }
END
trained() { # name, where it is built, its config
    make build CONFIG="$3" PROGRAMS="train sample" BUILD="$2" >"$tmp/log" 2>&1 &&
        "$2/$1/cpu/train" --data_dir="$tmp" --out_dir="$tmp/$1" --threads=1 --max_iters=60 --eval_interval=60 \
            --eval_iters=1 --always_save_checkpoint=1 >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
}
trained resume build tests/train/resume.lua
trained turned "$tmp/build" "$tmp/turned.lua"
ln -s "$PWD/build/resume" "$tmp/build/resume"
sample() { # name, flags
    name=$1
    shift
    "$tmp/build/$name/cpu/sample" "$tmp/$name/ckpt.safetensors" "$@" 2>"$tmp/log" |
        sed 's/"\(prompt_\)*seconds":[0-9.]*/"\1seconds":0/g'
}

recomputed() { # name, context, how far log probabilities may be apart
    lua5.4 tests/train/slide.lua "$tmp/build/$1/cpu/sample" "$tmp/$1/ckpt.safetensors" "$tmp" "$2" "$3"
}
within() { # flags
    sample turned --start="Line 7" --max_new_tokens=40 "$@" >"$tmp/wanted"
    sample turned --start="Line 7" --max_new_tokens=40 --slide=half "$@" >"$tmp/got"
    [ -s "$tmp/wanted" ] && cmp "$tmp/wanted" "$tmp/got"
}
as_alone() { # name: 5 texts by 1 to 5 at a time
    sample "$1" --slide=half --num_samples=5 --max_new_tokens=150 --json --together=1 --threads=1 >"$tmp/alone"
    for way in "0 3" "2 1" "4 2"; do
        sample "$1" --slide=half --num_samples=5 --max_new_tokens=150 --json --together="${way% *}" \
            --threads="${way#* }" >"$tmp/together"
        [ -s "$tmp/alone" ] && cmp "$tmp/alone" "$tmp/together" || return 1
    done
}
says() { # name, its context, the end of the line
    sample "$1" --start="Line 7" --num_samples=1 --max_new_tokens=$(($2 - 4)) >"$tmp/got"
    grep -q "^a text may go beyond the context of $2 tokens, where each token takes $2 in anew; with --slide=half $3\$" "$tmp/log"
}
says_nothing() { # flags
    sample turned --start="Line 7" --num_samples=1 "$@" >"$tmp/got"
    [ -s "$tmp/got" ] && [ ! -s "$tmp/log" ]
}
check "a table of positions: as by recomputing" recomputed resume 19 0
check "rotary positions: as by recomputing" recomputed turned 45 0.00003
check "within the context nothing changes" within --num_samples=3 --json
check "together as alone" as_alone resume
check "together as alone, rotary" as_alone turned
check "what the default costs, and the half" says resume 19 "one in 10 takes 9 in"
check "what rotary positions cost" says turned 45 "none does"
check "within the context nothing is said" says_nothing --max_new_tokens=40
check "nor with --slide=half" says_nothing --max_new_tokens=80 --slide=half
finish
