# torture.sh: what the parts of torture share. A part reads it, from the project's root, with
#
#     . tests/torture/torture.sh
#
# and gets all of tests/check.sh; $all, which is set where all of a part is to be done, and not its quick
# beginning; $seed, which is 1 unless SEED says another (all.sh takes the time): what a change breaks shows each time,
# and nothing else does; $tracer, the program of trace.c, built; and the functions below.
# shellcheck shell=sh
. tests/check.sh
all=
[ "${TORTURE-}" != all ] || all=yes
seed=${SEED:-1}

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

# Builds tiny.lua's programs and makes what the small runs of scenes.lua begin with: $small/bin and $small/texts. $small
# is in memory where there is room, since runs of a few ms wait for nothing but their fsyncs.
small_runs() {
    { make build CONFIG=tests/torture/tiny.lua BUILD=build/torture PROGRAMS='train sample' &&
        make build/prepare; } >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
    small=$tmp/small
    if [ -w /dev/shm ]; then
        small=$(mktemp -d /dev/shm/torture.XXXXXX) || exit 74
        trap 'rm -rf "$tmp" "$small"' EXIT
    fi
    mkdir -p "$small/work" "$small/texts"
    ln -s "$PWD/build/torture/tiny/cpu" "$small/bin"
    # Texts of the same length, with line ends that can be read in two ways.
    sed 's/$/\r/' tests/earlier/data/harbour/input.txt >"$small/texts/a"
    tr a-z b-za <"$small/texts/a" >"$small/texts/b"
    # Documents in some 30 parts of 60 bytes, of which each 16 are saved.
    mkdir -p "$small/texts/documents/more" "$small/texts/bpe"
    lua5.4 tests/torture/bpe.lua "$small/texts/bpe"
    awk '{ gsub(/\r/, ""); printf "{\"text\": \"%s\"}\n", $0 } NR == 24 { exit }' "$small/texts/a" \
        >"$small/texts/documents/lines.jsonl"
    head -c 300 "$small/texts/a" >"$small/texts/documents/more/text"
    echo bad >"$small/texts/documents/bad"
    "$small/bin/train" --out_dir="$small/texts/run" --threads=1 >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
}
