# shellcheck shell=bash
# steps.sh: pass.sh's timed steps: each kind in the kit (mma, Hopper's attention, more rows of logits) by its bench,
# untuned and with the algorithms that tune found, then counters, and PyTorch. Sourced after checks.sh.
#
# A step is timed only if its kernels have passed their checks, and counts only if its losses agree with those of mma's:
# a kernel that does nothing is fast.

warm=2 timed=8 # updates
best= best_rate=0 # the fastest step that counts: its name

# The earlier lines that must be ok for a kind's kernels.
needs_of() { # kind
    case $1 in
        hopper*) echo 'hopper attention[^:]*|ops bf16-hopper [^:]*|parity heads64-hopper bfloat16' ;;
        *) echo 'ops bf16 attention|parity heads64 bfloat16' ;;
    esac
}

# Times one step: prints its line and its slowest kernels after it; its figures are in $tmp/step-NAME.json. The products'
# algorithms are DIECAST_TUNE's.
time_step() { # name, kind, micro-batch, micro-steps, program, heuristic or tuned
    local name="step $1" code=0 log json=$tmp/step-$1.json rate
    log=$(log_of "$name")
    if ! held "$(needs_of "$2")"; then
        skip "$name" "the kernels that it runs have not all passed"
        return
    fi
    # shellcheck disable=SC2086 # words
    recorded "$tmp/step-$1.csv" attempt "$name" 45 "$kit/$5" --json="$json" --tokens="$tokens" \
        --warm=$warm --steps=$timed $trial_rate --accumulation="$4" || code=$?
    rate=$([ ! -f "$json" ] || value tokens_per_s "$json")
    if [ $code = $no_time ]; then
        skip "$name" "no time was left"
    elif [ $code != 0 ]; then
        bad "$name" "$(ending $code "$log")" "$log"
    elif [ ! -f "$tmp/step-mma.json" ]; then
        skip "$name" "mma's step has not run, so nothing says that these losses are right"
    elif ! near "$json" "$tmp/step-mma.json"; then
        bad "$name" "$(printf %.0f "$rate") tokens/s, but it does not count: $why"
        note_candidate "$3" "$2" "$6" "$rate" false "$json"
    else
        line ok "$name" "$(step_text "$json")" "$(sed -n '/^kernel /,$p' "$log" | head -n 16 | sed 's/^/         /')"
        note_candidate "$3" "$2" "$6" "$rate" true "$json"
        if [ "$(awk -v a="$rate" -v b="$best_rate" 'BEGIN { print (a > b) }')" = 1 ]; then
            best_rate=$rate
            best=$1
        fi
    fi
}

step_text() { # json
    printf '%s ms an update, %.0f tokens/s, MFU by llm.c %s of the data sheet, %s of a product measured' \
        "$(value ms_median "$1")" "$(value tokens_per_s "$1")" "$(value mfu_llmc "$1")" \
        "$(value share_of_product_rate "$1")"
}

# Writes all of them to one file, since few files are carried back.
write_steps() {
    local json separator='{'
    {
        for json in "$tmp"/step-*.json "$tmp"/peer.json; do
            [ -f "$json" ] || continue
            printf '%s\n"%s": ' "$separator" "$(basename "$json" .json)"
            cat "$json"
            separator=,
        done
        [ "$separator" = '{' ] && printf '{'
        echo '}'
    } >"$out/steps.json"
}

# Profiles attention's two kernels.
count_attention() { # program
    local code=0 log
    log=$(log_of counters)
    if ! command -v ncu >/dev/null; then
        skip counters "no ncu here"
        return
    fi
    attempt counters 40 ncu --clock-control none -k 'regex:^attention' -c 2 --section SpeedOfLight \
        --section WarpStateStats --section MemoryWorkloadAnalysis "$kit/$1" --warm=1 --steps=1 --accumulation=1 \
        --json="$tmp/counters.json" || code=$?
    if [ $code = 0 ]; then
        cp "$log" "$out/counters.txt"
        ok counters "$(wc -l <"$log") lines in $out/counters.txt"
    elif grep -q '^==ERROR==' "$log"; then
        skip counters "refused: $(grep -m 1 '^==ERROR==' "$log" | cut -c -150)"
    else
        bad counters "$(ending $code "$log")" "$log"
    fi
}

time_peer() { # config, batch, micro-steps
    local code=0
    if ! python3 -c 'import torch' 2>/dev/null; then
        skip PyTorch "not here"
        return
    fi
    recorded "$tmp/peer.csv" attempt PyTorch 90 python3 tests/bench/peer_torch.py --sizes="$tmp/sizes.json" \
        --tokens="$tokens" --batch="$2" --accumulation="$3" --warm=2 --steps=6 --seconds=75 \
        --json="$tmp/peer.json" || code=$?
    if [ $code = 0 ] && [ -f "$tmp/peer.json" ]; then
        ok PyTorch "$(value ms_median "$tmp/peer.json") ms an update, $(value tokens_per_s "$tmp/peer.json") tokens/s"
    elif [ $code = $no_time ]; then
        skip PyTorch "no time was left"
    else
        bad PyTorch "$(ending $code "$(log_of PyTorch)")" "$(log_of PyTorch)"
    fi
}

# What report.py wants, as bench.sh leaves it: the best step beside PyTorch's.
report_steps() { # config, micro-batch, micro-steps
    write_steps
    cp "$tmp/step-$best.json" "$tmp/ours.json"
    cp "$tmp/step-$best.csv" "$tmp/ours.csv"
    echo "$2 $3 $warm $timed" >"$tmp/ours.txt"
    python3 tests/cuda/gpu/report.py --add "$1" "$tmp" "$out" >"$logs/report" 2>&1 || bad report "exit $?" "$logs/report"
}

time_steps() {
    local kind config batch micro program
    read -r _ config batch micro program < <(kit_lines step)
    [ "${config-}" ] || return
    device_facts
    find_tokens "$kit/$(dirname "$program")/sizes.json"
    export DIECAST_TUNE=$tmp/untuned
    while read -r kind _ _ micro program; do
        time_step "$kind" "$kind" "$batch" "$micro" "$program" heuristic
        write_steps
    done < <(kit_lines step)
    program=$(kit_lines "tune $config $batch" | head -n 1)
    DIECAST_TUNE=$tmp/tune one tune 60 "$kit/$program"
    if [ -z "$best" ]; then
        skip 'step tuned' "no step counts"
        return
    fi
    # The fastest so far again, with what tune found.
    kind=$best
    read -r _ _ micro program < <(kit_lines "step $kind")
    cp "$kit/$(dirname "$program")/sizes.json" "$tmp/sizes.json"
    DIECAST_TUNE=$tmp/tune time_step tuned "$kind" "$batch" "$micro" "$program" tuned
    report_steps "$config" "$batch" "$micro"
    count_attention "$program"
    time_peer "$config" "$batch" "$micro"
    report_steps "$config" "$batch" "$micro"
}
