#!/bin/sh
# test_math.sh: compares vec_math.h with C's library, for every instruction set that this machine can run:
# all floats of the important ranges on the widest, a sample on the others. The results must have the same
# bits with every width and both compilers, except with generic, which has no fused multiply-add.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0 skipped=0

# build PROGRAM CC FLAG...
build() {
    out=$tmp/$1 cc=$2
    shift 2
    tests/strict.sh $cc -std=gnu11 -O3 -ffp-contract=off -Wall -Wextra -Wno-unknown-pragmas -I. "$@" \
        tests/ops/math/math.c -o "$out" -lm && return
    failed=$((failed + 1))
    echo "test_math: FAILED: $(basename "$out") does not compile"
    return 1
}

# check NAME STEP COMMAND...: the accuracy and, except of `generic`, the bits
check() {
    name=$1 step=$2
    shift 2
    echo "math $name, every float of $step:"
    "$@" "$step" >"$tmp/log" 2>&1 || echo "$name: exit $?" >>"$tmp/log"
    cat "$tmp/log"
    # the counts; a program that ends before them has failed
    counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, .*/\1 \2/p' "$tmp/log")
    passed=$((passed + ${counts% *}0 / 10))
    bad=${counts#* }
    failed=$((failed + ${bad:-1}))
    "$@" --bits >"$tmp/$name.bits" || failed=$((failed + 1))
    case $name in generic*) reference=generic ;; *) reference=$widest ;; esac
    if cmp -s "$tmp/$name.bits" "$tmp/$reference.bits"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name gives other bits than $reference:"
        diff "$tmp/$name.bits" "$tmp/$reference.bits"
    fi
}

skip() {
    echo "math $1: skipped: $2"
    skipped=$((skipped + 1))
}

widest=
for isa in avx512:avx512vl avx2:avx2; do
    name=${isa%:*}
    if [ "$(uname -m)" != x86_64 ] || ! grep -qw "${isa#*:}" /proc/cpuinfo; then
        skip "$name" 'not on this machine'
        continue
    fi
    flags=$(lua5.4 -e "print(require('gen.ir.isa').$name.flags)")
    step=${widest:+61}
    widest=${widest:-$name}
    build "$name" gcc -fopenmp "$flags" && check "$name" "${step:-1}" "$tmp/$name"
    if command -v clang >/dev/null; then
        build "$name-clang" clang "$flags" && check "$name-clang" 4093 "$tmp/$name-clang"
    else
        skip "$name-clang" 'no clang'
    fi
done

if [ "$(uname -m)" = aarch64 ]; then
    widest=neon
    build neon gcc -fopenmp && check neon 1 "$tmp/neon"
elif command -v qemu-aarch64 >/dev/null && command -v aarch64-linux-gnu-gcc >/dev/null; then
    widest=${widest:-neon}
    build neon aarch64-linux-gnu-gcc -static && check neon 4093 qemu-aarch64 "$tmp/neon"
else
    skip neon 'no qemu-aarch64 with aarch64-linux-gnu-gcc'
fi

# On aarch64 the generic width is NEON's.
if [ "$(uname -m)" != aarch64 ]; then
    build generic gcc -fopenmp && check generic 61 "$tmp/generic"
    if command -v clang >/dev/null; then
        build generic-clang clang && check generic-clang 4093 "$tmp/generic-clang"
    else
        skip generic-clang 'no clang'
    fi
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
