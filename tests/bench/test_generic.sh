#!/bin/sh
# test_generic.sh: generic.lua with fake benches that give made-up times: the turns, medians, the sums
# by op, where it writes them, and what it refuses.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
# A fake bench: kernels_N for its Nth run, and turns of 10 ms (20 without sizes), the first of them slow.
mkdir "$tmp/baked" "$tmp/generic"
cat >"$tmp/baked/bench" <<'END'
#!/bin/sh
here=${0%/*}
echo "$@" >>"$here/words"
[ ! -e "$here/broken" ] || exit 71
case " $* " in
*" --serve "*)
    ms=$(cat "$here/ms")
    read -r seconds && echo "{\"ms\": [300, 301], \"peak_rss_bytes\": 1}"
    while read -r seconds; do echo "{\"ms\": [$ms, $ms, $ms], \"peak_rss_bytes\": 1}"; done ;;
*)
    for word; do case $word in --json=*) to=${word#--json=} ;; esac; done
    n=$(($(cat "$here/runs" 2>/dev/null || echo 0) + 1))
    echo $n >"$here/runs"
    "$here/figures" $n >"$to" ;;
esac
END
# Figures as bench writes them, whose kernels take longer with each run.
figures() { # config, kernels
    cat <<END
#!/bin/sh
cat <<JSON
{
  "program": "bench", "name": "x", "config": "model=gpt$1 isa=avx2", "build": "0123456789ab",
  "machine": "a", "cores": 2, "compiler": "gcc", "isa": "avx2", "date": "now", "threads": 2, "steps": 3,
  "ms_median": 1, "ms_p10": 1, "ms_p90": 1, "flop_per_step": 1, "gflops": 1, "peak_gflops": 1,
  "share_of_peak": 1, "floor_ms": 1, "peak_rss_bytes": 1, "plan_bytes": 1,
  "kernels": [
$2
  ]
}
JSON
END
}
figures "" '    {"name": "matmul_dx_8x4x2", "ms": $1, "roofline": 0.9},
    {"name": "matmul_dx_8x2x4_gelu_erf_backward", "ms": 0.5, "roofline": 0.9},
    {"name": "mean_loss_8", "ms": 0.25, "roofline": 0.1}, {"name": "batch", "ms": 0.125, "roofline": 0}' \
    >"$tmp/baked/figures"
figures " specialise=false" '    {"name": "matmul_dx_any_gelu_erf_backward", "ms": 4, "roofline": 0.8},
    {"name": "matmul_dx_any", "ms": $1, "roofline": 0.8}, {"name": "mean_loss_any", "ms": 0.5, "roofline": 0.1},
    {"name": "batch", "ms": 0.125, "roofline": 0}' >"$tmp/generic/figures"
cp "$tmp/baked/bench" "$tmp/generic/bench"
chmod +x "$tmp"/*/bench "$tmp"/*/figures
echo 10 >"$tmp/baked/ms"
echo 20 >"$tmp/generic/ms"
"$tmp/baked/figures" 9 >"$tmp/baked/bench.json"

compare() { # words; its exit code in code
    rm -f "$tmp"/*/runs "$tmp"/*/words
    cp "$tmp/baked/bench.json" "$tmp/before"
    lua5.4 tests/bench/generic.lua "$@" >"$tmp/log" 2>&1 </dev/null
    code=$?
}
cat >"$tmp/holds.lua" <<'END'
local file = assert(io.open(arg[1]))
j = assert(require("dkjson").decode(file:read("a")))
g = j.generic
ops = {}
for i, op in ipairs(g.ops) do ops[i] = ("%s %g %g"):format(op.name, op.ms, op.ms_generic) end
for i = 2, #arg do assert(assert(load("return " .. arg[i]))(), arg[i]) end
END
holds() { # conditions in Lua
    lua5.4 "$tmp/holds.lua" "$tmp/baked/bench.json" "$@"
}
refuses() { # exit code, a part of the line
    test $code = "$1" && grep -qF -- "$2" "$tmp/log" && cmp "$tmp/baked/bench.json" "$tmp/before"
}

compare "$tmp/baked/bench" "$tmp/generic/bench" --threads=2
check "it runs" test $code = 0
check "medians over all turns" holds 'g.ms_median == 10' 'g.ms_median_generic == 20' 'g.ratio == 2' 'g.rounds == 3'
check "sums by op, the slowest first" holds \
    'table.concat(ops, ", ") == "matmul_dx 2.5 6, mean_loss 0.25 0.5, batch 0.125 0.125"'
check "bench's figures are kept" holds 'j.program == "bench"' 'j.kernels[1].ms == 9' 'j.build == g.build'
check "each runs once a round" test "$(cat "$tmp/baked/runs") $(cat "$tmp/generic/runs")" = "3 3"
check "and serves once" test "$(cat "$tmp"/*/words | grep -c -- --serve)" = 2
check "with bench's flags" test "$(cat "$tmp"/*/words | grep -c -- --threads=2)" = 8
check "a line says so" grep -qx 'kernels that take their sizes as arguments take 2.00 times as long' "$tmp/log"

mv "$tmp/baked/bench.json" "$tmp/own.json"
cp "$tmp/own.json" "$tmp/baked/bench.json"
compare --rounds=1 "$tmp/baked/bench" "$tmp/generic/bench" --json="$tmp/baked/bench.json"
check "a second time" holds 'g.rounds == 1' 'ops[1] == "matmul_dx 1.5 5"'
check "replaces the first" test "$(grep -c '"generic"' "$tmp/baked/bench.json")" = 1

compare "$tmp/baked/bench"
check "one program" refuses 64 'generic: which programs?'
compare --rounds=0 "$tmp/baked/bench" "$tmp/generic/bench"
check "no rounds" refuses 64 'generic: --rounds=0: wanted a number from 1 to 99'
compare "$tmp/baked/bench" "$tmp/baked/bench"
check "both with their sizes" refuses 65 'is not of the same config with specialise=false'
touch "$tmp/generic/broken"
compare "$tmp/baked/bench" "$tmp/generic/bench"
check "one stops" refuses 71 "generic: $tmp/generic/bench stopped with 71; run it alone"
rm "$tmp/generic/broken"
echo '{"device": "H200"}' >"$tmp/baked/bench.json"
compare "$tmp/baked/bench" "$tmp/generic/bench"
check "a GPU's figures" refuses 65 "was not written by the CPU's bench"
rm "$tmp/baked/bench.json"
touch "$tmp/baked/bench.json"
compare "$tmp/baked/bench" "$tmp/generic/bench"
check "no figures" refuses 65 "is not a JSON object"

finish
