#!/bin/sh
# test_survive.sh: tests/cuda/check/survive.c: tests that die or hang are named and counted, those
# behind them still run, and nothing is printed twice. From C and from C++.
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
DIED b: hangs: no end within 0.25 s
run b: holds behind
run b: exits last
and says so
DIED b: exits last: exit 71
8 checks, 1 failures, 4 errors
TEXT

# shellcheck disable=SC2086 # words
flags='-O1 -Wall -Wextra -Werror -I tests/cuda/check'
check "survive.c" gcc -std=gnu11 $flags -c -o "$tmp/survive.o" tests/cuda/check/survive.c
check "from C" gcc -std=gnu11 $flags -o "$tmp/c" tests/cuda/test_survive.c "$tmp/survive.o"
check "from C++" g++ -std=c++17 $flags -o "$tmp/c++" -x c++ tests/cuda/test_survive.c \
    -x none "$tmp/survive.o"
for program in c c++; do
    timeout 20 "$tmp/$program" >"$tmp/got" 2>&1
    check "what $program prints" diff "$tmp/wanted" "$tmp/got"
done
finish
