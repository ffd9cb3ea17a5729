#!/bin/sh
# strict.sh: calls a compiler, with warnings as errors if its version was tried with this project.
#
#     tests/strict.sh COMPILER [FLAG ...]
#
# A later compiler may have new warnings, for which nobody's tests should fail: with any other version
# warnings are only shown, and appended to the file that DIECAST_WARNINGS names, so that tests/runner.lua
# counts a skipped test. This is the only place that lists the versions that were tried.
set -u
tried='gcc-12 gcc-14 clang-14 clang-19 nvcc-13'

case $("$1" --version 2>/dev/null) in
    *clang*) version=clang-$("$1" -dumpversion) ;;
    *NVIDIA*) version=nvcc-$("$1" --version | sed -n 's/.*release \([0-9]*\)\..*/\1/p') ;;
    *) version=gcc-$("$1" -dumpversion) ;;
esac
version=${version%%.*}
case " $tried " in
    *" $version "*)
        case $version in
            nvcc-*) exec "$@" -Werror all-warnings -Xcompiler -Werror ;;
            *) exec "$@" -Werror ;;
        esac
        ;;
esac

# Search standard error only; standard output is passed on.
{ said=$("$@" 2>&1 >&3) && code=0 || code=$?; } 3>&1
case $code:$said in
    0:*warning*)
        said="$said
strict: $version is none of the compilers that were tried: its warnings stop nothing"
        [ -z "${DIECAST_WARNINGS-}" ] || printf '%s\n' "$said" >>"$DIECAST_WARNINGS"
        ;;
esac
[ -z "$said" ] || printf '%s\n' "$said" >&2
exit $code
