#!/usr/bin/env bash
# kit.sh: `make gpu-kit`: emits and builds, on a machine with Lua and nvcc, all that pass.sh, check.sh and bench.sh run on
# a machine with a GPU. Writes build/gpu-kit and, to be copied, build/gpu-kit.tar.gz (at most 48 MiB; cuBLASLt is linked
# dynamically); objects go to build/gpu. These variables of the environment say what is in it:
#
#     ARCH=sm_90a               the device's architecture
#     CONFIGS="gpt2 ..."        for bench.sh: names in configs/, or paths; default gpt2 and shakespeare_char, since
#                               more would not fit beside the checks
#     STEP=gpt2:64              the config and micro-batch whose step pass.sh times; empty: none
#     BENCH_SET=...             overrides keys of the configs except shakespeare_char: GELU as in GPT-2, which cuBLASLt
#                               can do in its epilogue
#     ATTENTIONS="mma"          the kernels of attention that are built; on sm_90a "mma hopper"
#     TYPES="bf16 f16 f32"      the op harness; on sm_90a also "bf16:hopper f16:hopper"
#     FAMILIES="bias ..."       of its ops; default all
#     GOLDENS="heads64 ..."     which of tests/reference/golden; default all
#     DTYPES="float32 bfloat16" the types of the trainers that are compared with them
#     TRAINERS="small odd"      the trainings whose losses and bytes are checked
#     ROWS=16384                another logits_rows that pass.sh times beside the config's; empty: none
#     KIT=build/gpu-kit         the kit's folder
#     JOBS=2                    programs that are built at a time; default: the number of cores
#     EMULATED=1                programs for this machine's CPU, by tests/cuda/emulator, which rehearse.sh runs
#
# kit.txt lists the contents, one item a line, with paths relative to the kit's folder:
#
#     arch ARCH
#     numbers PROGRAM                            every function of kernel.cuh
#     maps PROGRAM MAPS                          lanes, registers and addresses of mma, ldmatrix, wgmma and the copies
#     hopper PROGRAM                             wgmma, TMA, mbarriers, and attention made of them; --list: its groups
#     ops NAME PROGRAM                           prints Check's totals; --list: its families
#     parity NAME DTYPE PROGRAM GOLDEN           exit code 0 if it agrees with PyTorch's numbers
#     train NAME ITERATIONS PROGRAM LOSSES       a trainer for data/fox, with dropout and two micro-steps, and the
#                                                losses of its first iterations by the CPU backend in float32
#     rank NAME ITERATIONS PROGRAM               the same trainer for many processes, which pass.sh starts as one; only
#                                                if nccl.h is here, and not for the emulator, whose NCCL needs mpirun
#     sanitize NAME PROGRAM                      the same with less work, for compute-sanitizer
#     bench CONFIG BATCH MICRO-STEPS PROGRAM     with SIZES beside it in sizes.json
#     step KIND CONFIG BATCH MICRO-STEPS PROGRAM a bench that pass.sh times
#     tune CONFIG BATCH PROGRAM                  times cuBLASLt's algorithms for its products, to $DIECAST_TUNE
#     run CONFIG PROGRAM                         a trainer whose whole run is timed
set -euo pipefail
cd "$(dirname "$0")/../../.."
unset MAKEFLAGS MAKELEVEL
PATH=$PATH:/usr/local/cuda/bin
emulated=${EMULATED:-}
arch=${ARCH:-sm_90a}
hopper=$([ "$arch" != sm_90a ] || echo yes)
configs=${CONFIGS-gpt2 shakespeare_char}
step=${STEP-gpt2:64}
bench_set=${BENCH_SET-activation=gelu_tanh}
dtypes=${DTYPES:-float32 bfloat16}
attentions=${ATTENTIONS:-mma${hopper:+ hopper}}
types=${TYPES:-bf16 f16 f32${hopper:+ bf16:hopper f16:hopper}}
goldens=${GOLDENS:-$(basename -as .safetensors tests/reference/golden/*.safetensors)}
trainers=${TRAINERS-small odd}
rows=${ROWS-16384}
jobs=${JOBS:-$(nproc)}
build=build/gpu${emulated:+-emulated}
kit=${KIT:-build/gpu-kit${emulated:+-emulated}}
most=48       # MiB
tokens=524288 # in an update of the GPT-2 configs
for_device="--nvcc $arch"
[ -z "$emulated" ] || for_device=--emulated

for tool in lua5.4 ${emulated:-nvcc}; do
    [ "$tool" = 1 ] || command -v "$tool" >/dev/null || {
        echo "gpu-kit: $tool: not found; this needs Lua (gen/tools/setup.sh build) and the CUDA toolkit" >&2
        exit 66
    }
done

# Micro-batches to try; 0: the config's.
candidates() {
    case $1 in
        gpt2 | gpt2_medium) echo 32 64 128 ;;
        gpt2_large) echo 16 32 64 ;;
        gpt2_xl) echo 16 32 ;;
        *) echo 0 ;;
    esac
}

rm -rf "$kit" "$kit.tar.gz" "$build/lines"
mkdir -p "$kit/golden" "$build/lines" "$build/logs"
started=$(date +%s)

# ---- one program after another, several at a time -------------------------------------------------

# Starts a job, which prints lines of kit.txt, when fewer than $jobs are running. In kit.txt the lines are in the order
# in which jobs were started.
count=0
job() { # command
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || exit 1; done
    count=$((count + 1))
    local file
    file=$(printf '%s/%03d' "$build/lines" $count)
    (
        "$@" >"$file.part"
        mv "$file.part" "$file"
    ) &
}
finish_jobs() {
    while [ "$(jobs -rp | wc -l)" -gt 0 ]; do wait -n || exit 1; done
}

# Runs a command; shows its output if it fails.
quietly() { # name of the log, command
    local log=$build/logs/$1
    shift
    "$@" >"$log" 2>&1 && return
    tail -n 30 "$log" >&2
    echo "gpu-kit: this failed: $*" >&2
    return 1
}

# Builds programs of a config for any x86 processor and prints their folder, from the Makefile's own line.
make_programs() { # name of the log, config, BACKEND, SET, programs, RANKS
    quietly "$1" make build CONFIG="$2" BACKEND="$3" EMULATED="$emulated" BUILD="$build" SET="$4" PROGRAMS="$5" RANKS="${6-}" &&
        sed -n 's/^built: \([^:]*\):.*/\1/p' "$build/logs/$1"
}
on_device() { # name of the log, config, SET, programs, RANKS
    make_programs "$1" "$2" cuda "arch=$arch isa=generic $3" "$4" "${5-}"
}

# Puts a program into the kit, stripped, and prints its line: the words before its path, the path, the words after it.
take() { # from, path in the kit, words before, words behind
    mkdir -p "$kit/$(dirname "$2")"
    cp "$1" "$kit/$2"
    strip "$kit/$2"
    echo "$3 $2${4:+ $4}"
    echo "gpu-kit: $2" >&2
}

# ---- kernels --------------------------------------------------------------------------------------

numbers() {
    if [ "$emulated" ]; then
        quietly numbers g++ -std=c++17 -O2 -Wno-unknown-pragmas -I runtime/kernel -I tests/cuda/emulator -x c++ \
            -o $build/numbers tests/cuda/test_emulator_numbers.cu $(ls tests/cuda/emulator/*.cpp | grep -v /cublasLt)
    else
        quietly numbers nvcc -std=c++17 -arch="$arch" -I runtime/kernel -o $build/numbers tests/cuda/test_emulator_numbers.cu
    fi
    take $build/numbers numbers numbers
}

maps() {
    # shellcheck disable=SC2086 # words
    quietly maps tests/cuda/test_maps.sh $for_device $build/maps
    cp tests/cuda/cute/maps.txt "$kit/maps.txt"
    take $build/maps maps maps maps.txt
}

hopper_program() {
    # shellcheck disable=SC2086 # words
    quietly hopper tests/cuda/test_hopper.sh $for_device $build/hopper
    take $build/hopper hopper hopper
}

ops() { # the types share objects, so one after another
    local type name
    # shellcheck disable=SC2086 # words
    quietly ops tests/cuda/test_ops.sh $for_device $build/ops $types
    for type in $types; do
        name=ops-${type/:/-}
        take "$build/ops/$name" "ops/$name" "ops ${name#ops-}"
    done
}

# ---- whole models ---------------------------------------------------------------------------------

parity() { # golden, dtype, attention
    local name=$1 set="dtype=$2" bin
    [ "$3" = mma ] || name=$name-$3 set="$set attention=$3"
    bin=$(on_device "parity-$name-$2" "tests/reference/configs/$1.lua" "$set" test_parity)
    take "$bin/test_parity" "parity/$name-$2" "parity $name $2" "golden/$1.safetensors"
}

# A small text for the trainers.
fox() {
    local i
    for ((i = 0; i < 200; i++)); do
        echo "Step $i of a run is the same step, whoever was stopped before it and wherever."
    done >$build/text
    mkdir -p "$kit/data/fox"
    quietly fox make build/prepare
    quietly fox build/prepare --text=$build/text --out="$kit/data/fox" --name=fox \
        --sha256="$(sha256sum $build/text | cut -d ' ' -f 1)"
}

# The first losses of a config, by the CPU backend in float32: "iteration loss" a line.
losses() { # name, config, SET, iterations
    local bin out=$build/losses/$1
    bin=$(EMULATED='' emulated='' make_programs "losses-$1" "$2" cpu "$3" train)
    rm -rf "$out"
    quietly "losses-$1-run" "$bin/train" --data_dir="$kit/data" --out_dir="$out" --max_iters=$(($4 - 1)) \
        --eval_iters=1 --init_from=scratch
    sed -n 's/^{"iter": *\([0-9]*\), *"loss": *\([^,]*\),.*grad_norm.*/\1 \2/p' "$out/metrics.jsonl" >"$kit/$1.losses"
}

trainer() { # name, config, SET, iterations, losses
    local bin
    bin=$(on_device "train-$1" "$2" "dtype=bfloat16 $3" train)
    take "$bin/train" "train/$1" "train $1 $4" "$5.losses"
}

# On the emulator it may be the same program as a trainer's, and the model's objects are the same for a rank, so one job
# builds all.
trainer_and_others() { # name, config, SET, iterations, losses
    trainer "$@"
    [ "${1##*-}" != mma ] || [ "$emulated" ] || rank "$@"
    sanitized "$1" "$2" "attention=${1##*-} n_layer=1 batch_size=1"
}
rank() { # name, config, SET, iterations
    local bin
    gen/tools/setup.sh --check nccl >/dev/null 2>&1 || {
        echo "gpu-kit: nccl.h is not here: a rank through NCCL is left out" >&2
        return
    }
    bin=$(on_device "rank-$1" "$2" "dtype=bfloat16 $3" train 1)
    take "$bin/train" "train/$1-rank" "rank $1 $4"
}
sanitized() { # name, config, SET
    local bin
    bin=$(on_device "sanitize-$1" "$2" "dtype=bfloat16 $3" train)
    take "$bin/train" "train/$1-few" "sanitize $1"
}

# ---- steps ----------------------------------------------------------------------------------------

path_of() { # config
    case $1 in *.lua) echo "$1" ;; *) echo "configs/$1.lua" ;; esac
}
# A bench, in a folder with its sizes; `more` keys are at the end of the folder's name.
bench() { # config, attention, batch, more
    local name keys folder bin batch steps
    name=$(basename "$1" .lua)
    keys="attention=$2 ${4-}"
    [ "$name" = shakespeare_char ] || keys="$keys $bench_set"
    [ "$3" = 0 ] || keys="$keys batch_size=$3"
    folder=$name-$3-$2${4:+-${4#*=}}
    mkdir -p "$kit/bench/$folder"
    # shellcheck disable=SC2086 # words
    lua5.4 tests/bench/floor.lua --sizes "$(path_of "$1")" "arch=$arch" $keys >"$kit/bench/$folder/sizes.json"
    size() { sed -n "s/^ *\"$1\":\([0-9]*\),*$/\1/p" "$kit/bench/$folder/sizes.json"; }
    batch=$(size batch_size)
    steps=$((tokens / (batch * $(size block_size))))
    case $name in gpt2*) ;; *) steps=$(size gradient_accumulation_steps) ;; esac
    bin=$(on_device "bench-$folder" "$1" "dtype=bfloat16 $keys" "bench tune")
    if [ "${4-}" ]; then
        take "$bin/bench" "bench/$folder/bench" "step $2-${4#*=} $name $batch $steps"
        return
    fi
    take "$bin/bench" "bench/$folder/bench" "bench $name $batch $steps"
    [ "$2" != mma ] || take "$bin/tune" "bench/$folder/tune" "tune $name $batch" # the products of all kinds
    [ "$name:$3" != "$step" ] || echo "step $2 $name $batch $steps bench/$folder/bench"
}

# The whole run of shakespeare_char, if its text is here.
whole_run() {
    local data=data/shakespeare_char bin
    bin=$(on_device run-shakespeare_char shakespeare_char dtype=bfloat16 train)
    mkdir -p "$kit/$data"
    cp $data/train.bin $data/val.bin $data/meta.json "$kit/$data/"
    take "$bin/train" train/shakespeare_char "run shakespeare_char"
}

# ---- all ------------------------------------------------------------------------------------------

# Each trainer: its config, keys, iterations, and how many of its losses are compared. `small` has whole tiles, heads of
# 64, and enough of them that every loop of attention's kernels is entered, a thread block's second item too; `odd` has
# sizes that nothing divides. On the emulator there is time for fewer iterations.
compared=24
[ -z "$emulated" ] || compared=8
train_jobs() { # trainer
    local config keys='' iterations attention
    case $1 in
        small)
            config=tests/cuda/gpu/small.lua iterations=60
            [ -z "$emulated" ] || keys="n_layer=1 batch_size=1" iterations=$compared
            ;;
        odd)
            config=tests/train/resume.lua iterations=3000
            [ -z "$emulated" ] || iterations=24
            ;;
        *)
            echo "gpu-kit: TRAINERS: '$1' is not known; there are: small odd" >&2
            exit 64
            ;;
    esac
    losses "$1" $config "$keys" $compared
    if [ "$1" = odd ]; then
        job trainer odd $config max_iters=$iterations $iterations odd
        return
    fi
    for attention in $attentions; do
        job trainer_and_others "$1-$attention" $config "attention=$attention $keys" $iterations "$1"
    done
}

fox
quietly first make generate # what the jobs share: build/include
job numbers
finish_jobs
job maps
[ -z "$hopper" ] || job hopper_program
job ops
for golden in $goldens; do
    cp "tests/reference/golden/$golden.safetensors" "$kit/golden/"
    autocast=tests/reference/golden/$golden.autocast.json # the errors of PyTorch's rounding; there is no such file for float32
    [ ! -f "$autocast" ] || cp "$autocast" "$kit/golden/"
    for dtype in $dtypes; do
        [ "$dtype" = float32 ] || [ -f "$autocast" ] || continue
        job parity "$golden" "$dtype" mma
        [ "$golden-$dtype" != heads64-bfloat16 ] || [ "$attentions" = mma ] || job parity heads64 bfloat16 hopper
    done
done
for trainer in $trainers; do train_jobs "$trainer"; done
for config in $configs; do
    for attention in $attentions; do
        for batch in $(candidates "$config"); do job bench "$config" "$attention" "$batch"; done
    done
    [ "$(basename "$config" .lua)" != "${step%:*}" ] || [ -z "$rows" ] || job bench "$config" "${attentions##* }" "${step#*:}" "logits_rows=$rows"
done
if [[ " $configs " == *' shakespeare_char '* ]]; then
    if [ -f data/shakespeare_char/train.bin ] && [ -f data/shakespeare_char/val.bin ]; then
        finish_jobs # its model is a bench's
        job whole_run
    else
        echo "gpu-kit: data/shakespeare_char/train.bin is not here: its whole run is left out"
    fi
fi
finish_jobs

{ echo "arch $arch"; cat "$build"/lines/*; } >"$kit/kit.txt"
tar -czf "$kit.tar.gz" -C "$(dirname "$kit")" "$(basename "$kit")"
bytes=$(stat -c %s "$kit.tar.gz")
if [ "$bytes" -gt $((most << 20)) ]; then
    echo "gpu-kit: $kit.tar.gz has $((bytes >> 20)) MiB, more than $most; the largest in it:" >&2
    du -ab "$kit" | sort -nr | sed -n '2,12p' >&2
    exit 1
fi
echo "gpu-kit: $kit.tar.gz: $((bytes >> 10)) KiB in $(($(date +%s) - started)) s, for $arch${emulated:+, emulated}"
