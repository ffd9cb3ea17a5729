#!/bin/sh
# build.sh: compiles one shape of a sweep. sweep.mk calls it.
#
#     gen/sweep/build.sh MARK CONFIG SET BACKEND
#
# What make says goes to MARK.txt once it is over; MARK.ok is there where it went well. Exit code 0 either way.
set -u
trap '' PIPE # the run is trained also where the reader of these words went away
mark=$1
mkdir -p "$(dirname "$mark")" || exit 74
rm -f "$mark.ok" "$mark.txt"
# Not a part of the make that calls it: other flags, other words.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
setpriv --pdeathsig TERM make build CONFIG="$2" SET="$3" BACKEND="$4" PROGRAMS="train sample" >"$mark.part" 2>&1
code=$?
mv "$mark.part" "$mark.txt" || exit 74
if [ $code = 0 ]; then
    : >"$mark.ok"
    echo "built: ${mark##*/}"
else
    echo "${mark##*/}: does not build: $(grep -v '^make' "$mark.txt" | tail -n 1); all of it is in $mark.txt"
fi
exit 0
