#!/bin/sh
# test_busy.sh: tests/bench/busy.lua with a script in place of bench that works for a given time: its figures, that no
# busy process outlives it, and its messages for wrong arguments.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh

# Each turn is ten steps with 30 ms of work on one thread; the times that it reports are 300 ms.
cat >"$tmp/bench" <<'END'
#!/usr/bin/lua5.4
for _ in io.lines() do
  local done = os.clock() + 0.3
  while os.clock() < done do end
  io.write('{"ms": [', ("300, "):rep(9), "300]}\n")
  io.flush()
end
END
chmod +x "$tmp/bench"

ends() { # exit code, words, command...
    wanted=$1 words=$2
    shift 2
    "$@" >"$tmp/said" 2>&1
    code=$?
    cat "$tmp/said"
    [ $code = "$wanted" ] && grep -q -e "$words" "$tmp/said"
}
check "it measures" ends 0 'of one thread; 1 threads beside 3 busy processes: 300.00 ms a step,$' \
    lua5.4 tests/bench/busy.lua --busy=3 --seconds=1 "$tmp/bench"
check "a step of 30 ms" awk '/^work of a step: / { exit !($5 > 20 && $5 < 40) }' "$tmp/said"
check "compared with a fair step" awk '/times its fair/ { exit !($1 * $5 > 280 && $1 * $5 < 320) }' "$tmp/said"
check "and used" grep -q 'processor time used: [01]\.[0-9]* times the work$' "$tmp/said"
check "no process is left" sh -c '! grep -l "^sh.-c.ulimit -t 61; while" /proc/[0-9]*/cmdline 2>/dev/null'
for words in '' '--busy=0 x' '--seconds=0 x' '--busy=many x'; do
    # shellcheck disable=SC2086 # a list of words
    check "wrong words: $words" ends 64 '^busy: which program? as in:' lua5.4 tests/bench/busy.lua $words
done
finish
