#!/bin/sh
# test_readers.sh: run.json, metrics.jsonl, status.json, eval-val.json and plan.json, changed at random, are read by the
# report and the sweep, which are in Lua: they make of them what they can, or refuse with one line (readers.lua).
# Quick: 200 changed files; all: 20,000.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
untraced=yes
. tests/torture/torture.sh

count=200
[ -z "$all" ] || count=20000
root=$(lua5.4 -E -e 'package.path = "./?.lua;" .. package.path print(require("tests.report.fixture").project())') || exit 1
trap 'rm -rf "$tmp" "$root"' EXIT
changed() {
    (cd "$root" && lua5.4 -E tests/torture/readers.lua "$seed" $count)
}
check "changed files of runs and sweeps, SEED=$seed" changed
tail -n 1 "$tmp/checked"
reached "run.json, metrics.jsonl, status.json, eval-val.json, plan.json, config.json, changed, read by report, sweep, import" \
    "$count files, $failed that stop them otherwise than with one line"
finish
