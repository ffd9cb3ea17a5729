#!/bin/sh
# test_page.sh: make page: in headless Chromium, from disk, the page writes the texts of the static sampler of the same
# weights, and where its last token looks; it refuses a prompt, stops, says what it lacks, is small, and fits a phone.
# Skipped without a compiler and a libc for WebAssembly, or a browser.
# shares: static wasm
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
browser=
for name in chromium chromium-browser google-chrome google-chrome-stable; do
    [ -n "$browser" ] || browser=$(command -v $name || true)
done
if [ -z "$browser" ] || ! gen/tools/setup.sh --check page >"$tmp/log" 2>&1; then
    echo "test_page: skipped: ${browser:+$(cat "$tmp/log"); }gen/tools/setup.sh page and browser install what is missing"
    exit 77
fi

mkdir "$tmp/run"
model="n_layer=2 n_head=2 n_embd=32 block_size=16 batch_size=1 vocab_size=10 bias=true activation=gelu_tanh"
# shellcheck disable=SC2086
lua5.4 tests/train/checkpoint.lua "$tmp/run/ckpt.safetensors" $model scale=0.25 \
    tokenizer="char 0a 20 31 4c 65 69 6e e9 6771 1f600" || exit 70
{
    echo "return {"
    for word in $model; do echo "$word,"; done | sed 's/gelu_tanh/"gelu_tanh"/'
    echo "dataset = \"fox\", data_dir = \"$tmp\", out_dir = \"$tmp/run\" }"
} >"$tmp/tiny.lua"
run() { # words of make; its output is in $tmp/log, its code in $code
    make "$@" CONFIG="$tmp/tiny.lua" BUILD="$tmp/build" >"$tmp/log" 2>&1
    code=$?
}
says() { # code, text
    [ "$code" = "$1" ] && grep -qF -- "$2" "$tmp/log"
}
run page TYPE=q5_1
check "a type that is not known" says 2 "TYPE: 'q5_1' is not known to a sampler; there are: float32, bfloat16, q8_0, q4_0"
run page NAME=no_run_of_test_page
check "no run" says 2 "is not there; make train"
run page SET=activation=relu
check "words of another model" says 2 "is of a model with activation=gelu_tanh, and CONFIG and SET say activation=relu"
run sampler EMBED=1 TYPE=q8_0
sampler=$tmp/build/tiny-isa@generic/cpu/sampler-q8_0-embedded
check "the sampler of the same weights" test -x "$sampler"
run page START='</textarea>"Line'
check "the page is made" says 0 "$tmp/run/page.html: "
cp "$tmp/log" "$tmp/log.page"
page=$tmp/run/page.html

# What the sampler writes, as the page shows it.
native() { # name, flags...
    name=$1
    shift
    "$sampler" --num_samples=1 --max_new_tokens=40 "$@" >"$tmp/raw" 2>>"$tmp/log"
    head -c -17 "$tmp/raw" >"$tmp/native.$name" # without "\n---------------\n"
}
native greedy --start=Line --temperature=0
native drawn --start=Line --temperature=0.9 --top_k=5 --top_p=0.9 --seed=7
native half --start=Line --temperature=1 --slide=half
native three --start=Line --temperature=1 --num_samples=3
sed '1,/^---------------$/d' "$tmp/native.three" | sed '1,/^---------------$/d' >"$tmp/native.third"
native plain --temperature=1 --seed=4294967295
stop=$(native all --start=Line --temperature=1 && tr '\n' ' ' <"$tmp/native.all" | grep -o '[Line][Line1]' | tail -n 1)
native stop --start=Line --temperature=1 --stop="$stop"

# A copy of the page with the test in it; one that finds no SIMD128; frames of both widths and colours around them: a
# window cannot be narrower than 500.
script() { # path
    echo "<script>"
    cat "$1"
    echo "</script>"
}
script tests/train/page_head.js >"$tmp/head"
script tests/train/page_test.js >"$tmp/tail"
sed -e "/^<title>/r $tmp/head" -e "/^<\/body>/r $tmp/tail" "$page" >"$tmp/test.html"
sed 's/!WebAssembly.validate(code)/true/' "$tmp/test.html" >"$tmp/old.html"
{
    echo '<!DOCTYPE html><meta charset="utf-8"><body>'
    while read -r name file width scheme; do
        echo "<iframe name=\"$name\" src=\"$file.html?stop=$stop\" style=\"width:${width}px;height:900px;color-scheme:$scheme\"></iframe>"
    done <<FRAMES
first test 360 light
second test 360 dark
third test 1280 light
fourth test 1280 dark
old old 360 light
FRAMES
    echo '</body>'
} >"$tmp/frames.html"
: >"$tmp/said" # is there before the browser's process is
"$browser" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --hide-scrollbars --user-data-dir="$tmp/profile" \
    --enable-logging=stderr --window-size=1400,1000 "file://$tmp/frames.html" >"$tmp/said" 2>&1 &
process=$!
waited=0
while [ "$(grep -c '@@end ' "$tmp/said")" -lt 5 ] && [ $waited -lt 3000 ] && kill -0 $process 2>/dev/null; do
    sleep 0.1
    waited=$((waited + 1))
done
kill $process 2>/dev/null
wait $process 2>/dev/null

told() { # name; what each frame told
    sed -n "s/.*\"@@$1 \([A-Za-z0-9+/=]*\)@@\".*/\1/p" "$tmp/said" | while read -r line; do
        echo "$line" | base64 -d
        [ "$1" != view ] || echo
    done
}
for name in greedy drawn half third plain stop; do
    told $name >"$tmp/page.$name"
    check "the page's text is the sampler's: $name" sh -c "[ -s '$tmp/page.$name' ] && cmp '$tmp/page.$name' '$tmp/native.$name'"
done
check "the test sees different texts" sh -c "! cmp -s '$tmp/native.greedy' '$tmp/native.drawn' && ! cmp -s '$tmp/native.stop' '$tmp/native.all'"
said() { # name, text
    told "$1" >"$tmp/what" && grep -qF -- "$2" "$tmp/what"
}
check "each of several texts has a worker" said texts "3 120 tokens in 3 texts, "
check "a stop text ends a text" said stopped ", ended before the text that ends it"
check "a prompt that is not of the vocabulary" said refused "the prompt: line 1, character 6: '☃' (U+2603) is not in the vocabulary (char, 10 characters"
check "Stop stops" said ended ", stopped"
check "a browser without SIMD128 is told so" said old "has no SIMD128"

told attention >"$tmp/weights.json"
told looked >"$tmp/looked"
"$sampler" --start="FILE:$tmp/looked" --num_samples=0 --attention="$tmp/heads.json" >>"$tmp/log" 2>&1
cat >"$tmp/compare.lua" <<'COMPARE'
local json = require("dkjson")
local function read(path) return json.decode(assert(io.open(path)):read("a")) end
local heads, weights = read(arg[1]), read(arg[2])
local i = 0
assert(heads.n_tokens == 14)
for _, layer in ipairs(heads.attention) do
  for _, head in ipairs(layer) do
    for _, weight in ipairs(head[#head]) do
      i = i + 1
      assert(math.abs(weight - weights[i]) < 1e-6, ("weight %d is %g, wanted %g"):format(i, weights[i], weight))
    end
  end
end
assert(i == 2 * 2 * 14 and #weights == i)
COMPARE
check "where the last token looks" lua5.4 "$tmp/compare.lua" "$tmp/heads.json" "$tmp/weights.json"

told view >"$tmp/views"
views() { # text; so many frames show it
    [ "$(grep -c "$1" "$tmp/views")" = "$2" ]
}
check "nothing is wider than a phone" views '^360 360 rgb([0-9, ]*) $' 3
check "nor than a desktop" views '^1280 1280 rgb([0-9, ]*) $' 2
check "light" views 'rgb(255, 255, 255)' 3
check "dark" views 'rgb(20, 23, 27)' 2
check "no errors, and nothing is loaded" test -z "$(told problems)"
small() {
    bytes=$(sed -n 's/.*of which \([0-9]*\) are not weights.*/\1/p' "$tmp/log.page")
    [ "$bytes" -le 120000 ]
}
check "its code has 120 kB at most" small
tests/bench/page.sh "$page" "$sampler" 30 1 >"$tmp/log" 2>&1
check "make bench-page's figures" grep -qxE "the page has [0-9]+% of the sampler's speed" "$tmp/log"
tests/bench/page.sh "$page" "$tmp/none" >"$tmp/log" 2>&1
code=$?
check "no sampler to compare with" says 66 "$tmp/none: is not there; make bench-page makes it"
finish
