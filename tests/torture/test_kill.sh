#!/bin/sh
# test_kill.sh: killed at any moment, inside a write too: no file with a final name is damaged, what was saved is there
# to the byte, nothing of an earlier run is lost, and the same command again comes to the same bytes.
# shares: torture-tiny
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/torture/torture.sh
small_runs

share=40 times=20
[ -z "$all" ] || share=1 times=1000
kills() { # calls or times, how many
    lua5.4 tests/torture/kill.lua "$small/work" "$small/bin" "$small/texts" "$seed" "$1" "$2"
}
check "killed before, within and behind calls (SEED=$seed)" kills calls $share
reached "killed at every write, before, within and behind" "$(tail -n 1 "$tmp/checked")"
check "killed at random times (SEED=$seed)" kills times $times
reached "killed at random times" "$(tail -n 1 "$tmp/checked")"

finish
