#!/bin/sh
# test_sweep_gpus.sh: runs of a sweep that train at the same time have a GPU each, and one more waits (gen/sweep/device.sh).
# nvidia-smi and the trainers are stand-ins.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh

mkdir "$tmp/bin"
printf '#!/bin/sh\nprintf "0\\n1\\n"\n' >"$tmp/bin/nvidia-smi"
# Says its GPU, and stays until the file `go` is there.
cat >"$tmp/bin/trainer" <<'END'
#!/bin/sh
echo "$CUDA_VISIBLE_DEVICES" >"$1/has-$2"
while [ ! -e "$1/go" ]; do sleep 0.05; done
END
chmod +x "$tmp/bin/nvidia-smi" "$tmp/bin/trainer"
begin() { # name
    PATH=$tmp/bin:$PATH gen/sweep/device.sh "$tmp" trainer "$tmp" "$1" &
}
comes() { # file
    for _ in $(seq 600); do
        [ ! -s "$1" ] || return 0
        sleep 0.05
    done
    return 1
}
unset CUDA_VISIBLE_DEVICES
begin a
first=$!
begin b
second=$!
check "two runs begin" eval "comes '$tmp/has-a' && comes '$tmp/has-b'"
check "on a GPU each" test "$(sort "$tmp/has-a" "$tmp/has-b" | tr '\n' ' ')" = "0 1 "
begin c
third=$!
begin d
fourth=$!
sleep 1.5
check "one more waits" test ! -e "$tmp/has-c" -a ! -e "$tmp/has-d"
kill -TERM $fourth
wait $fourth
check "a signal ends what waits with 75" test $? = 75
touch "$tmp/go"
wait $first $second $third
check "then the third has one of them" grep -q '^[01]$' "$tmp/has-c"
rm "$tmp"/has-*
check "CUDA_VISIBLE_DEVICES says which there are" \
    env CUDA_VISIBLE_DEVICES=5,7 PATH="$tmp/bin:$PATH" gen/sweep/device.sh "$tmp" trainer "$tmp" e
check "and the first is taken" grep -q '^5$' "$tmp/has-e"
rm "$tmp/bin/nvidia-smi"
check "where nothing lists any, a run begins as it is" \
    env PATH="$tmp/bin:/usr/bin:/bin" gen/sweep/device.sh "$tmp" sh -c '[ -z "${CUDA_VISIBLE_DEVICES-}" ]'
finish
