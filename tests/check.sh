# check.sh: what shell tests share. A test that stands in the project's root reads it with
#
#     . tests/check.sh
#
# and has $tmp, a folder of its own that is removed at the end; checks, which are counted; a small
# data set; and the last line, by which tests/run.lua adds up. No words of an outer make reach it.
# shellcheck shell=sh
test_name=$(basename "$0" .sh)
tmp=$(mktemp -d) || exit 74
trap 'rm -rf "$tmp"' EXIT
unset MAKEFLAGS MAKELEVEL
passed=0
failed=0
skipped=0

# A command that must succeed. What it says is in $tmp/checked, and is shown where it fails, with
# the end of $tmp/log, where a test keeps what a program said before.
check() { # what, command...
    what=$1
    shift
    if "$@" >"$tmp/checked" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$test_name: $what: failed"
        tail -n 20 "$tmp/checked"
        [ ! -s "$tmp/log" ] || { echo "before:"; tail -n 5 "$tmp/log"; }
    fi
}

# Makes a data set of characters in $tmp/NAME, from numbered lines.
data_set() { # name
    i=0
    while [ $i -lt 200 ]; do
        echo "Line $i of a text is the same line, whoever reads it, and in whatever order."
        i=$((i + 1))
    done >"$tmp/text"
    mkdir "$tmp/$1"
    { make build/prepare && build/prepare --text="$tmp/text" --out="$tmp/$1" --name="$1" \
        --sha256="$(sha256sum <"$tmp/text" | cut -d ' ' -f 1)"; } >"$tmp/log" 2>&1 ||
        { cat "$tmp/log"; exit 1; }
}

# The tensors of a safetensors file, without its header, which says how they were made.
tensors() { # path
    header=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    tail -c "+$((header + 9))" "$1"
}

# A metrics.jsonl without what a machine's speed is in.
untimed() { # path
    sed 's/, *"\(ms\|tokens_per_s\|mfu\)": *\(null\|[0-9.e+-]*\)//g' "$1"
}

# The last line, and whether all is well.
finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ $failed = 0 ]
}
