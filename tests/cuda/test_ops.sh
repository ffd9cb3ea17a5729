#!/bin/sh
# test_ops.sh [TYPE ...]: the op harness (tests/ops) on CUDA's kernels, run on the CPU by the
# emulator, for each type of activations. Where no type is named (bf16, f16, f32): all of them, a few
# families again with ASan and UBSan, Hopper's attention, and kernels with a planted fault, which
# must fail. Needs no CUDA.
#
# test_ops.sh --nvcc ARCH FOLDER: builds FOLDER/ops-TYPE for a device (ARCH: sm_90a) from files that
# it emits to FOLDER/TYPE. Where these lie already, a machine needs neither Lua nor Check:
#
#     nvcc -arch=ARCH -O3 -Xcompiler -ffp-contract=off -I. -IFOLDER/include -Itests/cuda/check \
#         -o FOLDER/ops-TYPE FOLDER/TYPE/*.cu FOLDER/TYPE/*.c $(tests/cuda/test_ops.sh --sources) \
#         -lcublasLt -lcuda
#
# Such a program prints Check's last line; with --bench the time of each kernel instead.
set -eu
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
types='bf16 f16 f32'

# What a device's program is made of beside the emitted files.
sources() {
    find tests/ops -name '*.c' ! -name backend_cpu.c | LC_ALL=C sort
    echo tests/cuda/check/check.c runtime/rng.c runtime/log.c runtime/gpu.c runtime/gemm.c
}

# include/run_keys.h to folder $1.
run_keys() {
    lua5.4 gen/main.lua --build "$1" configs/shakespeare_char_cpu.lua >/dev/null
}

if [ "${1-}" = --sources ]; then
    sources | tr '\n' ' '
    exit
fi

if [ "${1-}" = --nvcc ]; then
    arch=$2 folder=$3
    mkdir -p "$folder/include"
    run_keys "$build"
    cp "$build/include/run_keys.h" "$folder/include"
    for type in $types; do
        mkdir -p "$folder/$type"
        lua5.4 tests/ops/emit.lua "cuda:$type" "$folder/$type" --bench
        # shellcheck disable=SC2046 # a word each
        nvcc -arch="$arch" -O3 -Xcompiler -ffp-contract=off -I. -I"$folder/include" \
            -Itests/cuda/check -o "$folder/ops-$type" "$folder/$type"/*.cu "$folder/$type"/*.c \
            $(sources) -lcublasLt -lcuda
        echo "$folder/ops-$type"
    done
    exit
fi

passed=0 failed=0
out=$build/ops/cuda

# The number before each word in Check's "98%: Checks: 200, Failures: 2, Errors: 1".
total() {
    sed -n "s/^[0-9]*%: .*$1: \([0-9]*\).*/\1/p" "$2"
}

# build_in FOLDER [WORD=value ...]: compiles what was emitted there.
build_in() {
    folder=$1
    shift
    MAKEFLAGS='' make -s -j2 -f tests/cuda/test_ops.mk OUT="$folder" BUILD="$build" "$@"
}

# run_in TITLE FOLDER: runs the harness there; adds up.
run_in() {
    code=0
    "$2/harness" >"$2/log" 2>&1 || code=$?
    checks=$(total Checks "$2/log")
    bad=$(($(total Failures "$2/log") + $(total Errors "$2/log")))
    [ $code = 0 ] || [ $bad -gt 0 ] || bad=1
    passed=$((passed + ${checks:-0} - bad))
    failed=$((failed + bad))
    echo "ops $1:"
    tail -n 40 "$2/log"
}

# emit FOLDER TARGET [FAMILY ...], into an empty folder.
emit() {
    folder=$1 target=$2
    shift 2
    mkdir -p "$folder"
    lua5.4 tests/ops/emit.lua "$target" "$folder" "$@"
}

# planted NAME FAMILY FROM TO: with FROM replaced in a family's kernels (where it must be), the
# harness in the folder `planted` fails and says so of that family.
planted() {
    folder=$out/planted kernels=$out/planted/$2.cu
    cp "$kernels" "$folder/before"
    FROM=$3 TO=$4 perl -pi -e 's/\Q$ENV{FROM}\E/$ENV{TO}/' "$kernels"
    if cmp -s "$kernels" "$folder/before"; then
        echo "planted $1: no kernel of $2 has '$3'"
        failed=$((failed + 1))
        return
    fi
    build_in "$folder" STAND_IN=1 2>"$folder/warnings" # a fault may leave a variable unused
    if "$folder/harness" >"$folder/log" 2>&1; then
        echo "planted $1: passes"
        failed=$((failed + 1))
    elif ! grep -q '^[0-9]*%: Checks: .* Failures: [1-9]' "$folder/log"; then
        echo "planted $1: ends without a count"
        tail -n 3 "$folder/log"
        failed=$((failed + 1))
    else
        echo "planted $1: found: $(grep -m 1 ":F:$2:" "$folder/log" | sed 's/.*:F:[^ ]* //' |
            cut -c -100)"
        passed=$((passed + 1))
    fi
    mv "$folder/before" "$kernels"
    touch "$kernels" # newer than what was compiled
}

run_keys "$build"
# shellcheck disable=SC2048 # a word each
for type in ${*:-$types}; do
    emit "$out/$type" "cuda:$type"
    build_in "$out/$type"
    run_in "cuda:$type" "$out/$type"
done
if [ $# = 0 ]; then
    emit "$out/asan" cuda:bf16 add bias dropout embed layernorm
    build_in "$out/asan" SANITIZE=1
    run_in 'cuda:bf16 with ASan and UBSan' "$out/asan"
    emit "$out/hopper" cuda:bf16:hopper attention
    build_in "$out/hopper"
    export EMULATOR_ARCH=90
    run_in cuda:bf16:hopper "$out/hopper"
    unset EMULATOR_ARCH
    rm -rf "$out/planted"
    emit "$out/planted" cuda:f32 bias layernorm
    build_in "$out/planted" STAND_IN=1
    run_in "cuda:f32 with Check's stand-in" "$out/planted"
    planted sign layernorm '- mu[a]' '+ mu[a]'
    planted padding layernorm 'C % VEC == 0 ? value : vec_first(value, C - col, 0.0f)' value
    planted barrier bias 'block_sync();' ';'
    planted beta bias 'beta == 0.0f ? sum : ' ''
fi
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
