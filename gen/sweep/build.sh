#!/bin/sh
# build.sh: compiles one shape of a sweep. sweep.mk calls it.
#
#     gen/sweep/build.sh MARK CONFIG SET BACKEND
#
# make's output is in MARK.txt when it has ended; MARK.ok exists if it succeeded. Exit code 0 either way.
set -u
trap '' PIPE # the runs are trained even if nobody reads this output any more
mark=$1
clear=
[ "${SWEEP_LIVE:-}" != 1 ] || clear=$(printf '\r\033[K') # the line that a terminal shows meanwhile
mkdir -p "$(dirname "$mark")" || exit 74
rm -f "$mark.ok" "$mark.txt"
# The make that calls this script must not pass its flags and variables on.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
setpriv --pdeathsig TERM make build CONFIG="$2" SET="$3" BACKEND="$4" PROGRAMS="train sample" >"$mark.part" 2>&1
code=$?
mv "$mark.part" "$mark.txt" || exit 74
if [ $code = 0 ]; then
    : >"$mark.ok"
    echo "${clear}built: ${mark##*/}"
else
    echo "${clear}${mark##*/}: does not build: $(grep -v '^make' "$mark.txt" | tail -n 1); all of it is in $mark.txt"
fi
exit 0
