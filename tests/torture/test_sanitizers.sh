#!/bin/sh
# test_sanitizers.sh: trainer, sampler, prepare, bench, eval, import, export and inspect as whole programs, with ASan,
# UBSan and LSan, with TSan, and in valgrind: train with previews and tables, a stop by a signal, resume, evaluate,
# finetune, keep an earlier run, refuse a damaged file; sample from a prompt, with each way to choose, attention, threads;
# all kinds of data sets; the loss of a text; a model of others, what it is, and one made theirs. Each ends with the code
# that it should, and without a report. The quick part has a few of these.
# shares: resume
set -u
cd "$(dirname "$0")/../.." || exit 74
untraced=yes
. tests/torture/torture.sh
export DIECAST_PROCESSORS=3 # as many threads as are asked for, on every machine
export ASAN_OPTIONS=exitcode=99:detect_leaks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=exitcode=99

data_set fox
config=tests/train/resume.lua
build() { # words of make
    make build CONFIG=$config "$@" >"$tmp/log" 2>&1 || { tail "$tmp/log"; exit 1; }
}

# Runs a program under what is tried, which must end with this code and say nothing of its own.
reports=0
runs=0
ends() { # code, program, arguments...
    wanted=$1
    shift
    # shellcheck disable=SC2086 # words
    $under "$@" >"$tmp/said" 2>&1
    code=$?
    judge "$wanted" "$*"
}
judge() { # code wanted, what ran; $code, and $tmp/said
    runs=$((runs + 1))
    clean=yes
    [ "$code" = "$1" ] || clean=
    ! grep -q 'Sanitizer\|runtime error: \|^==[0-9]*== [A-Z]' "$tmp/said" || clean=
    [ -n "$clean" ] || {
        echo "$under $2: code $code, wanted $1"
        grep -v '^iter' "$tmp/said" | head -n 60
        reports=$((reports + 1))
    }
    [ -n "$clean" ]
}
# A trainer that is stopped by a signal as soon as it has trained some iterations.
stopped() { # signal, program, arguments...
    signal=$1
    shift
    # shellcheck disable=SC2086
    env --default-signal=INT $under "$@" >"$tmp/said" 2>&1 &
    pid=$!
    waited=0
    until grep -q '^iter 1' "$tmp/said" || [ $waited = 3000 ]; do
        sleep 0.1
        waited=$((waited + 1))
    done
    kill -"$signal" $pid
    wait $pid
    code=$?
    judge 75 "$*"
}

trainer() { # folder of programs, threads
    bin=$1
    out=$tmp/out
    rm -rf "$out" "$tmp/tuned"
    flags="--data_dir=$tmp --threads=$2 --lr_decay_iters=9 --eval_iters=1"
    # shellcheck disable=SC2086 # words
    {
        check "$name: train, with previews and tables" ends 0 "$bin/train" $flags --out_dir="$out" --max_iters=6 \
            --eval_interval=3 --sample_interval=4 --csv=1 --tensorboard=1 --verify=1
        check "$name: a stop" stopped TERM "$bin/train" $flags --out_dir="$tmp/tuned" --log_interval=1 \
            --init_from="$out/ckpt.safetensors" --max_iters=100000
        [ -n "$all" ] || return
        check "$name: resume" ends 0 "$bin/train" $flags --out_dir="$out" --max_iters=9 --eval_interval=3 \
            --sample_interval=4 --csv=1 --tensorboard=1 --init_from=resume
        check "$name: evaluate" ends 0 "$bin/train" $flags --out_dir="$out" --eval_only=1
        check "$name: another stop" stopped INT "$bin/train" $flags --out_dir="$tmp/tuned" --log_interval=1 \
            --init_from=resume --max_iters=100000
        check "$name: a new run, the earlier kept" ends 0 "$bin/train" $flags --out_dir="$tmp/tuned" \
            --init_from=scratch --max_iters=1
        check "$name: a finished run" ends 0 "$bin/train" $flags --out_dir="$out" --max_iters=6 --eval_interval=3
        check "$name: another run" ends 64 "$bin/train" $flags --out_dir="$out" --max_iters=9 --seed=2
        head -c 9999 "$out/state.safetensors" >"$tmp/tuned/state.safetensors"
        check "$name: half a state" ends 65 "$bin/train" $flags --out_dir="$tmp/tuned"
    }
}
sampler() { # folder of programs, threads
    ckpt=$tmp/out/ckpt.safetensors
    few="--num_samples=2 --max_new_tokens=30 --threads=$2"
    # shellcheck disable=SC2086
    {
        check "$name: a prompt" ends 0 "$1/sample" --checkpoint="$ckpt" --start="Line 7" $few --verify=1
        [ -n "$all" ] || return
        check "$name: the likeliest" ends 0 "$1/sample" "$ckpt" $few --temperature=0
        check "$name: few, by top_p" ends 0 "$1/sample" "$ckpt" $few --top_k=5 --top_p=0.7
        check "$name: a file" ends 0 "$1/sample" "$ckpt" --start="FILE:$tmp/text" $few
        check "$name: attention" ends 0 "$1/sample" "$ckpt" --start=Line --attention="$tmp/heads.json"
        check "$name: not of the vocabulary" ends 64 "$1/sample" "$ckpt" --start=ÄÖ
        check "$name: half a checkpoint" ends 65 "$1/sample" "$tmp/tuned/state.safetensors"
        check "$name: none" ends 66 "$1/sample" "$tmp/none"
    }
}
benches() { # folder of programs
    check "$name: bench" ends 0 "$1/bench" --threads=2 --seconds=0.1 --json="$tmp/bench.json"
    check "$name: the sampler's" ends 0 "$1/sample_bench" --threads=2 --seconds=0.1
}
documents() { # program; in parts of which some are saved before the end
    rm -rf "$tmp/documents"
    mkdir -p "$tmp/documents/merges"
    lua5.4 tests/torture/bpe.lua "$tmp/documents/merges"
    lua5.4 tests/train/documents.lua write "$tmp/documents/in"
    check "$name: documents" ends 0 "$1" --documents="$tmp/documents/in" --out="$tmp/documents/out" --name=many \
        --gpt2="$tmp/documents/merges" --val=0.1 --unit=2000 --threads=2
}
evaluations() { # folder of programs, threads
    few="--checkpoint=$tmp/out/ckpt.safetensors --threads=$2"
    head -n 20 "$tmp/text" >"$tmp/lines"
    # shellcheck disable=SC2086
    {
        check "$name: a text's loss" ends 0 "$1/eval" $few --text="$tmp/lines" --stride=3 --json="$tmp/eval.json"
        check "$name: a split's" ends 0 "$1/eval" $few --dataset=fox --data_dir="$tmp"
        check "$name: of half a checkpoint" ends 65 "$1/eval" --checkpoint="$tmp/half" --text="$tmp/text"
        check "$name: of no text" ends 66 "$1/eval" $few --text="$tmp/none"
    }
}
# Import and export are run by gen/import.lua and gen/export.lua.
wrapped() { # program words...
    mkdir -p "$tmp/wrapped"
    tool=${1##*/}
    printf '#!/bin/sh\nexec %s %s "$@"\n' "$under" "$1" >"$tmp/wrapped/$tool"
    chmod +x "$tmp/wrapped/$tool"
    shift
    kept=$under
    under=
    ends 0 lua5.4 -E "gen/$tool.lua" --build="$tmp/wrapped" "$@"
    good=$?
    under=$kept
    return $good
}
tools() { # folder of programs
    rm -rf "$tmp/imported" "$tmp/hf" "$tmp/exported"
    mkdir "$tmp/hf" "$tmp/exported"
    check "$name: a model to import" lua5.4 tests/train/hf.lua "$tmp/hf" shards=3
    check "$name: import" wrapped "$1/import" --out="$tmp/imported" --name=model "$tmp/hf"
    ckpt=$tmp/imported/model/ckpt.safetensors
    check "$name: what it is" ends 0 "$1/inspect" --file="$ckpt" --verify=1
    check "$name: of several files" ends 0 "$1/inspect" --file="$tmp/hf/model.safetensors.index.json"
    check "$name: a data set" ends 0 "$1/inspect" --file="$tmp/sets/made" --verify=1
    head -c 9999 "$ckpt" >"$tmp/half"
    check "$name: half a file" ends 65 "$1/inspect" --file="$tmp/half"
    check "$name: a model to export" lua5.4 tests/train/checkpoint.lua "$tmp/exported/ckpt.safetensors" bias=false
    for format in hf gguf llmc safetensors; do
        check "$name: export to $format" wrapped "$1/export" --checkpoint="$tmp/exported/ckpt.safetensors" \
            --format=$format --type=bfloat16 --to="$tmp/exported/$format"
        check "$name: what it is: $format" ends 0 "$1/inspect" --file="$tmp/exported/$format" --verify=1
    done
    check "$name: import of what was exported" wrapped "$1/import" --out="$tmp/imported" --name=back "$tmp/exported/hf"
    check "$name: of GGUF" wrapped "$1/import" --out="$tmp/imported" --name=gguf "$tmp/exported/gguf"
}
sets() { # program
    rm -rf "$tmp/sets"
    documents "$1"
    mkdir -p "$tmp/sets/made" "$tmp/sets/bpe" "$tmp/sets/lines" "$tmp/sets/adopted"
    sum=$(sha256sum <"$tmp/text" | cut -d ' ' -f 1)
    check "$name: characters" ends 0 "$1" --text="$tmp/text" --out="$tmp/sets/made" --name=made --sha256="$sum"
    [ -n "$all" ] || return
    printf 'one\r\ntwo\rthree\n\303\244%s\n' "$(head -n 30 "$tmp/text")" >"$tmp/lines"
    check "$name: other lines" ends 0 "$1" --text="$tmp/lines" --out="$tmp/sets/lines" --name=lines --newlines=lf \
        --sha256="$(sha256sum <"$tmp/lines" | cut -d ' ' -f 1)"
    if [ -f data/gpt2/vocab.bpe ]; then
        check "$name: GPT-2's tokens" ends 0 "$1" --text="$tmp/text" --out="$tmp/sets/bpe" --name=bpe \
            --tokenizer=gpt2 --sha256="$sum"
        cp "$tmp/sets/bpe/train.bin" "$tmp/sets/bpe/val.bin" "$tmp/sets/adopted"
        check "$name: tokens made elsewhere" ends 0 "$1" --adopt="$tmp/sets/adopted" --name=adopted
    fi
    printf 'ab\377cd' >"$tmp/lines"
    check "$name: no UTF-8" ends 65 "$1" --text="$tmp/lines" --out="$tmp/sets/lines" --name=lines --sha256="$sum"
    check "$name: no text" ends 66 "$1" --text="$tmp/none" --out="$tmp/sets/lines" --name=lines --sha256="$sum"
}

under=
programs="train sample"
[ -z "$all" ] || programs="train sample bench sample_bench eval"

name="ASan, UBSan, LSan"
build SANITIZE=1 PROGRAMS="$programs"
if [ -n "$all" ]; then
    trainer build/asan/resume/cpu 3
    benches build/asan/resume/cpu
else
    trainer build/asan/resume/cpu 1
fi
sampler build/asan/resume/cpu 3
# the tools, of the same wings
isa_of_runtime=$(sed -n 's/^ISA := *//p' build/resume/cpu/build.mk)
tool() { # name, asan or tsan, its flag
    parts=build/$2/runtime/$isa_of_runtime
    # shellcheck disable=SC2046 # a list of files
    gcc -std=gnu11 -O1 -g -pthread "-fsanitize=$3" -fno-sanitize-recover=all -I. -Ibuild/include -o "$tmp/$1" \
        "runtime/programs/$1.c" $(find runtime/programs -path "*/programs/$1/*.c") "$parts/files.a" "$parts/text.a" \
        "$parts/base.a" -lm
}
tool prepare asan address,undefined || exit 1
sets "$tmp/prepare"
if [ -n "$all" ]; then
    for made in import export inspect; do tool $made asan address,undefined || exit 1; done
    tools "$tmp"
    evaluations build/asan/resume/cpu 3
    check "$name: the sampler as a library" env SANITIZE=1 tests/train/test_library.sh
fi

name=TSan
[ -n "$all" ] || programs=train
build SANITIZE=thread PROGRAMS="$programs"
# Where the kernel spreads addresses over more bits than this TSan knows, it wants them not spread at all.
can_start() {
    # shellcheck disable=SC2086
    $under build/tsan/resume/cpu/train --help >"$tmp/said" 2>&1
}
can_start || under="setarch $(uname -m) -R"
if ! can_start; then
    head -n 1 "$tmp/said"
    skipped=$((skipped + 1))
elif [ -n "$all" ]; then
    trainer build/tsan/resume/cpu 3
    sampler build/tsan/resume/cpu 3
    benches build/tsan/resume/cpu
    evaluations build/tsan/resume/cpu 3
    # shellcheck disable=SC2086
    check "$name: the sampler as a library" env SANITIZE=thread $under tests/train/test_library.sh
else
    check "$name: train" ends 0 build/tsan/resume/cpu/train --data_dir="$tmp" --out_dir="$tmp/tsan" --threads=3 \
        --max_iters=2 --lr_decay_iters=2 --eval_interval=2 --eval_iters=1
fi
if can_start; then
    tool prepare tsan thread || exit 1
    documents "$tmp/prepare"
fi

name=valgrind
if command -v valgrind >/dev/null; then
    # the pool's threads run until the end, and their memory with them: not lost, though it says "possibly"
    under="valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite"
    make build/prepare build/import build/export build/inspect >"$tmp/log" 2>&1 || exit 1
    sets build/prepare
    if [ -n "$all" ]; then
        # it knows no AVX-512
        isa=generic
        ! grep -qw avx2 /proc/cpuinfo || isa=avx2
        build SET="isa=$isa" PROGRAMS="$programs"
        trainer "build/resume-isa@$isa/cpu" 2
        sampler "build/resume-isa@$isa/cpu" 2
        benches "build/resume-isa@$isa/cpu"
        tools build
        evaluations "build/resume-isa@$isa/cpu" 2
    fi
else
    echo "test_sanitizers: there is no valgrind; gen/tools/setup.sh torture installs it"
    skipped=$((skipped + 1))
fi

reached "ASan, UBSan, LSan, TSan, valgrind on trainer, sampler, bench, eval, prepare, import, export, inspect" "$runs runs, $reports reports"
finish
