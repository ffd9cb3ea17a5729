#!/bin/sh
# test_text.sh: strings of configs, sweeps and runs with all that means something to C, make, a shell or HTML: they reach
# them as text, as the same tokens, and no command in them runs; or they are refused with one line (text.lua).
# Quick: 200 strings for each of the five; all: 10,000.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
untraced=yes
. tests/torture/torture.sh

count=200
[ -z "$all" ] || count=10000
mkdir "$tmp/text"
lua5.4 -E tests/torture/text.lua "$tmp/text" "$seed" $count >"$tmp/said" 2>&1
code=$?
cat "$tmp/said"
failed=$(sed -n 's/.* \([0-9]*\) failed.*/\1/p' "$tmp/said" | tail -n 1)
reached "strings of configs and sweeps in C, a shell, make (sweep.mk; SET, RUN, NAME), HTML" \
    "$count strings each, ${failed:-1} tests with another token"
tail -n 1 "$tmp/said"
exit $code
