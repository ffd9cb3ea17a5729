#!/bin/sh
# run.sh: the command behind `make sweep`: plans, has make build and train, prints the results.
#
#     gen/sweep/run.sh SWEEP [--jobs=N] [--dry] [--backend=cpu]
#
# make runs in its own session, so that a Ctrl-C reaches it once, from here: each trainer then saves its state and
# ends. Killing this process, or make, does the same. Exit codes: 0 all runs are done, 75 stopped (the same command
# resumes it), else that of the first run that failed.
set -u
cd "$(dirname "$0")/../.." || exit 74
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
trap '' PIPE # that nobody reads the output any more is no reason to stop

sweep=$1
shift
if [ -z "$sweep" ]; then
    there=
    for file in configs/sweeps/*.lua; do there="$there, $(basename "$file" .lua)"; done
    echo "SWEEP is missing: make sweep SWEEP=grid32_quick; there are: ${there#, }" >&2
    exit 64
fi
name=${sweep##*/}
folder=out/sweeps/${name%.lua}

# Every process of the sweep holds the lock, also those that outlive a killed one. A sweep that is about to end is
# waited for.
lock() {
    exec 9>>"$folder/lock" || exit 74
    if ! flock -w 5 9 && ! { grep -q ends "$folder/lock" && flock -w 60 9; }; then
        echo "$folder: this sweep runs already (process $(head -n 1 "$folder/lock")); wait for its end, or stop it" >&2
        exit 74
    fi
    echo $$ >"$folder/lock"
}
dry=
for word in "$@"; do [ "$word" = --dry ] && dry=1; done
locked=
case ${name%.lua} in
    [.-]* | *[!A-Za-z0-9_.-]*) dry=1 ;; # the planner refuses this name
esac
if [ -z "$dry" ] && [ -d "$folder" ]; then
    lock
    locked=1
fi
lua5.4 -E gen/sweep.lua --plan "$sweep" "$@" || exit
[ -z "$dry" ] || exit 0
[ -n "$locked" ] || lock
jobs=$(sed -n 's/^# jobs: //p' "$folder/sweep.mk")

# Two signals within two seconds count as one: timeout, for example, sends one to us and one to the make above us.
pid=
stopping=
stop() {
    now=$(date +%s)
    [ -z "$stopping" ] || [ $((now - stopping)) -ge 2 ] || return
    [ -n "$stopping" ] || echo "${live:+$clear}stopping: each run saves its state; once more ends them at once" >&2
    stopping=$now
    echo ends >>"$folder/lock"
    [ -z "$pid" ] || kill -TERM "$pid" 2>/dev/null
}
trap stop TERM INT HUP
live=
clear=$(printf '\r\033[K') # the line that a terminal shows meanwhile
[ -t 1 ] && live=1
rm -f "$folder/progress.txt"
started=$(date +%s)
export SWEEP_LIVE=$live
setpriv --pdeathsig TERM setsid make -k -j"$jobs" -f "$folder/sweep.mk" all 2>"$folder/make.txt" &
pid=$!
# Not one of the sweep's processes that a signal reaches: it ends after make, with a last page.
setsid lua5.4 -E gen/sweep.lua --watch "$pid" --folder "$folder" 9>&- &
watcher=$!
ticker=
if [ -n "$live" ]; then
    (
        trap - TERM INT HUP
        while sleep 5; do lua5.4 -E gen/sweep.lua --progress --folder "$folder" --since "$started"; done
    ) 9>&- &
    ticker=$!
fi
[ -z "$stopping" ] || kill -TERM $pid 2>/dev/null
while :; do
    wait $pid 2>/dev/null
    kill -0 $pid 2>/dev/null || break
done
echo ends >>"$folder/lock"
[ -z "$ticker" ] || kill $ticker 2>/dev/null
# Now there is nothing left for a Ctrl-C to stop.
trap '' TERM INT HUP
wait $watcher
setsid --wait lua5.4 -E gen/sweep.lua --table --folder "$folder" ${stopping:+--stopped}
