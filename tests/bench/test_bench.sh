#!/bin/sh
# test_bench.sh: the CPU's bench program: bench.json's contents, its flags, --serve, and what it refuses;
# scale.lua's flags. Times may have any value.
# shares: overfit
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
make build CONFIG=tests/train/overfit.lua PROGRAMS="bench sample_bench sample" >"$tmp/log" 2>&1 || {
    tail -n 20 "$tmp/log"
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
}
program=build/overfit/cpu/bench
bench() { # flags; its exit code in code
    rm -f "$tmp/json"
    "$program" --json="$tmp/json" "$@" >"$tmp/log" 2>&1 </dev/null
    code=$?
}
ends() { # exit code: with one line, and no figures
    test $code = "$1" -a "$(wc -l <"$tmp/log")" = 1 -a ! -e "$tmp/json"
}
# Lua conditions on the figures: j.
cat >"$tmp/figures.lua" <<'END'
local file = assert(io.open(arg[1]))
j = assert(require("dkjson").decode(file:read("a")))
function near(a, b) return math.abs(a / b - 1) < 1e-2 end
for i = 2, #arg do assert(assert(load("return " .. arg[i]))(), arg[i]) end
END
figures() { # conditions
    lua5.4 "$tmp/figures.lua" "$tmp/json" "$@"
}

# ---- what it writes ------------------------------------------------------------------------------

bench --seconds=0.05 --threads=1 --grad_clip=2.5
check "it runs" test $code = 0
check "numbers above 0" figures '(function()
    for key in ("cores threads steps params ms_median ms_p10 ms_p90 tokens_per_s flop_per_step gflops peak_gflops " ..
        "held_gflops share_of_peak share_of_held floor_ms share_of_floor read_gbs read_gbs_l2 read_gbs_l3 " ..
        "peak_rss_bytes plan_bytes")
        :gmatch("%S+") do
      assert(type(j[key]) == "number" and j[key] > 0, key)
    end
    return true
  end)()'
check "strings" figures 'j.program == "bench"' 'j.name == "overfit"' '#j.machine > 0' '#j.build == 12' \
    'j.config:find("isa=" .. j.isa, 1, true)' 'j.compiler:find("^gcc %d")' 'j.flags:find("^%-std=gnu11 %-O3 ")' \
    'j.date:find("^20%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$")'
check "the run's keys" figures 'j.threads == 1' 'j.dropout == 0' 'j.grad_clip == 2.5'
check "at least 3 steps" figures 'j.steps >= 3'
check "times in order" figures 'j.ms_p10 <= j.ms_median' 'j.ms_median <= j.ms_p90'
check "rates" figures 'near(j.tokens_per_s, 64e3 / j.ms_median)' \
    'near(j.gflops, j.flop_per_step / j.ms_median / 1e6)' 'near(j.share_of_floor, j.floor_ms / j.ms_median)' \
    'near(j.share_of_peak, j.gflops / j.peak_gflops)' 'near(j.share_of_held, j.gflops / j.held_gflops)'
check "the held rate is at most the best" figures 'j.held_gflops <= j.peak_gflops'
check "the floor is the sum of the kernels'" figures '(function()
    local sum = 0
    for _, kernel in ipairs(j.kernels) do sum = sum + kernel.roofline * kernel.ms end
    return math.abs(sum - j.floor_ms) < 0.01 * j.floor_ms + 1e-4 * #j.kernels
  end)()'
check "memory near the plan" figures 'j.peak_rss_bytes < j.plan_bytes + (16 << 20)'
check "slowest first" figures '(function()
    for i = 2, #j.kernels do assert(j.kernels[i].ms <= j.kernels[i - 1].ms) end
    return #j.kernels > 10
  end)()'
check "a table" grep -q '^grad norm and update  *1 ' "$tmp/log"
"$program" --seconds=0.01 >"$tmp/log" 2>&1
mv build/overfit/cpu/bench.json "$tmp/json"
check "beside the program; fewer than 7 steps in so short a time" figures 'j.steps >= 3'

# ---- Muon's part of a step -----------------------------------------------------------------------

make build CONFIG=tests/train/overfit.lua SET=optimizer=muon PROGRAMS=bench >"$tmp/log" 2>&1 || tail -n 20 "$tmp/log"
overfit=$program
program=build/overfit-optimizer@muon/cpu/bench
bench --seconds=0.05
check "a step with muon" test $code = 0
check "says so" grep -q '^muon: .* of a step; its Newton-Schulz products run at .* of held$' "$tmp/log"
check "its kernels are a part of the step" figures '(function()
    local ms, all, flop = 0, 0, 0
    for _, kernel in ipairs(j.kernels) do
      all = all + kernel.ms
      if kernel.name:find("^muon_") then ms, flop = ms + kernel.ms, flop + kernel.flop end
    end
    -- (3C, C), (C, C), (4C, C) and (C, 4C) in each layer; of the symmetric products half.
    local C, L = tonumber(j.config:match("n_embd=(%d+)")), tonumber(j.config:match("n_layer=(%d+)"))
    assert(near(flop, 5 * L * (16 * C * C * (C + 1) + 24 * C ^ 3)), flop)
    return near(ms, j.muon_ms) and near(ms / all, j.muon_share)
  end)()' 'j.muon_gflops > 0'
program=$overfit

# ---- turns ---------------------------------------------------------------------------------------

printf '0.01\n0.02\n' | "$program" --serve >"$tmp/turns" 2>"$tmp/log"
check "two turns" test "$(wc -l <"$tmp/turns")" = 2
tail -n 1 "$tmp/turns" >"$tmp/json"
check "of at least two steps" figures '#j.ms >= 2' 'j.ms[1] > 0' 'j.peak_rss_bytes > 0'
echo soon | "$program" --serve >"$tmp/log" 2>&1
check "a turn that is not a number" test $? = 64

sampler=build/overfit/cpu/sample_bench
printf '1 0.01\n16 0.02\n0 0.01\n' | "$sampler" --serve --threads=1 >"$tmp/turns" 2>"$tmp/log"
check "the sampler's bench: three turns" test "$(wc -l <"$tmp/turns")" = 4
head -n 1 "$tmp/turns" >"$tmp/json"
check "after a line that says what they are" figures 'j.most_texts == 16' 'j.from == 1' 'j.tokens == 16' '#j.prompt == 15'
for line in 2 3 4; do
    sed -n "${line}p" "$tmp/turns" >"$tmp/json"
    check "the sampler's turn, line $line" figures '#j.ms >= 1' 'j.ms[#j.ms] > 0' 'j.peak_rss_bytes > 0'
done
for words in '17 1' '-1 1' '1 0' '1 nan' '1' '1 1 1' soon; do
    echo "$words" | "$sampler" --serve >"$tmp/turns" 2>"$tmp/log"
    check "a turn of the sampler: $words" test $? = 64 -a "$(wc -l <"$tmp/log")" = 1
done
check "its weights are gone" test ! -e "$sampler.safetensors"

# ---- what it refuses -----------------------------------------------------------------------------

for flag in --seconds=0 --seconds=-1 --seconds=x --seconds=nan --seconds= --seconds=1e9 --json= --second=1 \
    --n_layer=3 word; do
    bench "$flag"
    check "$flag" ends 64
done
bench --help
check "--help" test $code = 0
check "the sampler's bench has its own --help" eval 'build/overfit/cpu/sample_bench --help >"$tmp/sampler" &&
    grep -q -- "--seconds=S" "$tmp/sampler" && ! grep -q learning_rate "$tmp/sampler"'
check "--help names bench's flags" grep -q -- '--seconds=S' "$tmp/log"
"$program" --seconds=0.01 --json="$tmp/no/folder" >"$tmp/log" 2>&1
check "figures that cannot be written" test $? = 74
# Whoever reads figures meanwhile has the old ones or the new ones, whole: another file takes their place.
replaces() { # program
    rm -f "$1.json" "$tmp/old"
    echo old >"$1.json"
    ln "$1.json" "$tmp/old" 2>/dev/null || ln -s "$PWD/$1.json" "$tmp/old"
    "$1" --seconds=0.01 --threads=1 >"$tmp/log" 2>&1 </dev/null || return
    grep -qx old "$tmp/old" && grep -q threads "$1.json" && [ ! -e "$1.json.tmp" ]
}
check "bench replaces its figures" replaces "$program"
check "and so does the sampler's" replaces build/overfit/cpu/sample_bench

for words in --fast --only=x 'n_embd=1 2' isa; do
    lua5.4 tests/bench/scale.lua "$words" >"$tmp/log" 2>&1
    code=$?
    rm -f "$tmp/json"
    check "scale.lua $words" ends 64
done
lua5.4 tests/bench/scale.lua isa=none >"$tmp/log" 2>&1
check "scale.lua with a wrong key" test $? = 70 -a "$(wc -l <"$tmp/log")" = 1
make bench-scale SCALE=most >"$tmp/log" 2>&1
check "SCALE=most" grep -q 'SCALE=most: wanted full' "$tmp/log"

finish
