#!/bin/sh
# test_maps.sh: compares the emulator's lanes, registers and shared memory with the stored maps that CuTe
# states (cute/maps.txt): no network, no CUTLASS. `make cute-parity` compares those with CuTe. If nvcc is
# installed, it also builds the same program for a device.
#
#     tests/cuda/test_maps.sh                        the test; CXX (g++), NVCC (nvcc)
#     tests/cuda/test_maps.sh --nvcc ARCH PROGRAM    builds the program alone, for a device: sm_90a, sm_80 ...
#     tests/cuda/test_maps.sh --emulated PROGRAM     and for the emulator; it runs with EMULATOR_ARCH=90
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
CXX=${CXX:-g++} NVCC=${NVCC:-nvcc}
maps=tests/cuda/cute/maps.txt
source=tests/cuda/cute/maps.cu

build_nvcc() { # arch, program
    tests/strict.sh "$NVCC" -gencode "arch=compute_${1#sm_},code=$1" -std=c++17 -O2 \
        -Xcompiler -Wall,-Wextra -I runtime/kernel "$source" -o "$2"
}
build_emulated() { # program, folder of kernel.cuh, of the emulator, flags of the compiler
    program=$1 runtime=$2 emulator=$3
    shift 3
    # shellcheck disable=SC2046 # paths are words
    tests/strict.sh $CXX -std=c++17 -O1 -Wall -Wextra -Wno-unknown-pragmas "$@" -I "$runtime" -I "$emulator" \
        -x c++ "$source" $(ls "$emulator"/*.cpp | grep -v /cublasLt) -o "$program"
}
case ${1-} in
    --nvcc) build_nvcc "$2" "$3"; exit ;;
    --emulated) build_emulated "$2" runtime/kernel tests/cuda/emulator; exit ;;
esac

. tests/check.sh
export EMULATOR_ARCH=90

# The program's own checks are added to the counts.
check 'the program builds' build_emulated "$tmp/maps" runtime/kernel tests/cuda/emulator
"$tmp/maps" $maps >"$tmp/log" 2>&1
code=$?
cat "$tmp/log"
# shellcheck disable=SC2046 # words
set -- $(tail -n 1 "$tmp/log" | tr -d ,)
if [ "${2-}" = passed ] && [ "$1" -gt 0 ] && [ $code = "$((${3:-0} > 0))" ]; then
    passed=$((passed + $1))
    failed=$((failed + $3))
else
    failed=$((failed + 1))
    echo "test_maps: the program ended with $code"
fi

# A command that must end with a status, and print some words.
ends() { # status, words, command...
    wanted=$1 words=$2
    shift 2
    "$@" >"$tmp/said" 2>&1
    code=$?
    if [ "$code" != "$wanted" ] || ! grep -qF -e "$words" "$tmp/said"; then
        echo "ended with $code, not $wanted, or did not say '$words':"
        tail -n 3 "$tmp/said"
        return 1
    fi
}
check 'without Hopper its maps are skipped' ends 0 '0 failed, 1 skipped' env EMULATOR_ARCH=80 "$tmp/maps" $maps
check 'no file' ends 66 'cannot be read' "$tmp/maps" "$tmp/none"
check 'no arguments' ends 64 usage "$tmp/maps"
grep -v '^mma_16816.bf16.a 7:' $maps >"$tmp/changed"
check 'a line is missing' ends 65 'is not a line of a map' "$tmp/maps" "$tmp/changed"
grep -v '^mma_16816.bf16.a' $maps | grep -v '= mma_16816.bf16.a$' >"$tmp/changed"
check 'a map is missing' ends 65 'no map mma_16816.bf16.a' "$tmp/maps" "$tmp/changed"

# For each instruction and operand, a stored map with one place changed.
sed -n 's/ 0:.*//p' $maps | sort -u -t . -k 1,3 >"$tmp/names"
while read -r name; do
    sed "s/^$name 0: 0,0/$name 0: 1,0/" $maps >"$tmp/changed"
    check "another $name shows" ends 1 "not so: ${name%%.*}" "$tmp/maps" "$tmp/changed"
done <"$tmp/names"

# Faults planted in copies of the emulator and of runtime/kernel/hopper.cuh, all in one program: the environment's
# PLANTED says which one it has.
mkdir "$tmp/planted"
cp -r tests/cuda/emulator "$tmp/planted"
cp -r runtime "$tmp/planted"
echo '#include <stdlib.h>
static const int planted = atoi(getenv("PLANTED"));' >"$tmp/planted/planted.h"
planted=0
plant() { # what, file, text before an expression, the expression, a wrong one; there must be one such line
    planted=$((planted + 1))
    echo "$1" >>"$tmp/faults"
    check "the place of this fault is unique: $1" [ "$(grep -cF -e "$3$4" "$tmp/planted/$2")" = 1 ]
    awk -v before="$3" -v right="$4" -v put="(planted == $planted ? ($5) : ($4))" '
        at = index($0, before right) {
            at += length(before)
            $0 = substr($0, 1, at - 1) put substr($0, at + length(right))
        }
        { print }' "$tmp/planted/$2" >"$tmp/changed" && cp "$tmp/changed" "$tmp/planted/$2"
}
file=emulator/tiles.cpp
plant 'ldmatrix never transposes' $file '' 'how & 1 ? m[k][j] : m[j][k]' 'm[j][k]'
plant 'ldmatrix takes the second matrix first' $file 'warp->in[' '8 * i + j' '8 * (i ^ 1) + j'
plant "a register of mma's a in the place of another" $file '' 'to_f32(T{l.a[1][e]})' 'to_f32(T{l.a[2][e]})'
plant "a register of mma's b in the place of the other" $file '' 'to_f32(T{l.b[0][e]})' 'to_f32(T{l.b[1][e]})'
plant 'sums of mma in other rows' $file '' '&d[g][t]' '&d[g ^ 1][t]'
file=emulator/hopper.h
plant 'another swizzle of operands' $file '' 'address >> 7 & 7' 'address >> 7 & 3'
plant 'rows and columns of a swapped' $file 'operand(state, product.a_word, ' product.a_major '1 - product.a_major'
plant 'another distance to the next eight rows' $file '' 'spot.i / 8 * stride' 'spot.i / 8 * stride / 2'
plant 'another next tile' $file '' 'spot.i / 64 * tile' 'spot.i / 64 * stride'
plant "wgmma's registers of a swapped" $file 'bits = ' 'r[pair]' 'r[pair % 2 * 2 + pair / 2]'
plant 'sums of wgmma in other rows' $file '' 'r % 4 / 2 * 8' 'r % 2 * 8'
plant 'another stride in a descriptor' $file '' '(uint64_t)(1024 >> 4) << 32' '(uint64_t)(512 >> 4) << 32'
plant 'a TMA copy without a swizzle' $file '' 'piece ^ (r & 7)' piece
file=runtime/kernel/hopper.cuh
plant "a descriptor's field that no product reads" $file 'wgmma_word(tile, ' 16 32
plant 'tiles that are said to be lower' $file '' 'rows * TILE_COLUMNS' '(rows - 8) * TILE_COLUMNS'
plant 'a smaller step' $file '(uint32_t)(' 'bytes >> 4' 'bytes >> 5'
plant 'stores without a swizzle' $file '' '(column / 8) ^ (row % 8)' 'column / 8'
plant 'weights in another order' $file 'pack2<T>(' 'd[2 * i]' 'd[2 * i + 1]'

check 'the program with faults builds' build_emulated "$tmp/maps" "$tmp/planted/runtime/kernel" \
    "$tmp/planted/emulator" -include "$tmp/planted/planted.h"
check 'none of the faults' ends 0 ', 0 failed' env PLANTED=0 "$tmp/maps" $maps
planted=0
while read -r fault; do
    planted=$((planted + 1))
    check "the fault is found: $fault" ends 1 'not so' env PLANTED=$planted "$tmp/maps" $maps
done <"$tmp/faults"

if command -v "$NVCC" >/dev/null; then
    check 'nvcc builds it for a device' build_nvcc sm_90a "$tmp/maps"
else
    echo 'skipped: building it for a device, which needs nvcc'
    skipped=1
fi
finish
