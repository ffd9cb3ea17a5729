#!/bin/sh
# test_sweep.sh: a sweep of small runs by `make sweep`: stopped, killed and started again it gives the same bytes as
# each run alone; a run that fails does not stop the others, and the exit code says that one failed.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
sweep=test_sweep_$$
out=out/sweeps/$sweep
trap 'rm -rf "$tmp" "$out" "out/reports/$sweep.html" build/'$sweep'*; rmdir out/sweeps out/reports 2>/dev/null' EXIT

says() { grep -qF -- "$1" "$tmp/log"; }

data_set fox
vocabulary=$(sed -n 's/.*"vocab_size": *\([0-9]*\).*/\1/p' "$tmp/fox/meta.json")

cat >"$tmp/$sweep-base.lua" <<END
return {
  dataset = "fox", vocab_size = $vocabulary, n_layer = 2, n_head = 2, n_embd = 32, block_size = 32, batch_size = 4,
  dropout = 0.1, gradient_accumulation_steps = 1, learning_rate = 3e-3, decay_lr = false, eval_iters = 2,
  always_save_checkpoint = false,
}
END
plan() { # values of max_iters, of n_head, more of set
    cat >"$tmp/$sweep.lua" <<END
return {
  base = "$tmp/$sweep-base.lua",
  grid = { { "n_head", { $2 } }, { "max_iters", { $1 } } },
  set = { data_dir = "$tmp", eval_interval = 200, $3 },
  prompt = "Line",
}
END
}
# Starts make sweep in the background; its process is `sweeper`.
begin() {
    make sweep SWEEP="$tmp/$sweep.lua" JOBS=2 >"$tmp/log" 2>&1 &
    sweeper=$!
}
ends() { # exit code of the sweep: make's own is always 2, and the real one is in its message
    wait $sweeper
    code=$?
    case $1 in
        0) [ $code = 0 ] ;;
        *) [ $code != 0 ] && says "Error $1" ;;
    esac
}
steps() { # of a run, so far
    if [ -f "$out/$1/metrics.jsonl" ]; then grep -c grad_norm "$out/$1/metrics.jsonl"; else echo 0; fi
}
reaches() { # run, steps
    waited=0
    while [ "$(steps "$1")" -lt "$2" ]; do
        sleep 0.05
        waited=$((waited + 1))
        [ $waited -lt 4000 ] || return 1
    done
}
trainer_of() { cat "$out/$1/lock"; }
parent_of() { sed -n 's/^PPid:[^0-9]*//p' "/proc/$1/status"; }
gone() { # the process ends within seconds
    waited=0
    while kill -0 "$1" 2>/dev/null; do
        sleep 0.05
        waited=$((waited + 1))
        [ $waited -lt 1200 ] || return 1
    done
}

# If nothing is to run, nothing is written.
plan "600, 12000" "2, 4" ""
make sweep SWEEP="$tmp/$sweep.lua" DRY=1 >"$tmp/log" 2>&1
check "DRY=1 prints the plan" says "runs: 4; distinct shapes to compile: 2; trainings: 2"
check "and writes nothing" test ! -e "$out"
make sweep SWEEP="$tmp/$sweep.lua" JOBS=0 >"$tmp/log" 2>&1
check "JOBS=0 is refused" says "JOBS=0: wanted"
plan "600" "2, 3" ""
make sweep SWEEP="$tmp/$sweep.lua" >"$tmp/log" 2>&1
check "so are heads that do not divide" says "exp02-nh3-mi600: n_head = 3 does not divide n_embd = 32"
check "before anything is there" test ! -e "$out"
plan "600, 12000" "2, 4" ""

# Stopped as by a Ctrl-C, with a signal to make; then a second time by killing make.
begin
check "trains" reaches exp02-nh2-mi12000 800
trainer=$(trainer_of exp02-nh2-mi12000)
kill -TERM $sweeper
wait $sweeper 2>"$tmp/checked"
check "a line says that it stopped" says "stopped: "
check "its trainer ends" gone "$trainer"
check "and has saved" grep -q "stopped before iteration" "$out/exp02-nh2-mi12000/log.txt"
check "its finished run is done" grep -q '"done"' "$out/exp01-nh2-mi600/status.json"
begin
check "resumes" reaches exp02-nh2-mi12000 1100
trainer=$(trainer_of exp02-nh2-mi12000)
kill -KILL $sweeper
wait $sweeper 2>"$tmp/checked"
check "if make is killed, its trainers end" gone "$trainer"

begin
check "and again" reaches exp02-nh2-mi12000 1400
trainer=$(trainer_of exp02-nh2-mi12000)
kill -KILL "$(parent_of "$(parent_of "$trainer")")" # the make that run.sh started
wait $sweeper
check "if that make is killed, too" gone "$trainer"

# A trainer that is killed is a failure; the others are trained all the same, and the next start resumes it.
begin
check "resumes again" reaches exp02-nh2-mi12000 1700
kill -KILL "$(trainer_of exp02-nh2-mi12000)"
check "a killed trainer: its code" ends 137
check "and its name" says "failed: exp02-nh2-mi12000: code 137"
check "the others are done" says "3 of 4 runs are done, 1 failed"
begin
check "started again, all is done" ends 0
check "a longer run begins with the shorter one" grep -q "^continues a copy of $out/exp03" "$out/exp04-nh4-mi12000/log.txt"
check "with nothing trained twice" grep -q "resuming from" "$out/exp02-nh2-mi12000/log.txt"
check "the table is there" says "4 of 4 runs are done"
for text in sample-final.txt sample-best.txt; do
    check "$text" grep -q "^Line" "$out/exp04-nh4-mi12000/$text"
done

# A Ctrl-C while the table is written: to the terminal's process group, which the table's program is not in.
mkdir "$tmp/bin"
cat >"$tmp/bin/lua5.4" <<END
#!/bin/sh
case \$* in
    *--table*)
        trap '' INT
        kill -INT -"\$(ps -o pgid= -p \$PPID | tr -d ' ')"
        ;;
esac
exec $(command -v lua5.4) "\$@"
END
chmod +x "$tmp/bin/lua5.4"
PATH=$tmp/bin:$PATH setsid --wait gen/sweep/run.sh "$tmp/$sweep.lua" --jobs=2 >"$tmp/log" 2>&1
code=$?
check "a Ctrl-C at the end: the table is printed" says "4 of 4 runs are done"
check "and nothing else" eval '[ $code = 0 ] && ! says stopping && ! says interrupted'

flock "$out/lock" make sweep SWEEP="$tmp/$sweep.lua" >"$tmp/log" 2>&1
check "a second start at the same time is refused" says "$out: this sweep runs already"

{
    sleep 0.2 # until the reader is gone
    gen/sweep/run.sh "$tmp/$sweep.lua" 2>"$tmp/log"
    echo $? >"$tmp/code"
} | true
check "without a reader of its output, the sweep continues" test "$(cat "$tmp/code")" = 0

# Each folder has the same files as a separate training.
separate() { # run, build, max_iters
    "build/$sweep-base$2/cpu/train" --out_dir="$tmp/alone-$1" --data_dir="$tmp" --max_iters="$3" --eval_interval=200 \
        --threads=1 >"$tmp/checked" 2>&1 &&
        cmp "$tmp/alone-$1/state.safetensors" "$out/$1/state.safetensors" &&
        cmp "$tmp/alone-$1/ckpt.safetensors" "$out/$1/ckpt.safetensors" &&
        untimed "$tmp/alone-$1/metrics.jsonl" >"$tmp/a" && untimed "$out/$1/metrics.jsonl" >"$tmp/b" &&
        cmp "$tmp/a" "$tmp/b"
}
check "the beginning, alone: the same bytes" separate exp01-nh2-mi600 "" 600
check "stopped and killed, the same bytes" separate exp02-nh2-mi12000 "" 12000
check "without a stop, the same bytes" separate exp04-nh4-mi12000 -n_head@4 12000

# An edit: one value more, and for one run a data set that does not exist.
before=$(sha256sum "$out/exp04-nh4-mi12000/state.safetensors" | cut -d " " -f 1)
cat >"$tmp/$sweep.lua" <<END
return {
  base = "$tmp/$sweep-base.lua",
  grid = { { "dataset", { "nowhere", "fox" } }, { "n_head", { 4 } }, { "max_iters", { 600, 12000 } } },
  set = { data_dir = "$tmp", eval_interval = 200 },
  prompt = "Line",
}
END
begin
check "a failing run: its code" ends 66
check "its name and its last line" says "failed: exp01-data_nowhere-nh4-mi600: code 66: $tmp/nowhere/"
check "the run that would continue it" says "exp02-data_nowhere-nh4-mi12000: continues exp01-data_nowhere-nh4-mi600"
check "a run that kept its settings is recognized" says "exp04-data_fox-nh4-mi12000: was exp04-nh4-mi12000 before"
check "and unchanged" test "$before" = "$(sha256sum "$out/exp04-data_fox-nh4-mi12000/state.safetensors" | cut -d " " -f 1)"
check "runs that are not wanted any more are kept" says "left as they are: exp01-nh2-mi600, exp02-nh2-mi12000"

# Runs that a budget of time ends: each is trained alone and is done when its time is used; a larger budget resumes it.
plan "600000, 700000" "4" "max_seconds = 1"
begin
check "runs with a budget are done" ends 0
check "as the plan says" says "budgets: max_seconds ends 2 of 2 runs"
check "each is trained alone" says "trainings: 2"
for run in exp01-nh4-mi600000 exp02-nh4-mi700000; do
    check "$run starts from scratch" grep -q "^starts with new weights" "$out/$run/log.txt"
    check "and closes with its figures" grep -q "^training_seconds: 1" "$out/$run/log.txt"
done
begin
check "started again" ends 0
check "nothing is left to do" says "done already: 2 of 2 runs"
plan "600000, 700000" "4" "max_seconds = 2"
begin
check "with a larger budget" ends 0
check "they resume" says "exp02-nh4-mi700000: max_seconds 1 → 2, so it resumes where it ended"
check "and come to its end" grep -q "^training_seconds: 2" "$out/exp02-nh4-mi700000/log.txt"

# Another sweep under the same name that does not build.
plan "700" "4" "isa = \"$(grep -q 'model name' /proc/cpuinfo && echo neon || echo avx2)\""
begin
check "a build that fails" ends 70
check "says where its errors are" says "does not build: see $out/builds/"

finish
