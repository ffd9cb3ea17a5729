#!/usr/bin/env bash
# pass.sh OUT: `make gpu-pass OUT=dir`: one command for a machine with a GPU, of at most 570 seconds, with the kit that
# kit.sh made: is the CUDA backend correct there, and how fast is it? In this order, the most important part first:
#
#     the device and its clocks
#     the hardware's instructions: lane maps, then wgmma, TMA and mbarriers by number
#     each op family in a separate process, eight at a time, mma's and Hopper's
#     whole models compared with PyTorch's stored numbers
#     the step of the kit's config (gpt2 at B = 64): mma, Hopper if it is correct, tuned, with more rows of logits
#     counters of attention's kernels
#     the same model in PyTorch
#     trainings: the CPU's losses, the same bytes twice, stopped and resumed; memory against plan; the sanitizer
#
# Every line is also written to OUT/pass.txt at once (checks.sh); a program that fails or hangs costs only its own limit.
# OUT/steps.json has the figures of each step, OUT/counters.txt the profiler's, and DEVICE-DATE.{json,md} the best step
# beside PyTorch's, as bench.sh writes it.
#
# pass.sh --again OUT: a second call, of 170 seconds at most, follows up the first one's lines: what FAILED runs again
# alone, launch by launch, under compute-sanitizer; if nothing did, the next config of the kit is timed. Its lines go to
# OUT/again.txt.
#
# Exit: 0 no line FAILED, 1 some did, 66 no kit, 77 no GPU.
set -u
cd "$(dirname "$0")/../../.." || exit 74
. tests/cuda/gpu/common.sh # sets kit, arch, device, gpu, tmp and began
again=
[ "${1-}" != --again ] || again=yes
[ -z "$again" ] || shift
out=${1:?usage: pass.sh [--again] OUT}
suite_open gpu-pass
mkdir -p "$out" || exit 74
report=$out/pass.txt
limit=570
if [ "$again" ]; then
    first=$report report=$out/again.txt limit=170
    [ -f "$first" ] || { echo "gpu-pass: $first: not there; run 'pass.sh $out' first" >&2; exit 66; }
fi
: >"$report"
. tests/cuda/gpu/checks.sh
. tests/cuda/gpu/steps.sh

# ---- the first call -------------------------------------------------------------------------------

first_call() {
    say "gpu-pass: $(about_device)"
    say "$(nvidia-smi -i "$gpu" --query-gpu=clocks.max.sm,clocks.max.mem,clocks.sm,clocks.mem,power.limit \
        --format=csv 2>/dev/null)"
    limit=150 # for the kernels, all of which may hang
    check_instructions
    check_kernels
    limit=200
    check_parity
    limit=570
    time_steps
    limit=560
    check_training
    check_memory
    check_sanitizers
}

# ---- the second -----------------------------------------------------------------------------------

# The command of a line's name, a word a line; nothing for a line without a command.
command_of() { # name
    local kind=$1 of rest
    kind=${1%% *}
    rest=${1#* }
    of=${rest%% *}
    case $kind in
        numbers) echo "$kit/$(kit_lines numbers)" ;;
        maps) kit_lines maps | sed "s|^|$kit/|; s| | $kit/|" | tr ' ' '\n' ;;
        hopper) printf '%s\n' "$kit/$(kit_lines hopper)" "$rest" ;;
        ops) printf '%s\n' "$kit/$(kit_lines "ops $of")" "${rest#* }" ;;
        parity) kit_lines "parity $rest" | sed "s|^|$kit/|; s| | $kit/|" | tr ' ' '\n' ;;
        train)
            printf '%s\n' "$kit/$(kit_lines "train $of" | cut -d ' ' -f 2)" --data_dir="$kit/data" \
                --out_dir="$tmp/again" --init_from=scratch --max_iters=2 --eval_iters=1
            ;;
        step)
            printf '%s\n' "$kit/$(kit_lines "step $of" | cut -d ' ' -f 4)" --json="$tmp/again.json" --warm=0 \
                --steps=1 --accumulation=1
            ;;
    esac
}

# Runs launch by launch, so that an error is reported for the kernel that caused it; then under the sanitizer.
look_closer() { # name
    local words
    mapfile -t words < <(command_of "$1")
    [ ${#words[@]} -gt 0 ] && [ -x "${words[0]}" ] || return
    CUDA_LAUNCH_BLOCKING=1 one "$1, launch by launch" 30 "${words[@]}"
    if ! command -v compute-sanitizer >/dev/null; then
        skip "$1, memcheck" "no compute-sanitizer here"
        return
    fi
    one "$1, memcheck" 40 compute-sanitizer --target-processes all --error-exitcode 86 "${words[@]}" &&
        one "$1, racecheck" 40 compute-sanitizer --tool racecheck --target-processes all --error-exitcode 86 \
            "${words[@]}"
}

second_call() {
    local name config
    say "gpu-pass --again: $(about_device)"
    sed -n 's/^ *[0-9]* s  FAILED   \([^:]*\):.*/\1/p' "$first" | sort -u >"$tmp/failed"
    if [ -s "$tmp/failed" ]; then
        while read -r name; do look_closer "$name"; done <"$tmp/failed"
        return
    fi
    for config in $(kit_lines bench | cut -d ' ' -f 1 | uniq); do
        [ "$config" != "$(kit_lines step | cut -d ' ' -f 2 | head -n 1)" ] || continue
        [ "$(seconds_left $limit)" -gt 60 ] || { skip "bench $config" "no time left"; continue; }
        LIMIT=$(($(seconds_left $limit) - 10)) one "bench $config" 160 tests/cuda/gpu/bench.sh "$config" "$out"
    done
}

if [ "$again" ]; then second_call; else first_call; fi
finish gpu-pass
