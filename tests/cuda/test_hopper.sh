#!/bin/sh
# test_hopper.sh: Hopper's instructions (runtime/hopper.cuh) as the emulator answers them, and the
# attention kernels made of them, with g++ alone. Where nvcc is, it also compiles them for sm_90a:
# no warning, no spill, no product that the compiler serialises.
#
#     tests/cuda/test_hopper.sh        CXX, NVCC (nvcc), SANITIZE=1
# shares: nothing
set -eu
cd "$(dirname "$0")/../.."
CXX=${CXX:-g++} NVCC=${NVCC:-nvcc}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/diecast-hopper-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
: > "$scratch/run_keys.h" # runtime.h's, of a config; nothing here reads one
flags="-std=c++17 -O2 -Wall -Wextra -Werror -Wno-unknown-pragmas"
flags="$flags -I. -Itests/cuda/emulator -I$scratch"
if [ "${SANITIZE-}" ]; then
    flags="$flags -g -fsanitize=address,undefined -fno-sanitize-recover=all"
fi
export EMULATOR_ARCH=90
passed=0 failed=0 skipped=0

emit() { # emit FOLDER TYPE SIZE...: FOLDER/hopper_cases.cu
    folder=$1 type=$2
    shift 2
    mkdir -p "$folder"
    lua5.4 tests/cuda/test_hopper.lua "$type" 3 "$@" > "$folder/hopper_cases.cu"
}

for file in emulator cuda_runtime; do
    # shellcheck disable=SC2086 # flags are words
    $CXX $flags -c tests/cuda/emulator/$file.cpp -o "$scratch/$file.o"
done

build() { # build FOLDER FLAG...: FOLDER/test
    into=$1
    shift
    # shellcheck disable=SC2086
    $CXX $flags "$@" -I"$into" tests/cuda/test_hopper.cpp "$scratch/emulator.o" \
        "$scratch/cuda_runtime.o" -o "$into/test"
}

# The instructions, and attention for both head sizes around the tiles' sizes, with blocks that have
# several items. B,T,H,D,SITE: a site has dropout.
cases=
for D in 64 128; do
    for T in 1 64 100 128 200 384; do
        B=$((T > 100 ? 1 : 2))
        cases="$cases $B,$T,2,$D,0 $B,$T,2,$D,7"
    done
done
# shellcheck disable=SC2086
emit "$scratch/bf16" bf16 $cases
emit "$scratch/f16" f16 1,200,2,64,7 1,200,2,128,0
for type in bf16 f16; do
    if [ $type = bf16 ]; then set --; else set -- -DATTENTION_ALONE; fi
    build "$scratch/$type" "$@"
    "$scratch/$type/test" > "$scratch/out" && code=0 || code=$?
    grep -v ' passed, ' "$scratch/out" || true
    # shellcheck disable=SC2046
    set -- $(tail -n 1 "$scratch/out" | tr -d ,)
    if [ "${2-}" != passed ] || { [ "$code" != 0 ] && [ "$3" = 0 ]; }; then
        echo "test_hopper of $type ended with $code"
        set -- 0 passed 1 failed
    fi
    passed=$((passed + $1))
    failed=$((failed + $3))
done

# Faults planted in the emitted kernels: a wait, a fence, a meeting that is not there, once each.
fault() { # fault WHAT SED
    sed "$2" "$scratch/small/hopper_cases.cu" > "$scratch/fault/hopper_cases.cu"
    if cmp -s "$scratch/small/hopper_cases.cu" "$scratch/fault/hopper_cases.cu"; then
        echo "not so: there is a place for a fault: $1"
        failed=$((failed + 1))
    elif build "$scratch/fault" -O1 -Wno-unused -DATTENTION_ALONE &&
        ! "$scratch/fault/test" > "$scratch/out" 2>&1; then
        passed=$((passed + 1))
    else
        echo "not so: a fault in an emitted kernel shows: $1"
        failed=$((failed + 1))
    fi
}
emit "$scratch/small" bf16 1,300,2,64,0
mkdir -p "$scratch/fault"
fault "values are not awaited" '/mbarrier_wait(&s->v_full/d'
fault "a stage of values is filled too early" '/mbarrier_wait(&s->v_empty/d'
fault "the scores' product is not awaited" 's/wgmma_wait<1>();//'
fault "keys are given back before their product" 's/wgmma_wait<0>();/if (0) &/'
fault "both groups' dS do not meet" '/barrier_sync(1, 2 \* WARP_GROUP);/d'
fault "dS is made from registers that dV's product has" 's/pair = ds_pairs/pair = p_pairs/'
fault "the last dQ of a step is not fenced" '/fence_proxy_async();/d'

# For the device itself.
if command -v "$NVCC" > /dev/null; then
    for size in bf16:8,1024,12,64,0 bf16:8,1024,12,128,0 f16:8,1024,6,64,7 f16:8,1000,6,128,7; do
        emit "$scratch/device" "${size%%:*}" "${size#*:}"
        if $NVCC -gencode arch=compute_90a,code=sm_90a -std=c++17 -Xcompiler -Wall,-Wextra \
            -Xptxas -v -I. -I"$scratch" -c "$scratch/device/hopper_cases.cu" \
            -o "$scratch/device/test.o" > "$scratch/out" 2>&1 &&
            ! grep -Ev '(^|[^0-9])0 bytes spill stores, 0 bytes spill loads' "$scratch/out" |
                grep -E 'warning|spill|\(C[0-9]+\)'; then
            passed=$((passed + 1))
        else
            echo "not so: $size compiles for sm_90a without a warning or a spill"
            grep -E 'error|warning' "$scratch/out" || true
            failed=$((failed + 1))
        fi
    done
else
    echo "skipped: compiling for sm_90a, which needs nvcc"
    skipped=4
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
