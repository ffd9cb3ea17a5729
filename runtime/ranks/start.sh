#!/bin/sh
# start.sh: starts a trainer as many ranks, by Open MPI's mpirun or MPICH's, on this machine or several.
#
#     [MPI=mpich] [HOSTS=FILE] runtime/ranks/start.sh RANKS build/NAME/cpu-mpi/train [--key=value ...]
#
# The threads that may run here are shared out; other machines are taken to be like this one. Ctrl-C, SIGTERM or
# SIGHUP reach the ranks as SIGUSR1, at which all stop after the same step: on a terminal's Ctrl-C mpirun itself
# would end them before they have saved a state, so it runs in a session of its own. A second one ends all at
# once. Exit codes are the trainer's; 74 if a rank was killed.
set -u
ranks=$1
shift
for word; do
    case $word in --out_dir=*) out=${word#*=} ;; esac
done

hosts=1
if [ -n "${HOSTS-}" ]; then
    hosts=$(awk '$1 !~ /^(#|$)/ { sub(/:.*/, "", $1); if (!seen[$1]++) n++ } END { print n + 0 }' "$HOSTS") || exit 66
    [ "$hosts" -gt 0 ] || { echo "$HOSTS: names no machine; give a file with a machine's name on each line" >&2; exit 65; }
    echo "ranks on $hosts of $HOSTS: each machine needs the same MPI, ssh to it without a password, and at"
    echo "    $PWD"
    echo "    this clone's $1 and the data, shared or copied; the first machine writes ${out-the run}"
fi
each=$(((ranks + hosts - 1) / hosts)) # on one machine
most=$(build/limits | head -n 1)
threads=$((most / each))
bind=none
[ $threads -lt 1 ] || [ "${RANKS_BIND-}" = none ] || bind=core
[ $threads -ge 1 ] || threads=1
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$threads}"

if [ "${MPI-}" = mpich ]; then
    mpirun=mpirun.mpich
    [ $bind = none ] || bind=core:$threads
    set -- -bind-to $bind "$@"
    [ -z "${HOSTS-}" ] || set -- -f "$HOSTS" -ppn $each "$@"
else
    mpirun=mpirun
    if [ $bind = none ]; then set -- --oversubscribe "$@"; fi
    if [ -n "${HOSTS-}" ]; then
        set -- --hostfile "$HOSTS" -x OMP_NUM_THREADS --map-by ppr:$each:node$([ $bind = none ] || echo ":PE=$threads") "$@"
    elif [ $bind != none ]; then
        set -- --map-by slot:PE=$threads "$@"
    fi
    set -- --bind-to $bind "$@"
fi
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

said=$(mktemp -d) || exit 74
trap 'rm -rf "$said"' EXIT
mkfifo "$said/output" "$said/errors" || exit 74

asked=
ask() { # the first signal asks for a stop, a later one ends all
    now=$(date +%s)
    if [ -z "$asked" ]; then
        asked=$now
        kill -USR1 "$launcher" 2>/dev/null
    elif [ $((now - asked)) -ge 2 ]; then
        kill -TERM "$launcher" 2>/dev/null
    fi
}

# Boxes about ranks that ended are left out, since these have said why; of one that was killed, who it was is
# kept. All else passes. MPICH's box is in the output, Open MPI's among the errors.
awk -v lost="$said/lost" -v stopped="$said/stopped" '
    /^stopped before iteration [0-9]+; / { print >stopped; close(stopped) }
    /^=+$/ { next }
    /^=   PID [0-9]+ RUNNING AT / { who = "process " $3 " on " $6 }
    /^=   / { next }
    /^YOUR APPLICATION TERMINATED WITH THE EXIT STRING: .*\(signal [0-9]+\)/ {
        gsub(/[()]/, ""); print "a rank, " who ", was ended by signal " $NF " " $8 >lost; close(lost); next }
    /^This typically refers to a problem with your application\.$/ { next }
    /^Please see the FAQ page for debugging suggestions$/ { next }
    { print; fflush() }' <"$said/output" &
output=$!
awk -v lost="$said/lost" '
    /^-----+$/ {
        if (!inside) { inside = 1; box = ""; next }
        inside = 0
        if (box !~ /process returned\na non-zero|exited with non-zero status|noticed that process rank|MPI_ABORT was invoked/)
            { printf "%s", box; fflush() }
        next
    }
    /^mpirun noticed that process rank [0-9]+ with PID [0-9]+ on node / {
        gsub(/[().]/, ""); print "rank " $6 " on " $12 " was ended by signal " $16 " " $17 >lost; close(lost) }
    /^mpirun: Forwarding signal 10 to job$/ { next }
    inside { box = box $0 "\n"; next }
    { print; fflush() }
    END { if (inside) printf "%s", box }' <"$said/errors" >&2 &
errors=$!
setsid $mpirun -n "$ranks" "$@" </dev/null >"$said/output" 2>"$said/errors" &
launcher=$!
trap ask INT TERM HUP USR1
while :; do
    wait $launcher
    code=$?
    kill -0 $launcher 2>/dev/null || break
done
wait $output $errors
# Behind a signal MPICH's says 0 now and then, though all ranks have ended with 75.
[ $code != 0 ] || [ ! -s "$said/stopped" ] || code=75
if [ -s "$said/lost" ]; then
    last=$(tail -n 1 "${out-}/metrics.jsonl" 2>/dev/null | sed -n 's/^{"iter":\([0-9]*\),.*/ behind iteration \1/p')
    echo "ranks: $(cat "$said/lost")$last; the job ends, and the same command goes on from the last state" >&2
    code=74
fi
exit $code
