#!/bin/sh
# test_advice.sh: types what the commands advise to type next, or instead, and checks that it works: with a config's path,
# SET, out_dir and blanks in paths, and for a text without a newline and without Tiny Shakespeare's characters. In a copy
# of this folder.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
copy=$tmp/copy
mkdir -p "$copy/cfg" "$copy/data" "$copy/build"
cp -a Makefile gen templates runtime configs "$copy/"
cp data/prepare.sh "$copy/data/"
cp -a build/runtime "$copy/build/" 2>/dev/null # no other test writes it
cd "$copy" || exit 74
mkdir -p build/include

run() { # a line of shell; its output in log, its exit code in code
    line=$1
    sh -c "$1" >"$tmp/log" 2>&1 </dev/null
    code=$?
}
ends() { [ "$code" = "$1" ] || { echo "$line: ended with $code"; return 1; }; }
says() { grep -qF -- "$1" "$tmp/log"; }
silent() { ! grep -qF -- "$1" "$tmp/log"; }
one_line() { [ "$(grep -cv '^make: \*\*\*' "$tmp/log")" = 1 ]; }
# What the last command says to type: after "next:", or from "make" to the end of the line.
advice() { sed -n 's/^next: *//p; t; s/^.*[;:] \(make [a-z]* .*\)$/\1/p' "$tmp/log" | tail -n 1; }
# Types that, with more words, and checks that it works.
follow() { # what, words
    next=$(advice)
    check "$1: says what to type" test -n "$next"
    run "$next ${2-}"
    check "$1: and it works: $next" ends 0
}

i=0
while [ $i -lt 300 ]; do
    printf '#%d+' $i
    i=$((i + 1))
done >"a text.txt"
cat >cfg/micro.lua <<'LUA'
return {
  n_layer = 1, n_head = 2, n_embd = 16, block_size = 8, batch_size = 2, max_iters = 4, lr_decay_iters = 4,
  warmup_iters = 2, eval_interval = 2, eval_iters = 1, gradient_accumulation_steps = 1, threads = 1,
}
LUA
sed 's/^}/  dataset = "line", out_dir = "my out\/b",\n}/' cfg/micro.lua >cfg/spaced.lua

run 'make -n train CONFIG=cfg/micro.lua SET=dataset=line'
check "make -n before anything is built" ends 0
check "and builds nothing" test ! -e build/micro-dataset@line -a ! -e build/prepare

# Other data sets are neither mentioned nor needed.
run 'make train CONFIG=cfg/micro.lua SET=dataset=line'
check "no text: one line" one_line
check "about this data set alone" silent shakespeare
next=$(advice | sed "s|path/to/file.txt|'a text.txt'|")
run "$next"
check "the text it asks for: $next" ends 0
follow "make data" CONFIG=cfg/micro.lua
follow "make train"
check "begins with characters of the vocabulary" grep -q '^#\|^+' "$tmp/log"
follow "make sample"

run 'make build CONFIG=cfg/micro.lua SET="dataset=line learning_rate=0.01"'
follow "make build"
check "into the folder of its words" test -s out/micro-dataset=line-learning_rate=0.01/ckpt.safetensors
program=build/micro-dataset@line/cpu/train
run "env A=b $program --out_dir='my runs/a' --max_iters=0"
check "env does not take the program's path for an assignment" ends 0
check "too short for a best checkpoint" test ! -e "my runs/a/ckpt.safetensors" -a -s "my runs/a/state.safetensors"
follow "a trainer"
run "$program --n_layer=2"
follow "a baked key"
check "names a config, not a build's folder" test -d out/micro-dataset=line-n_layer=2
run "$program --dropout=0.5"
check "so does dropout" says 'make train CONFIG=cfg/micro.lua SET="dataset=line dropout=0.5"'

# out_dir, wherever it is set.
run 'make train CONFIG=cfg/micro.lua SET="dataset=line out_dir=mine/a" RUN=--max_iters=0'
check "SET's out_dir" test -s mine/a/state.safetensors
follow "a short run in it"
run 'make train CONFIG=cfg/spaced.lua'
check "a config's out_dir" test -s "my out/b/ckpt.safetensors"
follow "a run in that"
run 'make report CONFIG=cfg/spaced.lua'
check "its report" ends 0
check "has samples of the text, and attention" eval 'grep -q "<pre><i>[0-9#+]" out/reports/b.html &&
    grep -q "final weights" out/reports/b.html && ! grep -q "no attention\|no sample" out/reports/b.html'
run 'make train CONFIG=cfg/spaced.lua NAME=named RUN=--max_iters=1'
check "NAME goes before it" test -s out/named/state.safetensors
run 'make sample CONFIG=cfg/micro.lua SET=dataset=line RUN=--seed=5'
check "nothing to sample from: one line" one_line
follow "no run yet"
run 'make sampler CONFIG=cfg/micro.lua SET=dataset=line'
follow "a sampler to ship"

# A sweep without a prompt.
cat >cfg/rates.lua <<'LUA'
return { base = "cfg/micro.lua", grid = { { "learning_rate", { 0.01, 0.003 } } }, set = { dataset = "line" } }
LUA
run 'make sweep SWEEP=cfg/rates.lua JOBS=1'
check "a sweep to its end" says '2 of 2 runs are done'
check "with its samples" test -s out/sweeps/rates/exp02-lr0.003/sample-final.txt
follow "make sweep"
rates=out/sweeps/rates
rm $rates/*/status.json
cp $rates/exp01-lr0.01/state.safetensors $rates/exp02-lr0.003/
run 'make sweep SWEEP=cfg/rates.lua JOBS=1'
check "another run's state: advice for a sweep" says "move $rates/exp02-lr0.003 away, and the same command trains it from scratch"
mv $rates/exp02-lr0.003 aside
run 'make sweep SWEEP=cfg/rates.lua JOBS=1'
check "which works" says '2 of 2 runs are done'
rm -rf build/spaced
run 'make report RUNS=out/named'
note=$(sed -n 's/.*no attention: [^`]*`\(make build [^`]*\)`.*/\1/p' out/reports/named.html | head -n 1)
run "${note:-false}"
check "a report without a build says how to make it: $note" ends 0
check "so it is there" test -x build/spaced/cpu/sample

# What cannot work ends in one line, in terms of make's words.
run 'make build CONFIG=cfg/micro.lua SET=dataset=line BUILD=/proc/none'
check "BUILD that cannot be made: no flag of the generator is named" eval 'says "cannot be made a folder" && silent "--build"'
for name in "cfg/my config" "cfg/it\"s" "cfg/конфиг"; do
    cp cfg/micro.lua "$name.lua"
    run "make build CONFIG='$name.lua'"
    check "refused: $name" eval 'ends 2 && one_line && says rename'
done
run "make build CONFIG=\"it's.lua\""
check "refused: a quote" says 'no quotes'
run 'make build CONFIG=cfg/micro.lua SET='\''data_dir=$(shell touch ran)'\'
check "refused: a dollar sign" eval 'ends 2 && one_line && says "SET: no dollar signs" && [ ! -e ran ]'
run "make build CONFIG=cfg/micro.lua SET='n_layer=2
n_head=2'"
check "refused: two lines" eval 'ends 2 && one_line && says "SET: one line is wanted"'

finish
