#!/bin/sh
# test_neon.sh: emitted code for aarch64's NEON, and for its products of bfloat16, against the golden files, under qemu.
# Skipped if the cross compiler or qemu-aarch64 is not installed.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
cc=aarch64-linux-gnu-gcc
for need in $cc qemu-aarch64; do
    command -v $need >/dev/null || { echo "test_neon: $need is not installed: skipped"; exit 77; }
done
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cp /usr/include/jsmn.h /usr/include/xxhash.h "$tmp"

passed=0
failed=0
# The runtime once, then each model. Static, so that qemu needs no libraries.
flags="-std=gnu11 -O2 -DQUICK -ffp-contract=off -pthread -Wall -Wextra -static -march=armv8-a -I. -I$tmp/include -I$tmp"
lua5.4 gen/main.lua --name bigram --build "$tmp" tests/reference/configs/bigram.lua isa=neon || exit 1
objects=
for source in $(make -sf runtime/wings.mk library-sources); do
    object=$tmp/$(echo "${source%.c}" | tr / _).o
    # shellcheck disable=SC2086 # words
    tests/strict.sh $cc $flags -c "$source" -o "$object" || exit 1
    objects="$objects $object"
done
# Builds a model for an instruction set and runs the tests on it.
try() { # name, isa, its keys, flags; tests
    name=$1 isa=$2 keys=$3 own_flags=$4
    shift 4
    golden=tests/reference/golden/$name.safetensors
    # shellcheck disable=SC2086 # words
    lua5.4 gen/main.lua --name "$name-$isa" --build "$tmp" "tests/reference/configs/$name.lua" isa="$isa" $keys ||
        exit 1
    model=$(sed -n 's/^MODEL_DIR := //p' "$tmp/$name-$isa/cpu/build.mk")
    for test in "$@"; do
        # shellcheck disable=SC2086 # words
        if tests/strict.sh $cc $flags $own_flags "$model/train.c" "$model/sample.c" tests/train/$test.c \
            "$tmp/$name-$isa/cpu/defaults.c" $objects -lm -o "$tmp/program" 2>"$tmp/log" &&
            qemu-aarch64 -cpu max "$tmp/program" $golden >>"$tmp/log" 2>&1; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "test_neon: $name, $isa, $test: failed"
            tail -n 20 "$tmp/log"
        fi
    done
}
try wide neon '' '' test_parity
for name in llama one_token bigram; do
    try $name neon '' '' test_parity test_greedy
done
# BFDOT sums in bytes of its own: within twice the distance of PyTorch's autocast, as any trainer in bfloat16.
try llama neon_bf16 dtype=bfloat16 -march=armv8.2-a+bf16 test_parity
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
