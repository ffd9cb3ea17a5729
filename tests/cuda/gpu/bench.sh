#!/bin/sh
# bench.sh CONFIG OUT: `make gpu-bench CONFIG=x OUT=dir`: a config's training step timed on the device, from the kit
# that kit.sh made, and the same model in PyTorch in the same run. At most four minutes. What is known so far is in
# OUT/DEVICE-DATE.json and OUT/DEVICE-DATE.md after each part, several configs in one file (report.py).
# Exit: 0 done, 1 our part failed, 66 no kit or not this config, 77 no GPU.
#
#     TOKENS=file.bin     raw little-endian uint16 to train on; else data/DATASET/train.bin, else made-up ones
#     ATTENTION=mma       only the builds with these kernels of attention; else the faster ones are taken
#     LIMIT=240           seconds in all
set -u
cd "$(dirname "$0")/../../.." || exit 74
. tests/cuda/gpu/common.sh # sets kit, arch, device, gpu, tmp and began
limit=${LIMIT:-240}
ours=60 # seconds that our warm and timed updates may take
config=${1:?usage: bench.sh CONFIG OUT}
out=${2:-tests/bench/results}

suite_open gpu-bench
kit_lines bench | grep "^$config .*-${ATTENTION:-[a-z]*}/bench$" >"$tmp/candidates" || {
    echo "gpu-bench: $config: not in the kit, which has: $(kit_lines bench | cut -d ' ' -f 1 | uniq | xargs)" >&2
    exit 66
}
mkdir -p "$out" || exit 74
report() {
    python3 tests/cuda/gpu/report.py --add "$config" "$tmp" "$out" || exit 1
}
value() { # key, of a JSON file that has one key a line or only numbers to look for
    sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p" "$2" | head -n 1
}

# ---- the device, the tokens ----------------------------------------------------------------------

fields=name,driver_version,memory.total,power.limit,clocks.max.sm,clocks.max.mem,ecc.mode.current
nvidia-smi -i "$gpu" --query-gpu=$fields --format=csv,nounits >"$tmp/device.csv"
nvcc --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\).*/\1/p' >"$tmp/nvcc.txt"
echo "$arch" >"$tmp/arch.txt"

first=$(head -n 1 "$tmp/candidates" | cut -d ' ' -f 4)
cp "$kit/$(dirname "$first")/sizes.json" "$tmp/sizes.json"
dataset=$(value dataset "$tmp/sizes.json")
tokens=${TOKENS:-}
for file in "data/$dataset/train.bin" "$kit/data/$dataset/train.bin"; do
    [ -z "$tokens" ] && [ -f "$file" ] && tokens=$file
done
if [ -n "$tokens" ]; then
    [ -f "$tokens" ] || { echo "gpu-bench: $tokens: no such file" >&2; exit 66; }
    echo "tokens of $tokens" >"$tmp/tokens.txt"
else
    tokens=$tmp/tokens.bin
    python3 tests/cuda/gpu/tokens.py "$tokens" "$(value vocab_size "$tmp/sizes.json")" || exit 1
    echo "made-up tokens after Zipf's law (tests/cuda/gpu/tokens.py)" >"$tmp/tokens.txt"
fi

# Clocks and power, twice a second, while a command runs. Its exit code in code.
recorded() { # file, seconds, command
    file=$1
    seconds=$2
    shift 2
    nvidia-smi -i "$gpu" -lms 500 --format=csv,noheader,nounits \
        --query-gpu=clocks.sm,clocks.mem,power.draw,temperature.gpu,utilization.gpu >"$file" 2>/dev/null &
    sampler=$!
    timeout -k 5 "$seconds" "$@" >"$tmp/log" 2>&1 </dev/null
    code=$?
    kill $sampler 2>/dev/null
    wait $sampler 2>/dev/null
}

# ---- the micro-batch: a few updates of two micro-steps each --------------------------------------

: >"$tmp/candidates.txt"
best=0
while read -r _ batch steps program; do
    timeout -k 5 30 "$kit/$program" --json="$tmp/try.json" --tokens="$tokens" --warm=2 --steps=4 --accumulation=2 \
        >"$tmp/log" 2>&1 </dev/null
    code=$?
    rate=$([ $code = 0 ] && value tokens_per_s "$tmp/try.json")
    kind=$(value attention "$kit/$(dirname "$program")/sizes.json")
    if [ -n "$rate" ]; then
        echo "$batch $kind $rate $(value plan_bytes "$tmp/try.json")" >>"$tmp/candidates.txt"
        echo "gpu-bench: $config, B = $batch, $kind attention: $(printf %.0f "$rate") tokens/s"
        if [ "$(awk -v a="$rate" -v b="$best" 'BEGIN { print (a > b) }')" = 1 ]; then
            best=$rate
            micro=$batch
            accumulation=$steps
            chosen=$program
        fi
    else
        echo "$batch $kind 0 0" >>"$tmp/candidates.txt"
        why=$([ $code = 71 ] && echo 'does not fit' || echo "exit $code")
        echo "gpu-bench: $config, B = $batch, $kind attention: $why: $(tail -n 1 "$tmp/log")"
    fi
done <"$tmp/candidates"
if [ "$best" = 0 ]; then
    echo "gpu-bench: $config: no candidate ran" >&2
    exit 1
fi
cp "$kit/$(dirname "$chosen")/sizes.json" "$tmp/sizes.json"

# 20 updates warm and 50 timed, where they fit into the time; else as many as fit, and at least so many micro-steps.
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

recorded "$tmp/ours.csv" 120 "$kit/$chosen" --json="$tmp/ours.json" --tokens="$tokens" --warm="$warm" \
    --steps="$steps" --accumulation="$accumulation"
echo "$micro $accumulation $warm $steps" >"$tmp/ours.txt"
if [ $code != 0 ]; then
    tail -n 15 "$tmp/log" >&2
    echo "gpu-bench: $config: exit $code" >&2
    exit 1
fi
report

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
    recorded "$tmp/peer.csv" "$left" python3 tests/bench/peer_torch.py --sizes="$tmp/sizes.json" --tokens="$tokens" \
        --batch="$micro" --accumulation="$accumulation" --warm="$warm" --steps="$steps" \
        --seconds=$((left - 15)) --json="$tmp/peer.json"
    tail -n 3 "$tmp/log"
    report
fi
echo "gpu-bench: $config: $(($(date +%s) - began)) s; $(cat "$tmp/written.txt")"
