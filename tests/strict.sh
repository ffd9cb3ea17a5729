#!/bin/sh
# strict.sh: a compiler whose warnings are errors, where its version was tried with this project.
#
#     tests/strict.sh COMPILER [FLAG ...]
#
# A later compiler warns of what today's do not, and nobody's tests should fail for that: of any other
# version warnings are shown and stop nothing, and the file that DIECAST_WARNINGS names gets them too. By
# it tests/runner.lua counts a skipped test. This is the one place that says which versions were tried.
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

# Standard error alone is looked through; the rest goes where it went.
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
