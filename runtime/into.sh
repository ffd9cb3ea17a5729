#!/bin/sh
# into.sh: runs a compiler or linker, whose output takes its name only when it is whole: two makes at a time, or one that
# is killed, leave no half of a file for the next to link.
#
#     runtime/into.sh FILE COMMAND ...    COMMAND ... -o FILE; where one of its words is -MMD, FILE's .d too
#
# The compiler's own temporary files lie beside FILE, wherever TMPDIR points.
out=$1
shift
part=$out.$$
trap 'rm -f "$part" "$part.d"' EXIT
trap 'exit 1' HUP INT TERM
export TMPDIR="${out%/*}"
case " $* " in
    *' -MMD '*)
        "$@" -MT "$out" -MF "$part.d" -o "$part" || exit
        mv -f "$part.d" "${out%.*}.d" || exit
        ;;
    *) "$@" -o "$part" || exit ;;
esac
mv -f "$part" "$out"
