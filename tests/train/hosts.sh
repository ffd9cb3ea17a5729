#!/bin/sh
# hosts.sh: ranks on two hosts, which are network namespaces of this machine with a link between them; the link is cut
# in the middle of a run, so that a packet is lost without a word or that either end knows. The job ends in time on
# both hosts, and the same command goes on and comes to the bytes of one process (make test-ranks). Skipped where
# namespaces may not be made, which takes root and CAP_SYS_ADMIN, or without iproute2.
set -u
cd "$(dirname "$0")/../.." || exit 74
for program in ip unshare mpirun mpicc; do
    command -v $program >/dev/null || { echo "hosts: skipped: $program is missing"; exit 77; }
done
near=diecast-near-$$ far=diecast-far-$$
if ! ip netns add $near 2>/dev/null; then
    echo "hosts: skipped: a network namespace cannot be made here; it takes root and CAP_SYS_ADMIN"
    exit 77
fi
. tests/check.sh
ends() { # a namespace takes its end of the link along
    for host in $near $far; do
        ip netns pids $host 2>/dev/null | while read -r pid; do kill -KILL "$pid" 2>/dev/null; done
        ip netns del $host 2>/dev/null
    done
    rm -rf "$tmp"
}
trap ends EXIT
trap 'exit 130' INT TERM HUP
if ! ip netns add $far || ! ip -n $near link add link0 type veth peer name link0 netns $far ||
    ! ip netns exec $near unshare --uts true; then
    echo "hosts: skipped: no link between two network namespaces can be made here"
    exit 77
fi
timeout=3
export DIECAST_PROCESSORS=4 RANKS_BIND=none HOSTS="$tmp/hosts"
unset OMP_NUM_THREADS

ip -n $near addr add 10.77.0.1/24 dev link0
ip -n $far addr add 10.77.0.2/24 dev link0
link() { # up or down, of which host
    ip -n "${2-$near}" link set lo up && ip -n "${2-$near}" link set link0 "$1"
}
# What stands for ssh: its first argument is the host.
cat >"$tmp/agent" <<END
#!/bin/sh
shift
exec ip netns exec $far unshare --uts sh -c 'hostname far && exec sh -c "\$1"' agent "\$*"
END
chmod +x "$tmp/agent"
export OMPI_MCA_plm_rsh_agent="$tmp/agent"

data_set fox
make build build/limits CONFIG=tests/train/resume.lua PROGRAMS=train >"$tmp/log" 2>&1 &&
    make build CONFIG=tests/train/resume.lua RANKS=4 PROGRAMS=train >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
flags="--data_dir=$tmp --gradient_accumulation_steps=8 --eval_interval=20 --eval_iters=2 --log_interval=10
    --checkpoint_interval=5"

start() { # ranks, flags: on the near host
    number=$1
    shift
    # shellcheck disable=SC2016,SC2086 # the inner shell's; $flags is a list
    ip netns exec $near unshare --uts sh -c 'hostname near && exec "$@"' start timeout -k 10 300 \
        runtime/ranks/start.sh "$number" build/resume/cpu-mpi/train $flags --out_dir="$tmp/run" \
        --comm_timeout=$timeout "$@"
}
steps() { if [ -f "$tmp/run/metrics.jsonl" ]; then grep -c grad_norm "$tmp/run/metrics.jsonl"; else echo 0; fi; }
both() { # whether a trainer runs on one of the hosts
    for host in $near $far; do
        for pid in $(ip netns pids $host); do
            tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q '^build/resume/cpu-mpi/train ' && return
        done
    done
    return 1
}
# Starts a job, and runs a command after some steps more: its exit code in code, and seconds from then on in took.
cut() { # ranks, zero, what, command...
    number=$1 zero=$2 what=$3
    shift 3
    goal=$(($(steps) + 12))
    start "$number" --max_iters=1000000 --zero="$zero" >"$tmp/log" 2>&1 &
    starter=$!
    waited=0
    while [ "$(steps)" -lt $goal ] && [ $waited -lt 600 ]; do
        sleep 0.1
        waited=$((waited + 1))
    done
    began=$(date +%s)
    "$@"
    wait $starter
    code=$?
    took=$(($(date +%s) - began))
    echo "$number ranks, zero=$zero, $what: code $code in $took s, iteration $(steps)"
    check "$what: the job ends with 74" test $code = 74
    check "in time" test $took -le $((timeout + 25)) # 5 s, or five times as many on a busy machine
    check "a line says who is missed, where and when" \
        grep -q "^ranks: rank [0-3] on [a-z]* has not been heard of for $timeout s: iteration [0-9]*, " "$tmp/log"
    check "and one line alone" test "$(grep -c "^ranks: rank " "$tmp/log")" = 1
    left=50
    while both && [ $left -gt 0 ]; do
        sleep 0.1
        left=$((left - 1))
    done
    check "on both hosts" test $left -gt 0
}
restore() {
    ip -n $near neigh del 10.77.0.2 dev link0 2>/dev/null
    link up && link up $far
}
restore
printf '10.77.0.1\n10.77.0.2\n' >"$HOSTS"
cut 4 0 "the near end is down" link down
restore
cut 4 1 "the far end is down" link down $far
restore
# An address that nobody has: packets to the far host are lost, and no end of the link is down.
cut 2 1 "packets are lost" ip -n $near neigh replace 10.77.0.2 lladdr 02:00:00:00:00:99 nud permanent dev link0
restore

last=$(($(steps) + 20))
check "the same command goes on to the end" start 4 --max_iters=$last
unset HOSTS
# shellcheck disable=SC2086
check "one process straight through" build/resume/cpu/train $flags --reduce_groups=8 --out_dir="$tmp/straight" \
    --max_iters=$last
check "the same state" cmp "$tmp/run/state.safetensors" "$tmp/straight/state.safetensors"
check "the same checkpoint" cmp "$tmp/run/ckpt.safetensors" "$tmp/straight/ckpt.safetensors"
untimed "$tmp/run/metrics.jsonl" >"$tmp/a"
untimed "$tmp/straight/metrics.jsonl" >"$tmp/b"
check "the same metrics" cmp "$tmp/a" "$tmp/b"
finish
