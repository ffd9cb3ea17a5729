#!/bin/sh
# test_ops.sh: the op harness, for every instruction set that this machine can run.
# shares: nothing
exec "$(dirname "$0")/run.sh"
