#!/bin/sh
# test_logs.sh: what a trainer writes for other tools: CSV, event files and its page, for a run without a
# stop and for one that was stopped; and a sampler without attention.
# shares: resume
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh

data_set fox
make build CONFIG=tests/train/resume.lua PROGRAMS=train >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }

# The trainer in a project whose gen/report.lua only records how it was called.
mkdir -p "$tmp/a project/build/resume/cpu" "$tmp/a project/gen" "$tmp/bare/cpu"
trainer="$tmp/a project/build/resume/cpu/train"
cp build/resume/cpu/train "$trainer"
cp build/resume/cpu/train "$tmp/bare/cpu/train"
cat >"$tmp/a project/gen/report.lua" <<'END'
local log = assert(io.open(os.getenv("REPORT_LOG"), "a"))
log:write(table.concat(arg, "|"), "\n")
log:close()
print("this is nobody's to read")
if os.getenv("REPORT_FAILS") then io.stderr:write("no page today\nand more\n") os.exit(3) end
if os.getenv("REPORT_SLOW") then
  local till = os.time() + 20
  io.open(os.getenv("REPORT_SLOW") .. ".begun", "w"):close()
  while os.time() < till do end
  io.open(os.getenv("REPORT_SLOW") .. ".ended", "w"):close()
end
local page = assert(io.open(arg[3], "w"))
for line in io.lines(arg[4] .. "/metrics.jsonl") do page:write(line, "\n") end
page:close()
END
export REPORT_LOG="$tmp/report.log"

train() { # folder, flags
    out=$1
    shift
    "$trainer" --data_dir="$tmp" --out_dir="$tmp/$out" --max_iters=120 --threads=2 "$@" >"$tmp/log" 2>&1
}
fresh_log() { rm -f "$REPORT_LOG"; }
calls() { [ "$(wc -l <"$REPORT_LOG")" = "$1" ]; }
silent() { ! grep -qF -- "$1" "$2"; }
once() { [ "$(grep -cF -- "$1" "$tmp/log")" = 1 ]; }

fresh_log
cd / || exit 74
check "with all logs" train straight --csv=1 --tensorboard=1 --report=1
cd "$OLDPWD" || exit 74
check "a page at each evaluation and at the end" calls 4
check "called with the right arguments" grep -qxF -- \
    "--live|--out|$tmp/straight/report.html|$tmp/straight" "$REPORT_LOG"
check "the last page is made after the last line" cmp "$tmp/straight/metrics.jsonl" "$tmp/straight/report.html"
check "its output is not shown" silent "nobody's to read" "$tmp/log"
check "no warning" silent "not made" "$tmp/log"

fresh_log
check "if a page fails, the run does not" env REPORT_FAILS=1 "$trainer" --data_dir="$tmp" --out_dir="$tmp/failing" --max_iters=120 --report=1
REPORT_FAILS=1 train failing2 --report=1
check "one line says so, with its reason" once "report.html: not made: no page today; training continues"
check "and the run continued" test -s "$tmp/failing2/state.safetensors"
REPORT_SLOW="$tmp/slow" "$trainer" --data_dir="$tmp" --out_dir="$tmp/slow" --report=1 >"$tmp/log" 2>&1 &
pid=$!
waited=0
while [ ! -e "$tmp/slow.begun" ] && [ $waited -lt 600 ]; do
    sleep 0.05
    waited=$((waited + 1))
done
kill -TERM $pid
wait $pid
code=$?
check "a stop waits for no page" test $code = 75 -a -e "$tmp/slow.begun" -a ! -e "$tmp/slow.ended"
check "and leaves a state" test -s "$tmp/slow/state.safetensors"
"$tmp/bare/cpu/train" --data_dir="$tmp" --out_dir="$tmp/bare/run" --max_iters=4 --report=1 >"$tmp/log" 2>&1
check "no project above it" once "no gen/report.lua above this program"
check "which trains all the same" test -s "$tmp/bare/run/state.safetensors"
mkdir "$tmp/empty"
PATH="$tmp/empty" "$trainer" --data_dir="$tmp" --out_dir="$tmp/nolua" --max_iters=4 --report=1 >"$tmp/log" 2>&1
check "no Lua" once "report.html: not made: "

# CSV: has the lines of metrics.jsonl, field by field.
rows() { # folder, word, keys: what the CSV should be
    printf '%s\r\n' "$(echo "$3" | sed 's/^iter/step/; s/ /,/g')"
    grep "\"$2\"" "$tmp/$1/metrics.jsonl" | while read -r line; do
        row=
        for key in $3; do
            value=$(echo "$line" | sed -n "s/.*\"$key\":\([^,}]*\).*/\1/p")
            [ "$value" != null ] || value=
            row="$row,$value"
        done
        printf '%s\r\n' "${row#,}"
    done
}
same_rows() { # folder
    rows "$1" loss "iter loss lr grad_norm skipped ms tokens_per_s mfu" | cmp - "$tmp/$1/metrics.csv" &&
        rows "$1" val_loss "iter train_loss val_loss ms val_bpb" | cmp - "$tmp/$1/evaluations.csv"
}
check "metrics.csv and evaluations.csv" same_rows straight
train stopped --checkpoint_interval=40 --max_iters=50 # no log yet but metrics.jsonl
printf '{"iter":51,"lo' >>"$tmp/stopped/metrics.jsonl"
check "resumes" train stopped --init_from=resume --csv=1 --tensorboard=1
check "CSV from the first step on, though asked for later" same_rows stopped
check "an event file from where it resumed" test -s "$tmp/stopped/events.out.tfevents.0000000051"
untimed "$tmp/straight/metrics.jsonl" >"$tmp/x"
untimed "$tmp/stopped/metrics.jsonl" >"$tmp/y"
check "logs change nothing" cmp "$tmp/x" "$tmp/y"
check "nor do they change weights" cmp "$tmp/straight/state.safetensors" "$tmp/stopped/state.safetensors"
train stopped --init_from=scratch --max_iters=4
check "set aside with their run" test -e "$tmp/stopped/events.previous.0000000051" \
    -a -e "$tmp/stopped/metrics.previous.csv" -a ! -e "$tmp/stopped/metrics.csv"

make build CONFIG=bigram SET=vocab_size=65 PROGRAMS=sample >"$tmp/log" 2>&1
./build/bigram-vocab_size@65/cpu/sample none --attention="$tmp/heads.json" >"$tmp/log" 2>&1
code=$?
check "a bigram has no attention to show" test $code = 64
check "in one line" once "is a bigram, which has no attention"

finish
