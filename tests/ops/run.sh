#!/bin/sh
# run.sh [--bench] [ISA ...]: emits, compiles and runs the op harness for each instruction set (default:
# all), and prints the totals. Sets that this machine cannot run are skipped with a line that says why.
# ISA-bf16 is the set with products in bfloat16: of the first that runs and of neon_bf16 the families with
# products, of the others products alone, which must have the same bytes on all but neon_bf16.
# Kernels of the first set that runs, which is the widest, and of generic have ASan and UBSan in them; those of the
# others, which come from the same templates, ASan alone: UBSan takes most of the time that compiling takes.
# Writes to build/ops/ISA; BUILD names another folder than build.
# FAMILIES="layernorm attention" in the environment chooses families.
set -eu
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
bench=
if [ "${1-}" = --bench ]; then
    bench=1
    shift
fi
[ $# -gt 0 ] || set -- avx512 avx2 neon generic avx512_bf16-bf16 avx2-bf16 neon-bf16 generic-bf16 neon_bf16-bf16

cross=aarch64-linux-gnu-gcc
cross_works() {
    command -v qemu-aarch64 >/dev/null && command -v $cross >/dev/null &&
        printf '#include <check.h>\nint main(void) { return !srunner_create(0); }\n' |
        $cross -x c -o /dev/null - -lcheck 2>/dev/null
}

# How a program for an instruction set runs on this machine: "here", "qemu", or why it does not.
how_runs() {
    case ${1%-bf16}-$(uname -m) in
        generic-* | neon-aarch64) echo here ;;
        avx512_bf16-x86_64) grep -qw avx512_bf16 /proc/cpuinfo && echo here || echo 'not on this machine' ;;
        avx512-x86_64) grep -qw avx512vl /proc/cpuinfo && echo here || echo 'not on this machine' ;;
        avx2-x86_64) grep -qw avx2 /proc/cpuinfo && echo here || echo 'not on this machine' ;;
        neon_bf16-aarch64) grep -qw bf16 /proc/cpuinfo && echo here || echo 'not on this machine' ;;
        neon-x86_64 | neon_bf16-x86_64) cross_works && echo qemu || echo "no qemu-aarch64 with $cross and its Check" ;;
        *) echo "no instruction set of $(uname -m)" ;;
    esac
}

# The number before each word in Check's "98%: Checks: 200, Failures: 2, Errors: 1".
total() {
    sed -n "s/^[0-9]*%: .*$1: \([0-9]*\).*/\1/p" "$2"
}

passed=0 failed=0 skipped=0 same='' first=yes
lua5.4 gen/main.lua --build "$build" configs/shakespeare_char_cpu.lua # for include/run_keys.h
for isa in "$@"; do
    how=$(how_runs "$isa")
    families=${FAMILIES-}
    case $isa in
        *-bf16) # of those that are wanted, the ones with products
            case $same-$isa in
                -* | *-neon_bf16-bf16) with='matmul\|attention\|gated\|fusion' ;;
                *) with=matmul ;;
            esac
            families=$(for family in ${FAMILIES-matmul attention gated fusion}; do echo "$family"; done |
                grep -x "$with" || true)
            [ -n "$families" ] || continue
            ;;
    esac
    case $how in
        here)
            start=''
            set -- "CHECK_CFLAGS=$(pkg-config --cflags check)" \
                "CHECK_LIBS=$(pkg-config --libs check)"
            case $first$isa in
                yes* | generic) ;;
                *) set -- "$@" SANITIZE='-O0 -fsanitize=address' ;;
            esac
            first=''
            ;;
        qemu)
            start='qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu'
            set -- CC=$cross SANITIZE=-O1 CHECK_LIBS=-lcheck
            ;;
        *)
            echo "ops $isa: skipped: $how"
            skipped=$((skipped + 1))
            continue
            ;;
    esac
    out=$build/ops/$isa${bench:+-bench}
    mkdir -p "$out"
    rm -f "$out"/*.c # of other families than these
    # shellcheck disable=SC2086 # a word each
    lua5.4 tests/ops/emit.lua "$isa" "$out" ${bench:+--bench} $families
    flags=$(lua5.4 -e "print(require('gen.ir.isa')['${isa%-bf16}'].flags)")
    MAKEFLAGS='' make -s -j2 -f tests/ops/ops.mk BUILD="$build" ISA="$isa" ISA_FLAGS="$flags" \
        BENCH=$bench "$@"
    if [ -n "$bench" ]; then
        $start "$out/harness" --bench
        continue
    fi
    code=0
    $start "$out/harness" >"$out/log" 2>&1 || code=$?
    checks=$(total Checks "$out/log")
    bad=$(($(total Failures "$out/log") + $(total Errors "$out/log")))
    [ $code = 0 ] || [ $bad -gt 0 ] || bad=1
    passed=$((passed + ${checks:-0} - bad))
    failed=$((failed + bad))
    echo "ops $isa:"
    cat "$out/log"
    case $isa-$families in
        neon_bf16-*) ;; # BFDOT's bytes are its own
        *-bf16-*matmul*)
            $start "$out/harness" --hash matmul >"$out/hashes" || true
            same=${same:-$out/hashes}
            # Where multiply and add are two instructions, a product may be smaller than a float.
            other='^$'
            [ "$isa" != generic-bf16 ] || other='^matmul tiny .*: y '
            grep -v "$other" "$same" >"$out/wanted"
            if grep -q '^100%' "$out/hashes" && grep -v "$other" "$out/hashes" | cmp - "$out/wanted"; then
                passed=$((passed + 1))
            else
                failed=$((failed + 1))
                echo "ops $isa: products have other bytes than in $same"
            fi
            ;;
    esac
done
[ -n "$bench" ] || echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
