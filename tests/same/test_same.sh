#!/bin/sh
# test_same.sh: a part of `make same`, on this machine's own instruction set and on the emulator: tensors, losses and
# samples must equal those of the stored list.
# shares: same
set -u
cd "$(dirname "$0")/../.." || exit 74
exec lua5.4 -E tests/same/same.lua --quick --jobs 1
