#!/bin/sh
# build.sh: builds what holds the models of configs/ against golden/, as they are built for use and with ASan and
# UBSan, as many at a time as the machine has cores. The first one alone: it makes what all of them share.
#
#     tests/reference/build.sh
set -u
cd "$(dirname "$0")/../.." || exit 74
unset MAKEFLAGS MAKELEVEL
if [ "${1-}" = --one ]; then
    for variant in "" SANITIZE=1; do
        make build BUILD=build/reference PROGRAMS="test_parity test_greedy gradcheck" CONFIG="$2" $variant || exit
    done
    exit 0
fi
set -- tests/reference/configs/*.lua
"$0" --one "$1" || exit
shift
printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 "$0" --one
