#!/bin/sh
# test_ops.sh [TYPE ...]: the op harness (tests/ops) on CUDA's kernels, run on the CPU by the
# emulator, for each type of activations: bf16, f16, f32, or bf16:hopper, f16:hopper, which are
# attention alone, with Hopper's kernels. By default: all of bf16, bf16:hopper, of f16 and f32 the families
# where the type is more than a name, a few families again with ASan and UBSan, and kernels with a planted fault,
# which must fail. Needs no CUDA.
#
# test_ops.sh --nvcc ARCH FOLDER [TYPE ...]: builds FOLDER/ops-TYPE (ops-bf16-hopper for bf16:hopper)
# for a device (ARCH: sm_90a), with tests/cuda/check in Check's place; FOLDER/TYPE has the parts. The
# head of tests/ops/harness.c says how such a program is called. They have cases to be timed too, which
# take the emulator minutes: `--bench` prints the time of each kernel.
#
# test_ops.sh --emulated FOLDER [TYPE ...]: the same programs for the emulator. Hopper's need
# EMULATOR_ARCH=90.
#
# FAMILIES="layernorm attention" in the environment: only these are emitted.
# shares: nothing
set -eu
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
types='bf16 f16 f32'

# include/run_keys.h to folder $1.
run_keys() {
    lua5.4 gen/main.lua --build "$1" configs/shakespeare_char_cpu.lua >/dev/null
}

# emit FOLDER TARGET [--bench] [FAMILY ...]
emit() {
    mkdir -p "$1"
    folder=$1 target=$2
    shift 2
    lua5.4 tests/ops/emit.lua "$target" "$folder" "$@"
}

# emit_type FOLDER TYPE [--bench]
emit_type() {
    case $2 in
        bf16 | f16 | f32) families=${FAMILIES-} ;;
        bf16:hopper | f16:hopper) families=attention ;;
        *)
            echo "test_ops: '$2': no such type; there are bf16, f16, f32, bf16:hopper, f16:hopper" >&2
            exit 64
            ;;
    esac
    # shellcheck disable=SC2086 # a word each
    emit "$1" "cuda:$2" ${3-} $families
}

# build_in FOLDER [WORD=value ...]: compiles what was emitted there.
build_in() {
    folder=$1
    shift
    MAKEFLAGS='' make -s -j"$(nproc)" -f tests/cuda/test_ops.mk OUT="$folder" BUILD="$build" "$@"
}

folder='' arch='' bench=''
case ${1-} in
    --nvcc)
        arch=$2 folder=$3 bench=--bench
        shift 3
        ;;
    --emulated)
        folder=$2
        shift 2
        ;;
esac
run_keys "$build"
if [ "$folder" ]; then
    programs=$folder
    # shellcheck disable=SC2048 # a word each
    for type in ${*:-$types}; do
        name=$(echo "$type" | tr : -)
        emit_type "$programs/$name" "$type" $bench
        build_in "$programs/$name" PROGRAM="$programs/ops-$name" STAND_IN=1 ARCH="$arch"
        echo "$programs/ops-$name"
    done
    exit
fi

passed=0 failed=0
out=$build/ops/cuda
[ -z "${FAMILIES-}" ] || only=$FAMILIES

# The number before each word in Check's "98%: Checks: 200, Failures: 2, Errors: 1".
total() {
    sed -n "s/^[0-9]*%: .*$1: \([0-9]*\).*/\1/p" "$2"
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
    grep -v '^run ' "$2/log" | tail -n 40
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

# shellcheck disable=SC2048 # a word each
for type in ${*:-$types bf16:hopper}; do
    name=$(echo "$type" | tr : -)
    case $#-$type in
        0-f16) FAMILIES=${only-matmul attention cross_entropy} ;;
        0-f32) FAMILIES=${only-matmul attention embed fusion optimizer} ;;
        0-*) FAMILIES=${only-} ;;
    esac
    emit_type "$out/$name" "$type"
    build_in "$out/$name"
    case $type in *:hopper) export EMULATOR_ARCH=90 ;; *) unset EMULATOR_ARCH ;; esac
    run_in "cuda:$type" "$out/$name"
done
unset EMULATOR_ARCH
if [ $# = 0 ]; then
    emit "$out/asan" cuda:bf16 add bias dropout embed layernorm optimizer
    build_in "$out/asan" SANITIZE=1
    run_in 'cuda:bf16 with ASan and UBSan' "$out/asan"
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
