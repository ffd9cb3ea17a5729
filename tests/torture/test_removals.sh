#!/bin/sh
# test_removals.sh: whether a test fails when one line that keeps a promise is removed: a sync, a check of a size, a hash,
# a check of what is saved. The quick part only holds removals_list.lua to the lines that are there.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
if [ "${TORTURE-}" = all ]; then
    exec lua5.4 tests/torture/removals.lua
fi
exec lua5.4 tests/torture/removals.lua --check
