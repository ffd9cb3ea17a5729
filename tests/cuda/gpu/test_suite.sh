#!/bin/sh
# test_suite.sh: the GPU suite's own scripts, on a machine without a GPU: their message when there is none, and, with a
# fake nvidia-smi, compute-sanitizer and kit made of shell scripts, that they count right, write what they should and
# notice what is wrong.
# shares: nothing
set -u
cd "$(dirname "$0")/../../.." || exit 74
command -v python3 >/dev/null || { echo "test_suite: python3: not found"; exit 77; }
. tests/check.sh
program() { # path; the text on stdin
    mkdir -p "$(dirname "$1")"
    { echo '#!/bin/sh'; cat; } >"$1"
    chmod +x "$1"
}
says() { # a line of the log
    grep -qx "$1" "$tmp/log"
}
line_says() { # status, name, what follows
    grep -q "^ *[0-9]* s  $1 *$2: $3" "$tmp/log"
}
suite() { # script, arguments
    script=$1
    shift
    PATH=$tmp/bin:$PATH KIT=$tmp/kit TMPDIR=$tmp "tests/cuda/gpu/$script" "$@" >"$tmp/log" 2>&1 </dev/null
    code=$?
}

# ---- no GPU, no kit ------------------------------------------------------------------------------

program "$tmp/bin/nvidia-smi" <<'END'
exit 9
END
for script in pass.sh check.sh bench.sh; do
    suite $script gpt2 "$tmp/out"
    check "$script without a GPU" test $code = 77 -a "$(wc -l <"$tmp/log")" = 1
done

program "$tmp/bin/nvidia-smi" <<'END'
used=$(cat "$FAKE/used" 2>/dev/null || echo 500)
case "$*" in
    *-lms*) while :; do echo "1500, 2000, 400.5, 50, 99"; sleep 0.05; done ;;
    *gpu=name,*) printf 'name, driver_version, memory.total [MiB], power.limit [W], clocks.max.sm [MHz]\n'
        echo 'NVIDIA Made Up 9000, 999.1, 100000, 700.00, 1980' ;;
    *gpu=name*) echo 'NVIDIA Made Up 9000' ;;
    *compute_cap*) echo 9.0 ;;
    *driver_version*) echo 999.1 ;;
    *memory.used*) echo "$used" ;;
esac
END
export FAKE="$tmp"

# ---- a kit without errors ------------------------------------------------------------------------

mkdir -p "$tmp/kit/data/fox"
cat >"$tmp/kit/kit.txt" <<'END'
arch sm_90a
numbers numbers
hopper hopper
ops bf16 ops
ops bf16-hopper ops
parity heads64 bfloat16 parity golden
parity heads64-hopper bfloat16 parity golden
train small 160 train small.losses
rank small 160 rank
sanitize small train
bench toy 2 4 bench/toy-2-mma/bench
bench toy 4 2 bench/toy-4-hopper/bench
bench toy 4 2 bench/toy-4-mma/bench
bench toy 8 1 bench/toy-8-mma/bench
bench toy 8 1 bench/toy-8-hopper/bench
bench toy 16 1 bench/toy-16-mma/bench
bench toy 16 1 bench/toy-16-hopper/bench
step mma toy 4 2 bench/toy-4-mma/bench
step hopper toy 4 2 bench/toy-4-hopper/bench
tune toy 4 bench/toy-4-mma/tune
END
program "$tmp/kit/numbers" <<'END'
echo 'numbers: 70 passed, 0 failed, 0 skipped'
END
program "$tmp/kit/hopper" <<'END'
case $1 in
    --list) printf 'products\nattention-64\n' ;;
    *) echo "run $1: a case"; echo '5 passed, 0 failed, 0 skipped' ;;
esac
END
program "$tmp/kit/ops" <<'END'
case $1 in
    --list) printf 'attention\nthe rate of dropout\n' ;;
    *) echo '100%: Checks: 12, Failures: 0, Errors: 0' ;;
esac
END
i=0
while [ $i -lt 24 ]; do echo "$i $((300 - i))"; i=$((i + 1)); done >"$tmp/kit/small.losses"
program "$tmp/kit/parity" <<'END'
echo "tiny: loss rel 1.0e-08, worst grad 1.0e-07, after 20 1.0e-07: ok"
END
# A run of 160 steps that can be stopped and resumed.
cat >"$tmp/train" <<'END'
last=159
for word in "$@"; do
    case $word in
        --out_dir=*) out=${word#*=} ;;
        --max_iters=*) last=${word#*=} ;;
    esac
done
mkdir -p "$out"
touch "$out/metrics.jsonl"
trap 'exit 75' TERM
i=$(wc -l <"$out/metrics.jsonl")
while [ "$i" -le "$last" ]; do
    echo "{\"iter\":$i,\"loss\":$((300 - i)),\"grad_norm\":1}" >>"$out/metrics.jsonl"
    echo "iter $i: loss $((300 - i))"
    [ "$i" -lt 100 ] || sleep 0.02
    i=$((i + 1))
done
END
# A header of one byte, which is another one for a rank, and the data.
# shellcheck disable=SC2016 # for the program to expand
ends='{ printf "\001\000\000\000\000\000\000\000%s" "${RANK:-a}"; sum <"$out/metrics.jsonl"; } |
    tee "$out/state.safetensors" >"$out/ckpt.safetensors"'
{ cat "$tmp/train"; printf '%s\n' "$ends"; } | program "$tmp/kit/train"
{ printf '%s\n' '[ "$RANK$WORLD_SIZE$LOCAL_RANK$LOCAL_WORLD_SIZE" = 0101 ] && [ "$MASTER_PORT" ] || exit 64'; cat "$tmp/train"
    printf '%s\n' "$ends"; } | program "$tmp/kit/rank"
# With mma attention B = 8 does not fit; hopper's B = 16 is fast and wrong.
cat >"$tmp/bench" <<'END'
for word in "$@"; do
    case $word in
        --json=*) json=${word#*=} ;;
        --accumulation=*) a=${word#*=} ;;
    esac
done
build=$(basename "$(dirname "$0")")
batch=$(echo "$build" | sed 's/toy-\([0-9]*\).*/\1/')
rate=$((batch * 1000))
norm=1.25
products=heuristic
case $build in
    toy-8-mma) echo "bench: 100 GB are planned, 90 are there"; exit 71 ;;
    toy-16-mma) rate=500 ;;
    toy-16-hopper) norm=1.2437 ;;
    *-mma) rate=$((batch * 900)) ;;
esac
[ ! -f "${DIECAST_TUNE:-}/choices" ] || { rate=$((rate + 100)); products=tuned:0123456789abcdef; }
trial=$(echo "$*" | grep learning_rate)
echo 2500 >"$FAKE/used"
[ -n "$trial" ] || sleep 0.4
cat >"$json" <<DONE
{
  "complete": true,
  "products": "$products",
  "loss_first": 4.25, "norm_first": $norm,
  "loss_last": 4.125, "norm_last": 1.5,
  "ms_median": $((10 * a)).5,
  "tokens_per_s": $rate.25,
  "plan_bytes": 2000000000, "peak_bf16_tflops": 700,
  "kernels": [{"name": "matmul_1x2x3", "calls": 4, "ms": 1.5, "flop": 1e9, "bytes": 1e6}]
}
DONE
rm "$FAKE/used"
[ -n "$trial" ] || [ ! -e "$FAKE/cut" ] || { sed -i 's/true/false/; s/700/null/' "$json"; exit 1; }
END
for build in 2-mma 4-hopper 4-mma 8-mma 8-hopper 16-mma 16-hopper; do
    program "$tmp/kit/bench/toy-$build/bench" <"$tmp/bench"
    lua5.4 tests/bench/floor.lua --sizes tests/cuda/gpu/small.lua "batch_size=${build%-*}" \
        "attention=${build#*-}" >"$tmp/kit/bench/toy-$build/sizes.json"
done
program "$tmp/kit/bench/toy-4-mma/tune" <<'END'
mkdir "$DIECAST_TUNE" && touch "$DIECAST_TUNE/choices"
END
program "$tmp/bin/compute-sanitizer" <<'END'
while [ "${1#-}" != "$1" ]; do shift 1; [ -x "$1" ] && break; done
while [ ! -x "$1" ] || [ -d "$1" ]; do shift; done
"$@"
echo '========= ERROR SUMMARY: 0 errors'
END

tar -czf "$tmp/kit.tar.gz" -C "$tmp" kit # as it is carried
rm -r "$tmp/kit"
suite check.sh "$tmp/out"
check "check.sh passes" test $code = 0
check "its totals" says '16 passed, 0 failed, 0 skipped'
check "its report" cmp -s "$tmp/log" "$tmp/out/gpu-check.txt"
check "a family of ops" line_says ok 'ops bf16 the rate of dropout' '100%: Checks: 12'
check "the CPU's losses" line_says ok 'train small losses' '24 losses are the CPU.s within 0,'
check "a stopped run" line_says ok 'train small resume' 'stopped after [1-9][0-9]* steps and resumed'
check "one rank, through NCCL" line_says ok 'train small rank' '160 iterations through NCCL, the same bytes'
check "memory" line_says ok memory 'toy, B = 2: planned 1907 MiB, the device shows 2000 MiB'

program "$tmp/bin/ldd" <<'END'
printf '\tlibnccl.so.99 => not found\n'
END
suite pass.sh "$tmp/out"
rm "$tmp/bin/ldd"
check "pass.sh passes" test $code = 0
check "a machine without NCCL" line_says skipped 'train small rank' 'libnccl.so.99: not found here'
check "its report, of it" cmp -s "$tmp/log" "$tmp/out/pass.txt"
check "a step, and its kernels" line_says ok 'step hopper' '20.5 ms an update, 4000 tokens/s'
check "the tuned one" line_says ok 'step tuned' '20.5 ms an update, 4100 tokens/s'
check "no profiler, no PyTorch" grep -c '^ *[0-9]* s  skipped  \(counters\|PyTorch\): ' "$tmp/log"
steps_facts() {
    python3 - "$tmp/out" <<'END'
import glob, json, sys
steps = json.load(open(sys.argv[1] + "/steps.json"))
assert set(steps) == {"step-mma", "step-hopper", "step-tuned"}, steps.keys()
assert steps["step-tuned"]["products"].startswith("tuned:")
data = json.load(open(glob.glob(sys.argv[1] + "/Made-Up-9000-*.json")[0]))["results"]["toy"]
assert data["ours"] == steps["step-tuned"] and len(data["candidates"]) == 3, data
END
}
check "the steps' figures" steps_facts
# A second call: nothing failed, so another config is timed. This kit has none.
suite pass.sh --again "$tmp/out"
check "a second call with nothing to do" says '0 passed, 0 failed, 0 skipped'
rm -r "$tmp/out"

suite bench.sh toy "$tmp/out"
json=$tmp/out/Made-Up-9000-$(date -u +%Y-%m-%d).json
check "bench.sh passes" test $code = 0
check "what does not fit" grep -q 'B = 8, mma .*: does not fit: bench: 100 GB are planned' "$tmp/log"
check "the best micro-batch" grep -q '2 micro-steps of 4;' "$tmp/log"
check "a fast one with other numbers" \
    says '.* B = 16, hopper .*: 16000 tokens/s; does not count: norm_first is 1.2437, with mma attention 1.25'
check "one with nothing to hold it against" says '.* B = 8, hopper .*: 8000 tokens/s; does not count: mma .*not run.*'
check "tuned" says '.* B = 4, hopper attention, tuned products: 4100 tokens/s'
facts() {
    python3 - "$json" <<'END'
import json, sys
sys.dont_write_bytecode = True
data = json.load(open(sys.argv[1]))
r = data["results"]["toy"]
want = r["config"]["flop_per_token_llmc"] * 4100.25 / 1e12 / 700
assert abs(r["derived"]["ours_share_of_product"] / want - 1) < 1e-12, r["derived"]
assert r["ours_clocks"]["watts"]["median"] == 400.5 and r["batch_size"] == 4, r
tried = [(c["batch_size"], c["attention"], c["products"], c["tokens_per_s"], c["counted"]) for c in r["candidates"]]
assert tried == [
    (2, "mma", "heuristic", 1800.25, True), (4, "mma", "heuristic", 3600.25, True), (8, "mma", "heuristic", 0, False),
    (16, "mma", "heuristic", 500.25, True), (4, "hopper", "heuristic", 4000.25, True),
    (8, "hopper", "heuristic", 8000.25, False), (16, "hopper", "heuristic", 16000.25, False),
    (4, "hopper", "tuned", 4100.25, True)], tried
wrong, none = r["candidates"][6], r["candidates"][2]
assert (wrong["loss_first"], wrong["loss_last"], wrong["norm_first"], wrong["norm_last"]) == (4.25, 4.125, 1.2437, 1.5)
assert none["loss_first"] is None and none["plan_bytes"] is None, none
assert r["ours"]["products"] == "tuned:0123456789abcdef", r["ours"]
# PyTorch's result, made up.
sys.path.insert(0, "tests/cuda/gpu")
import report
r["torch"] = {"tokens_per_s": 2050.125, "ms_median": 41, "batch_size": 2, "accumulation": 4, "sdpa": "flash",
    "asked_batch_size": 4, "sdpa_ms": {"flash": 1.5}, "torch": "9", "compile": "yes", "product_tflops": 650}
r["derived"] = report.derive(r, data["device"])
assert r["derived"]["speedup"] == 2 and r["derived"]["torch_tflops_llmc"] == r["derived"]["ours_tflops_llmc"] / 2
text = report.markdown(data)
assert "| 2.00 | 1500" in text and "| toy | PyTorch | 4 x 2 |" in text and "of 4 did not fit PyTorch" in text, text
assert r["warm"] >= 10 and r["steps"] >= 25 and r["tokens"].startswith("made-up"), r
END
}
check "its JSON, and what follows" facts
check "its Markdown" grep -q '^| toy | Diecast | 2 x 4 | .* | 20.50 |' "${json%.json}.md"
# shellcheck disable=SC2016 # no command
check "the kernels" grep -q '^| `matmul_1x2x3` | 4 | 1.500 | 100.0% |' "${json%.json}.md"
check "and its attention" grep -q 'gelu_erf, hopper attention' "${json%.json}.md"
check "what was tried" grep -q '16, hopper, .*: 16,000, not counted (4.25, 1.2437; 4.125, 1.5)' "${json%.json}.md"
ATTENTION=mma suite bench.sh toy "$tmp/out"
check "of one attention" grep -q 'gelu_erf, mma attention' "${json%.json}.md"
ATTENTION=hopper suite bench.sh toy "$tmp/out"
check "mma's beside it" says '.* B = 4, mma .*: 3600 tokens/s; only to hold the others against'
touch "$tmp/cut"
suite bench.sh toy "$tmp/out"
check "a run that is cut short" test $code = 1
check "leaves what it had" grep -q 'cut short' "${json%.json}.md"
rm "$tmp/cut" "$tmp"/kit/bench/toy-*-mma/bench
suite bench.sh toy "$tmp/out"
check "no candidate that counts" test $code = 1
check "leaves what was tried" grep -q 'The timed updates are missing' "${json%.json}.md"
suite bench.sh other "$tmp/out"
check "a config that the kit lacks" test $code = 66

# ---- a kit in which everything is wrong ----------------------------------------------------------

rm "$tmp/kit.tar.gz"
program "$tmp/kit/numbers" <<'END'
echo 'numbers: 0 passed, 0 failed, 0 skipped'
END
program "$tmp/kit/hopper" <<'END'
case $1 in
    --list) printf 'products\nattention-64\n' ;;
    products) echo 'run products: a case'; echo 'run products: another'; sleep 60 ;;
    *) echo 'run attention-64: 1x2x3'; kill -SEGV $$ ;;
esac
END
program "$tmp/kit/ops" <<'END'
case $1 in
    --list) printf 'attention\nthe rate of dropout\n' ;;
    *) echo 'DIED attention: 1x2x3: exit 71'; echo '83%: Checks: 12, Failures: 1, Errors: 1'; exit 1 ;;
esac
END
program "$tmp/kit/parity" <<'END'
exit 1
END
# The loss falls, but has other values; two runs differ.
# shellcheck disable=SC2016 # for the program to expand
{ sed 's/((300 - i))/((302 - i))/' "$tmp/train"
    echo 'echo $$ | tee "$out/state.safetensors" >"$out/ckpt.safetensors"'; } | program "$tmp/kit/train"
sed 's/2000000000/4000000000/' "$tmp/bench" | program "$tmp/kit/bench/toy-2-mma/bench"
program "$tmp/bin/compute-sanitizer" <<'END'
echo '========= ERROR SUMMARY: 0 errors'
END
PATIENCE=5 suite check.sh "$tmp/out"
check "check.sh fails" test $code = 1
PATIENCE=5 suite pass.sh "$tmp/out"
check "pass.sh fails" test $code = 1
check "and times no wrong kernels" line_says skipped 'step hopper' 'the kernels that it runs have not all passed'
PATIENCE=5 suite pass.sh --again "$tmp/out"
check "a second call runs what failed" line_says FAILED 'hopper attention-64, launch by launch' 'ended by signal 11'
check "under the sanitizer" line_says ok 'numbers, memcheck' ''
check "one family alone" line_says FAILED 'ops bf16 the rate of dropout, launch by launch' '' 
PATIENCE=5 suite check.sh "$tmp/out"
check "what is wrong is counted" says '0 passed, 16 failed, 0 skipped'
check "no count of checks" line_says FAILED numbers 'it ended well, without a count of checks'
check "a program that hangs, and where" line_says FAILED 'hopper products' 'its time was up, in products: another'
check "one that crashes, and where" line_says FAILED 'hopper attention-64' 'ended by signal 11, in attention-64: 1x2x3'
check "a case that died" grep -q '^ *DIED attention: 1x2x3: exit 71' "$tmp/log"
check "a loss that falls, but is another" line_says FAILED 'train small losses' '24 losses are the CPU.s within 0.00'
program "$tmp/bin/compute-sanitizer" <<'END'
echo '========= Error: Device not supported. Please refer to the list of devices.'
exit 1
END
PATIENCE=5 suite check.sh "$tmp/out"
check "a sanitizer that refuses is skipped" says '0 passed, 14 failed, 2 skipped'
# A trainer that SIGTERM does not stop costs its limit, not the suite's.
# shellcheck disable=SC2016 # for the program to expand
{ sed 's/^trap .*/case $out in *-c) trap "" TERM; slow=30 ;; esac/; s/sleep 0.02/sleep ${slow:-0.02}/' "$tmp/train"
    echo 'sum <"$out/metrics.jsonl" | tee "$out/state.safetensors" >"$out/ckpt.safetensors"'; } |
    program "$tmp/kit/train"
PATIENCE=10 suite check.sh "$tmp/out"
check "a trainer that does not stop" line_says FAILED 'train small resume' 'SIGTERM: its time was up; wanted exit 75'
sed -i 's/sm_90a/sm_100a/' "$tmp/kit/kit.txt"
suite check.sh "$tmp/out"
check "a kit for another device" test $code = 66

finish
