#!/bin/sh
# bench.sh CONFIG OUT: `make gpu-bench CONFIG=x OUT=dir`: a config's training step timed on the device, from the kit
# that kit.sh made, and the same model in PyTorch in the same run. At most four minutes. After each part, the results
# so far are in OUT/DEVICE-DATE.json and OUT/DEVICE-DATE.md, several configs in one file (report.py).
# Exit: 0 done, 1 our part failed, 66 no kit or not this config, 77 no GPU.
#
#     TOKENS=file.bin     raw little-endian uint16 to train on; default data/DATASET/train.bin, else random ones
#     ATTENTION=mma       only the builds with these kernels of attention; by default the fastest ones whose losses
#                         equal those of mma
#     LIMIT=240           seconds in all
set -u
cd "$(dirname "$0")/../../.." || exit 74
. tests/cuda/gpu/common.sh # sets kit, arch, device, gpu, tmp and began
limit=${LIMIT:-240}
ours=60 # seconds that our warm and timed updates may take
config=${1:?usage: bench.sh CONFIG OUT}
out=${2:-tests/bench/results}

suite_open gpu-bench
# The builds that may be recorded, and mma's for every micro-batch, which comes first: the others are compared with it.
kit_lines bench | grep "^$config " >"$tmp/builds"
grep -q -- "-${ATTENTION:-[a-z]*}/bench$" "$tmp/builds" || {
    echo "gpu-bench: $config: not in the kit, which has: $(kit_lines bench | cut -d ' ' -f 1 | uniq | xargs)" >&2
    exit 66
}
{
    grep -- '-mma/bench$' "$tmp/builds"
    grep -v -- '-mma/bench$' "$tmp/builds" | grep -- "-${ATTENTION:-[a-z]*}/bench$"
} >"$tmp/candidates"
mkdir -p "$out" || exit 74
report() {
    python3 tests/cuda/gpu/report.py --add "$config" "$tmp" "$out" || exit 1
}
# ---- the device, the tokens ----------------------------------------------------------------------

device_facts
first=$(head -n 1 "$tmp/candidates" | cut -d ' ' -f 4)
cp "$kit/$(dirname "$first")/sizes.json" "$tmp/sizes.json"
find_tokens "$tmp/sizes.json"

# Runs a command, no longer than so many seconds, and records clocks and power meanwhile. Its exit code is in code.
timed() { # file for the clocks, seconds, command
    clocks=$1
    seconds=$2
    shift 2
    code=0
    recorded "$clocks" timeout -k 5 "$seconds" "$@" >"$tmp/log" 2>&1 </dev/null || code=$?
}

# ---- the micro-batch: a few updates of two micro-steps each --------------------------------------

trial="--warm=2 --steps=4 --accumulation=2 $trial_rate"

# Tries a build and takes it if it counts and is the fastest so far. The products' algorithms are DIECAST_TUNE's.
export DIECAST_TUNE="$tmp/untuned"
best=0
try() { # micro-batch, micro-steps of an update, program, heuristic or tuned
    kind=$(value attention "$kit/$(dirname "$3")/sizes.json")
    json=$tmp/try-$1-$kind-$4.json
    reference=$tmp/try-$1-mma-heuristic.json
    # shellcheck disable=SC2086 # words
    timeout -k 5 30 "$kit/$3" --json="$json" --tokens="$tokens" $trial >"$tmp/log" 2>&1 </dev/null
    code=$?
    rate=0
    counted=false
    if [ $code != 0 ]; then
        said="$([ $code = 71 ] && echo 'does not fit' || echo "exit $code"): $(tail -n 1 "$tmp/log")"
        rm -f "$json" # it may be incomplete
    else
        rate=$(value tokens_per_s "$json")
        why=
        if [ ! -f "$reference" ]; then
            why="does not count: mma attention did not run at this micro-batch, to hold it against"
        elif ! near "$json" "$reference"; then
            why="does not count: $why"
        elif [ "$kind" != "${ATTENTION:-$kind}" ]; then
            why="only to hold the others against"
        else
            counted=true
        fi
        said="$(printf %.0f "$rate") tokens/s${why:+; $why}"
    fi
    echo "gpu-bench: $config, B = $1, $kind attention, $4 products: $said"
    note_candidate "$1" "$kind" "$4" "$rate" $counted "$json"
    report
    if [ $counted = true ] && [ "$(awk -v a="$rate" -v b="$best" 'BEGIN { print (a > b) }')" = 1 ]; then
        best=$rate
        micro=$1
        accumulation=$2
        chosen=$3
        tune=$DIECAST_TUNE
    fi
}

while read -r _ batch steps program; do
    try "$batch" "$steps" "$program" heuristic
done <"$tmp/candidates"
if [ "$best" = 0 ]; then
    echo "gpu-bench: $config: no candidate counts" >&2
    exit 1
fi

# The fastest again, with the cuBLASLt algorithms that its tune finds.
tuner=$(kit_lines "tune $config $micro" | head -n 1)
if [ -n "$tuner" ]; then
    DIECAST_TUNE=$tmp/tune
    if timeout -k 5 30 "$kit/$tuner" >"$tmp/log" 2>&1 </dev/null; then
        try "$micro" "$accumulation" "$chosen" tuned
    else
        echo "gpu-bench: $config: tune: exit $?: $(tail -n 1 "$tmp/log")"
    fi
    DIECAST_TUNE=$tune
fi
cp "$kit/$(dirname "$chosen")/sizes.json" "$tmp/sizes.json"

# 20 warm updates and 50 timed ones, if there is time; else as many as fit, and at least so many micro-steps.
tokens_each=$((micro * $(value block_size "$tmp/sizes.json")))
counts=$(awk -v a="$accumulation" -v ms="$(awk "BEGIN { print $tokens_each / $best * 1000 }")" -v most=$ours '
    function up(x) { return x == int(x) ? x : int(x) + 1 }
    function max(x, y) { return x > y ? x : y }
    BEGIN {
        fit = int(most * 1000 / (a * ms)); warm = 20; steps = 50
        if (fit < 70) { steps = max(up(50 / a), int(fit * 5 / 7)); warm = max(up(20 / a), fit - steps) }
        print warm, steps
    }')
warm=${counts% *}
steps=${counts#* }
echo "gpu-bench: $config: $accumulation micro-steps of $micro; $warm updates warm, $steps timed"

# ---- ours, then PyTorch's ------------------------------------------------------------------------

timed "$tmp/ours.csv" 120 "$kit/$chosen" --json="$tmp/ours.json" --tokens="$tokens" --warm="$warm" \
    --steps="$steps" --accumulation="$accumulation"
echo "$micro $accumulation $warm $steps" >"$tmp/ours.txt"
report # also if it was cut short
if [ $code != 0 ]; then
    tail -n 15 "$tmp/log" >&2
    echo "gpu-bench: $config: exit $code" >&2
    exit 1
fi

# The whole run of a config that has one: its time and its best loss.
kit_lines run | grep "^$config " >"$tmp/runs"
while read -r _ program; do
    start=$(date +%s.%N)
    timeout -k 5 90 "$kit/$program" --data_dir="$kit/data" --out_dir="$tmp/run" >"$tmp/log" 2>&1 </dev/null
    code=$?
    loss=$(sed -n 's/.*best val loss \([0-9.]*\).*/\1/p' "$tmp/log" | tail -n 1)
    echo "$code $(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { print b - a }') ${loss:-none}" >"$tmp/run.txt"
    report
done <"$tmp/runs"

left=$(($(seconds_left "$limit") - 10))
if [ "$left" -lt 30 ]; then
    echo "gpu-bench: $config: no time left for PyTorch"
elif ! python3 -c 'import torch' 2>/dev/null; then
    echo "gpu-bench: $config: no PyTorch here; ours alone"
else
    timed "$tmp/peer.csv" "$left" python3 tests/bench/peer_torch.py --sizes="$tmp/sizes.json" --tokens="$tokens" \
        --batch="$micro" --accumulation="$accumulation" --warm="$warm" --steps="$steps" \
        --seconds=$((left - 15)) --json="$tmp/peer.json"
    tail -n 3 "$tmp/log"
    report
fi
echo "gpu-bench: $config: $(($(date +%s) - began)) s; $(cat "$tmp/written.txt")"
