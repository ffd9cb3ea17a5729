#!/bin/sh
# quantize.sh BIN CHECKPOINT RUN DATASET DATA_DIR KIND...: `make quantize`: measures a run's weights in float32 and in
# each kind of sampler (gen/passes/small.lua) by the programs quantize of BIN, prints the table and keeps it in RUN/quantize.txt.
set -eu
bin=$1 checkpoint=$2 run=$3 dataset=$4 data_dir=$5
shift 5
table=$bin/quantize.txt
measure() { # program, weights
    "$bin/$1" --weights="$2" --chosen="$bin/quantize.chosen" --dataset="$dataset" --data_dir="$data_dir"
}
printf '%-20s %15s %11s %11s %10s %11s\n' weights bytes loss difference 'same token' tokens/s >"$table"
measure quantize "$checkpoint" >>"$table"
for kind in "$@"; do
    weights=$bin/quantize-$kind.safetensors type=${kind%-kv_*}
    if [ "$type" = float32 ]; then
        measure "quantize-$kind" "$checkpoint" >>"$table"
        continue
    fi
    rm -f "$weights"
    lua5.4 -E gen/export.lua --checkpoint="$checkpoint" --format=sampler --type="$type" \
        --to="$weights" >/dev/null
    measure "quantize-$kind" "$weights" >>"$table"
    rm -f "$weights"
done
rm -f "$bin/quantize.chosen"
mv -f "$table" "$run/quantize.txt"
cat "$run/quantize.txt"
printf 'written: %s\n' "$run/quantize.txt"
