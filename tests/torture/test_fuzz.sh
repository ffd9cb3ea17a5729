#!/bin/sh
# test_fuzz.sh: every reader of files and command lines with inputs that libFuzzer makes up: none crashes, hangs, leaks
# or is undefined, and what it accepts is what it says (tests/torture/fuzz). The inputs that were kept, and sizes about
# 2^31, 2^32 and 2^63, are read by a build of gcc too, and by one with 32-bit pointers.
# Quick: 1 s for each target, and where there is libFuzzer its build reads what was kept, in the place of gcc's; all:
# 1,000,000 runs for each, or FUZZ_RUNS. A new reader gets 10,000,000 once.
# shares: fuzz
set -u
cd "$(dirname "$0")/../.." || exit 74
untraced=yes
. tests/torture/torture.sh
unset ASAN_OPTIONS
# Without stacks of allocations, and with little kept of what was freed, ASan is faster.
export ASAN_OPTIONS=quarantine_size_mb=4:malloc_context_size=2

# What the sanitizers' own threads have allocated at the moment when leaks are looked for.
echo 'leak:pthread_attr_' >"$tmp/no_leaks"
export LSAN_OPTIONS="suppressions=$tmp/no_leaks:print_suppressions=0"

targets=
for file in tests/torture/fuzz/*.c; do
    name=${file##*/}
    targets="$targets ${name%.c}"
done
make build/include/run_keys.h >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
memory=$tmp
[ ! -w /dev/shm ] || memory=$(mktemp -d /dev/shm/fuzz.XXXXXX) || exit 74
trap 'rm -rf "$tmp" "$memory"' EXIT
builds() { # variant
    make -f tests/torture/fuzz.mk -j2 VARIANT="$1"
}
skip() { # why
    echo "test_fuzz: $1"
    skipped=$((skipped + 1))
}
# Whether a compiler makes programs that run.
works() { # command...
    echo 'int main(void) { return 0; }' >"$tmp/one.c"
    "$@" -o "$tmp/one" "$tmp/one.c" >/dev/null 2>&1 && "$tmp/one"
}

# ---- what was kept ------------------------------------------------------------------------------

lua5.4 -E tests/torture/fuzz/support/bounds.lua "$tmp/bounds" || exit 1
inputs=0
replays() { # variant, target
    if [ "$1" = fuzz ]; then # libFuzzer reads files as they are, one input each
        packs="$(find "$tmp/fuzz/$2/kept" -type f)"
        # shellcheck disable=SC2086 # a list of files
        FUZZ_TMP=$memory "build/torture/fuzz/$2" -close_fd_mask=1 $packs >"$tmp/out" 2>"$tmp/errors" ||
            { echo "build/torture/fuzz/$2"; grep -v '^Running\|^Executed' "$tmp/errors" | head -n 20; return 1; }
        count=$(grep -c '^Executed' "$tmp/errors")
        [ "$count" = "$(echo "$packs" | wc -l)" ]
        return
    fi
    packs=tests/torture/corpus/$2.pack
    [ ! -f "$tmp/bounds/$2.pack" ] || packs="$packs $tmp/bounds/$2.pack"
    # shellcheck disable=SC2086 # a list of files
    FUZZ_TMP=$memory "build/torture/$1/$2" $packs >"$tmp/out" 2>"$tmp/errors" ||
        { echo "build/torture/$1/$2 $packs"; head -n 20 "$tmp/errors"; return 1; }
    count=$(tail -n 1 "$tmp/out")
    [ "$count" -gt 0 ]
}
replay_all() { # variant
    check "a build of $1" builds "$1"
    for target in $targets; do
        check "$1: $target reads what was kept" replays "$1" "$target"
        inputs=$((inputs + count))
    done
}
count=0
echo 'int LLVMFuzzerTestOneInput(const void *bytes, unsigned long count) { return !bytes && count; }' >"$tmp/target.c"
libfuzzer=
! clang -fsanitize=fuzzer,address -o "$tmp/one" "$tmp/target.c" 2>/dev/null || libfuzzer=yes
for target in $targets; do
    mkdir -p "$tmp/fuzz/$target/inputs" "$tmp/fuzz/$target/kept" "$memory/$target"
    lua5.4 -E tests/torture/fuzz/support/pack.lua unpack "tests/torture/corpus/$target.pack" "$tmp/fuzz/$target/kept"
    [ ! -f "$tmp/bounds/$target.pack" ] ||
        lua5.4 -E tests/torture/fuzz/support/pack.lua unpack "$tmp/bounds/$target.pack" "$tmp/fuzz/$target/kept/bounds"
done
[ -n "$libfuzzer" ] && [ -z "$all" ] || replay_all replay
[ -z "$libfuzzer" ] || replay_all fuzz
if works clang -m32 --rtlib=compiler-rt --unwindlib=none -fsanitize=address,undefined -l:libgcc_s.so.1; then
    replay_all m32
    bits="64 and 32 bits"
else
    skip "nothing read with 32-bit pointers: clang -m32 needs libc6-dev-i386, lib32gcc-s1, and its own libraries for i386"
    bits="64 bits"
fi

# ---- what libFuzzer makes up --------------------------------------------------------------------

fuzz() { # target: writes $tmp/TARGET.log, and the input that failed
    folder=$tmp/fuzz/$1
    limit=-max_total_time=1
    [ -z "$all" ] || limit=-runs=${FUZZ_RUNS:-1000000}
    FUZZ_TMP=$memory/$1 "build/torture/fuzz/$1" $limit -max_len=2048 -seed=$((seed % 4294967295 + 1)) -timeout=60 \
        -reload=0 -close_fd_mask=1 -print_final_stats=1 -artifact_prefix="$folder/" "$folder/inputs" "$folder/kept" \
        >"$tmp/$1.log" 2>&1
    echo $? >"$tmp/$1.code"
}
# Two at a time.
fuzz_all() {
    # shellcheck disable=SC2086 # two lists
    set -- $targets
    while [ $# -gt 0 ]; do
        fuzz "$1" &
        [ $# -lt 2 ] || fuzz "$2"
        wait
        shift
        [ $# -eq 0 ] || shift
    done
}
found_nothing() { # target
    [ "$(cat "$tmp/$1.code")" = 0 ] && return
    grep -a 'does not hold\|runtime error\|ERROR' "$tmp/$1.log" | head -n 5
    echo "SEED=$seed; the input, in base64:"
    for input in "$tmp/fuzz/$1/"*-*; do base64 "$input"; done
    return 1
}
runs_of() { # target
    sed -n 's/^stat::number_of_executed_units: *//p' "$tmp/$1.log"
}
if [ -n "$libfuzzer" ]; then
    fuzz_all
    least= total=0
    for target in $targets; do
        check "libFuzzer finds nothing in $target" found_nothing "$target"
        runs=$(runs_of "$target")
        total=$((total + ${runs:-0}))
        [ -z "$all" ] || echo "$target: $runs runs, $(sed -n 's/^stat::average_exec_per_sec: *//p' "$tmp/$target.log")/s," \
            "$(grep -a 'cov: ' "$tmp/$target.log" | tail -n 1 | sed 's/.*\(cov: [0-9]*\).*/\1/')"
        [ -n "$least" ] && [ "$least" -le "${runs:-0}" ] || least=${runs:-0}
    done
    reached "inputs made up for the readers of $(echo $targets | wc -w) kinds of files and words" \
        "$total runs, $least at least for each, $failed findings"
else
    skip "clang has no libFuzzer here: install libclang-rt-$(clang -dumpversion | cut -d . -f 1)-dev"
fi
reached "inputs that were kept, and sizes about 2^31, 2^32, 2^63, on $bits" "$inputs inputs, $failed findings"
finish
