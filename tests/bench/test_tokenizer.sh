#!/bin/sh
# test_tokenizer.sh: make bench-tokenizer and bench-documents: what they print, and their messages for missing or wrong
# files.
# Needs GPT-2's own files.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
bench() { # text
    make bench-tokenizer TEXT="$1" >"$tmp/log" 2>&1
    code=$?
}
refuses() { # the program's exit code, words
    test $code != 0 && grep -q "Error $1\$" "$tmp/log" && grep -qF "$2" "$tmp/log" && test "$(wc -l <"$tmp/log")" = 2
}
if [ ! -f data/gpt2/vocab.bpe ] || [ ! -f data/gpt2/encoder.json ]; then
    bench README.md
    check "GPT-2's files are missing" refuses 66 'data/gpt2/vocab.bpe: cannot open'
    skipped=1
    finish
    exit
fi
echo 'one two three' >"$tmp/text"
bench "$tmp/text"
check "a rate" grep -qxE "$tmp/text: 14 bytes, 4 tokens: [0-9]+\.[0-9] MB/s on one core \([0-9. to]+ in [0-9]+ passes\)" "$tmp/log"
bench "$tmp/none"
check "no such text" refuses 66 "$tmp/none: cannot open"
printf 'one \377' >"$tmp/text"
bench "$tmp/text"
check "no UTF-8" refuses 65 "$tmp/text: no UTF-8 at byte 4"
: >"$tmp/text"
bench "$tmp/text"
check "no text" refuses 74 "$tmp/text: cannot be read, or is empty"
make build/prepare >"$tmp/log" 2>&1
printf '{"text": "one two three"}\n{"text": "four"}\n' >"$tmp/made.jsonl"
tests/bench/documents.sh "$tmp/made.jsonl" >"$tmp/log" 2>&1
check "a rate of documents" grep -qxE \
    "$tmp/made.jsonl: 1 documents, [24] tokens: [0-9.]+ MB/s \([0-9.]+ to [0-9.]+ in 3 runs\)" "$tmp/log"
build/tokenizer_bench "$tmp" README.md >"$tmp/log" 2>&1
check "GPT-2's files are missing" test $? = 66 -a "$(wc -l <"$tmp/log")" = 1
finish
