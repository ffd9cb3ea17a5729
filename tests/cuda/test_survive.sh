#!/bin/sh
# test_survive.sh: tests/cuda/check/survive.c: tests that crash or hang are named and counted, those
# after them still run, and nothing is printed twice. In C and in C++; and the replacement of Check
# (check.c), whose tests run through it.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh

cat >"$tmp/wanted" <<'TEXT'
once
run a: holds
run a: fails
what does not hold
run a: holds after
run b: segfaults
a line before it dies
DIED b: segfaults: killed by signal 11 (Segmentation fault)
run b: exits
and says so
DIED b: exits: exit 71
run b: hangs
DIED b: hangs: no end within 1 s
run b: holds behind
run b: exits last
and says so
DIED b: exits last: exit 71
8 checks, 1 failures, 4 errors
TEXT

# shellcheck disable=SC2086 # words
flags='-O1 -Wall -Wextra -I tests/cuda/check'
check "survive.c" tests/strict.sh gcc -std=gnu11 $flags -c -o "$tmp/survive.o" tests/cuda/check/survive.c
check "from C" tests/strict.sh gcc -std=gnu11 $flags -o "$tmp/c" tests/cuda/test_survive.c "$tmp/survive.o"
check "from C++" tests/strict.sh g++ -std=c++17 $flags -o "$tmp/c++" -x c++ tests/cuda/test_survive.c \
    -x none "$tmp/survive.o"
for program in c c++; do
    timeout 20 "$tmp/$program" >"$tmp/got" 2>&1
    check "the output of $program" diff "$tmp/wanted" "$tmp/got"
done

cat >"$tmp/wanted" <<'TEXT'
Running suite(s): stand-in
run first: one
run first: two
tests/cuda/test_check.c:15:F:first:1: Assertion '_i == 1 == 0' failed: 1, 0
run first: three
run first: dies 0
DIED first: dies 0: killed by signal 6 (Aborted)
run second: hangs 0
DIED second: hangs 0: no end within 2 s
run second: holds 0
50%: Checks: 6, Failures: 1, Errors: 2
TEXT
check "the stand-in" tests/strict.sh gcc -std=gnu11 $flags -o "$tmp/check" tests/cuda/test_check.c \
    tests/cuda/check/*.c
timeout 20 "$tmp/check" >"$tmp/got" 2>&1
check "its exit code" test $? = 3
check "its output" diff "$tmp/wanted" "$tmp/got"
CK_TIMEOUT_MULTIPLIER=1.5 timeout 20 "$tmp/check" >"$tmp/got" 2>&1
check "a longer limit" grep -q '^DIED second: hangs 0: no end within 3 s$' "$tmp/got"
finish
