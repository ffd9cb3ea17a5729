#!/bin/sh
# keep.sh: adds inputs of a fuzz target to its corpus, tests/torture/corpus/NAME.pack, of which it keeps as many as
# reach all code that all of them reach; from the root:
#
#     tests/torture/fuzz/support/keep.sh NAME FOLDER      the folder's inputs, as libFuzzer leaves them
#
# It takes what tests/torture/fuzz.mk builds. Inputs of more than 2,048 bytes are left out.
set -eu
name=$1
added=$2
pack=tests/torture/corpus/$name.pack
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/old" "$tmp/new" "$tmp/files"
lua5.4 tests/torture/fuzz/support/pack.lua unpack "$pack" "$tmp/old"
FUZZ_TMP="$tmp/files" "build/torture/fuzz/$name" -merge=1 -max_len=2048 "$tmp/new" "$tmp/old" "$added" >"$tmp/log" 2>&1 ||
    { tail -n 20 "$tmp/log"; exit 1; }
lua5.4 tests/torture/fuzz/support/pack.lua pack "$tmp/new" "$pack"
