#!/bin/sh
# page.sh: how fast a page writes beside the static sampler of the same weights on one thread: `make bench-page`.
#
#   tests/bench/page.sh PAGE SAMPLER [TOKENS [ROUNDS]]
#
# Both write the same text of 6,000 tokens, half the context dropped at its end, in turns, five times over: the page in a
# headless browser that is started for it, as a person's first text, a second after the page is ready, in which it warms
# up (templates/page/engine.js). Rates are of the tokens after the first, without the prompt, as both say them; the two
# texts must be equal.
set -u
cd "$(dirname "$0")/../.." || exit 74
die() { # code, text
    echo "tests/bench/page.sh: $2" >&2
    exit "$1"
}
[ $# -ge 2 ] || die 64 "which page and which sampler? as in: tests/bench/page.sh out/x/page.html build/x/cpu/sampler-q8_0-embedded"
page=$1 sampler=$2 tokens=${3:-6000} rounds=${4:-5}
for file in "$page" "$sampler"; do
    [ -f "$file" ] || die 66 "$file: is not there; make bench-page makes it"
done
for number in "$tokens" "$rounds"; do
    case $number in '' | 0* | *[!0-9]*) die 64 "'$number': wanted a number from 1 on" ;; esac
done
for browser in chromium chromium-browser google-chrome google-chrome-stable ''; do
    [ -z "$browser" ] || ! command -v $browser >/dev/null || break
done
[ -n "$browser" ] || die 69 "no browser here; gen/tools/setup.sh browser installs one"

tmp=$(mktemp -d) || exit 73
process=
trap '[ -z "$process" ] || kill $process 2>/dev/null; rm -rf "$tmp" 2>/dev/null || { sleep 1 && rm -rf "$tmp"; }' EXIT
trap 'exit 130' INT TERM
{
    echo "<script>"
    cat tests/bench/page.js
    echo "</script>"
} >"$tmp/script"
sed "/^<\/body>/{
r $tmp/script
}" "$page" >"$tmp/page.html"

in_page() { # its text is in $tmp/page.txt, its rate in $tmp/page.rates
    : >"$tmp/said" # of the last round
    "$browser" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --enable-logging=stderr \
        --user-data-dir="$tmp/profile.$round" "file://$tmp/page.html?tokens=$tokens" >"$tmp/said" 2>&1 &
    process=$!
    while ! grep -q '@@speed ' "$tmp/said" && kill -0 $process 2>/dev/null; do
        sleep 0.2
    done
    kill $process 2>/dev/null
    wait $process 2>/dev/null
    process=
    sed -n 's/.*"@@text \([A-Za-z0-9+/=]*\)@@".*/\1/p' "$tmp/said" | base64 -d >"$tmp/page.txt"
    rate=$(sed -n 's/.*"@@speed \(.*\)@@".*/\1/p' "$tmp/said")
    case $rate in '' | *[!0-9]*) die 70 "the page wrote nothing: ${rate:-the browser ended}" ;; esac
    echo "$rate" >>"$tmp/page.rates"
}
native() {
    "$sampler" --threads=1 --num_samples=1 --max_new_tokens="$tokens" --temperature=0.8 --slide=half --timing \
        >"$tmp/raw" 2>"$tmp/log" || die 70 "$(cat "$tmp/log")"
    head -c -17 "$tmp/raw" >"$tmp/native.txt" # without "\n---------------\n"
    sed -n 's/.* ms, \([0-9]*\) a second$/\1/p' "$tmp/log" | tail -n 1 >>"$tmp/native.rates"
}
median() { # file
    sort -n "$1" | awk '{ rate[NR] = $1 } END { printf "%d", (rate[int((NR + 1) / 2)] + rate[int(NR / 2) + 1]) / 2 }'
}
says() { # name, file
    echo "$1: $(median "$2") tokens/s ($(sort -n "$2" | tr '\n' ' ' | sed 's/ $//'))"
}
round=0
while [ $round -lt "$rounds" ]; do
    in_page
    native
    cmp "$tmp/page.txt" "$tmp/native.txt" >&2 || die 70 "the page's text is not the sampler's"
    round=$((round + 1))
done
says "the page" "$tmp/page.rates"
says "the sampler on one thread" "$tmp/native.rates"
echo "the page has $(($(median "$tmp/page.rates") * 100 / $(median "$tmp/native.rates")))% of the sampler's speed"
