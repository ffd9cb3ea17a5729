#!/bin/sh
# test_hopper.sh: Hopper's instructions (runtime/kernel/hopper.cuh) in the emulator, and the attention
# kernels made of them, with g++ alone. If nvcc is installed, it also compiles a device's program and a
# grid of shapes: no warning, no spill, no product that the compiler serialises.
#
#     tests/cuda/test_hopper.sh                           CXX, NVCC (nvcc), SANITIZE=1
#     tests/cuda/test_hopper.sh --nvcc ARCH PROGRAM       only builds the program for a device (ARCH:
#     tests/cuda/test_hopper.sh --emulated PROGRAM        sm_90a), or the same one for the emulator,
#                                                         which needs EMULATOR_ARCH=90
#
# HOPPER_CASES="bf16:1,64,1,64,0,3 ..." in the environment: a program with only these shapes (emit).
# The head of test_hopper.cpp says how such a program is called.
# shares: nothing
set -eu
cd "$(dirname "$0")/../.."
CXX=${CXX:-g++} NVCC=${NVCC:-nvcc}
PATH=$PATH:/usr/local/cuda/bin

scratch=$(mktemp -d "${TMPDIR:-/tmp}/diecast-hopper-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
flags="-std=c++17 -O2 -pthread -Wall -Wextra -Wno-unknown-pragmas"
flags="$flags -I. -Itests/cuda/emulator -I$scratch"
if [ "${SANITIZE-}" ]; then
    flags="$flags -g -fsanitize=address,undefined -fno-sanitize-recover=all"
fi
export EMULATOR_ARCH=90

emit() { # emit FOLDER CASE...: FOLDER/hopper_cases.cu, of TYPE:B,T,H,D,SITE,SMS[,WINDOW]; a site has dropout
    folder=$1
    shift
    mkdir -p "$folder"
    lua5.4 tests/cuda/hopper_cases.lua "$@" > "$folder/hopper_cases.cu"
}

tests/strict.sh cc -std=gnu11 -O2 -Wall -Wextra -c tests/cuda/check/survive.c -o "$scratch/survive.o"

# ---- the emulator's program ----------------------------------------------------------------------

# Both head sizes, with sequences around the tiles' sizes and with thread blocks that have several items; in backward
# all heads whole, all divided, or some; groups of one tile of keys, and of several. Windows within a tile, and of more.
emulated_cases() {
    [ -z "${HOPPER_CASES-}" ] || { echo "$HOPPER_CASES"; return; }
    for D in 64 128; do
        for T in 1 64 100 128 200 384; do echo "bf16:$((T > 100 ? 1 : 2)),$T,2,$D,0,3"; done
        for T in 100 384; do echo "bf16:$((T > 100 ? 1 : 2)),$T,2,$D,7,3"; done
        echo "bf16:1,500,1,$D,0,3,20 bf16:1,300,2,$D,7,1,130"
    done
    echo f16:2,200,2,64,7,3 f16:1,200,2,128,0,1 bf16:1,500,1,64,0,2
}

build() { # build FOLDER PROGRAM FLAG...
    folder=$1 to=$2
    shift 2
    mkdir -p "$scratch/emulator"
    for file in tests/cuda/emulator/*.cpp; do
        object=$scratch/emulator/$(basename "$file" .cpp).o
        case $file in */cublasLt.cpp) continue ;; esac
        # shellcheck disable=SC2086 # flags are words
        [ -f "$object" ] || tests/strict.sh $CXX $flags -c "$file" -o "$object"
    done
    # shellcheck disable=SC2086
    tests/strict.sh $CXX $flags "$@" -I"$folder" tests/cuda/test_hopper.cpp "$scratch"/emulator/*.o \
        "$scratch/survive.o" -o "$to"
}

build_emulated() { # build_emulated PROGRAM
    # shellcheck disable=SC2046 # cases are words
    emit "$scratch/emulated" $(emulated_cases)
    build "$scratch/emulated" "$1"
}

# ---- a device's program ---------------------------------------------------------------------------

# Every loop is entered, and every thread block has a third item: thread blocks are few, or heads are many. In backward
# with 4 multiprocessors three heads are left over, and divided. FEW: of the sequences only one that is divided and not
# whole tiles, and a long one; where nothing runs, others would be the same code with other numbers.
device_cases() {
    [ -z "${HOPPER_CASES-}" ] || { echo "$HOPPER_CASES"; return; }
    for D in 64 128; do
        for site in 0 7; do
            for T in ${FEW:-1 64 100 128 300 384 1024}; do echo "bf16:3,$T,5,$D,$site,$((T > 128 ? 4 : 5))"; done
            for T in 200 1000; do echo "f16:3,$T,5,$D,$site,$((T > 500 ? 4 : 5))"; done
            echo "bf16:20,200,20,$D,$site,132 bf16:3,1000,5,$D,$site,4,300"
        done
    done
}

# Shapes that are only compiled: other strides, other T for both types.
shapes_cases() {
    for D in 64 128; do
        for site in 0 7; do
            for T in 384 1024; do echo "f16:8,$T,12,$D,$site,132"; done
            echo "bf16:1,1024,2,$D,$site,132"
        done
    done
}

compile() { # compile ARCH FOLDER SOURCE OBJECT: prints nvcc's messages
    tests/strict.sh $NVCC -arch="$1" -std=c++17 -O3 -Xcompiler -Wall,-Wextra -Xptxas -v -I. -I"$scratch" -I"$2" \
        -x cu -c "$3" -o "$4" 2>&1
}

compile_device() { # compile_device ARCH: $scratch/device.o
    # shellcheck disable=SC2046
    emit "$scratch/device" $(device_cases)
    compile "$1" "$scratch/device" tests/cuda/test_hopper.cpp "$scratch/device.o"
}

compile_shapes() { # compile_shapes ARCH
    # shellcheck disable=SC2046
    emit "$scratch/shapes" $(shapes_cases)
    compile "$1" "$scratch/shapes" "$scratch/shapes/hopper_cases.cu" "$scratch/shapes.o"
}

link_device() { # link_device ARCH PROGRAM
    $NVCC -arch="$1" "$scratch/device.o" "$scratch/survive.o" -Xcompiler -pthread -o "$2"
}

case ${1-} in
    --nvcc)
        compile_device "$2" > "$scratch/out" || { grep -v 'ptxas info' "$scratch/out"; exit 70; }
        link_device "$2" "$3"
        exit
        ;;
    --emulated)
        build_emulated "$2"
        exit
        ;;
esac

# ---- the test -------------------------------------------------------------------------------------

passed=0 failed=0 skipped=0
FEW='300 1024'
if command -v "$NVCC" > /dev/null; then
    for part in device shapes; do
        { compile_$part sm_90a > "$scratch/$part.out" || echo error >> "$scratch/$part.out"; } &
    done
fi

build_emulated "$scratch/hopper"
"$scratch/hopper" > "$scratch/out" && code=0 || code=$?
grep -v -e '^run ' -e ' passed, ' "$scratch/out" || true
# shellcheck disable=SC2046
set -- $(tail -n 1 "$scratch/out" | tr -d ,)
if [ "${2-}" != passed ] || { [ "$code" != 0 ] && [ "$3" = 0 ]; }; then
    echo "the emulator's program ended with $code"
    set -- 0 passed 1 failed
fi
passed=$1 failed=$3

# Faults planted in the emitted kernels: a missing wait, fence or barrier, one at a time.
fault() { # fault WHAT SED
    sed "$2" "$scratch/small/hopper_cases.cu" > "$scratch/fault/hopper_cases.cu"
    if cmp -s "$scratch/small/hopper_cases.cu" "$scratch/fault/hopper_cases.cu"; then
        echo "not so: there is a place for a fault: $1"
        failed=$((failed + 1))
    elif build "$scratch/fault" "$scratch/fault/hopper" -O1 -Wno-unused -DATTENTION_ALONE &&
        ! "$scratch/fault/hopper" > "$scratch/out" 2>&1; then
        passed=$((passed + 1))
    else
        echo "not so: a fault in an emitted kernel shows: $1"
        failed=$((failed + 1))
    fi
}
emit "$scratch/small" bf16:1,300,2,64,0,3
mkdir -p "$scratch/fault"
fault "values are not awaited" '/mbarrier_wait(&s->v_full/d'
fault "a stage of values is filled too early" '/mbarrier_wait(&s->v_empty/d'
fault "the scores' product is not awaited" 's/wgmma_wait<1>();//'
fault "keys are given back before their product" 's/wgmma_wait<0>();/if (0) &/'
fault "both groups' dS do not meet" '/barrier_sync(1, 2 \* WARP_GROUP);/d'
fault "dS is made from registers that dV's product has" 's/pair = ds_pairs/pair = p_pairs/'
fault "the last dQ of a step is not fenced" '/fence_proxy_async();/d'

# nvcc's messages about spills, warnings, and (C…) products that ptxas serialises, with mangled names
# replaced by the kernels': bf16 attention_3x100x5x64.
faults_of() { # faults_of FILE
    awk '
        function plain(text) {
            if (!match(text, /_ZN[0-9]+in_[a-z0-9]+[0-9][0-9]attention_/)) return text
            text = substr(text, RSTART)
            type = text ~ /in_bf16/ ? "bf16" : "f16"
            match(text, /attention_[a-z0-9_]*/)
            return type " " substr(text, RSTART, RLENGTH)
        }
        /Function properties for/ { within = plain($NF) }
        /bytes spill/ && !/ 0 bytes spill stores, 0 bytes spill loads/ { print within ": " $0 }
        /error/ { print }
        /\(C[0-9]+\)/ { print plain($0) ": " $0 }' "$1"
}

if command -v "$NVCC" > /dev/null; then
    wait
    for part in device shapes; do
        faults_of "$scratch/$part.out" > "$scratch/$part.faults"
        [ "$(grep -c 'bytes spill' "$scratch/$part.out")" -ge $((3 * $(${part}_cases | wc -w))) ] ||
            echo "kernels lack in ptxas' report" >> "$scratch/$part.faults"
        if [ -s "$scratch/$part.faults" ]; then
            echo "not so: all compiles for sm_90a without a warning or a spill ($part)"
            cat "$scratch/$part.faults"
            failed=$((failed + 1))
        else
            passed=$((passed + 1))
        fi
    done
else
    echo "skipped: compiling for sm_90a, which needs nvcc"
    skipped=2
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
