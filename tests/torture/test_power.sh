#!/bin/sh
# test_power.sh: durable: the power is cut behind each call of small runs, and what was not synced is lost, or its names
# are there without its bytes, or any part of it (disk.lua): no file with a final name is damaged, what was saved is
# there, and the same command again comes to the same bytes. Without any one fsync this is not so.
# shares: torture-tiny
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/torture/torture.sh
small_runs

# Cuts in all; how many random ways at each call, and on one of how many disks the command is run again.
random_ways=2 share=20
[ -z "$all" ] || random_ways=8 share=1
power() { # cut or without, share
    lua5.4 tests/torture/power.lua "$small/work" "$small/bin" "$small/texts" "$seed" "$1" $random_ways "$2"
}
# What a sweep has to find again is written by Lua: its bytes are synced before it has its name, its name behind that.
durable() {
    mkdir -p "$tmp/lua"
    folder=$tmp/lua $tracer --under="$tmp/lua" --calls=rename,fsync record "$tmp/calls" lua5.4 -E -e '
        package.path = "./?.lua;" .. package.path
        require("gen.base.files").write(os.getenv("folder") .. "/plan", "text\n", true)'
    cut -f 2 "$tmp/calls" | tr '\n' ' ' | tee /dev/stderr | grep -qx 'fsync rename fsync '
}
check "what Lua writes durably" durable
check "power cuts (SEED=$seed)" power cut $share
reached "durable through a power cut" "$(tail -n 1 "$tmp/checked")"
check "without any one fsync it fails (SEED=$seed)" power without 1
reached "durable, and each fsync is needed" "$(tail -n 1 "$tmp/checked")"

finish
