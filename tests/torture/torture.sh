# torture.sh: what the parts of torture share. A part reads it, from the project's root, with
#
#     . tests/torture/torture.sh
#
# and gets all of tests/check.sh; $all, which is set where all of a part is to be done, and not its quick
# beginning; $seed; $tracer, the program of trace.c, built; and the functions below.
# shellcheck shell=sh
. tests/check.sh
all=
[ "${TORTURE-}" != all ] || all=yes
seed=${SEED:-$(date +%s)}

# What a part found out, as a line of the table in tests/README.md.
reached() { # promise, figure
    echo "torture: $1: $2"
}

# Builds the tracer. Where this machine lets nothing be traced the part ends as skipped. A part that sets `untraced`
# first needs none.
tracer=build/torture/trace
if [ -z "${untraced-}" ]; then
    make $tracer >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
    if ! $tracer --hit="$tmp/hit" fail 1 EIO true 2>"$tmp/log" && [ ! -s "$tmp/hit" ]; then
        cat "$tmp/log"
        exit 77
    fi
fi
