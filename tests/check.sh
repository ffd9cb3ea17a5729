# check.sh: what shell tests share. A test whose working folder is the project's root reads it with
#
#     . tests/check.sh
#
# and gets $tmp, a folder that is removed at the end; checks, which are counted; a small data set; and
# the last line, from which tests/run.lua takes the totals. Variables of an outer make are unset; the
# locale is make's, since in one of UTF-8 sed's "." passes over no byte of a checkpoint that is not.
# shellcheck shell=sh
test_name=$(basename "$0" .sh)
tmp=$(mktemp -d) || exit 74
trap 'rm -rf "$tmp"' EXIT
unset MAKEFLAGS MAKELEVEL
export LC_ALL=C
passed=0
failed=0
skipped=0

# Runs a command that must succeed. Its output goes to $tmp/checked; if it fails, that is shown with the
# end of $tmp/log, where a test keeps a program's earlier output.
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

# Whether a command ends with that code and says that text, which is shown.
exits() { # code, text, command...
    code=$1 text=$2
    shift 2
    "$@" >"$tmp/said" 2>&1
    found=$?
    cat "$tmp/said"
    [ $found = "$code" ] && grep -qF -- "$text" "$tmp/said"
}

# The tensors of a safetensors file, without its header, whose metadata may differ.
tensors() { # path
    header=$(od -An -tu8 -N8 "$1" | tr -d ' ')
    tail -c "+$((header + 9))" "$1"
}

# A metrics.jsonl without the values that depend on the machine's speed.
untimed() { # path
    sed 's/, *"\(ms\|tokens_per_s\|mfu\)": *\(null\|[0-9.e+-]*\)//g' "$1"
}

# Prints the last line; fails if a check did.
finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ $failed = 0 ]
}
