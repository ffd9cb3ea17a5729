#!/bin/sh
# test_bench.sh: the CUDA backend's bench program (runtime/programs/gpu_bench.c) on the emulator, where its
# times mean nothing: what it writes, how many calls of kernels it counts, what it refuses.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
export DIECAST_TUNE="$tmp/tune"
# Sets program to the bench of a small config with a few more keys; its trainer and its tune lie beside it.
program_of() { # key=value ...
    set="dropout=0.1 bias=true block_size=12 batch_size=2 gradient_accumulation_steps=2 $*"
    if ! make build CONFIG=tests/train/overfit.lua SET="$set" BACKEND=cuda EMULATED=1 PROGRAMS='bench train tune' \
        >"$tmp/log" 2>&1; then
        tail -n 20 "$tmp/log"
        echo "0 passed, 1 failed, 0 skipped"
        exit 1
    fi
    program=$(sed -n 's/^built: \([^:]*\):.*/\1/p' "$tmp/log")/bench
}
# Runs it; its exit code in code.
bench() { # flags
    "$program" --json="$tmp/json" "$@" >"$tmp/log" 2>&1 </dev/null
    code=$?
}
ends() { # exit code: with one line, and no figures
    test $code = "$1" -a "$(wc -l <"$tmp/log")" = 1 -a ! -e "$tmp/json"
}
# Lua conditions on the figures: j; calls(pattern), of the only kernel with such a name; before, the last run's.
cat >"$tmp/figures.lua" <<'END'
local json = require("dkjson")
local function read(path)
  local file = io.open(path)
  local object = file and assert(json.decode(file:read("a"), 1, json.null))
  return object
end
null = json.null
j, before = read(arg[1]), read(arg[1] .. ".before")
function calls(pattern)
  local found
  for _, kernel in ipairs(j.kernels) do
    if kernel.name:find(pattern) then
      assert(not found, pattern .. " is the name of two")
      found = kernel.calls
    end
  end
  return found
end
-- Every kernel of before, `times` as often, but those that run once an update.
function multiplied(times)
  local once = { adamw = true, grad_norm = true }
  local kernels = {}
  for _, kernel in ipairs(before.kernels) do kernels[kernel.name] = kernel end
  for _, kernel in ipairs(j.kernels) do
    local other = kernels[kernel.name]
    local by = once[kernel.name] and 1 or times
    for _, key in ipairs { "calls", "flop", "bytes" } do
      assert(kernel[key] == by * other[key], kernel.name .. ": " .. key)
    end
  end
  return #j.kernels == #before.kernels
end
function near(a, b, by) return math.abs(a / b - 1) < by end
local function true_or_say(text) return assert(load("return " .. text))() or error(text, 0) end
for i = 2, #arg do true_or_say(arg[i]) end
END
figures() { # conditions
    lua5.4 "$tmp/figures.lua" "$tmp/json" "$@"
}

# ---- what it writes ------------------------------------------------------------------------------

program_of dtype=bfloat16
bench --warm=1 --steps=3 --accumulation=1
check "one micro-step" test $code = 0
check "numbers" figures '(function()
    for key in ("ms_median ms_p10 ms_p90 tokens_per_s flop_per_step flop_per_step_llmc peak_bf16_tflops copy_gbs " ..
        "share_of_product_rate plan_bytes used_bytes"):gmatch("%S+") do
      assert(type(j[key]) == "number" and j[key] > 0, key)
    end
    return true
  end)()'
check "strings" figures 'j.tokens == "uniform"' 'j.products == "heuristic"' 'j.device == "emulated"' \
    'j.driver:find("^%d+%.%d$")' 'j.runtime:find("^%d+%.%d$")' 'j.cublaslt:find("^%d+$")' \
    'j.config:find("dtype=bfloat16")'
check "unknown for this device" figures 'j.device_peak_tflops == null' \
    'j.mfu == null' 'j.mfu_llmc == null'
check "complete" figures 'j.complete == true'
check "counts" figures 'j.accumulation == 1' 'j.warm == 1' 'j.steps == 3' 'j.skipped == 0'
check "times in order" figures 'j.ms_p10 <= j.ms_median' 'j.ms_median <= j.ms_p90'
check "tokens a second" figures 'near(j.tokens_per_s, 24e3 / j.ms_median, 1e-2)'
check "memory as planned" figures 'j.used_bytes == j.plan_bytes'
check "its own rate is bf16's" figures 'j.product_type == "bf16"' 'j.product_tflops == j.peak_bf16_tflops'
check "kernels of two layers" figures 'calls("^attention_%d") == 2' 'calls("^attention_backward_") == 2'
check "kernels of a micro-step" figures 'calls("^step_take$") == 1' 'calls("^embed_%d") == 1' \
    'calls("^embed_backward_") == 1' 'calls("^cross_entropy_backward_") == 1'
check "kernels of an update" figures 'calls("^grad_norm$") == 1' 'calls("^adamw$") == 1'
check "slowest first" figures '(function()
    for i = 2, #j.kernels do assert(j.kernels[i].ms <= j.kernels[i - 1].ms) end
    return #j.kernels > 20
  end)()'
check "no kernel that did not run" figures 'not calls("^cast$")'
check "a table" grep -q '^attention_backward_[^ ]*  *2 ' "$tmp/log"

mv "$tmp/json" "$tmp/json.before"
bench --warm=0 --steps 2 --accumulation 3
check "three micro-steps" test $code = 0
check "three times the kernels" figures 'multiplied(3)' 'calls("^step_take$") == 3' \
    'j.flop_per_step == 3 * before.flop_per_step' 'j.accumulation == 3' 'j.steps == 2'

rm "$tmp/json" "$tmp/json.before"
rm -f "${program%/*}/bench.json"
"$program" --warm=0 --steps=1 --dropout=0 >"$tmp/log" 2>&1
mv "${program%/*}/bench.json" "$tmp/json"
check "beside the program, with the config's micro-steps" figures 'j.accumulation == 2' 'j.warm == 0'

# ---- losses, and what was cut short ----------------------------------------------------------------

data_set fox
"${program%/*}/train" --data_dir="$tmp" --dataset=fox --out_dir="$tmp/run" --max_iters=3 --eval_iters=1 \
    --learning_rate=0.01 --warmup_iters=0 >"$tmp/log" 2>&1
check "a trainer" test $? = 0
bench --tokens="$tmp/fox/train.bin" --warm=1 --steps=3 --learning_rate=0.01 --warmup_iters=0
step() { # iteration, key: of the trainer's metrics, as the JSON has it
    sed -n "/^{\"iter\":$1,\"loss\"/s/.*\"$2\":\([^,}]*\).*/\1/p" "$tmp/run/metrics.jsonl"
}
for pair in loss:loss grad_norm:norm; do
    check "the trainer's ${pair%:*}, digit for digit" figures "j.${pair#*:}_first == $(step 0 "${pair%:*}")" \
        "j.${pair#*:}_last == $(step 3 "${pair%:*}")" "j.${pair#*:}_first ~= j.${pair#*:}_last"
done
check "the first loss is that of chance" figures 'math.abs(j.loss_first - math.log(65)) < 0.1'

# Enough memory for the model, but not for the copy with which the device's bandwidth is measured.
rm "$tmp/json"
EMULATOR_MEMORY=8 bench --warm=0 --steps=2
check "no room to measure the device" test $code = 71
check "leaves updates and kernels" figures 'j.complete == false' 'j.ms_median > 0' 'j.loss_last > 0' \
    'j.plan_bytes > 0' 'calls("^grad_norm$") == 1' 'j.kernels[1].roofline == null' 'j.copy_gbs == null' \
    'j.peak_bf16_tflops == null' 'j.product_type == null' 'j.share_of_product_rate == null'
rm "$tmp/json"
"$program" --json="$tmp/json" --warm=0 --steps=1 --accumulation=100 >"$tmp/log" 2>&1 &
while [ ! -e "$tmp/json" ] && kill -0 $! 2>/dev/null; do sleep 0.01; done
kill -9 $!
wait $! 2>/dev/null
check "killed before its kernels are timed, it leaves the updates" figures 'j.complete == false' \
    'j.tokens_per_s > 0' 'j.norm_first > 0' 'j.used_bytes == j.plan_bytes' 'j.kernels == null'
rm "$tmp/json"

# ---- tuned products ------------------------------------------------------------------------------

here=$PWD
cd "$tmp" || exit 74
"$here/${program%/*}/tune" >"$tmp/log" 2>&1
check "tune" test $? = 0 -a -d "$tmp/tune"
"$here/$program" --json="$tmp/json" --warm=0 --steps=1 >"$tmp/log" 2>&1
check "bench finds tune's results, in whichever folder both run" figures 'j.products:find("^tuned:%x+$")'
DIECAST_TUNE=$tmp/none "$here/$program" --json="$tmp/json" --warm=0 --steps=1 >"$tmp/log" 2>&1
check "not in another folder" figures 'j.products == "heuristic"'
cd "$here" || exit 74

# ---- tokens --------------------------------------------------------------------------------------

lua5.4 -e 'for i = 0, 999 do io.write(string.pack("<I2", i * 7 % 65)) end' >"$tmp/a \"b\".bin"
bench --warm=0 --steps=1 --accumulation=1 --tokens="$tmp/a \"b\".bin"
check "tokens of a file" test $code = 0
check "their path" figures 'j.tokens == [['"$tmp"'/a "b".bin]]'
rm "$tmp/json"
lua5.4 -e 'for i = 0, 999 do io.write(string.pack("<I2", 65)) end' >"$tmp/beyond.bin"
bench --warm=0 --steps=1 --tokens="$tmp/beyond.bin"
check "an id out of range" test $code = 65 -a ! -e "$tmp/json"
check "one line says so" test "$(grep -c 'is 65, but the vocabulary has 65' "$tmp/log")" = 1
printf 'abc' >"$tmp/odd.bin"
bench --tokens="$tmp/odd.bin"
check "a file of odd size" ends 65
head -c 24 "$tmp/beyond.bin" >"$tmp/short.bin" # 12 tokens, one too few
bench --tokens="$tmp/short.bin"
check "a file that is too short" ends 65
bench --tokens="$tmp/none.bin"
check "no such file" ends 66

# ---- flags, memory -------------------------------------------------------------------------------

for flag in --steps=0 --steps=many --steps --warm=-1 --warm=1.5 --accumulation=0 \
    --accumulation=99999999999999999999 --json= --tokens= --step=3 --n_layer=3 --learning_rate=x word; do
    bench $flag
    check "$flag" ends 64
done
bench --help
check "--help" test $code = 0
check "--help names bench's flags and the trainer's" grep -q -- --accumulation=A "$tmp/log"
EMULATOR_MEMORY=1 bench --steps=1
check "a plan that does not fit" ends 71
"$program" --warm=0 --steps=1 --json="$tmp/no/folder" >"$tmp/log" 2>&1
check "figures that cannot be written" test $? = 74

# ---- other types ---------------------------------------------------------------------------------

for keys in float32:f32 float16:f16 'float32 tf32=true:tf32'; do
    program_of "dtype=${keys%:*}"
    bench --warm=0 --steps=1
    check "$keys" test $code = 0
    check "$keys: its own rate" figures "j.product_type == '${keys#*:}'" 'j.product_tflops > 0'
done

finish
