#!/bin/sh
# test_emulator.sh: runtime/kernel/kernel.cuh and its emulator: what each function computes, planted faults
# beside correct versions, the CUDA runtime's results; built by g++, and by clang++ if there is one (or g++ again)
# with ASan and UBSan and the portable switch between fibers. If nvcc is installed it compiles the same kernels.
# It also searches templates and emitted text for names that only kernel.cuh may use.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
emulator=tests/cuda/emulator
strict=tests/strict.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0
failed=0
skipped=0

# add_up LOG: the counts of a program's last line
add_up() {
    counts=$(sed -n 's/^[a-z]*: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' \
        "$1" | tail -n 1)
    [ -n "$counts" ] || counts="0 1 0"
    set -- "$1" $counts
    passed=$((passed + $2))
    failed=$((failed + $3))
    skipped=$((skipped + $4))
    [ "$3" = 0 ] || cat "$1"
}

# one NAME COMMAND...: a test that is a command
one() {
    name=$1
    shift
    if "$@" >"$tmp/log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "test_emulator: $name: FAILED"
        tail -n 20 "$tmp/log"
    fi
}

# suite NAME COMPILER FLAGS...: builds the emulator and the three programs, and runs them
suite() {
    name=$1
    cxx=$2
    shift 2
    flags="-std=c++17 -Wall -Wextra -I runtime/kernel -I $emulator $*"
    case $cxx in *clang*) cc=clang ;; *) cc=gcc ;; esac
    before=$failed
    mkdir -p "$tmp/emulator"
    for file in $emulator/*.cpp; do
        part=$(basename "$file" .cpp)
        [ "$part" = cublasLt ] || one "$name: $part.cpp" $strict $cxx $flags -c "$file" -o "$tmp/emulator/$part.o"
    done
    one "$name: C" $strict $cc -std=gnu11 -O1 -Wall -Wextra -I $emulator \
        -c tests/cuda/test_emulator_runtime.c -o "$tmp/runtime.o"
    one "$name: runtime" $strict $cxx $flags "$tmp/runtime.o" "$tmp"/emulator/*.o \
        -o "$tmp/runtime"
    for part in numbers faults; do
        one "$name: $part" $strict $cxx $flags -x c++ tests/cuda/test_emulator_$part.cu -x none \
            "$tmp"/emulator/*.o -o "$tmp/$part"
    done
    [ $failed = "$before" ] || return
    for schedule in ascending descending random:1; do
        EMULATOR_SCHEDULE=$schedule "$tmp/numbers" >"$tmp/log" 2>&1
        add_up "$tmp/log"
    done
    for schedule in ascending descending; do # at random, work on streams also runs early
        EMULATOR_SCHEDULE=$schedule "$tmp/runtime" >"$tmp/log" 2>&1
        add_up "$tmp/log"
    done
    "$tmp/faults" >"$tmp/log" 2>&1
    add_up "$tmp/log"
}

suite g++ g++ -O2
checked='-O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all -DEMULATOR_UCONTEXT'
if command -v clang++ >/dev/null; then
    suite "clang++ and sanitizers" clang++ $checked
else
    echo 'test_emulator: clang++ is not installed: skipped'
    skipped=$((skipped + 1))
    suite sanitizers g++ $checked
fi

for arch in sm_80 sm_90a; do
    if command -v nvcc >/dev/null; then
        one "nvcc $arch" $strict nvcc -arch=$arch -std=c++17 \
            -Xcompiler -Wall,-Wextra -I runtime/kernel -c tests/cuda/test_emulator_numbers.cu \
            -o "$tmp/numbers.o"
    else
        echo "test_emulator: nvcc is not installed: $arch skipped"
        skipped=$((skipped + 1))
    fi
done

# What emitted text may not have: launches, asm, intrinsics, atomics, reserved names except a few.
forbidden() {
    sed 's|//.*||' "$@" |
        grep -oE '<<<|\basm\b|\batomic[A-Z][A-Za-z]*|\bcuda_(bf16|fp16)\b|\b__[A-Za-z0-9_]+' |
        grep -vxE '__(restrict__|grid_constant__|VA_ARGS__|FILE__|LINE__)' | LC_ALL=C sort -u
}
# clean FILE...: there are such files, and none has a forbidden name
clean() {
    [ -e "$1" ] || return 1
    found=$(forbidden "$@")
    [ -z "$found" ] || { echo "$found"; return 1; }
}
one 'names in templates' clean templates/cuda/*.cu templates/train.cu
lua5.4 gen/main.lua --backend cuda --build "$tmp/build" configs/shakespeare_char.lua \
    vocab_size=65 >"$tmp/log" 2>&1 || cat "$tmp/log"
one 'names in emitted text' clean "$tmp"/build/*/cuda/*.cu
printf '%s\n' 'k<<<1, 2>>>();' 'asm volatile("");' '__shared__ float x;' '__shfl_sync(1, 2, 3);' \
    'atomicAdd(p, 1.0f);' '__nv_bfloat16 y;' 'float *__restrict__ z; // __syncthreads' >"$tmp/planted"
if [ "$(forbidden "$tmp/planted" | wc -l)" = 6 ]; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo 'test_emulator: the planted names were not all found, or one too many'
    forbidden "$tmp/planted"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
