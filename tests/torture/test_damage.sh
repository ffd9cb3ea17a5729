#!/bin/sh
# test_damage.sh: in each file of a small run every bit is flipped, every length is cut to, and bytes are added; each
# program that reads it refuses it with one line and code 65, or ends with the same results as without the damage.
# shares: mite
# shellcheck disable=SC2086 # lists of words
set -u
cd "$(dirname "$0")/../.." || exit 74
untraced=yes
. tests/torture/torture.sh
. tests/torture/mite.sh

# Damages one file in all three ways. Quick: so many cases of each at random. In full: all of them or, where $most is
# set, so many, for a program that reads the file by the same functions as another one that has had all.
most=
each() { # what, file, flags of damage, --, program ...
    what=$1
    file=$2
    shift 2
    for kind in flip cut add; do
        [ $kind = flip ] && few=40 || few=12
        [ -z "$all" ] || few=$most
        sample=${few:+--sample=$few --seed=$seed}
        judged "$what: $file, $kind (SEED=$seed)" nice "$tmp/damage" --kind=$kind --file="$file" $sample "$@"
    done
}
set -- $files_of_a_run
all_of() { most=; }
many_of() { most=4000; }
first=$cases
damaged="at random"
[ -z "$all" ] || damaged="every bit and length of each file, and 4,000 at random by every other program that reads one"

resume="$tmp/train --out_dir=out --threads=1 --init_from=resume"
for file in out/state.safetensors data/ab/train.bin data/ab/val.bin data/ab/meta.json; do
    each "a run that resumes" $file --from="$tmp/begun" --result=out/state.safetensors --result=out/metrics.jsonl -- $resume
done
# No hash covers the log. What is no line of a log is noticed, and nothing of it is thrown away; a digit that became
# another one is not noticed, and changes nothing but itself.
log="--from=$tmp/begun --result=out/state.safetensors --loose --kept"
each "a run that resumes" out/metrics.jsonl $log -- $resume
many_of
each "with tables" out/metrics.jsonl $log -- $resume --csv=1
each "a run that resumes" out/run.json --from="$tmp/begun" "$@" -- $resume
each "a run that is finished" out/state.safetensors --from="$tmp/begun" --result=out/metrics.jsonl -- \
    "$tmp/train" --out_dir=out --threads=1 --max_iters=4
each "an evaluation" out/state.safetensors --from="$tmp/begun" --out -- \
    "$tmp/train" --out_dir=out --threads=1 --eval_only=1 --init_from=resume
each "a run from a checkpoint" out/ckpt.safetensors --from="$tmp/begun" --result=tuned/state.safetensors -- \
    "$tmp/train" --out_dir=tuned --threads=1 --init_from=out/ckpt.safetensors
for file in data/ab/train.bin data/ab/val.bin data/ab/meta.json; do
    each "a new run" $file --from="$tmp/start" "$@" -- "$tmp/train" --out_dir=out --threads=1
    each "check" $file --from="$tmp/start" --out -- "$tmp/check" --data=data/ab
done
# A data set of token shards. What follows the first 12 bytes of a shard's header is not read.
mkdir -p "$tmp/listed/data/ab"
for name in train_1 train_2 val_0; do
    lua5.4 tests/train/shard.lua "$tmp/listed/data/ab/s_$name.bin" uint16 "${name#*_}" 50 9
done
check "shards are listed" make build/listing
check "as a data set" build/listing --out="$tmp/listed/data/ab" --name=ab --shards="$tmp/listed/data/ab/*.bin" --tokenizer=ids:9
# Where a bit makes meta.json one without shards, the tokens that it then stands for are not there.
for file in data/ab/s_train_2.bin data/ab/meta.json; do
    each "check" $file --from="$tmp/listed" --out --codes=65,66 --names=data/ab -- "$tmp/check" --data=data/ab
done
for file in out/state.safetensors out/ckpt.safetensors; do
    [ $file = out/state.safetensors ] || all_of
    each "the sampler" $file --from="$tmp/begun" --out -- \
        "$tmp/sample" --checkpoint=$file --num_samples=1 --max_new_tokens=20 --slide=half
    many_of
    each "check" $file --from="$tmp/begun" -- "$tmp/check" $file
done
all_of
reached "a flipped bit, a cut or added bytes in a state, checkpoint, tokens, meta or log" \
    "$((cases - first)) cases, $damaged: refused or harmless"

# ---- data that is made --------------------------------------------------------------------------
first=$cases
made="--result=data/ab/train.bin --result=data/ab/val.bin --result=data/ab/meta.json"
each "prepared again" data/ab/meta.json --from="$tmp/start" $made --codes=64,65 --names=data/ab -- \
    "$tmp/prepare" --text=text --out=data/ab --name=ab --sha256="$sum"
# nanoGPT's vocabulary of two characters
mkdir -p "$tmp/pickled/data/ab"
printf '\001\000\000\000\001\000' | tee "$tmp/pickled/data/ab/train.bin" >"$tmp/pickled/data/ab/val.bin"
printf '\200\002}(X\012\000\000\000vocab_sizeK\002X\004\000\000\000itos}(K\000X\001\000\000\000aK\001X\001\000\000\000bu%b' \
    'X\0004\0000\0000\0000stoi}(X\0001\0000\0000\0000aK\0000X\0001\0000\0000\0000bK\0001uu.' >"$tmp/pickled/data/ab/meta.pkl"
each "nanoGPT's data" data/ab/meta.pkl --from="$tmp/pickled" --result=data/ab/meta.json -- \
    "$tmp/prepare" --adopt=data/ab --name=ab
# its tokens have no hash: no more is promised than an end
each "nanoGPT's data" data/ab/train.bin --from="$tmp/pickled" -- "$tmp/prepare" --adopt=data/ab --name=ab
# a tokenizer as GPT-2's, with three merges
mkdir "$tmp/bpe" && cp "$tmp/start/text" "$tmp/bpe" && lua5.4 tests/torture/bpe.lua "$tmp/bpe"
bpe="--result=ab/train.bin --result=ab/val.bin --result=ab/meta.json"
for file in vocab.bpe encoder.json; do
    each "GPT-2's tokenizer" $file --from="$tmp/bpe" $bpe --names=./ -- "$tmp/prepare" --text=text --out=ab --name=ab \
        --sha256="$sum" --tokenizer=gpt2 --gpt2=.
done
reached "a flipped bit, a cut or added bytes in a vocabulary" "$((cases - first)) cases: refused or harmless"

# ---- what a report reads ------------------------------------------------------------------------
first=$cases
cp -r "$tmp/begun" "$tmp/reported"
report() { # file
    each "a report" "$1" --from="$tmp/reported" -- sh -c 'here=$PWD && cd "$1" &&
        lua5.4 -E gen/report.lua --live --build=build/none --out "$here/report.html" "$here/out" && [ -s "$here/report.html" ]' \
        sh "$PWD"
}
most=300
report out/run.json
report out/metrics.jsonl
reached "a report of a damaged log or description" "$((cases - first)) cases: a page"
finish
