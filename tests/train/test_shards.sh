#!/bin/sh
# test_shards.sh: llm.c's token shards as a data set: made by make data, trained on and evaluated to the same bytes as the
# same tokens in one file, whatever becomes of the shards later; uint16 and uint32. In a copy of this folder.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
mkdir "$tmp/copy" "$tmp/copy/build" "$tmp/copy/tests" "$tmp/far away"
cp -a Makefile gen templates runtime configs data "$tmp/copy/"
cp -a tests/train "$tmp/copy/tests/"
cp -a build/.gitignore build/prepare build/include build/runtime "$tmp/copy/build/" 2>/dev/null
cd "$tmp/copy" || exit 74

make_it() { # make's arguments; output in $tmp/log, its exit code in code
    make "$@" >"$tmp/log" 2>&1 </dev/null
    code=$?
}
ends() { # exit code, of the program that make ran
    if [ "$1" = 0 ]; then [ "$code" = 0 ]; else grep -q "Error $1\$" "$tmp/log"; fi
}
says() { grep -qF -- "$1" "$tmp/log"; }
refused() { # code, words, make data's arguments
    wanted=$1 words=$2
    shift 2
    make_it data DATASET=wrong "$@"
    ends "$wanted" && says "$words" && [ ! -e data/wrong/meta.json ]
}
shard() { lua5.4 tests/train/shard.lua "$@"; }

# Three shards to train on, one of which is shorter than a window, and two to validate with.
far="$tmp/far away/fine"
many() { # type vocabulary
    shard "${far}_train_000001.bin" "$1" 1 700 "$2" && shard "${far}_train_000002.bin" "$1" 2 5 "$2" &&
        shard "${far}_train_000003.bin" "$1" 3 600 "$2" && shard "${far}_val_000000.bin" "$1" 4 300 "$2" &&
        shard "${far}_val_000004.bin" "$1" 5 123 "$2"
}
# The same tokens in one file for each split, and a meta.json of it as people write them.
one() { # name type bytes-a-token tokenizer vocabulary more
    rm -rf "data/$1"
    mkdir "data/$1"
    for split in train val; do
        for file in "$far"_"$split"_*; do tail -c +1025 "$file"; done >"data/$1/$split.bin"
    done
    printf '{"tokenizer": "%s", "vocab_size": %s, "train_tokens": 1305, "val_tokens": 423%s}\n' "$4" "$5" "$6" \
        >"data/$1/meta.json"
}
config() { # name vocabulary
    cat >"$1.lua" <<END
return {
  n_layer = 1, n_head = 2, n_embd = 16, block_size = 16, batch_size = 3, vocab_size = $2, dataset = "$1",
  learning_rate = 1e-2, max_iters = 12, lr_decay_iters = 12, warmup_iters = 1, eval_interval = 6, eval_iters = 3,
  gradient_accumulation_steps = 2, dropout = 0.1, checkpoint_interval = 4,
}
END
}
pattern="$(echo "$far" | tr ' ' '?')_*.bin" # spaces part one pattern from the next

# ---- uint16 -----------------------------------------------------------------------------------------

many uint16 400
make_it data DATASET=fine SHARDS="$pattern" TOKENIZER=ids:400
check "listed" ends 0
check "what is in them" says '1305 tokens to train on, of type uint16, in 3 shards'
check "what to type next" says 'next: make train SET="dataset=fine"'
check "nothing is copied" eval '[ "$(ls data/fine)" = meta.json ]'
one plain uint16 2 "ids 400" 400 ""
config fine 400
sed 's/"fine"/"plain"/' fine.lua >plain.lua
make_it train CONFIG=fine.lua
check "trains" ends 0
make_it train CONFIG=plain.lua
check "on one file too" ends 0
same() { # run
    tensors out/fine/state.safetensors >"$tmp/a" && tensors "out/$1/state.safetensors" | cmp - "$tmp/a" &&
        untimed out/fine/metrics.jsonl >"$tmp/a" && untimed "out/$1/metrics.jsonl" | cmp - "$tmp/a"
}
check "to the same bytes" same plain
hash() { build/check --data="data/$1"; }
make build/check build/inspect >"$tmp/log" 2>&1
check "which are the same data set" eval '[ "$(hash fine)" = "$(hash plain)" ]'
make_it train CONFIG=fine.lua RUN="--threads=1" NAME=one-thread
check "with one thread" same one-thread
make_it train CONFIG=fine.lua RUN="--max_iters=5" NAME=stopped
make_it train CONFIG=fine.lua RUN="--max_iters=12" NAME=stopped
check "a run that is continued" says "resum"
resumed() { tensors out/fine/ckpt.safetensors >"$tmp/a" && tensors out/stopped/ckpt.safetensors | cmp - "$tmp/a"; }
check "has the same bytes" resumed
make_it eval CONFIG=fine.lua STRIDE=7
grep '^val: ' "$tmp/log" >"$tmp/fine-eval"
check "all of the split is evaluated" grep -q ' 422 tokens predicted' "$tmp/fine-eval"
check "without bytes, as nothing is known of them" eval '! grep -q "bits per byte" "$tmp/fine-eval"'
make_it eval CONFIG=plain.lua STRIDE=7
check "as of one file" eval 'grep "^val: " "$tmp/log" | cmp - "$tmp/fine-eval"'
make_it eval CONFIG=fine.lua EVAL=train
check "what is trained on, too" says '1,304 tokens predicted'
make_it sample CONFIG=fine.lua START="3 6 9" SAMPLE="--num_samples=1 --max_new_tokens=4 --temperature=0"
check "samples are ids" grep -Eq '^3 6 9( [0-9]+){4}$' "$tmp/log"
make_it sample CONFIG=fine.lua START="3 400" SAMPLE="--num_samples=1"
check "a prompt is ids of the vocabulary" says "line 1, character 3"
make_it export CONFIG=fine.lua NAME=fine FORMAT=hf TO=hf
check "exported" ends 0
check "without files of a tokenizer, of which nothing is known" eval '[ -f hf/config.json ] && [ ! -e hf/vocab.json ]'
make_it inspect FILE=data/fine VERIFY=1
check "inspected" says '1,305 tokens'
check "in shards" says '3 shards'
check "and verified" says 'verified: all shards match'
make_it inspect FILE="${far}_train_000002.bin" VERIFY=1
check "a shard alone is inspected" says 'a token shard of llm.c; 5 tokens of type uint16'
make_it train CONFIG=fine.lua NAME=fine RUN="--verify=1 --max_iters=13"
check "a run verifies them" ends 0

# ---- what becomes of them ----------------------------------------------------------------------------

mv "${far}_train_000002.bin" "$tmp/away"
make_it train CONFIG=fine.lua NAME=fine RUN=--max_iters=14
check "one that is gone is missed" ends 66
check "by its name" says "${far}_train_000002.bin: is not there"
shard "${far}_train_000002.bin" uint16 9 5 400
make_it train CONFIG=fine.lua NAME=fine RUN=--max_iters=14
check "another in its place is refused" ends 65
check "by its name and hash" says "${far}_train_000002.bin: its tokens have hash"
make_it inspect FILE=data/fine
check "as data, too" ends 65
mv "$tmp/away" "${far}_train_000002.bin"
make_it train CONFIG=fine.lua NAME=fine RUN=--max_iters=14
check "put back, the run goes on" ends 0
make_it data DATASET=fine
check "the list is made again with its words" says "SHARDS= and TOKENIZER= list them again"
make_it data DATASET=fine TEXT=Makefile
check "and not written over by a text" ends 64
make_it data DATASET=plain SHARDS="$pattern" TOKENIZER=ids:400
check "nor are tokens by a list" says 'data/plain/train.bin: is there already'
mkdir data/inside
cp "$far"_* data/inside/
make_it data DATASET=inside SHARDS="data/inside/*.bin" TOKENIZER=ids:400
mv data/inside data/moved
check "shards in the folder move with it" eval '[ "$(hash moved)" = "$(hash fine)" ]'
shard "${far}_train_000003.bin" uint16 8 600 400
make_it data DATASET=fine SHARDS="$pattern" TOKENIZER=ids:400
check "listed anew" ends 0
make_it train CONFIG=fine.lua NAME=fine RUN="--max_iters=15 --init_from=resume"
check "other data does not resume the run" ends 65
make_it data DATASET=other SHARDS="$pattern" TOKENIZER=ids:350
check "a token that the vocabulary lacks is refused" says ', but the vocabulary is ids, 350 '
many uint16 300
make_it data DATASET=other SHARDS="$pattern" TOKENIZER=ids:399
make_it train CONFIG=fine.lua SET=dataset=other NAME=finetuned RUN=--init_from=out/plain/ckpt.safetensors
check "weights of another vocabulary are not trained on it" ends 65

# ---- uint32 -----------------------------------------------------------------------------------------

many uint32 70000
make_it data DATASET=large SHARDS="$pattern" TOKENIZER=ids:70000
check "uint32 is listed" says 'of type uint32, in 2 shards'
check "meta.json says so" grep -q '"token_type": "uint32"' data/large/meta.json
one big uint32 4 "ids 70000" 70000 ', "token_type": "uint32"'
check "the same data set" eval '[ "$(hash large)" = "$(hash big)" ]'
config large 70000
make_it train CONFIG=large.lua NAME=large RUN=--max_iters=2
check "trains with a vocabulary above 65,536" ends 0
sed 's/"large"/"big"/' large.lua >big.lua
make_it train CONFIG=big.lua NAME=big RUN=--max_iters=2
wide() { tensors out/large/state.safetensors >"$tmp/a" && tensors out/big/state.safetensors | cmp - "$tmp/a"; }
check "to the same bytes as of one file" wide
make_it sample CONFIG=large.lua START="69999" SAMPLE="--num_samples=1 --max_new_tokens=3"
check "and samples" grep -Eq '^69999( [0-9]+){3}$' "$tmp/log"

# ---- which are which ---------------------------------------------------------------------------------

check "shards do not say their tokenizer" refused 64 "TOKENIZER is missing" SHARDS="$pattern"
check "of which characters is none" refused 64 "shards have no characters" SHARDS="$pattern" TOKENIZER=char
check "a number is wanted" refused 64 "from 1 to 1048576" SHARDS="$pattern" TOKENIZER=ids:0
check "as ids" refused 64 "from 1 to 1048576" SHARDS="$pattern" TOKENIZER=ids:many
check "ids are for shards" refused 64 "ids:COUNT is for SHARDS" TEXT=Makefile TOKENIZER=ids:5
check "not both" refused 64 "one of both is wanted" TEXT=Makefile SHARDS="$pattern" TOKENIZER=gpt2
check "a pattern that matches nothing" refused 66 "no file is 'nowhere/*.bin'" SHARDS="nowhere/*.bin" TOKENIZER=ids:9
check "none for validation" refused 64 'VAL="patterns"' SHARDS="$(echo "$far" | tr ' ' '?')_train_*" TOKENIZER=ids:70000
cp "${far}_val_000004.bin" "$tmp/x.bin"
cp "${far}_val_000004.bin" "$tmp/y.bin"
check "a name that does not say it" refused 64 "neither _train_ nor _val_" SHARDS="$tmp/?.bin" TOKENIZER=ids:70000
make_it data DATASET=named SHARDS="$tmp/?.bin" VAL="$tmp/y.bin" TOKENIZER=ids:70000
check "VAL says which, and they are not trained on" says '123 tokens to train on, of type uint32, in 1 shard'
check "no shard" refused 65 "is no token shard of llm.c" SHARDS="Makefile" VAL="$tmp/y.bin" TOKENIZER=ids:70000
shard "$tmp/z.bin" uint16 1 50 400
check "of one type" refused 65 "one type is wanted" SHARDS="$tmp/z.bin" VAL="$tmp/y.bin" TOKENIZER=ids:70000
printf x >>"$tmp/z.bin"
check "whole" refused 65 "it is not whole" SHARDS="$tmp/z.bin" VAL="$tmp/y.bin" TOKENIZER=ids:70000
if [ -f data/gpt2/vocab.bpe ] && [ -f data/gpt2/encoder.json ]; then
    many uint16 50257
    make_it data DATASET=words SHARDS="$pattern" TOKENIZER=gpt2
    check "GPT-2's tokens" says 'the vocabulary: gpt2, 50257 tokens'
else
    skipped=$((skipped + 1))
    echo "test_shards: data/gpt2 is not there: no GPT-2 tokens"
fi
finish
