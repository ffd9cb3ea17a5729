#!/bin/sh
# test_small.sh: a sampler's products with small weights have the same bytes on every instruction set that this machine
# can run, with its instruction for products of bytes and without: those of sums in plain C, which small.c holds them
# against. And attention over a cache in bfloat16 is that over one in float32 of rounded numbers (cache.c).
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
sources="runtime/files/small.c runtime/files/numbers.c runtime/files/blocks.c"
lua5.4 tests/ops/small/cache.lua >"$tmp/cache_kernels.h" || exit

try() { # name, words to run it by, compiler and flags...
    name=$1 by=$2
    shift 2
    for program in small cache; do
        # shellcheck disable=SC2086
        tests/strict.sh "$@" -std=gnu11 -O1 -ffp-contract=off -Wall -Wextra -Wno-unknown-pragmas -I. -I"$tmp" \
            -ffunction-sections -Wl,--gc-sections "tests/ops/small/$program.c" $sources -o "$tmp/$program" -lm &&
            $by "$tmp/$program" >"$tmp/$name" 2>&1
        cat "$tmp/$name"
        counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, .*/\1 \2/p' "$tmp/$name")
        passed=$((passed + ${counts% *}0 / 10))
        bad=${counts#* }
        failed=$((failed + ${bad:-1}))
    done
}

for isa in avx512:avx512vl avx2:avx2; do
    if [ "$(uname -m)" = x86_64 ] && grep -qw "${isa#*:}" /proc/cpuinfo; then
        try "${isa%:*}" "" gcc "$(lua5.4 -e "print(require('gen.ir.isa')['${isa%:*}'].flags)")"
    else
        echo "test_small: ${isa%:*}: not on this machine: skipped"
        skipped=$((skipped + 1))
    fi
done
try generic "" gcc
[ "$(uname -m)" != x86_64 ] || try plain "" gcc -U__SSE2__
if command -v aarch64-linux-gnu-gcc >/dev/null && command -v qemu-aarch64 >/dev/null; then
    try neon qemu-aarch64 aarch64-linux-gnu-gcc -static
fi
finish
