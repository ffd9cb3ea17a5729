#!/bin/sh
# device.sh: runs one run of a sweep on a GPU that none of its other runs has. step.sh calls it for BACKEND=cuda.
#
#     gen/sweep/device.sh SWEEP_FOLDER COMMAND ...
#
# The GPUs are those of CUDA_VISIBLE_DEVICES, else all that nvidia-smi lists; the command sees its own alone, and holds
# it by a lock until it ends. With more jobs than GPUs a run waits for one; a signal meanwhile ends it with 75, before it
# has begun. Where there is no list, the command runs as it is.
set -u
sweep=$1
shift
gpus=$(echo "${CUDA_VISIBLE_DEVICES-}" | tr ',' ' ')
[ -n "$gpus" ] || gpus=$(nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null) || gpus=
[ -n "$gpus" ] || exec "$@"
trap 'exit 75' TERM HUP INT
while :; do
    for gpu in $gpus; do
        exec 8>>"$sweep/gpu-$gpu.lock" || exit 74
        if flock -n 8; then
            export CUDA_VISIBLE_DEVICES="$gpu"
            exec "$@"
        fi
    done
    sleep 1
done
