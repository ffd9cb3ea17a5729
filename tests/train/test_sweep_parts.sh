#!/bin/sh
# test_sweep_parts.sh: the parts of a sweep for several machines, by `make sweep SHARD=`: each trains its own runs, and
# a report of their copies is one page.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
sweep=test_parts_$$
out=out/sweeps/$sweep
trap 'rm -rf "$tmp" "$out" "out/reports/$sweep.html" build/'$sweep'*; rmdir out/sweeps out/reports 2>/dev/null' EXIT

says() { grep -qF -- "$1" "$tmp/log"; }

data_set fox
vocabulary=$(sed -n 's/.*"vocab_size": *\([0-9]*\).*/\1/p' "$tmp/fox/meta.json")
cat >"$tmp/$sweep.lua" <<END
return {
  base = "$tmp/$sweep-base.lua",
  grid = { { "learning_rate", { 1e-4, 3e-3 } }, { "max_iters", { 50, 100 } } },
  set = { data_dir = "$tmp" },
}
END
cat >"$tmp/$sweep-base.lua" <<END
return {
  dataset = "fox", vocab_size = $vocabulary, n_layer = 1, n_head = 2, n_embd = 16, block_size = 16, batch_size = 4,
  gradient_accumulation_steps = 1, decay_lr = false, eval_iters = 2, eval_interval = 50,
}
END
part() { make sweep SWEEP="$tmp/$sweep.lua" SHARD="$1" >"$tmp/log" 2>&1; }
trained() { # the runs that were, by their numbers
    [ "$(cd "$1" && echo exp*/metrics.jsonl | sed 's/exp\(..\)[^ ]*/\1/g')" = "$2" ]
}

check "the first part" part 1/2
check "says what it is" says "shard 1/2: 2 runs, 1 training, 1 shape; all else is of other machines"
check "and what is next" says "2 of 2 runs of shard 1/2 are done; runs in $out"
check "has its own runs alone" trained "$out" "01 02"
mv "$out" "$tmp/one"
check "the second part" part 2/2
check "has the others" trained "$out" "03 04"
lua5.4 gen/report.lua --live --out "$tmp/page.html" "$tmp/one" "$out" >"$tmp/log" 2>&1
check "one page of both" says "4 runs"
check "with the machines" grep -q '"machines":{"list":\[{[^]]*"runs":2[^]]*"runs":2' "$tmp/page.html"
cp -R "$tmp/one/." "$out"
check "copied into one folder" make sweep SWEEP="$tmp/$sweep.lua"
make sweep SWEEP="$tmp/$sweep.lua" >"$tmp/log" 2>&1
check "there is nothing left to do" says "done already: 4 of 4 runs"

# The page of a sweep that is over, and meanwhile: a process that sleeps stands for the sweep, and a line for its log.
page=out/reports/$sweep.html
if [ ! -e "$page" ]; then
    skipped=$((skipped + 1)) # there is no Chart.js
    finish
    exit
fi
live() { grep -q 'id="reload"' "$page"; }
check "a sweep that is over has a page that does not load itself again" eval '! live'
check "with samples, and of no program" eval 'grep -q "<pre><i>" "$page" && ! grep -q "no kernel figures" "$page"'
rm "$page"
sleep 600 &
sleeper=$!
lua5.4 gen/sweep.lua --watch $sleeper --folder "$out" >"$tmp/log" 2>&1 &
watcher=$!
waited=0
until [ -e "$page" ] || [ $waited -gt 600 ]; do
    grep -h val_loss "$out"/exp04*/metrics.jsonl | tail -n 1 >>"$(echo "$out"/exp04*/metrics.jsonl)"
    sleep 0.2
    waited=$((waited + 1))
done
check "while it trains, an evaluation makes a page that does" live
check "which is said" says "page: $page, written anew as evaluations come"
kill $sleeper
wait $sleeper $watcher
check "and not at the end" eval '! live'

finish
