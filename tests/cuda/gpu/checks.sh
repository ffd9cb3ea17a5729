# shellcheck shell=bash
# checks.sh: the parts of pass.sh and check.sh: runs programs of the kit, each in a process with its own time limit, and
# prints a line for each that says how it ended. They source it after common.sh, with `report` (the file that gets the
# lines at once) and `limit` (seconds in all) set.
#
#     12 s  ok       NAME: its last line
#     31 s  FAILED   NAME: how it ended; lines with its errors follow
#     32 s  skipped  NAME: why

no_time=99 # an exit code: there was no time to run
logs=$tmp/logs
mkdir -p "$logs"
patience=${PATIENCE:-100} # per cent of each program's limit; more for a slow machine
at_once=${AT_ONCE:-8}     # small programs side by side, whose references keep the host busy

# ---- lines ----------------------------------------------------------------------------------------

# Writes a text in one piece, since programs run side by side.
say() { # text
    printf '%s\n' "$1" >>"$report"
    printf '%s\n' "$1"
}
line() { # ok | FAILED | skipped, name, text, lines that follow
    say "$(printf '%3d s  %-8s %s: %s' $(($(date +%s) - began)) "$1" "$2" "$3")${4:+$'\n'$4}"
}
ok() { # name, text
    line ok "$1" "$2"
}
bad() { # name, text, a log to quote
    local quoted=
    if [ -f "${3-}" ]; then
        # Its errors, each with the line before, where a program that died may have printed why.
        quoted=$(grep -aE -B 1 '^DIED |:[FE]:|^not so|FAILED|ERROR' "$3" | grep -av -e '^run ' -e '^--$' | head -n 12)
        [ "$quoted" ] || quoted=$(tail -n 15 "$3")
        quoted=$(printf '%s\n' "$quoted" | cut -c -200 | sed 's/^/         /')
    fi
    line FAILED "$1" "$2" "$quoted"
}
skip() {
    line skipped "$1" "$2"
}
# Whether all lines so far with a matching name have passed, and there are some.
held() { # extended pattern of names
    grep -qE "^ *[0-9]+ s  ok       ($1):" "$report" && ! grep -qE "^ *[0-9]+ s  (FAILED|skipped)  *($1):" "$report"
}
count_lines() { # status
    grep -cE "^ *[0-9]+ s  $1 " "$report"
}
finish() { # name of the script
    local failed
    failed=$(count_lines FAILED)
    say "$1: $(($(date +%s) - began)) s"
    say "$(count_lines ok) passed, $failed failed, $(count_lines skipped) skipped"
    [ "$failed" = 0 ]
}

# ---- programs -------------------------------------------------------------------------------------

log_of() { # name
    echo "$logs/${1//[ \/:]/-}"
}
# A program's limit, at most what is left of the script's time; 0 if none is.
allowed() { # seconds
    local most=$((($1 * patience + 99) / 100)) left
    left=$(seconds_left "$limit")
    [ "$left" -ge "$most" ] || most=$left
    echo $((most > 0 ? most : 0))
}
# Runs a command with its output in the name's log, within so many seconds and the time that is left. Its exit code; 124
# if its time was up, $no_time if none was left.
attempt() { # name, seconds, command
    local log most
    log=$(log_of "$1")
    most=$(allowed "$2")
    if [ "$most" = 0 ]; then
        echo "no time was left" >"$log"
        return $no_time
    fi
    shift 2
    timeout -k 3 "$most" "$@" >"$log" 2>&1 </dev/null
}
# How a program ended, in words; and in which of its cases, if it names them.
ending() { # exit code, log
    local at
    at=$(grep -a '^run ' "$2" | tail -n 1 | cut -c 5-)
    case $1 in
        0) echo "it ended well, without a count of checks" ;;
        124 | 137) echo "its time was up${at:+, in $at}" ;;
        12[89] | 1[3-9]?) echo "ended by signal $(($1 - 128))${at:+, in $at}" ;;
        *) echo "exit $1" ;;
    esac
}
# One program, one line: ok if it exits with 0 and its last line is not a failure.
one() { # name, seconds, command
    local name=$1 code=0 log
    log=$(log_of "$name")
    attempt "$@" || code=$?
    if [ $code = 0 ]; then
        ok "$name" "$(tail -n 1 "$log" | cut -c -150)"
    elif [ $code = $no_time ]; then
        skip "$name" "no time was left"
    else
        bad "$name" "$(ending $code "$log")" "$log"
        return 1
    fi
}
# The same for a program that counts checks, as Check does or as "N passed": there must be some.
counted() { # name, seconds, command
    local name=$1 code=0 log last
    log=$(log_of "$name")
    attempt "$@" || code=$?
    last=$(grep -aE '(^|: )([1-9][0-9]* passed, |[0-9]+%: Checks: [1-9])' "$log" | tail -n 1)
    if [ $code = 0 ] && [ "$last" ]; then
        ok "$name" "$last"
    elif [ $code = $no_time ]; then
        skip "$name" "no time was left"
    else
        bad "$name" "${last:-$(ending $code "$log")}" "$log"
        return 1
    fi
}
# Side by side: starts a command when fewer than at_once run; settle waits for all.
beside() { # command
    while [ "$(jobs -rp | wc -l)" -ge "$at_once" ]; do wait -n; done
    "$@" &
}
settle() {
    while [ "$(jobs -rp | wc -l)" -gt 0 ]; do wait -n; done
}

# ---- the hardware's answers, kernels, models ------------------------------------------------------

check_instructions() {
    local program maps group
    while read -r program; do
        counted numbers 15 "$kit/$program"
    done < <(kit_lines numbers)
    while read -r program maps; do
        counted maps 15 "$kit/$program" "$kit/$maps"
    done < <(kit_lines maps)
    while read -r program; do
        for group in $("$kit/$program" --list | grep -v '^attention'); do
            counted "hopper $group" 20 "$kit/$program" "$group"
        done
    done < <(kit_lines hopper)
}

# Attention first: it takes longest, and the steps below depend on it.
check_kernels() {
    local name program family
    while read -r program; do
        for family in $("$kit/$program" --list | grep '^attention'); do
            beside counted "hopper $family" 60 "$kit/$program" "$family"
        done
    done < <(kit_lines hopper)
    while read -r name program; do
        while read -r family; do
            beside counted "ops $name $family" 60 "$kit/$program" "$family"
        done < <("$kit/$program" --list | grep .)
    done < <(kit_lines ops | sort -r)
    settle
}

check_parity() {
    local name dtype program golden
    while read -r name dtype program golden; do
        beside one "parity $name $dtype" 30 "$kit/$program" "$kit/$golden"
    done < <(kit_lines parity)
    settle
}

# ---- training -------------------------------------------------------------------------------------

steps() { # of a run, so far
    if [ -f "$tmp/$1/metrics.jsonl" ]; then grep -c grad_norm "$tmp/$1/metrics.jsonl"; else echo 0; fi
}
same_files() { # folders
    cmp "$tmp/$1/state.safetensors" "$tmp/$2/state.safetensors" &&
        cmp "$tmp/$1/ckpt.safetensors" "$tmp/$2/ckpt.safetensors"
}
# The mean relative distance of a run's losses, in bfloat16, from the first ones of the CPU backend, in float32. For
# `small` on the emulator it is 3e-5 with correct kernels, and 2e-2 with attention whose forward stores zeros, although
# the loss falls just as well then.
most_apart=0.002
losses_apart() { # folder, losses
    sed -n 's/^{"iter": *\([0-9]*\), *"loss": *\([^,]*\),.*grad_norm.*/\1 \2/p' "$tmp/$1/metrics.jsonl" |
        awk -v most=$most_apart '
            NR == FNR { wanted[$1] = $2; next }
            $1 in wanted { n++; apart = $2 / wanted[$1] - 1; sum += apart < 0 ? -apart : apart; got = $2 }
            END {
                for (i in wanted) all++
                printf "%d losses are the CPU%ss within %.2g, relative\n", n, "\047", n ? sum / n : 9
                exit !(n == all && n > 0 && sum / n <= most && got + 0 == got)
            }' "$2" -
}
train_flags() { # folder, iterations
    printf '%s\n' --data_dir="$kit/data" --out_dir="$tmp/$1" --max_iters=$(($2 - 1)) --eval_interval=$((($2 + 2) / 3))
}
train() { # folder, iterations, program
    local flags
    mapfile -t flags < <(train_flags "$1" "$2")
    attempt "train-$1" 60 "$kit/$3" "${flags[@]}"
}

# A trainer: the CPU's losses; the same bytes twice; SIGTERM ends it with 75, and resumed it ends with the same bytes.
check_trainer() { # name, iterations, program, losses
    local name=$1 code=0 apart pid waited first log flags stop=$(($2 / 6))
    train "$name-a" "$2" "$3" || code=$?
    if [ $code = $no_time ]; then
        skip "train $name" "no time was left"
        return
    elif [ $code != 0 ]; then
        bad "train $name" "$(ending $code "$(log_of "train-$name-a")")" "$(log_of "train-$name-a")"
        return
    fi
    if apart=$(losses_apart "$name-a" "$kit/$4"); then
        ok "train $name losses" "$apart"
    else
        bad "train $name losses" "$apart; wanted within $most_apart"
    fi

    train "$name-b" "$2" "$3" || code=$?
    if [ $code = $no_time ]; then
        skip "train $name twice" "no time was left"
        return
    elif [ $code = 0 ] && same_files "$name-a" "$name-b" >"$tmp/same" 2>&1; then
        ok "train $name twice" "$2 iterations, the same bytes"
    else
        bad "train $name twice" "other bytes, or exit $code" "$tmp/same"
    fi

    log=$(log_of "train-$name-c")
    mapfile -t flags < <(train_flags "$name-c" "$2")
    # Twenty seconds to stop: on a busy machine the emulator takes several for a micro-step.
    timeout -k 20 $(($(allowed 60) + 1)) "$kit/$3" "${flags[@]}" >"$log" 2>&1 </dev/null &
    pid=$!
    waited=0
    while [ "$(steps "$name-c")" -lt $stop ] && [ $waited -lt 3000 ] && kill -0 $pid 2>/dev/null; do
        sleep 0.01
        waited=$((waited + 1))
    done
    kill -TERM $pid 2>/dev/null # timeout passes it on
    code=0
    wait $pid || code=$?
    if [ $code = 0 ]; then # it had ended before the signal
        skip "train $name resume" "it had ended before it could be stopped"
    elif [ $code != 75 ]; then
        bad "train $name resume" "SIGTERM: $(ending $code "$log"); wanted exit 75" "$log"
    else
        first=$(steps "$name-c")
        code=0
        train "$name-c" "$2" "$3" || code=$?
        if [ $code = $no_time ]; then
            skip "train $name resume" "no time was left"
        elif [ $code = 0 ] && same_files "$name-a" "$name-c" >"$tmp/same" 2>&1; then
            ok "train $name resume" "stopped after $first steps and resumed, the same bytes"
        else
            bad "train $name resume" "stopped after $first steps and resumed, other bytes or exit $code" "$tmp/same"
        fi
    fi
}
# The bytes of a file of tensors behind its header, in which a rank notes how gradients are added; fails if there are none.
data_of() { # safetensors
    local header size
    header=$(od -An -t u8 -N 8 "$1" | tr -d ' ')
    size=$(stat -c %s "$1")
    [ ${#header} -lt 10 ] && [ "$size" -gt $((header + 8)) ] && tail -c +$((header + 9)) "$1"
}
# A trainer for many processes, started as torchrun would start one of one, ends with the bytes of the trainer for one.
check_rank() { # name, iterations, program
    local code=0 name="train $1 rank" port=$((20000 + $$ % 20000))
    if [ "$no_nccl" ]; then
        skip "$name" "$no_nccl"
        return
    elif ! [ -f "$tmp/$1-a/state.safetensors" ]; then
        skip "$name" "there is no run of one process to compare with"
        return
    fi
    (
        export RANK=0 WORLD_SIZE=1 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1 MASTER_ADDR=127.0.0.1 MASTER_PORT=$port
        train "$1-rank" "$2" "$3"
    ) || code=$?
    if [ $code = $no_time ]; then
        skip "$name" "no time was left"
    elif [ $code != 0 ]; then
        bad "$name" "$(ending $code "$(log_of "train-$1-rank")")" "$(log_of "train-$1-rank")"
    elif data_of "$tmp/$1-a/state.safetensors" >"$tmp/one" && data_of "$tmp/$1-rank/state.safetensors" >"$tmp/same" &&
        cmp -s "$tmp/one" "$tmp/same"; then
        ok "$name" "$2 iterations through NCCL, the same bytes"
    else
        bad "$name" "other bytes than one process's"
    fi
}
check_training() {
    local name iterations program losses
    while read -r name iterations program losses; do
        check_trainer "$name" "$iterations" "$program" "$losses"
    done < <(kit_lines train)
    while read -r name iterations program; do
        check_rank "$name" "$iterations" "$program"
    done < <(kit_lines rank)
}

# ---- memory, sanitizers ---------------------------------------------------------------------------

# Compares the most memory that a bench takes on the device, in addition to what was in use before, with its plan.
overhead=1024 # MiB that CUDA's context and the libraries' code may take in addition to the plan
check_memory() {
    local config batch program vocabulary before most used pid code=0 plan more text log
    read -r config batch _ program < <(kit_lines bench) || return
    log=$(log_of memory)
    if [ "$(seconds_left "$limit")" -lt 30 ]; then
        skip memory "no time left"
        return
    fi
    vocabulary=$(sed -n 's/^ *"vocab_size":\([0-9]*\),*$/\1/p' "$kit/$(dirname "$program")/sizes.json")
    python3 tests/cuda/gpu/tokens.py "$tmp/tokens.bin" "$vocabulary" 1000000 >"$log" 2>&1 || {
        bad memory "no tokens" "$log"
        return
    }
    before=$(memory_used)
    case $before in
        *[!0-9]* | '')
            skip memory "nvidia-smi does not say what is used: $before"
            return
            ;;
    esac
    most=$before
    timeout -k 3 $(($(allowed 60) + 1)) "$kit/$program" --json="$tmp/memory.json" --tokens="$tmp/tokens.bin" --warm=1 --steps=3 \
        --accumulation=1 >"$log" 2>&1 </dev/null &
    pid=$!
    while kill -0 $pid 2>/dev/null; do
        used=$(memory_used)
        [ "$used" -gt "$most" ] && most=$used
        sleep 0.1
    done
    wait $pid || code=$?
    plan=$(sed -n 's/.*"plan_bytes": *\([0-9]*\).*/\1/p' "$tmp/memory.json" 2>/dev/null)
    plan=$((${plan:-0} >> 20))
    more=$((most - before))
    text="$config, B = $batch: planned $plan MiB, the device shows $more MiB more than before"
    if [ $code != 0 ] || [ $plan = 0 ]; then
        bad memory "$(ending $code "$log")" "$log"
    elif [ $more -lt $plan ] || [ $more -gt $((plan + overhead)) ]; then
        bad memory "$text; wanted at most $overhead beyond the plan"
    else
        ok memory "$text"
    fi
}

# Two steps of a small trainer. The sanitizer's exit code does not show that the program ran: the last step's line must
# be there too.
sanitize() { # tool, name, program
    local code=0 log summary refusal name="$1 $2"
    log=$(log_of "$name")
    if ! command -v compute-sanitizer >/dev/null; then
        skip "$name" "no compute-sanitizer here"
        return
    fi
    attempt "$name" 60 compute-sanitizer --tool "$1" --error-exitcode 86 "$kit/$3" --data_dir="$kit/data" \
        --out_dir="$tmp/$2-$1" --max_iters=2 --eval_iters=1 --log_interval=1 || code=$?
    summary=$(grep -a SUMMARY "$log" | tail -n 1 | sed 's/^=* *//')
    refusal=$(grep -ai -m 1 'not supported\|unable to\|internal sanitizer error\|failed to initialize' "$log")
    if [ $code = 124 ]; then
        skip "$name" "not done when its time was up"
    elif [ $code = 0 ] && grep -q '^iter 2:' "$log" && echo "$summary" | grep -q ' 0 \(errors\|hazards\)'; then
        ok "$name" "$summary"
    elif [ -n "$refusal" ] && [ $code != 86 ] && ! grep -q '^iter ' "$log"; then
        skip "$name" "refused: $(echo "$refusal" | sed 's/^=* *//')"
    else
        bad "$name" "exit $code; ${summary:-no summary}" "$log"
    fi
}
check_sanitizers() {
    local tool name program
    for tool in memcheck racecheck; do
        while read -r name program; do
            sanitize $tool "$name" "$program"
        done < <(kit_lines sanitize)
    done
}
