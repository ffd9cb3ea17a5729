#!/bin/sh
# test_amalgamation.sh: the trainer as one C file: two compilers compile it without a warning, so does the
# command in its head, and it trains, samples and saves the same bytes as the normal build.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
trap 'rm -rf "$tmp" build/amalgamated' EXIT
silently() { # a command that must succeed and print nothing, unless its compiler was never tried
    "$@" >"$tmp/said" 2>&1
    code=$?
    cat "$tmp/said"
    [ $code = 0 ] && { [ ! -s "$tmp/said" ] || grep -q '^strict: .* stop nothing$' "$tmp/said"; }
}

data_set fox
cat >"$tmp/amalgamated.lua" <<END
return {
  n_layer = 2, n_head = 2, n_embd = 24, block_size = 16, batch_size = 3, dropout = 0.1, bias = true,
  data_dir = "$tmp", dataset = "fox", max_iters = 20, lr_decay_iters = 20, warmup_iters = 2,
  eval_interval = 10, eval_iters = 2, gradient_accumulation_steps = 2, sample_interval = 10,
}
END

check "normal build" make build CONFIG="$tmp/amalgamated.lua" PROGRAMS=train
check "one file" make amalgamation CONFIG="$tmp/amalgamated.lua"
file=build/amalgamated/cpu/amalgamated.c
check "no file of the project is left to include" sh -c "! grep -E '^ *# *include *(\"|<(jsmn|xxhash))' $file"
check "jsmn's licence" grep -q 'Copyright (c) 2010 Serge Zaitsev' $file
check "xxHash's licence" grep -q 'BSD 2-Clause License' $file
check "no path of this machine" sh -c "! grep -v data_dir $file | grep -E '$tmp|$PWD'"

refused() { # with one line, and exit code 64
    lua5.4 gen/tools/amalgamate.lua --backend cuda "$tmp/amalgamated.lua" >"$tmp/said" 2>&1
    code=$?
    cat "$tmp/said"
    [ $code = 64 ] && [ "$(wc -l <"$tmp/said")" = 1 ] && grep -q "CPU's trainer; leave BACKEND out" "$tmp/said"
}
check "a CUDA trainer is refused" refused

# The line in its head, in a folder with nothing else.
line=$(sed -n 's|^//     \(cc .*\)$|\1|p' $file)
echo "$line" >"$tmp/line"
check "a line that builds it" grep -q -- '-ffp-contract=off .*-pthread amalgamated.c -lm$' "$tmp/line"
mkdir "$tmp/alone"
cp $file "$tmp/alone/"
check "that line, and no warning" silently sh -c "cd $tmp/alone && $PWD/tests/strict.sh $line -Wall -Wextra"
flags="-std=gnu11 -O3 -ffp-contract=off $(sed -n 's/.*off \(-march[^ ]*\).*/\1/p' "$tmp/line") -pthread"
# shellcheck disable=SC2086 # a list of flags
check "no warning of clang" silently tests/strict.sh clang $flags -Wall -Wextra -c -o "$tmp/clang.o" $file

train() { # program out
    "$1" --out_dir="$2" --threads=2 >"$2.txt" 2>"$2.err"
}
check "the normal trainer runs" train build/amalgamated/cpu/train "$tmp/normal"
check "the amalgamated one runs" train "$tmp/alone/a.out" "$tmp/one"
for file in state.safetensors ckpt.safetensors; do
    check "the same $file" cmp "$tmp/normal/$file" "$tmp/one/$file"
done
# Without the timing fields.
untimed "$tmp/normal/metrics.jsonl" >"$tmp/a"
untimed "$tmp/one/metrics.jsonl" >"$tmp/b"
check "the same metrics" cmp "$tmp/a" "$tmp/b"
check "metrics of 21 iterations" grep -q '"iter": *20' "$tmp/a"
said() { grep -v -e 'peak' -e '^planned memory' -e '^mfu_percent:' -e '_seconds:' "$1" | sed -E 's/time [0-9.]+ms, mfu .*//; s/[0-9.]+(ms| ms|s)\b//g' | sed "s|$2||g"; }
said "$tmp/normal.txt" "$tmp/normal" >"$tmp/a"
said "$tmp/one.txt" "$tmp/one" >"$tmp/b"
check "the same lines and samples" diff "$tmp/a" "$tmp/b"

finish
