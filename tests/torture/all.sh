#!/bin/sh
# all.sh: make torture: all of each part, one after the other, and what each has reached.
#
#     tests/torture/all.sh [WORD ...]     only the parts whose name has one of the words
#     SEED=n                              the seed of what is random
set -u
cd "$(dirname "$0")/../.." || exit 74
tmp=$(mktemp -d) || exit 74
trap 'rm -rf "$tmp"' EXIT
export TORTURE=all
export SEED="${SEED:-$(date +%s)}"
echo "torture: seed $SEED"

wanted() { # part, words
    part=$1
    shift
    [ $# -gt 0 ] || return 0
    for word; do
        case $part in *"$word"*) return 0 ;; esac
    done
    return 1
}
: >"$tmp/counts"
for part in tests/torture/test_*.sh; do
    wanted "$part" "$@" || continue
    begun=$(date +%s)
    # What a part says is shown as it comes.
    { "$part" 2>&1; echo $? >"$tmp/code"; } | tee "$tmp/log"
    code=$(cat "$tmp/code")
    echo "$part: $(($(date +%s) - begun)) s, code $code"
    grep -ax '[0-9]* passed, [0-9]* failed, [0-9]* skipped' "$tmp/log" | tail -n 1 >"$tmp/one"
    [ "$code" != 77 ] || echo "0 passed, 0 failed, 1 skipped" >"$tmp/one"
    # One that ended badly beside what it counted.
    [ "$code" = 0 ] || [ "$code" = 77 ] || grep -q ' [1-9][0-9]* failed' "$tmp/one" ||
        echo "0 passed, 1 failed, 0 skipped" >>"$tmp/one"
    cat "$tmp/one" >>"$tmp/counts"
done
awk '{ passed += $1; failed += $3; skipped += $5 }
    END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped; exit failed > 0 || !passed }' "$tmp/counts"
