#!/bin/sh
# test_environment.sh: environment variables of the user change neither what is built nor what a run writes.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
build=build/test_environment_$$
trap 'rm -rf "$tmp" "$build"' EXIT

data_set fox
cat >"$tmp/small.lua" <<LUA
return { n_layer = 1, n_head = 2, n_embd = 16, block_size = 8, batch_size = 2, dataset = "fox", data_dir = "$tmp",
  max_iters = 3, lr_decay_iters = 3, eval_interval = 2, eval_iters = 1, gradient_accumulation_steps = 1 }
LUA

train() { # NAME, then the environment
    name=$1
    shift
    env "$@" make train CONFIG="$tmp/small.lua" BUILD="$build" RUN="--out_dir=$tmp/$name" >"$tmp/log" 2>&1
}
silent() { ! grep -qE -- "$1" "$tmp/log"; }
same() { cmp "$tmp/plain/state.safetensors" "$tmp/$1/state.safetensors"; }

check "trains" train plain A=b
cp "$build/small/cpu/train" "$tmp/trainer"
n=0
for word in LUA_PATH=/none LUA_CPATH=/none LUA_INIT='error("init")' LUA_INIT_5_4='error("init")' GEN=false V=1 \
    CFLAGS=-DEXIT_DONE=1 MAKEFLAGS=-s MAKEFLAGS=-j4 BASH_ENV=/none ENV=/none TMPDIR=/none LC_ALL=none LC_ALL=tr_TR.UTF-8 \
    CDPATH=/usr CONFIG=gpt2 SET=n_layer=9 BUILD_NAME=none Q=echo words=none; do
    n=$((n + 1))
    check "trains with $word" train "$n" "$word"
    check "$word: nothing is built again" silent '^  (cc|link) |gcc'
    check "$word: the same program" cmp "$tmp/trainer" "$build/small/cpu/train"
    check "$word: the same run" same "$n"
done
check "trains without a HOME" train home -u HOME
check "the same run" same home

# All at once, from scratch: the result of compiling is the same.
rm -rf "$build"
check "builds with all of them" train all LUA_PATH=/none LUA_CPATH=/none LUA_INIT='error("init")' GEN=false \
    CFLAGS=-DEXIT_DONE=1 BASH_ENV=/none TMPDIR=/none LC_ALL=none CONFIG=gpt2 words=none
check "the same run" same all

# And with a full TMPDIR: a file system of one page, in a namespace that ends with the commands.
mkdir "$tmp/full"
with_full() {
    rm -rf "$build"
    unshare -m sh -c 'mount -t tmpfs -o size=4096 none "$1" && head -c 4096 /dev/zero >"$1/rest" && shift && exec "$@"' \
        sh "$tmp/full" env TMPDIR="$tmp/full" make train CONFIG="$tmp/small.lua" BUILD="$build" \
        RUN="--out_dir=$tmp/crowded" >"$tmp/log" 2>&1
}
if unshare -m true 2>/dev/null; then
    check "builds and trains with a full TMPDIR" with_full
    check "the same run" same crowded
else
    skipped=$((skipped + 2)) # no mount namespaces here
fi

# A run's own report.
check "a report" env LUA_PATH=/none LUA_INIT='error("init")' TMPDIR=/none "$build/small/cpu/train" --report=1 \
    --out_dir="$tmp/reported"
check "is made" test -s "$tmp/reported/report.html"
finish
