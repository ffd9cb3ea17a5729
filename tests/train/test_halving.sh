#!/bin/sh
# test_halving.sh: a sweep with halving, by `make sweep`: it stops the worse half of its trainings at each rung, the
# others have the same bytes as alone, however often it is stopped; what it stopped can be continued by hand.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
sweep=test_halving_$$
out=out/sweeps/$sweep
trap 'rm -rf "$tmp" "$out" "out/reports/$sweep.html" build/'$sweep'*; rmdir out/sweeps out/reports 2>/dev/null' EXIT

says() { grep -qF -- "$1" "$tmp/log"; }

data_set fox
vocabulary=$(sed -n 's/.*"vocab_size": *\([0-9]*\).*/\1/p' "$tmp/fox/meta.json")
cat >"$tmp/$sweep-base.lua" <<END
return {
  dataset = "fox", vocab_size = $vocabulary, n_layer = 1, n_head = 2, n_embd = 16, block_size = 16, batch_size = 4,
  gradient_accumulation_steps = 1, decay_lr = false, eval_iters = 2, eval_interval = 50,
  always_save_checkpoint = false,
}
END
# Four trainings, from the worst learning rate to the best, each with a shorter run; and one that fails.
plan() { # halving, data sets
    cat >"$tmp/$sweep.lua" <<END
return {
  base = "$tmp/$sweep-base.lua",
  grid = { { "dataset", { $2 } }, { "learning_rate", { 1e-6, 1e-5, 1e-4, 3e-3 } }, { "max_iters", { 100, 400 } } },
  $1
  set = { data_dir = "$tmp" },
  prompt = "Line",
}
END
}
halve="halving = { first = 50, keep = 1/2 },"
run_sweep() { make sweep SWEEP="$tmp/$sweep.lua" JOBS=2 "$@" >"$tmp/log" 2>&1; }
run_of() { echo "$out/exp0$1-data_fox-lr$2-mi$3"; }
last() { sed -n '$s/^{"iter":\([0-9]*\),.*/\1/p' "$1/metrics.jsonl"; }
is() { grep -q "\"status\":\"$2\"" "$1/status.json"; }

plan "$halve" '"fox"'
run_sweep DRY=1
check "the plan says where it stops what is worse" says "halving: of the trainings the better 0.5 goes on at 50, 100, 200"
check "and writes nothing" test ! -e "$out"

# Stopped on the way, as by a Ctrl-C: what is decided is decided again.
make sweep SWEEP="$tmp/$sweep.lua" JOBS=2 >"$tmp/log" 2>&1 &
sweeper=$!
waited=0
while ! says "halving at 50: " && [ $waited -lt 2400 ]; do
    sleep 0.05
    waited=$((waited + 1))
done
kill -TERM $sweeper
wait $sweeper 2>"$tmp/checked"
check "half of the trainings go on at the first rung" says "halving at 50: 2 of 4 trainings go on"
check "is resumed" run_sweep
check "and a half of those" says "halving at 100: 1 of 2 trainings go on"
check "what is done and what is stopped" says "3 of 8 runs are done, 5 stopped by halving"
check "the worst end at the first rung" test "$(last "$(run_of 1 1e-06 100)")" = 50
check "are shown as stopped" is "$(run_of 1 1e-06 100)" halted
check "with their place" grep -q '"at":50,"line":"val [0-9.]* at 50 is number 4 of 4, of which 2 went on"' \
    "$(run_of 1 1e-06 100)/status.json"
check "so are the longer ones of the same trainings" is "$(run_of 4 1e-05 400)" halted
check "the next ones end at the second" is "$(run_of 5 0.0001 100)" 'done'
check "and their longer ones do not begin" test ! -e "$(run_of 6 0.0001 400)/metrics.jsonl"
check "the best goes to its end" test "$(last "$(run_of 8 0.003 400)")" = 400
check "the table says it" says "stopped: val"

separate() { # run, learning rate, max_iters
    "build/$sweep-base/cpu/train" --out_dir="$tmp/alone-$2" --data_dir="$tmp" --max_iters="$3" --learning_rate="$2" \
        --threads=1 >"$tmp/checked" 2>&1 &&
        cmp "$tmp/alone-$2/state.safetensors" "$1/state.safetensors" &&
        cmp "$tmp/alone-$2/ckpt.safetensors" "$1/ckpt.safetensors" &&
        untimed "$tmp/alone-$2/metrics.jsonl" >"$tmp/a" && untimed "$1/metrics.jsonl" >"$tmp/b" && cmp "$tmp/a" "$tmp/b"
}
check "stopped at each rung and resumed, the same bytes" separate "$(run_of 8 0.003 400)" 0.003 400

lua5.4 gen/report.lua --live --out "$tmp/page.html" --sweep "$sweep" >"$tmp/log" 2>&1
check "the report says what was stopped" grep -q "Halving stopped 3 of 4 trainings: 2 at iteration 50 and 1 at 100" \
    "$tmp/page.html"

# Nothing is left to do; what was stopped can be continued.
check "again" run_sweep
check "has nothing to build" eval '! says built:'
check "a name that is none" eval '! run_sweep CONTINUE=exp09'
check "is refused" says "CONTINUE=exp09: no run of $sweep is called that"
check "one is continued" run_sweep CONTINUE=exp04
check "with the run that it continues" says "5 of 8 runs are done, 3 stopped by halving"
check "to the same bytes" separate "$(run_of 4 1e-05 400)" 1e-5 400
check "the sweep as before" run_sweep
check "keeps it" says "5 of 8 runs are done, 3 stopped by halving"

# A run that fails is out, and the others are trained all the same.
plan "$halve" '"nowhere", "fox"'
check "one data set is not there" eval '! run_sweep'
check "says which" says "4 failed"
check "the best is done all the same" is "$out/exp16-data_fox-lr0.003-mi400" 'done'

plan "" '"fox"'
check "without halving" run_sweep
check "all go on" says "8 of 8 runs are done"
check "from where they were stopped" separate "$(run_of 2 1e-06 400)" 1e-6 400

finish
