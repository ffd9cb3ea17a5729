#!/bin/sh
# documents.sh: how fast a data set is made of documents, all processors together:
#
#     tests/bench/documents.sh [PATH]
#
# PATH is a folder of documents or a file of JSON lines; without it 200 MB of JSON lines are made up of
# data/shakespeare_char's or data/shakespeare's text, whose words repeat more than most. Prints the median of three runs,
# in MB of the files a second, each a new process that reads the tokenizer and syncs what it writes. Needs GPT-2's files.
set -u
cd "$(dirname "$0")/../.." || exit 74
documents=${1-}
tmp=$(mktemp -d) || exit 74
trap 'rm -rf "$tmp"' EXIT
for file in data/gpt2/vocab.bpe data/gpt2/encoder.json; do
    [ -f $file ] || { echo "$file: is not there; make data DATASET=shakespeare downloads it" >&2; exit 66; }
done
if [ -z "$documents" ]; then
    documents=$tmp/made.jsonl
    for text in data/shakespeare/input.txt data/shakespeare_char/input.txt; do
        [ ! -f $text ] || break
    done
    [ -f "$text" ] || { echo "$text: is not there; give TEXT=path" >&2; exit 66; }
    lua5.4 - "$text" "${MADE_MB:-200}" >"$documents" <<'END' || exit 74
local file = assert(io.open(arg[1], "rb"))
local text = file:read("a")
file:close()
local wanted, made, state = tonumber(arg[2]) * 1e6, 0, 1
while made < wanted do -- documents of 2 to 6 kB, from anywhere
  state = state * 1103515245 + 12345 & 0x7fffffff
  local from = (state >> 4) % (#text - 8000) + 1
  local document = text:sub(from, from + 2000 + (state >> 8) % 4000):gsub("[^\n\32-\126]", " ")
  local line = ('{"text": "%s"}\n'):format(document:gsub('[\\"]', "\\%0"):gsub("\n", "\\n"))
  io.write(line)
  made = made + #line
end
END
fi
bytes=$(find -L "$documents" -type f -exec stat -L -c %s {} + | awk '{ sum += $1 } END { print sum }')
for _ in 1 2 3; do
    rm -rf "$tmp/out"
    begin=$(date +%s.%N)
    build/prepare --documents="$documents" --out="$tmp/out" --name=bench >"$tmp/log" || exit
    end=$(date +%s.%N)
    echo "$bytes $begin $end" | awk '{ printf "%.1f\n", $1 / ($3 - $2) / 1e6 }'
done | sort -n >"$tmp/rates"
[ "$(wc -l <"$tmp/rates")" = 3 ] || exit 74
printf '%s: %s: %s MB/s (%s to %s in 3 runs)\n' "$documents" \
    "$(sed -n 's|.*/train.bin: ||p' "$tmp/log")" "$(sed -n 2p "$tmp/rates")" "$(head -n 1 "$tmp/rates")" "$(tail -n 1 "$tmp/rates")"
