#!/bin/sh
# test_compile.sh: compile.sh, under a name by which run.lua finds it.
# shares: werror-gcc
exec "$(dirname "$0")/compile.sh" "$@"
