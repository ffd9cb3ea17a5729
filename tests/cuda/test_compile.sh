#!/bin/sh
# test_compile.sh: compile.sh under the name by which run.lua finds tests.
# shares: werror-gcc
exec "$(dirname "$0")/compile.sh" "$@"
