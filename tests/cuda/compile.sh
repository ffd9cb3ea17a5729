#!/bin/sh
# compile.sh [NAME ...]: nvcc compiles the emitted trainers of these configs (of configs/, or paths), for sm_80 and
# sm_90a, in bfloat16. A warning of any of the compilers counts as a failure, and so does a register that ptxas
# reports as spilled to memory. Needs no GPU. Prints for each the kernels that use most registers, those that take
# ptxas longest, and the seconds.
#
# By default: gpt2, also with Hopper's attention and Muon; shakespeare_char; odd.lua in all types, and all programs of it by
# the Makefile, C files too, with warnings as errors, linked against CUDA's libraries.
#
#     SET="key=value ..."    overrides keys of the configs
#     JOBS=2                 compilations at a time; default: the number of cores
#
# Without nvcc: one line and exit 77.
set -u
cd "$(dirname "$0")/../.." || exit 74
unset MAKEFLAGS MAKELEVEL
PATH=$PATH:/usr/local/cuda/bin
most=3 # kernels named of each

# ---- one compilation: what, arch, folder, config and keys -----------------------------------------

# Reads ptxas' report and prints a summary; writes a line for each fault to $2.
read_report() { # log, faults
    awk -v most=$most -v faults="$2" '
        function plain(name,    count) { # of _Z9grad_normP10step_state…: grad_norm
            if (!match(name, /^_ZL?[0-9]+/)) return name
            count = substr(name, 1, RLENGTH)
            gsub(/[^0-9]/, "", count)
            return substr(name, RLENGTH + 1, count)
        }
        function before(word) { # the number before a word of this line
            return match($0, "[0-9.]+ " word) ? substr($0, RSTART) + 0 : 0
        }
        # The few with most of something, in one line.
        function top(of,    text, i, k, best, done) {
            for (i = 0; i < most; i++) {
                best = ""
                for (k in of) {
                    if (k in done) continue
                    if (best == "" || of[k] > of[best] || (of[k] == of[best] && k < best)) best = k
                }
                if (best == "" || of[best] == 0) break
                done[best]
                text = text (i ? ", " : "") best " " of[best]
            }
            return text
        }
        /Compiling entry function/ {
            split($0, part, "\047")
            kernel = plain(part[2])
            kernels++
        }
        /Function properties for/ { within = plain($NF) }
        /bytes stack frame/ {
            if (before("bytes spill stores") + before("bytes spill loads") > 0)
                print within ": spills:" $0 >faults
            if (before("bytes stack frame") > 0) frames[within] = before("bytes stack frame")
        }
        /Used [0-9]+ registers/ { registers[kernel] = before("registers"); shared[kernel] = before("bytes smem") }
        /Compile time = / { split($0, part, "= "); seconds[kernel] = part[2] / 1000 }
        END {
            if (!kernels) print "no kernel in ptxas\047 report" >faults
            print "    registers: " top(registers)
            text = top(shared); if (text != "") print "    static shared bytes: " text
            text = top(frames); if (text != "") print "    stack frame bytes: " text
            print "    seconds in ptxas: " top(seconds)
        }' "$1"
}

if [ "${1-}" = --one ]; then
    what=$2 arch=$3 folder=$4
    shift 4
    mkdir -p "$folder"
    began=$(date +%s)
    {
        echo "$what, $arch:"
        if ! lua5.4 gen/main.lua --backend cuda --build "$folder/build" "$@" arch="$arch" >"$folder/log" 2>&1; then
            cp "$folder/log" "$folder/faults"
        else
            tests/strict.sh nvcc -std=c++17 -O3 -Xcompiler -Wall,-Wextra -Xptxas -v -I. -I"$folder/build/include" \
                -gencode "arch=compute_${arch#sm_},code=$arch" -c -o "$folder/train.o" \
                "$folder"/build/*/cuda/train.cu >"$folder/log" 2>&1 || echo "nvcc ended with $?" >"$folder/failed"
            read_report "$folder/log" "$folder/spills"
            grep -iE 'error|Potential Performance Loss' "$folder/log" >"$folder/warnings"
            for file in failed warnings spills; do
                [ ! -f "$folder/$file" ] || cat "$folder/$file"
            done >"$folder/faults"
        fi
        echo "    $(($(date +%s) - began)) s"
        sed 's/^/    FAILED: /' "$folder/faults"
    } >"$folder/report" 2>&1
    rm -rf "$folder/build" "$folder/train.o"
    exit 0
fi

# ---- all ------------------------------------------------------------------------------------------

command -v nvcc >/dev/null || {
    echo "compile: nvcc: not found; the CUDA toolkit, 12.4 or newer, has it: skipped"
    exit 77
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
jobs=${JOBS:-$(nproc)}
started=$(date +%s)
passed=0
failed=0
skipped=0

count=0
add() { # what, config, archs, keys
    what=$1 config=$2 archs=$3
    shift 3
    # If the vocabulary's size is the data set's, so that the data set need not be there.
    grep -q '^[^-]*\bvocab_size *=' "$config" || set -- vocab_size=65 "$@"
    for arch in $archs; do
        count=$((count + 1))
        # shellcheck disable=SC2086 # words
        printf '%s\n' "$(printf '%02d' $count)	$what	$arch	$config $* ${SET-}" >>"$tmp/jobs"
    done
}
both='sm_80 sm_90a'
if [ $# = 0 ]; then
    add gpt2 configs/gpt2.lua "$both" dtype=bfloat16
    add 'gpt2 with Hopper attention, Muon' configs/gpt2.lua sm_90a dtype=bfloat16 attention=hopper optimizer=muon
    add shakespeare_char configs/shakespeare_char.lua "$both" dtype=bfloat16
    for dtype in bfloat16 float16 float32; do add "odd in $dtype" tests/cuda/odd.lua "$both" dtype=$dtype; done
fi
for name; do
    config=configs/$name.lua
    [ "${name%.lua}" = "$name" ] || config=$name
    [ -f "$config" ] || { echo "compile: $config: no such config" >&2; exit 66; }
    add "$name" "$config" "$both" dtype=bfloat16
done

# A worker takes every jobs-th compilation, so that several run at a time.
worker() { # number
    awk -v n="$1" -v of="$jobs" 'NR % of == n' "$tmp/jobs" | while IFS='	' read -r number what arch words; do
        # shellcheck disable=SC2086 # words
        tests/cuda/compile.sh --one "$what" "$arch" "$tmp/$number" $words </dev/null
    done
}
workers=0
while [ $workers -lt "$jobs" ]; do
    worker $workers &
    workers=$((workers + 1))
done
wait

for folder in "$tmp"/[0-9]*; do
    cat "$folder/report"
    if [ -s "$folder/faults" ]; then failed=$((failed + 1)); else passed=$((passed + 1)); fi
done
[ $((passed + failed)) = $count ] || { echo "compile: $((count - passed - failed)) were not compiled"; failed=$count; }

# ---- the programs ---------------------------------------------------------------------------------

check() { # what, then a command that must succeed
    what=$1
    shift
    if "$@" >"$tmp/said" 2>&1; then
        passed=$((passed + 1))
        echo "$what: ok"
    else
        failed=$((failed + 1))
        echo "$what: FAILED"
        grep -E 'warning|error|undefined|\*\*\*' "$tmp/said" || tail -n 20 "$tmp/said"
    fi
}
no_device() { # program
    CUDA_VISIBLE_DEVICES='' "$1" >"$tmp/out" 2>&1
    [ $? = 71 ] && [ "$(wc -l <"$tmp/out")" = 1 ] && grep '^GPU: ' "$tmp/out"
}
if [ $# = 0 ]; then
    began=$(date +%s)
    make generate >/dev/null # build/include, where C files find the run keys
    check 'train, sample, bench and tune of odd, with warnings as errors' make build CONFIG=tests/cuda/odd.lua \
        BACKEND=cuda BUILD="$tmp/build" SET=arch=sm_80 WERROR=1 PROGRAMS='train sample bench tune'
    bin=$(sed -n 's/^built: \([^:]*\):.*/\1/p' "$tmp/said")
    echo "    $(($(date +%s) - began)) s"
    check 'bench without a GPU' no_device "$bin/bench"
    check 'tune without a GPU' no_device "$bin/tune"
    if gen/tools/setup.sh --check nccl 2>"$tmp/said"; then
        check 'train of several processes, linked with NCCL' make build CONFIG=tests/cuda/odd.lua BACKEND=cuda \
            BUILD="$tmp/build" SET=arch=sm_80 WERROR=1 PROGRAMS=train RANKS=2
        check 'and without a GPU' no_device "$bin-nccl/train"
    else
        skipped=1
        cat "$tmp/said"
    fi
fi

echo "compile: $(($(date +%s) - started)) s, $jobs at a time"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
