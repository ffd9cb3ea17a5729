#!/bin/sh
# test_outside.sh: disturbances from outside a program: streams that are closed when it starts, a closed pipe, output
# that cannot be written, a limit of processor time. A trainer loses nothing by any of them.
# shares: resume
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh

data_set fox
make build CONFIG=tests/train/resume.lua PROGRAMS="train sample" >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }

train() { # folder, flags
    out=$1
    shift
    build/resume/cpu/train --data_dir="$tmp" --out_dir="$tmp/$out" --max_iters=60 --lr_decay_iters=60 --threads=1 "$@"
}
same_run() { # as the run without a stop
    cmp "$tmp/straight/state.safetensors" "$tmp/$1/state.safetensors" &&
        cmp "$tmp/straight/ckpt.safetensors" "$tmp/$1/ckpt.safetensors" &&
        untimed "$tmp/straight/metrics.jsonl" >"$tmp/a" && untimed "$tmp/$1/metrics.jsonl" >"$tmp/b" &&
        cmp "$tmp/a" "$tmp/b"
}
sample() {
    build/resume/cpu/sample --checkpoint="$tmp/straight/ckpt.safetensors" --start=Line --max_new_tokens=20 \
        --num_samples=1 "$@"
}
ends() { # exit code, of the command before
    [ "$code" = "$1" ] || { echo "ended with $code"; false; }
}
check "without a stop" train straight

# ---- closed streams ---------------------------------------------------------------------------------

first_is() { # file: main's first statement
    [ "$(awk 'main { print; exit } /^int main\(/ { main = 1 }' "$1")" = "    streams_open();" ]
}
for file in $(grep -l '^int main(' runtime/programs/*.c); do
    check "$file opens its streams first" first_is "$file"
done
(exec <&- >&- 2>&- && train closed)
code=$?
check "all three closed" ends 0
check "the same run" same_run closed
check "the lock has only a number" eval '[ "$(tr -d 0-9 <"$tmp/closed/lock" | wc -c)" = 1 ]'
mkdir "$tmp/closed-fox"
(exec <&- >&- 2>&- && build/prepare --text="$tmp/text" --out="$tmp/closed-fox" --name=fox \
    --sha256="$(sha256sum <"$tmp/text" 2>/dev/null | cut -d ' ' -f 1)" 2>/dev/null)
for file in train.bin val.bin meta.json; do
    check "prepared without streams: $file" cmp "$tmp/fox/$file" "$tmp/closed-fox/$file"
done
sample >"$tmp/open.txt" 2>"$tmp/log"
sample >"$tmp/closed.txt" <&- 2>&-
check "a sampler without two of them" cmp "$tmp/open.txt" "$tmp/closed.txt"

# ---- closed pipes, and a full disk -------------------------------------------------------------------

{ train pipe --log_interval=1 2>"$tmp/log"; echo $? >"$tmp/code"; } | head -n 1 >"$tmp/first"
code=$(cat "$tmp/code")
check "the reader of its output is gone: stopped" ends 75
check "with a state" test -s "$tmp/pipe/state.safetensors"
check "and without a message" test ! -s "$tmp/log"
check "resumes" train pipe
check "the same run after that" same_run pipe
{ sample --num_samples=1000 --slide=half 2>"$tmp/log"; echo $? >"$tmp/code"; } | head -n 1 >"$tmp/first"
check "a sampler ends" test "$(cat "$tmp/code")" = 74
check "and prints nothing" test ! -s "$tmp/log"
train full >/dev/full 2>&1
code=$?
check "no room for what is printed: said at the end" ends 74
check "is no reason to stop" same_run full
{ gen/sweep/build.sh "$tmp/mark" tests/train/resume.lua "" cpu 2>"$tmp/log"; echo $? >"$tmp/code"; } | true
check "a sweep's build continues" test "$(cat "$tmp/code")" = 0 -a -e "$tmp/mark.ok"

# ---- a limit of processor time ----------------------------------------------------------------------

(ulimit -S -t 1 && train limited --max_iters=1000000 --log_interval=100000 >"$tmp/log" 2>&1)
code=$?
check "a limit of processor time: stopped" ends 75
check "with a state too" test -s "$tmp/limited/state.safetensors"

finish
