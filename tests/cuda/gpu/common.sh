# shellcheck shell=sh
# common.sh: what check.sh and bench.sh share; they source it from the root of the tree. Sets kit, arch,
# device, gpu (for nvidia-smi -i), tmp (a folder that goes away with the script) and began.

kit=${KIT:-build/gpu-kit}
gpu=${CUDA_VISIBLE_DEVICES:-0}
gpu=${gpu%%,*}
PATH=$PATH:/usr/local/cuda/bin # where a toolkit lies that nobody put there

# One line and exit 77 where there is no GPU, 66 where there is no kit or one for another device.
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
            began=$(date +%s) # building is not what the limits are for
        else
            echo "$name: $kit: no kit; run 'make gpu-kit' where there is Lua and nvcc, and carry $kit.tar.gz here" >&2
            exit 66
        fi
    fi
    arch=$(kit_lines arch | cut -d ' ' -f 1)
    capability=$(nvidia-smi -i "$gpu" --query-gpu=compute_cap --format=csv,noheader | tr -d .)
    case $arch in # one with an "a" runs on no other
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

# The lines of the kit's list that begin with a word, without it.
kit_lines() { # word
    sed -n "s/^$1 //p" "$kit/kit.txt"
}

seconds_left() { # of a limit in seconds
    echo $((began + $1 - $(date +%s)))
}

# cuBLASLt is linked dynamically and may lie where the loader does not look: beside the toolkit, or in PyTorch's wheels.
find_libraries() {
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
        echo "$name: $library: not found here, and the kit's programs need it; install the CUDA libraries," \
            "or make the kit with this machine's CUDA release" >&2
        exit 66
    done
}

memory_used() { # MiB, of the whole device
    nvidia-smi -i "$gpu" --query-gpu=memory.used --format=csv,noheader,nounits
}
