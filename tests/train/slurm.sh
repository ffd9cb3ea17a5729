#!/bin/sh
# slurm.sh: a trainer's ranks started by Slurm, on a cluster of this one machine that is started for it: srun, an array
# of jobs, and a job that stops at USR1 and is queued again (make test-ranks). Skipped without Slurm and munge, which
# Debian has as slurm-wlm and munge, and where it is not root's.
set -u
cd "$(dirname "$0")/../.." || exit 74
for program in srun slurmctld slurmd munged; do
    PATH=$PATH:/usr/sbin command -v $program >/dev/null || { echo "slurm: skipped: $program is missing"; exit 77; }
done
[ "$(id -u)" = 0 ] || { echo "slurm: skipped: a cluster for a test wants root"; exit 77; }
. tests/check.sh
export PATH="$PATH:/usr/sbin" OMP_NUM_THREADS=1 DIECAST_PROCESSORS=4

data_set fox
make build CONFIG=tests/train/resume.lua PROGRAMS=train >"$tmp/log" 2>&1 &&
    make build CONFIG=tests/train/resume.lua RANKS=4 PROGRAMS=train >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
one=build/resume/cpu/train
many=build/resume/cpu-mpi/train
flags="--data_dir=$tmp --gradient_accumulation_steps=8 --reduce_groups=8 --eval_interval=10 --eval_iters=2 --log_interval=100"

# ---- the cluster ------------------------------------------------------------------------------------
host=$(hostname -s)
mkdir "$tmp/state" "$tmp/spool" "$tmp/munge"
chmod 755 "$tmp" "$tmp/munge"
(umask 077 && head -c 128 /dev/urandom >"$tmp/munge/key")
cat >"$tmp/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$tmp/munge/socket
StateSaveLocation=$tmp/state
SlurmdSpoolDir=$tmp/spool
SlurmctldPidFile=$tmp/slurmctld.pid
SlurmdPidFile=$tmp/slurmd.pid
SlurmctldLogFile=$tmp/slurmctld.log
SlurmdLogFile=$tmp/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=4
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE
END
export SLURM_CONF="$tmp/slurm.conf"
munged --force --key-file="$tmp/munge/key" --socket="$tmp/munge/socket" --pid-file="$tmp/munge/pid" \
    --log-file="$tmp/munge/log" --seed-file="$tmp/munge/seed" && slurmctld && slurmd || exit 1
ends() {
    scancel --user=root --quiet
    for file in slurmd.pid slurmctld.pid munge/pid; do
        kill "$(cat "$tmp/$file")" 2>/dev/null
    done
    rm -rf "$tmp"
}
trap ends EXIT

until_true() { # seconds, command...
    left=$(($1 * 5))
    shift
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ $left -gt 0 ] || return 1
        sleep 0.2
    done
}
idle() { sinfo -h -o %t | grep -qx idle; }
check "a cluster of one machine" until_true 60 idle

# ---- jobs -------------------------------------------------------------------------------------------
same_run() {
    cmp "$tmp/$1/state.safetensors" "$tmp/$2/state.safetensors" && untimed "$tmp/$1/metrics.jsonl" >"$tmp/a" &&
        untimed "$tmp/$2/metrics.jsonl" >"$tmp/b" && cmp "$tmp/a" "$tmp/b"
}
# shellcheck disable=SC2086 # $flags is a list
alone() { # folder, flags
    out=$1
    shift
    "$one" $flags --out_dir="$tmp/$out" "$@"
}
script() { # command: a job of four ranks, as in runtime/ranks/README.md
    printf '#!/bin/sh\n#SBATCH --ntasks=4 --requeue --open-mode=append --output=%s/job.log\n%s\n' "$tmp" "$1" >"$tmp/job"
}
queue_is_empty() { [ -z "$(squeue -h)" ]; }

check "one process" alone one --max_iters=40
# shellcheck disable=SC2086
check "srun" srun --mpi=pmix -n 4 "$many" $flags --out_dir="$tmp/four" --max_iters=40
check "comes to the same bytes" same_run four one

script "srun --mpi=pmix $many $flags --out_dir=$tmp/seed\$SLURM_ARRAY_TASK_ID --seed=\$SLURM_ARRAY_TASK_ID --max_iters=20"
check "an array of jobs" sbatch --array=1-2 "$tmp/job"
check "ends" until_true 120 queue_is_empty
for seed in 1 2; do
    check "seed $seed of one process" alone alone$seed --seed=$seed --max_iters=20
    check "comes to the same bytes" same_run seed$seed alone$seed
done

script "srun --mpi=pmix $many $flags --out_dir=$tmp/again --max_iters=600
[ \$? != 75 ] || scontrol requeue \"\$SLURM_JOB_ID\""
check "a job" sbatch "$tmp/job"
has_steps() { [ "$(grep -c grad_norm "$tmp/again/metrics.jsonl")" -gt 20 ]; }
waits() { [ "$(squeue -h -o %T)" = PENDING ]; }
check "is under way" until_true 60 has_steps
check "is asked to stop" scancel --signal=USR1 "$(squeue -h -o %A)"
check "is queued again" until_true 60 waits
check "has stopped with a state" grep -q "^stopped before iteration" "$tmp/job.log"
check "begins again" scontrol update JobId="$(squeue -h -o %A)" StartTime=now
check "ends" until_true 180 queue_is_empty
check "has resumed" grep -q "^resuming from" "$tmp/job.log"
check "one process straight through" alone straight --max_iters=600
check "comes to the same bytes" same_run again straight
finish
