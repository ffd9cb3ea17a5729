#!/bin/sh
# test_chains.sh: a training that is stopped and resumed at random, by any signals, on 1 to 8 threads, by builds that
# promise the same bytes, ends with the bytes of one that nobody disturbed: tensors and metadata of checkpoint and
# state, losses, tables, previews and samples. Of six kinds of runs, among them one that keeps an earlier run aside.
# The first chain has the seed SEED, each next one the next.
# shares: resume
set -u
cd "$(dirname "$0")/../.." || exit 74
untraced=yes
. tests/torture/torture.sh
export DIECAST_PROCESSORS=8 # as many threads as are asked for, on every machine

chains=2
[ -z "$all" ] || chains=100
general=resume-specialise@false

${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -O1 -Wall -Wextra -o "$tmp/chain" tests/torture/chain.c || exit 1
data_set fox
for set in "" specialise=false; do
    make build CONFIG=tests/train/resume.lua SET="$set" PROGRAMS="train sample" >"$tmp/log" 2>&1 ||
        { cat "$tmp/log"; exit 1; }
done
programs="build/resume/cpu/train build/$general/cpu/train"

# The kinds of runs: iterations between saved states, and more flags.
kind() { # number
    case $1 in
        0) interval=0 flags="" ;;
        1) interval=1 flags="--always_save_checkpoint=1 --eval_interval=5 --max_iters=100" ;;
        2) interval=10 flags="--dropout=0 --gradient_accumulation_steps=1 --csv=1" ;;
        3) interval=25 flags="--sample_interval=30 --gradient_accumulation_steps=3 --eval_interval=20" ;;
        4) interval=40 flags="--init_from=$tmp/other/ckpt.safetensors" ;;
        5) interval=7 flags="--tensorboard=1 --eval_iters=20 --sample_interval=50 --seed=5" ;;
    esac
    flags="--data_dir=$tmp --log_interval=1 --max_iters=150 --lr_decay_iters=150 --checkpoint_interval=$interval $flags"
}

# A file's metadata, a key a line, but what names the build and the hash of all.
metadata() { # path
    header=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    head -c "$((header + 8))" "$1" | tail -c "+9" | sed 's/","/"\n"/g' |
        grep -v '^"build":\|"xxh3":' | sed 's/ specialise=false//; s/ *$//'
}
# The previews in a log, each one line that begins with its iteration. One that a kill cut is left out.
previews() { # log
    awk '/^sample at iter/ { text = ""; inside = 1 }
        inside { text = text $0 "\\n" }
        inside && /^---------------$/ { print text; inside = 0 }' "$1"
}
# A run's previews are among those of the undisturbed run: some were printed twice, others to a closed pipe.
same_previews() { # kind
    ! grep -vxFf "$tmp/straight$1.texts" "$tmp/run.texts"
}
untimed_table() { # path
    awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) drop[i] = $i ~ /ms|tokens_per_s|mfu|seconds/ }
        { line = ""; for (i = 1; i <= NF; i++) if (!drop[i]) line = line "," $i; print line }' "$1"
}
all_of() { # folder: what must not differ, as one text
    for file in state ckpt; do
        tensors "$1/$file.safetensors" | sha256sum
        metadata "$1/$file.safetensors"
    done
    untimed "$1/metrics.jsonl"
    for table in metrics evaluations; do
        [ ! -f "$1/$table.csv" ] || untimed_table "$1/$table.csv"
    done
    build/resume/cpu/sample --checkpoint="$1/ckpt.safetensors" --start=Line --num_samples=1 --max_new_tokens=60
}

# A run of something else, which lies in the folder where a run of kind 4 begins and must be kept.
earlier() { # folder
    cp -r "$tmp/other" "$1"
}
kept() { # folder: each file of the earlier run, under whatever name
    for file in state.safetensors ckpt.safetensors metrics.jsonl run.json; do
        found=
        for aside in "$1/${file%.*}".previous*; do
            ! cmp -s "$tmp/other/$file" "$aside" || found=$aside
        done
        [ -n "$found" ] || { echo "$file of the earlier run is gone"; return 1; }
    done
}

straight() { # kind
    kind "$1"
    [ "$1" != 4 ] || earlier "$tmp/straight4"
    # shellcheck disable=SC2086 # words
    build/resume/cpu/train $flags --threads=2 --out_dir="$tmp/straight$1" >"$tmp/straight$1.log" 2>&1 &&
        all_of "$tmp/straight$1" >"$tmp/straight$1.all" && previews "$tmp/straight$1.log" >"$tmp/straight$1.texts"
}
one_chain() { # kind, seed
    kind "$1"
    rm -rf "$tmp/run" "$tmp/run.log"
    [ "$1" != 4 ] || earlier "$tmp/run"
    # shellcheck disable=SC2086
    "$tmp/chain" "$2" "$((3 + $2 % 6))" "$(($(wc -l <"$tmp/straight$1.log") / 3))" "$interval" "$tmp/run.log" $programs -- $flags --out_dir="$tmp/run" \
        >"$tmp/stops" || { cat "$tmp/stops"; echo 0 >"$tmp/stops"; return 1; }
    all_of "$tmp/run" >"$tmp/run.all" && previews "$tmp/run.log" >"$tmp/run.texts" &&
        diff "$tmp/straight$1.all" "$tmp/run.all" && same_previews "$1" &&
        { [ "$1" != 4 ] || kept "$tmp/run"; }
}

build/resume/cpu/train --data_dir="$tmp" --out_dir="$tmp/other" --max_iters=60 --lr_decay_iters=60 --seed=9 --threads=1 \
    >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
done=0
stops=0
while [ $done -lt $chains ]; do
    kind=$(((seed + done) % 6))
    [ -f "$tmp/straight$kind.all" ] || check "undisturbed run of kind $kind" straight $kind
    check "chain of kind $kind, SEED=$((seed + done))" one_chain $kind $((seed + done))
    stops=$((stops + $(cat "$tmp/stops" 2>/dev/null || echo 0)))
    done=$((done + 1))
done
reached "stop and go on, any signals, threads 1-8 mixed" "$chains chains, $stops stops, $failed differ"
finish
