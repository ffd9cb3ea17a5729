# shellcheck shell=sh
# common.sh: shared by pass.sh, check.sh and bench.sh, which source it from the root of the tree. Sets kit, arch,
# device, gpu (for nvidia-smi -i), tmp (a folder that is removed when the script ends) and began.

kit=${KIT:-build/gpu-kit}
gpu=${CUDA_VISIBLE_DEVICES:-0}
gpu=${gpu%%,*}
PATH=$PATH:/usr/local/cuda/bin # the default folder of a toolkit, which may not be in PATH

# One line and exit 77 if there is no GPU, 66 if there is no kit or one for another device.
suite_open() { # name of the script
    name=$1
    began=$(date +%s)
    if ! device=$(nvidia-smi -i "$gpu" --query-gpu=name --format=csv,noheader 2>/dev/null) || [ -z "$device" ]; then
        echo "$name: no NVIDIA GPU here (nvidia-smi shows none); nothing was run"
        exit 77
    fi
    if [ -f "$kit.tar.gz" ] && [ -z "$(find "$kit/kit.txt" -newer "$kit.tar.gz" 2>/dev/null)" ]; then
        rm -rf "$kit"
        tar -xzmf "$kit.tar.gz" -C "$(dirname "$kit")" || exit 74
    fi
    if [ ! -f "$kit/kit.txt" ]; then
        if command -v lua5.4 >/dev/null && command -v nvcc >/dev/null; then
            tests/cuda/gpu/kit.sh || exit $?
            began=$(date +%s) # the limits are not for building
        else
            echo "$name: $kit: no kit; run 'make gpu-kit' where there is Lua and nvcc, and carry $kit.tar.gz here" >&2
            exit 66
        fi
    fi
    arch=$(kit_lines arch | cut -d ' ' -f 1)
    capability=$(nvidia-smi -i "$gpu" --query-gpu=compute_cap --format=csv,noheader | tr -d .)
    case $arch in # code for one with an "a" runs on no other
        *a) fits=$([ "sm_${capability}a" = "$arch" ] && echo yes) ;;
        *) fits=$([ "$capability" -ge "${arch#sm_}" ] && echo yes) ;;
    esac
    if [ -z "$fits" ]; then
        [ "$capability" -lt 90 ] || capability=${capability}a
        echo "$name: the kit is for $arch, the $device is sm_$capability: make gpu-kit ARCH=sm_$capability" >&2
        exit 66
    fi
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
    trap 'exit 130' INT TERM
    find_libraries
}

# The lines of the kit's list that begin with a word, without that word.
kit_lines() { # word
    sed -n "s/^$1 //p" "$kit/kit.txt"
}

seconds_left() { # of a limit in seconds
    echo $((began + $1 - $(date +%s)))
}

# cuBLASLt and NCCL are linked dynamically and may be where the loader does not look: in the toolkit, or in PyTorch's
# wheels. Without NCCL, no_nccl says so, and all but its one program runs.
find_libraries() {
    no_nccl=
    missing=$(find "$kit" -type f -perm -u+x -exec ldd {} + 2>/dev/null |
        sed -n 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p' | sort -u)
    [ -n "$missing" ] || return 0
    wheels=$(python3 -c 'import site; print("\n".join(site.getsitepackages()))' 2>/dev/null)
    for library in $missing; do
        for folder in /usr/local/cuda*/lib64 /usr/local/cuda*/targets/*/lib \
            $(printf '%s\n' "$wheels" | sed 's|$|/nvidia/*/lib|'); do
            if [ -e "$folder/$library" ]; then
                LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
                export LD_LIBRARY_PATH
                continue 2
            fi
        done
        case $library in libnccl.so*) no_nccl="$library: not found here" && continue ;; esac
        echo "$name: $library: not found here, and the kit's programs need it; install the CUDA libraries," \
            "or make the kit with this machine's CUDA release" >&2
        exit 66
    done
}

# Describes the device and the kit in a line.
about_device() {
    echo "$device, driver $(nvidia-smi -i "$gpu" --query-gpu=driver_version --format=csv,noheader)," \
        "kit for $arch, $(date -u '+%Y-%m-%d %H:%M') UTC"
}

memory_used() { # MiB, of the whole device
    nvidia-smi -i "$gpu" --query-gpu=memory.used --format=csv,noheader,nounits
}

# ---- for timed steps ------------------------------------------------------------------------------

value() { # key, JSON file with one key a line, or of which only numbers are read
    sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p" "$2" | head -n 1
}

# Writes the facts about the device that report.py reads to tmp.
device_facts() {
    fields=name,driver_version,memory.total,power.limit,clocks.max.sm,clocks.max.mem,ecc.mode.current
    nvidia-smi -i "$gpu" --query-gpu=$fields --format=csv,nounits >"$tmp/device.csv"
    nvcc --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\).*/\1/p' >"$tmp/nvcc.txt"
    echo "$arch" >"$tmp/arch.txt"
}

# Sets tokens to a file of raw little-endian uint16 for a config's sizes: TOKENS, else data/DATASET/train.bin, else
# made-up ones. tmp/tokens.txt describes them.
find_tokens() { # sizes.json
    dataset=$(value dataset "$1")
    tokens=${TOKENS:-}
    for file in "data/$dataset/train.bin" "$kit/data/$dataset/train.bin"; do
        [ -z "$tokens" ] && [ -f "$file" ] && tokens=$file
    done
    if [ -n "$tokens" ]; then
        [ -f "$tokens" ] || { echo "$name: $tokens: no such file" >&2; exit 66; }
        echo "tokens of $tokens" >"$tmp/tokens.txt"
    else
        tokens=$tmp/tokens.bin
        python3 tests/cuda/gpu/tokens.py "$tokens" "$(value vocab_size "$1")" || exit 1
        echo "made-up tokens after Zipf's law (tests/cuda/gpu/tokens.py)" >"$tmp/tokens.txt"
    fi
}

# Runs a command; clocks and power, twice a second, go to a file. Returns its exit code.
recorded() { # file, command
    nvidia-smi -i "$gpu" -lms 500 --format=csv,noheader,nounits \
        --query-gpu=clocks.sm,clocks.mem,power.draw,temperature.gpu,utilization.gpu >"$1" 2>/dev/null &
    sampler=$!
    shift
    recorded_code=0
    "$@" || recorded_code=$?
    kill $sampler 2>/dev/null
    wait $sampler 2>/dev/null
    return $recorded_code
}

# For updates that are compared: the rate has its full value from the first one on.
trial_rate="--learning_rate=1e-4 --warmup_iters=0"

# Whether updates have the same losses and norms as those of another build; else why has the reason. With fresh weights
# the loss hardly depends on attention; the norm of the gradients does, and so does the loss after updates. Relative
# distances from mma's numbers after six such updates on the emulator, in bfloat16, with a vocabulary of 4,096, for four
# models (context 1,024; width 512; 12 layers; dropout 0.2): the largest of hopper's, and the smallest of each fault's:
#
#                                           loss: first, last     norm: first, last
#     hopper                                2.5e-5   1.3e-5       1.0e-4   1.3e-4
#     y is all zeros                        1.4e-5   3.0e-3       3.8e-2   8.9e-2
#     the gradients of qkv are all zeros    as hopper 1.3e-3      2.5e-2   2.3e-2
#     y of one tile of 128 rows is zeros    5.3e-5   5.7e-4       7.5e-3   1.7e-2
#     scores half as large (not caught by the losses)             3.4e-3   7.8e-3
#
# A fault in the gradients of q or k alone is not found, since with fresh weights they are tiny: the op harness tests them.
near() { # JSON, the reference's JSON
    for pair in loss_first:2e-4 loss_last:2e-4 norm_first:2e-3 norm_last:2e-3; do
        key=${pair%:*}
        this=$(value "$key" "$1")
        that=$(value "$key" "$2")
        awk -v a="$this" -v b="$that" -v most="${pair#*:}" 'BEGIN {
            exit !(a + 0 > 0 && b + 0 > 0 && a - b <= most * b && b - a <= most * b) }' || {
            why="$key is $this, with mma attention $that"
            return 1
        }
    done
}

# Notes a build that was tried, for report.py.
note_candidate() { # micro-batch, attention, heuristic or tuned, tokens a second, whether it counts, JSON
    figures=
    for key in plan_bytes loss_first loss_last norm_first norm_last; do
        known=$([ ! -f "$6" ] || value "$key" "$6")
        figures="$figures, \"$key\": ${known:-null}"
    done
    printf '{"batch_size": %s, "attention": "%s", "products": "%s", "tokens_per_s": %s, "counted": %s%s}\n' \
        "$1" "$2" "$3" "$4" "$5" "$figures" >>"$tmp/candidates.jsonl"
}
