#!/bin/sh
# check.sh OUT: `make gpu-check OUT=dir`: what a CPU cannot stand in for, on the device, from the kit that kit.sh made:
# the ops, PyTorch's numbers, the same bytes twice, a run that is stopped and goes on, memory as planned, and
# compute-sanitizer. One line a check, also in OUT/gpu-check.txt as it comes; at most five minutes.
# Exit: 0 all passed, 1 some failed, 66 no kit, 77 no GPU.
set -u
cd "$(dirname "$0")/../../.." || exit 74
. tests/cuda/gpu/common.sh # sets kit, arch, device, gpu, tmp and began
limit=300
overhead=1024 # MiB that CUDA's context and the libraries' code may take beside the plan

suite_open gpu-check
out=${1:?usage: check.sh OUT}
mkdir -p "$out" || exit 74
report=$out/gpu-check.txt
passed=0
failed=0
skipped=0

say() {
    echo "$*"
    echo "$*" >>"$report"
}
ok() { # what
    passed=$((passed + 1))
    say "ok       $1"
}
bad() { # what, and a log to quote
    failed=$((failed + 1))
    say "FAILED   $1"
    [ -z "${2-}" ] || tail -n 15 "$2" | sed 's/^/         /' | tee -a "$report"
}
skip() {
    skipped=$((skipped + 1))
    say "skipped  $1"
}
# Runs a command with its output in tmp/log, no longer than so many seconds and than what is left; its exit code in
# code, 124 where the time was up.
run() { # seconds, command
    most=$(seconds_left $limit)
    [ "$most" -lt "$1" ] || most=$1
    shift
    code=124
    if [ "$most" -lt 1 ]; then
        echo "no time was left" >"$tmp/log"
        return
    fi
    timeout -k 5 "$most" "$@" >"$tmp/log" 2>&1 </dev/null
    code=$?
}
last_line() {
    tail -n 1 "$tmp/log"
}

: >"$report"
say "gpu-check: $device, driver $(nvidia-smi -i "$gpu" --query-gpu=driver_version --format=csv,noheader)," \
    "kit for $arch, $(date -u '+%Y-%m-%d %H:%M') UTC"

# ---- the names of kernel.cuh: what the emulator takes for the hardware's answers -------------------

kit_lines numbers >"$tmp/numbers"
while read -r program; do
    run 30 "$kit/$program"
    if [ $code = 0 ]; then ok "$(last_line)"; else bad "numbers: exit $code" "$tmp/log"; fi
done <"$tmp/numbers"

# ---- ops: Check's totals, each check of theirs one here ------------------------------------------

total() { # the number before a word in "98%: Checks: 200, Failures: 2, Errors: 1"
    sed -n "s/^[0-9]*%: .*$1: \([0-9]*\).*/\1/p" "$tmp/log" | tail -n 1
}
kit_lines ops >"$tmp/ops"
while read -r name program; do
    run 60 "$kit/$program"
    checks=$(total Checks)
    wrong=$(($(total Failures) + $(total Errors)))
    if [ $code = 0 ] && [ "${checks:-0}" -gt 0 ] && [ $wrong = 0 ]; then
        ok "ops $name: $checks checks"
        passed=$((passed + checks - 1))
    elif [ -n "$checks" ] && [ $wrong -gt 0 ]; then
        bad "ops $name: $wrong of $checks checks" "$tmp/log"
        failed=$((failed + wrong - 1))
        passed=$((passed + checks - wrong))
    else
        bad "ops $name: exit $code" "$tmp/log"
    fi
done <"$tmp/ops"

# ---- parity with the stored goldens --------------------------------------------------------------

kit_lines parity >"$tmp/parity"
while read -r name dtype program golden; do
    run 30 "$kit/$program" "$kit/$golden"
    if [ $code = 0 ]; then ok "parity, $dtype: $(last_line)"; else bad "parity $name, $dtype: exit $code" "$tmp/log"; fi
done <"$tmp/parity"

# ---- the same bytes twice; stopped and gone on ---------------------------------------------------

train() { # program, folder, flags
    program=$1
    folder=$2
    shift 2
    run 60 "$kit/$program" --data_dir="$kit/data" --out_dir="$tmp/$folder" "$@"
}
same_files() { # folders
    cmp "$tmp/$1/state.safetensors" "$tmp/$2/state.safetensors" >"$tmp/log" 2>&1 &&
        cmp "$tmp/$1/ckpt.safetensors" "$tmp/$2/ckpt.safetensors" >"$tmp/log" 2>&1
}
steps() { # of a run, so far
    if [ -f "$tmp/$1/metrics.jsonl" ]; then grep -c grad_norm "$tmp/$1/metrics.jsonl"; else echo 0; fi
}
learned() { # the last step's loss is well below the first one's
    awk -F'[:,]' '/grad_norm/ { if (!first) first = $4; last = $4 } END { exit !(last < first - 0.5) }' \
        "$tmp/$1/metrics.jsonl"
}
kit_lines train >"$tmp/train"
while read -r name program; do
    train "$program" "$name-a"
    if [ $code != 0 ]; then
        bad "train $name: exit $code" "$tmp/log"
        continue
    fi
    if learned "$name-a"; then
        ok "train $name: $(steps "$name-a") steps, the loss falls"
    else
        bad "train $name: the loss does not fall" "$tmp/log"
    fi

    train "$program" "$name-b"
    if [ $code = 0 ] && same_files "$name-a" "$name-b"; then
        ok "train $name: two runs, the same bytes"
    else
        bad "train $name: two runs differ, or exit $code" "$tmp/log"
    fi

    "$kit/$program" --data_dir="$kit/data" --out_dir="$tmp/$name-c" >"$tmp/log" 2>&1 </dev/null &
    pid=$!
    waited=0
    while [ "$(steps "$name-c")" -lt 100 ] && [ $waited -lt 3000 ] && kill -0 $pid 2>/dev/null; do
        sleep 0.01
        waited=$((waited + 1))
    done
    kill -TERM $pid 2>/dev/null
    wait $pid
    code=$?
    if [ $code = 75 ]; then
        first=$(steps "$name-c")
        train "$program" "$name-c"
        if [ $code = 0 ] && same_files "$name-a" "$name-c"; then
            ok "train $name: stopped after $first steps and gone on, the same bytes"
        else
            bad "train $name: stopped after $first steps and gone on, other bytes or exit $code" "$tmp/log"
        fi
    else
        bad "train $name: SIGTERM ended it with $code, wanted 75" "$tmp/log"
    fi
done <"$tmp/train"

# ---- memory against plan: a bench of the kit ------------------------------------------------------

# Starts a bench and watches the device's memory until it ends; the most that was used in most, in MiB.
watched() { # program
    most=0
    timeout -k 5 60 "$kit/$1" --json="$tmp/memory.json" --tokens="$tmp/tokens.bin" --warm=1 --steps=3 \
        --accumulation=1 >"$tmp/log" 2>&1 </dev/null &
    pid=$!
    while kill -0 $pid 2>/dev/null; do
        used=$(memory_used)
        [ "$used" -gt "$most" ] && most=$used
        sleep 0.1
    done
    wait $pid
    code=$?
}
kit_lines bench | head -n 1 >"$tmp/bench"
while read -r config batch _ program; do
    vocabulary=$(sed -n 's/^ *"vocab_size":\([0-9]*\),*$/\1/p' "$kit/$(dirname "$program")/sizes.json")
    if [ "$(seconds_left $limit)" -lt 30 ]; then
        skip "memory of $config: no time left"
    elif ! python3 tests/cuda/gpu/tokens.py "$tmp/tokens.bin" "$vocabulary" 1000000 >"$tmp/log" 2>&1; then
        bad "memory of $config: no tokens" "$tmp/log"
    else
        before=$(memory_used)
        watched "$program"
        plan=$(sed -n 's/.*"plan_bytes": *\([0-9]*\).*/\1/p' "$tmp/memory.json" 2>/dev/null)
        plan=$((${plan:-0} >> 20))
        more=$((most - before))
        text="memory of $config, B = $batch: planned $plan MiB, the device shows $more MiB more than before"
        if [ $code != 0 ] || [ $plan = 0 ]; then
            bad "memory of $config, B = $batch: exit $code" "$tmp/log"
        elif [ $more -lt $plan ] || [ $more -gt $((plan + overhead)) ]; then
            bad "$text; wanted at most $overhead beyond the plan"
        else
            ok "$text"
        fi
    fi
done <"$tmp/bench"

# ---- compute-sanitizer ---------------------------------------------------------------------------

# Its exit code alone does not say that the program ran: the last step's line has to be there too.
sanitize() { # tool, name, program
    if ! command -v compute-sanitizer >/dev/null; then
        skip "$1 of $2: no compute-sanitizer here"
        return
    fi
    run 60 compute-sanitizer --tool "$1" --error-exitcode 86 "$kit/$3" --data_dir="$kit/data" \
        --out_dir="$tmp/$2-$1" --max_iters=2 --eval_iters=1 --log_interval=1
    summary=$(grep 'SUMMARY' "$tmp/log" | tail -n 1 | sed 's/^=* *//')
    refusal=$(grep -i -m 1 'not supported\|unable to\|internal sanitizer error\|failed to initialize' "$tmp/log")
    if [ $code = 124 ]; then
        skip "$1 of $2: not done when its time was up"
    elif [ $code = 0 ] && grep -q '^iter 2:' "$tmp/log" && echo "$summary" | grep -q ' 0 \(errors\|hazards\)'; then
        ok "$1 of $2: $summary"
    elif [ -n "$refusal" ] && [ $code != 86 ] && ! grep -q '^iter ' "$tmp/log"; then
        skip "$1 of $2: refused: $(echo "$refusal" | sed 's/^=* *//')"
    else
        bad "$1 of $2: exit $code; ${summary:-no summary}" "$tmp/log"
    fi
}
while read -r name program; do
    sanitize memcheck "$name" "$program"
done <"$tmp/train"
while read -r name program; do
    sanitize racecheck "$name" "$program"
done <"$tmp/train"

say "gpu-check: $(($(date +%s) - began)) s"
say "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ] && [ $passed -gt 0 ]
