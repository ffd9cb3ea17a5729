#!/bin/sh
# test_train.sh: whole CUDA trainers, run on the CPU by the emulator: PyTorch's numbers, the CPU
# backend's losses and choices of HellaSwag, resumes, the same bytes under every schedule, recompute,
# float16's loss scaler, numbers that are not finite, and the message without a device. Needs no GPU
# and no nvcc.
# shares: resume
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh

data_set fox

# ---- PyTorch's numbers ------------------------------------------------------------------------------

parity() { # SET, config
    make build BUILD=build/reference CONFIG="tests/reference/configs/$2.lua" BACKEND=cuda EMULATED=1 \
        SET="$1" PROGRAMS=test_parity || return
    # shellcheck disable=SC2086 # a word each
    "build/reference/emulated/$2$(printf -- '-%s' $1 | tr = @)/cuda/test_parity" "tests/reference/golden/$2.safetensors" once
}
for path in tests/reference/configs/*.lua; do
    config=$(basename "$path" .lua)
    [ "$config" = sgd ] && continue # the model is muon's, and its update is held by tests/ops
    check "float32 $config" parity dtype=float32 "$config"
done
# Biases and a tied head; an odd width; one wide head; a large vocabulary; an untied head and
# accumulation; attention of many tiles, with both kinds of kernels; rope, grouped queries and gates; Muon, and
# tensors that are rows of one product.
for config in gpt2_small adam_all one_head large_vocabulary ignored_untied heads64 llama one_kv_head muon_pieces; do
    check "bfloat16 $config" parity dtype=bfloat16 "$config"
done
export EMULATOR_ARCH=90
check "bfloat16 heads64, attention=hopper" parity "dtype=bfloat16 attention=hopper" heads64
unset EMULATOR_ARCH
check "float16 gpt2_small" parity dtype=float16 gpt2_small

# ---- the trainers -------------------------------------------------------------------------------------

# A small model with dropout, biases and two micro-steps; and one whose widths no tile divides.
cuda() { # SET; the trainer of resume.lua with it is then in $trainer
    make build CONFIG=tests/train/resume.lua BACKEND=cuda EMULATED=1 PROGRAMS=train SET="$1" \
        >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
    trainer=build/emulated/resume$(for word in $1; do printf -- '-%s' "$word"; done | tr = @)/cuda/train
}
cpu() {
    make build CONFIG=tests/train/resume.lua PROGRAMS=train SET="$1" >"$tmp/log" 2>&1 ||
        { cat "$tmp/log"; exit 1; }
    trainer=build/resume$(for word in $1; do printf -- '-%s' "$word"; done | tr = @)/cpu/train
}
train() { # trainer, folder, flags
    program=$1
    out=$2
    shift 2
    "$program" --data_dir="$tmp" --out_dir="$tmp/$out" --eval_interval=4 --eval_iters=2 "$@" \
        >"$tmp/$out.txt" 2>"$tmp/$out.err"
    code=$?
    cat "$tmp/$out.txt" "$tmp/$out.err"
    return $code
}
ends_with() { # exit code, then a command
    wanted=$1
    shift
    "$@"
    code=$?
    [ $code = "$wanted" ]
}
same_metrics() { # two folders
    untimed "$tmp/$1/metrics.jsonl" >"$tmp/a"
    untimed "$tmp/$2/metrics.jsonl" >"$tmp/b"
    cmp "$tmp/a" "$tmp/b"
}
same_bytes() { # two folders
    cmp "$tmp/$1/state.safetensors" "$tmp/$2/state.safetensors" && same_metrics "$1" "$2"
}
# Each loss of two runs within 1e-5 of the other's, each norm within 1e-4, nothing else different;
# and so many steps in all.
agree() { # two folders, steps
    untimed "$tmp/$1/metrics.jsonl" >"$tmp/a"
    untimed "$tmp/$2/metrics.jsonl" >"$tmp/b"
    lua5.4 - "$tmp/a" "$tmp/b" "$3" <<'LUA'
local a, b, steps = io.open(arg[1]):read("a"), io.open(arg[2]):read("a"), 0
local limits = { loss = 1e-5, train_loss = 1e-5, val_loss = 1e-5, val_bpb = 1e-5, grad_norm = 1e-4 }
local function numbers(text)
  local list = {}
  for key, value in text:gmatch('"([%w_]+)":([^,}]+)') do list[#list + 1] = { key, value } end
  return list
end
local x, y = numbers(a), numbers(b)
assert(#x == #y, "another number of figures")
for i, pair in ipairs(x) do
  local key, one, other = pair[1], pair[2], y[i][2]
  assert(key == y[i][1], "another order of figures")
  if limits[key] then
    local apart = math.abs(tonumber(one) / tonumber(other) - 1)
    assert(apart <= limits[key], ("%s: %s and %s are %.1e apart"):format(key, one, other, apart))
  else
    assert(one == other, ("%s: %s and %s"):format(key, one, other))
  end
  if key == "grad_norm" then steps = steps + 1 end
end
assert(steps == tonumber(arg[3]), steps .. " steps")
LUA
}

cuda dtype=float32
exact=$trainer
cuda dtype=bfloat16
rounded=$trainer

# ---- the CPU backend's losses, and its checkpoints ----------------------------------------------------

odd="n_embd=100 n_head=5 block_size=100 n_layer=1 batch_size=2 dropout=0.1"
cpu ""
plain=$trainer
check "the CPU's trainer" train "$plain" cpu --max_iters=11
check "float32" train "$exact" exact --max_iters=11
check "the CPU's losses" agree cpu exact 12
cpu "$odd"
check "the CPU's trainer, odd sizes" train "$trainer" cpu_odd --max_iters=3
cuda "$odd dtype=float32"
check "float32, odd sizes" train "$trainer" odd --max_iters=3
check "the CPU's losses, odd sizes" agree cpu_odd odd 4

for to in cpu cuda; do
    if [ $to = cpu ]; then first=$exact second=$plain; else first=$plain second=$exact; fi
    check "a run to be resumed on $to" train "$first" to_$to --max_iters=5
    check "resumes on $to" train "$second" to_$to --max_iters=11 --init_from=resume
    check "resumes on $to from iteration 6" grep -q 'resuming from .*, iteration 6$' "$tmp/to_$to.txt"
    check "resumes on $to with the same losses" agree cpu to_$to 12
done

# HellaSwag, of items of the data set's tokens: inspect says the hash of their file.
items=$tmp/hellaswag/hellaswag_val
mkdir "$tmp/hellaswag"
vocabulary=$(sed -n 's/.*"vocab_size": \([0-9]*\).*/\1/p' "$tmp/fox/meta.json")
makes_items() {
    make build/inspect && lua5.4 tests/train/hellaswag.lua tokens "$items.bin" "$vocabulary" &&
        hash=$(build/inspect --file="$items.bin" | sed -n 's/^  hash *//p') &&
        tokenizer=$(grep '"tokenizer"' "$tmp/fox/meta.json") &&
        echo "{ $tokenizer \"xxh3\": \"$hash\" }" >"$items.json"
}
check "items of HellaSwag's form" makes_items
check "the CPU's trainer, with HellaSwag" train "$plain" cpu_asked --max_iters=5 --hellaswag_interval=2
check "float32, with HellaSwag" train "$exact" asked --max_iters=5 --hellaswag_interval=2
check "the CPU's losses, and choices" agree cpu_asked asked 6
check "of which there are three" sh -c "[ \$(grep -c hellaswag_sum '$tmp/asked/metrics.jsonl') = 3 ]"

# ---- the same bytes ---------------------------------------------------------------------------------

check "bfloat16" train "$rounded" straight --max_iters=11
it_learns() {
    awk -F'[:,]' '/grad_norm/ { if (!first) first = $4; last = $4 } END { exit !(last < first) }' \
        "$tmp/$1/metrics.jsonl"
}
check "bfloat16 learns" it_learns straight
check "bfloat16 again" train "$rounded" again --max_iters=11
check "the same bytes again" same_bytes straight again
for schedule in descending random:1; do
    export EMULATOR_SCHEDULE=$schedule
    check "bfloat16 $schedule" train "$rounded" $schedule --max_iters=11
    unset EMULATOR_SCHEDULE
    check "the same bytes $schedule" same_bytes straight $schedule
done
check "bfloat16, with HellaSwag" train "$rounded" asked_too --max_iters=11 --hellaswag_interval=3
tensors "$tmp/straight/state.safetensors" >"$tmp/a"
tensors "$tmp/asked_too/state.safetensors" >"$tmp/b"
check "the same tensors, with HellaSwag" cmp "$tmp/a" "$tmp/b"
check "a run to be stopped" train "$rounded" stopped --max_iters=5
check "resumes" train "$rounded" stopped --max_iters=11 --init_from=resume
check "stopped, the same bytes" same_bytes straight stopped

# A signal comes while steps are in progress: they are finished first, except an incomplete one, whose gradients are
# lost. A state saved on the way changes nothing either.
signalled() { # folder, flags
    out=$1
    shift
    "$rounded" --data_dir="$tmp" --out_dir="$tmp/$out" --eval_interval=4 --eval_iters=2 "$@" >"$tmp/$out.txt" 2>&1 &
    pid=$!
    waited=0
    while ! grep -qs grad_norm "$tmp/$out/metrics.jsonl" && [ $waited -lt 600 ]; do
        sleep 0.05
        waited=$((waited + 1))
    done
    kill -TERM $pid
    wait $pid
}
check "SIGTERM ends with 75" ends_with 75 signalled signal --max_iters=11 --checkpoint_interval=1
check "resumes after it" train "$rounded" signal --max_iters=11 --checkpoint_interval=1
check "stopped by a signal, the same bytes" same_bytes straight signal
many="--gradient_accumulation_steps=16 --max_iters=3"
# shellcheck disable=SC2086 # a word each
{
    check "many micro-steps" train "$rounded" many $many
    check "SIGTERM between them" ends_with 75 signalled between $many
    check "resumes with them" train "$rounded" between $many
}
check "stopped between micro-steps, the same bytes" same_bytes many between

# Muon: its steps, resumes and skipped updates.
cuda "dtype=bfloat16 optimizer=muon"
check "muon" train "$trainer" muon --max_iters=5
check "muon learns" it_learns muon
for schedule in descending random:1; do
    export EMULATOR_SCHEDULE=$schedule
    check "muon $schedule" train "$trainer" muon_$schedule --max_iters=5
    unset EMULATOR_SCHEDULE
    check "muon, the same bytes $schedule" same_bytes muon muon_$schedule
done
check "muon, a run to be stopped" train "$trainer" muon_stopped --max_iters=2
cp "$tmp/muon_stopped/state.safetensors" "$tmp/muon.before"
check "muon, overflows" ends_with 76 train "$trainer" muon_stopped --max_iters=8 --init_from=resume --warmup_iters=0 \
    --muon_learning_rate=1000 --muon_weight_decay=1000 --learning_rate=1000
check "muon, the state is unchanged" cmp "$tmp/muon.before" "$tmp/muon_stopped/state.safetensors"
check "muon, resumes" train "$trainer" muon_stopped --max_iters=5 --init_from=resume
check "muon, stopped, the same bytes" same_bytes muon muon_stopped

for recompute in gelu block; do
    cuda "dtype=bfloat16 recompute=$recompute"
    check "recompute=$recompute" train "$trainer" $recompute --max_iters=11
    check "recompute=$recompute: the same losses" same_metrics straight $recompute
done

# ---- float16: the loss scaler -----------------------------------------------------------------------

# Changes a value in a state's metadata, and removes the hashes, which would not match.
edit() { # folder, key, value
    lua5.4 - "$tmp/$1/state.safetensors" "$2" "$3" <<'LUA'
local file = assert(io.open(arg[1], "rb"))
local length = string.unpack("<I8", file:read(8))
local header, data = file:read(length), file:read("a")
file:close()
local count
header, count = header:gsub(('"%s":"[^"]*"'):format(arg[2]), ('"%s":"%s"'):format(arg[2], arg[3]))
assert(count == 1, arg[2])
header = header:gsub('"xxh3[^"]*":"[^"]*",?', ""):gsub(",}", "}"):gsub(" +$", "")
header = header .. (" "):rep(-(#header + 8) % 64)
file = assert(io.open(arg[1], "wb"))
file:write(string.pack("<I8", #header), header, data)
file:close()
LUA
}
states() { # folder, key, value: as in the state
    head -c 6000 "$tmp/$1/state.safetensors" | grep -aoE "\"$2\": ?\"[^\"]*\"" | grep -E ": ?\"$3\""
}
skipped_steps() { # folder
    grep -c '"skipped":true' "$tmp/$1/metrics.jsonl"
}

cuda dtype=float16
half=$trainer
check "float16" train "$half" half --max_iters=2
check "float16 begins with 65536" states half loss_scale 65536
check "float16 counts updates" states half loss_scale_steps 3
for out in high high_stopped; do
    cp -r "$tmp/half" "$tmp/$out"
    edit $out loss_scale 1073741824
done
check "from a scale that overflows" train "$half" high --max_iters=16 --init_from=resume
n=$(skipped_steps high)
check "the scale comes down: $n skipped" test "$n" -ge 5
scale=$(lua5.4 -e "print(1073741824 >> $n)")
check "by half each time, to $scale" states high loss_scale "$scale"
check "and training continues" states high loss_scale_steps $((14 - n))
check "skipped steps are counted" states high skipped "$n"
check "skipped steps are not updates" states high updates $((17 - n))
check "stopped on the way down" train "$half" high_stopped --max_iters=6 --init_from=resume
check "there: 4 skipped" states high_stopped skipped 4
check "there: the next scale" states high_stopped loss_scale 67108864
check "resumes on the way down" train "$half" high_stopped --max_iters=16 --init_from=resume
check "stopped on the way down, the same bytes" same_bytes high high_stopped
cp -r "$tmp/half" "$tmp/grown"
edit grown iter 1998 # no more steps than iterations
edit grown loss_scale_steps 1998
check "2000 good updates" train "$half" grown --max_iters=2000 --init_from=resume
check "twice the scale after them" states grown loss_scale 131072
check "and counts from 1 again" states grown loss_scale_steps 1

# ---- numbers that are not finite --------------------------------------------------------------------

# Weights grow a million times in the first step, and gradients overflow.
burst() {
    train "$exact" burst --init_from=resume --warmup_iters=0 --learning_rate=1000 --weight_decay=1000 "$@"
}
as_it_was() { cmp "$tmp/burst.before" "$tmp/burst/state.safetensors"; }
check "a state to resume" train "$exact" burst --max_iters=3
cp "$tmp/burst/state.safetensors" "$tmp/burst.before"
check "a rate far too high ends with 76" ends_with 76 burst --max_iters=8
n=$(grep -c 'update skipped' "$tmp/burst.err")
check "steps are skipped: $n" test "$n" -ge 3
check "the state is unchanged" as_it_was
check "it ends after ten" ends_with 76 burst --max_iters=40
check "and says so" test "$(grep -c 'update skipped' "$tmp/burst.err")" = 10
check "the state is unchanged again" as_it_was
check "and when a state was due" ends_with 76 burst --max_iters=40 --checkpoint_interval=5
check "the state is still unchanged" as_it_was
check "resumes at another rate" train "$exact" burst --max_iters=11 --init_from=resume
check "after bad steps, the same bytes" same_bytes exact burst

# ---- what is refused --------------------------------------------------------------------------------

# Exit code 71 and one line, with these words in it, before the run begins.
refuses() { # words, NAME=VALUE, trainer
    (export "$2" && exec "$3" --data_dir="$tmp" --out_dir="$tmp/refused") >"$tmp/said" 2>"$tmp/error"
    code=$?
    cat "$tmp/said" "$tmp/error"
    [ $code = 71 ] && [ "$(wc -l <"$tmp/error")" = 1 ] && grep -q "$1" "$tmp/error" &&
        [ ! -e "$tmp/refused/metrics.jsonl" ]
}
check "no GPU" refuses 'GPU: .*there is no GPU here; BACKEND=cpu needs none' EMULATOR_DEVICES=0 "$exact"
check "an old driver" refuses 'GPU: .*install a newer driver' EMULATOR_DRIVER=11040 "$exact"
check "an old GPU" refuses 'compute capability 7.5, this needs 8.0' EMULATOR_ARCH=75 "$exact"
large="n_embd=100 n_head=5 block_size=100 dtype=float32"
cuda "$large batch_size=96"
check "too little memory" refuses 'GPU: this model takes .* are free on the device; batch_size=' \
    EMULATOR_MEMORY=96 "$trainer"
fits=$(sed -n 's/.*batch_size=\([0-9]*\).*/\1/p' "$tmp/error")
check "batch_size=$fits is advised" test "${fits:-0}" -ge 2 -a "${fits:-0}" -lt 96
cuda "$large batch_size=${fits:-1}"
export EMULATOR_MEMORY=96
check "the advised size fits" train "$trainer" fits --max_iters=0 --eval_iters=1 \
    --gradient_accumulation_steps=1
unset EMULATOR_MEMORY
check "not even one sequence" refuses 'are free on the device; a smaller n_layer or n_embd' \
    EMULATOR_MEMORY=2 "$trainer"

finish
