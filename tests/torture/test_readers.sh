#!/bin/sh
# test_readers.sh: run.json, metrics.jsonl, status.json, eval-val.json, plan.json, resolved.json, config.json and an
# imported model's config, changed at random, with each bit flipped and cut to each length, are read by the report, the
# sweep and the generator, which are in Lua: they make of them what they can, or refuse with one line (readers.lua).
# Quick: 200 changed files, and one of 499 flips and cuts; all: 20,000, and all.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
untraced=yes
. tests/torture/torture.sh

count=200 share=499
[ -z "$all" ] || count=20000 share=1
root=$(lua5.4 -E -e 'package.path = "./?.lua;" .. package.path print(require("tests.report.fixture").project())') || exit 1
trap 'rm -rf "$tmp" "$root"' EXIT
changed() {
    (cd "$root" && lua5.4 -E tests/torture/readers.lua "$seed" $count $share)
}
check "changed files of runs and sweeps, SEED=$seed" changed
tail -n 1 "$tmp/checked"
reached "run.json, metrics.jsonl, status.json, eval-val.json, plan.json, resolved.json, config.json, NAME.lua, damaged" \
    "$(sed -n 's/^readers: //p' "$tmp/checked")"
finish
