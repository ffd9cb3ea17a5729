#!/bin/sh
# kit.sh: `make gpu-kit`: emits and builds, on a machine with Lua and nvcc, all that check.sh and bench.sh run on a
# machine with a GPU. Writes build/gpu-kit and, to be carried, build/gpu-kit.tar.gz (at most 48 MiB; cuBLASLt is linked
# dynamically); what is compiled on the way goes to build/gpu.
#
#     ARCH=sm_90a          the device's architecture
#     CONFIGS="gpt2 ..."   what bench.sh can be asked for
#     BENCH_SET=...        keys over the gpt2 configs: GELU as GPT-2 has it, which cuBLASLt can do in its store
#     ATTENTIONS="mma"     the kernels of attention that are built; on sm_90a "mma hopper"
#     DTYPES="float32 bfloat16" what is held against the goldens
#
# kit.txt lists what is there, one thing a line, with paths from the kit's folder:
#
#     arch ARCH
#     numbers PROGRAM                            every name of kernel.cuh, lane maps of mma and ldmatrix among them
#     ops NAME PROGRAM                           prints Check's totals
#     parity NAME DTYPE PROGRAM GOLDEN           exit 0: PyTorch's numbers
#     train NAME PROGRAM                         a trainer for data/fox, dropout and two micro-steps in it
#     bench CONFIG BATCH MICRO-STEPS PROGRAM     with SIZES beside it in sizes.json
#     run CONFIG PROGRAM                         a trainer whose whole run is timed
set -eu
cd "$(dirname "$0")/../../.."
unset MAKEFLAGS MAKELEVEL
PATH=$PATH:/usr/local/cuda/bin
arch=${ARCH:-sm_90a}
configs=${CONFIGS:-gpt2 gpt2_medium gpt2_xl shakespeare_char}
bench_set=${BENCH_SET-activation=gelu_tanh}
dtypes=${DTYPES:-float32 bfloat16}
attentions=${ATTENTIONS:-mma$([ "$arch" != sm_90a ] || echo ' hopper')}
build=build/gpu
kit=build/gpu-kit
most=48 # MiB

for tool in lua5.4 nvcc; do
    command -v $tool >/dev/null || {
        echo "gpu-kit: $tool: not found; this needs Lua (tests/setup.sh build) and the CUDA toolkit" >&2
        exit 66
    }
done

# Micro-batches worth a trial; 0: the config's. And tokens in an update.
candidates() {
    case $1 in
        gpt2 | gpt2_medium) echo 32 64 128 ;;
        gpt2_large) echo 16 32 64 ;;
        gpt2_xl) echo 16 32 ;;
        *) echo 0 ;;
    esac
}
tokens=524288

log=$build/log
rm -rf "$kit" "$kit.tar.gz"
mkdir -p "$kit" "$build"
: >"$log"
echo "arch $arch" >"$kit/kit.txt"
started=$(date +%s)

# Builds programs of a config for any x86 processor and says where they are: the Makefile's own line does.
make_programs() { # config, SET, programs
    make build CONFIG="$1" BACKEND=cuda BUILD=$build SET="arch=$arch isa=generic $2" PROGRAMS="$3" \
        >$build/last 2>&1 || {
        cat $build/last >&2
        echo "gpu-kit: $1 ($2) was not built" >&2
        exit 1
    }
    cat $build/last >>"$log"
    sed -n 's/^built: \([^:]*\):.*/\1/p' $build/last
}
# Puts a program into the kit, stripped, and lists it.
take() { # from, path in the kit, the line of kit.txt before the path, and behind it
    mkdir -p "$kit/$(dirname "$2")"
    cp "$1" "$kit/$2"
    strip "$kit/$2"
    echo "$3 $2${4:+ $4}" >>"$kit/kit.txt"
    echo "gpu-kit: $2"
}

# What the emulator answers for the hardware, asked of the hardware.
nvcc -std=c++17 -arch="$arch" -I runtime -o $build/numbers tests/cuda/test_emulator_numbers.cu >>"$log" 2>&1
take $build/numbers numbers numbers

# The ops, by the harness that the emulator's tests use too.
tests/cuda/test_ops.sh --nvcc "$arch" $build/ops >>"$log" 2>&1 || {
    tail -n 30 "$log" >&2
    echo "gpu-kit: the op harness was not built" >&2
    exit 1
}
for program in $(find $build/ops -type f -perm -u+x ! -name '*.*' | LC_ALL=C sort); do
    ops=$(basename "$program")
    take "$program" "ops/$ops" "ops ${ops#ops-}"
done
grep -q '^ops ' "$kit/kit.txt" || {
    echo "gpu-kit: tests/cuda/test_ops.sh --nvcc left no program in $build/ops" >&2
    exit 1
}

mkdir -p "$kit/golden"
for config in tests/reference/configs/*.lua; do
    name=$(basename "$config" .lua)
    cp "tests/reference/golden/$name.safetensors" "$kit/golden/"
    autocast=tests/reference/golden/$name.autocast.json # what PyTorch's rounding costs; none where nothing is rounded
    [ ! -f "$autocast" ] || cp "$autocast" "$kit/golden/"
    for dtype in $dtypes; do
        [ "$dtype" = float32 ] || [ -f "$autocast" ] || continue
        bin=$(make_programs "$config" "dtype=$dtype" test_parity)
        take "$bin/test_parity" "parity/$name-$dtype" "parity $name $dtype" "golden/$name.safetensors"
    done
done

# Trainers for the checks: whole tiles, and odd sizes; and a small text for them.
for attention in $attentions; do
    bin=$(make_programs tests/cuda/gpu/small.lua "dtype=bfloat16 attention=$attention" train)
    take "$bin/train" "train/small-$attention" "train small-$attention"
done
bin=$(make_programs tests/train/resume.lua "dtype=bfloat16 max_iters=3000" train)
take "$bin/train" train/odd "train odd"
i=0
while [ $i -lt 200 ]; do
    echo "Step $i of a run is the same step, whoever was stopped before it and wherever."
    i=$((i + 1))
done >$build/text
make build/prepare >>"$log" 2>&1
mkdir -p "$kit/data/fox"
build/prepare --text=$build/text --out="$kit/data/fox" --name=fox \
    --sha256="$(sha256sum $build/text | cut -d ' ' -f 1)" >>"$log"

bench_programs() { # config, attention, batch
    keys="attention=$2$([ "$1" = shakespeare_char ] || echo " $bench_set")$([ "$3" = 0 ] || echo " batch_size=$3")"
    # shellcheck disable=SC2086 # words
    lua5.4 tests/bench/floor.lua --sizes "configs/$1.lua" "arch=$arch" $keys >$build/sizes.json
    size() { sed -n "s/^ *\"$1\":\([0-9]*\),*$/\1/p" $build/sizes.json; }
    batch=$(size batch_size)
    steps=$((tokens / (batch * $(size block_size))))
    [ "$1" != shakespeare_char ] || steps=$(size gradient_accumulation_steps)
    bin=$(make_programs "$1" "dtype=bfloat16 $keys" bench)
    take "$bin/bench" "bench/$1-$batch-$2/bench" "bench $1 $batch $steps"
    cp $build/sizes.json "$kit/bench/$1-$batch-$2/"
}
for config in $configs; do
    for attention in $attentions; do
        for batch in $(candidates "$config"); do bench_programs "$config" "$attention" "$batch"; done
    done
done

# The whole run of shakespeare_char, where its text is here.
data=data/shakespeare_char
if echo " $configs " | grep -q ' shakespeare_char ' && [ -f $data/train.bin ] && [ -f $data/val.bin ]; then
    bin=$(make_programs shakespeare_char dtype=bfloat16 train)
    take "$bin/train" train/shakespeare_char "run shakespeare_char"
    mkdir -p "$kit/$data"
    cp $data/train.bin $data/val.bin $data/meta.json "$kit/$data/"
else
    echo "gpu-kit: $data/train.bin is not here: shakespeare_char's whole run is left out"
fi

tar -czf "$kit.tar.gz" -C "$(dirname "$kit")" "$(basename "$kit")"
bytes=$(stat -c %s "$kit.tar.gz")
if [ "$bytes" -gt $((most << 20)) ]; then
    echo "gpu-kit: $kit.tar.gz has $((bytes >> 20)) MiB, more than $most; the largest in it:" >&2
    du -ab "$kit" | sort -nr | sed -n '2,12p' >&2
    exit 1
fi
echo "gpu-kit: $kit.tar.gz: $((bytes >> 10)) KiB in $(($(date +%s) - started)) s, for $arch"
