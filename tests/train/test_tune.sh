#!/bin/sh
# test_tune.sh: tilings of products: a file of `make tune` gives another build with the same numbers, an error in one is
# reported in a line, and `make tune` writes a file that the next build uses. No time is asserted.
# shares: runtime/generic
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh

data_set fox
cat >"$tmp/odd.lua" <<LUA
return { n_layer = 2, n_head = 2, n_embd = 20, block_size = 9, batch_size = 3, bias = true, dropout = 0.1,
  dataset = "fox", data_dir = "$tmp", max_iters = 3, eval_iters = 1, eval_interval = 100, isa = "generic",
  gradient_accumulation_steps = 2, warmup_iters = 1, lr_decay_iters = 3 }
LUA

build() { # keys
    make build CONFIG="$tmp/odd.lua" BUILD="$tmp/build" PROGRAMS=train SET="$*"
}
folder() { sed -n 's/^MODEL_DIR := //p' "$tmp/build/odd$1/cpu/build.mk"; }
baked() { sed -n '/MODEL_CONFIG/,/^$/p' "$(folder "$1")/model.h"; }
train() { # folder in $tmp, flags
    out=$1
    shift
    "$tmp/build/odd/cpu/train" --out_dir="$tmp/$out" "$@" >"$tmp/$out.log" 2>&1
}
same_weights() { # of two runs
    tensors "$tmp/$1/state.safetensors" >"$tmp/a" && tensors "$tmp/$2/state.safetensors" >"$tmp/b" &&
        test -s "$tmp/a" && cmp "$tmp/a" "$tmp/b"
}
# Checks that the emitted kernels have the file's tiling, for all products.
cat >"$tmp/follows.lua" <<'LUA'
package.path = "./?.lua;" .. package.path
local text, entries = require("gen.base.files").read(arg[2] .. "/train.c"), require("gen.config.sandbox").load(arg[1])
local found = 0
for kernel, numbers in text:gmatch("\nstatic void (matmul[%w_]*)(.-)\n}\n") do
  local name = kernel:match("^matmul[%l_]*_%d+x%d+x%d+")
  local piece = text:match("struct piece " .. kernel .. "_piece(.-)\n}\n") or ""
  found = found + 1
  local vecs, depth, block, last = (entries[name] or ""):match("^(%d+)-(%d+)-(%d+)-(%d+)$")
  local own = { vecs, depth, block, last }
  local emitted = { numbers:match(" VECS = (%d+)"), numbers:match(" DEPTH = (%d+)"),
    numbers:match("DIVIDE_UP%(TILES, (%d+)%)") or numbers:match(" ROWS = (%d+)"),
    piece:match("SLICES_OUTSIDE = (%d+)") or numbers:match(" COLS = (%d+) }") }
  for i = 1, 4 do
    if not own[i] or own[i] ~= emitted[i] then
      error(("%s: number %d is %s in the file, %s emitted"):format(name, i, own[i], emitted[i]), 0)
    end
  end
end
if found < 10 then error("only " .. found .. " products", 0) end
LUA
follows() { lua5.4 "$tmp/follows.lua" "$file" "$(folder "")"; }

check "builds" build
check "without a file, the model's choice" eval 'baked "" | grep -q "tiling=model\""'
modelled=$(folder "")
check "trains" train modelled
file=$(lua5.4 -e "package.path = './?.lua;' .. package.path
    print(require('gen.passes.tiling').path('$tmp/build/tune', 'generic'))")
check "the file is named by processor and isa" eval 'case $file in "$tmp/build/tune/"?*-generic.lua) ;; *) false ;; esac'

# One layer's products and the head's, with an unlikely tiling.
vocab=$(sed -n 's/.*MODEL_V = \([0-9]*\).*/\1/p' "$modelled/model.h")
mkdir -p "$tmp/build/tune"
cat >"$file" <<LUA
return {
  matmul_27x20x60 = "1-7-1-0", matmul_27x20x20 = "2-3-2-1", matmul_27x20x80 = "1-20-3-0",
  matmul_27x80x20 = "2-5-2-1", matmul_27x20x$vocab = "1-19-1-1",
  matmul_dx_27x60x20 = "1-16-1-1", matmul_dx_27x20x20 = "2-20-9-0", matmul_dx_27x80x20 = "1-3-1-0",
  matmul_dx_27x20x80 = "2-1-1-1", matmul_dx_27x${vocab}x20 = "1-2-5-0",
  matmul_dw_27x60x20 = "1-5-2-1", matmul_dw_27x20x20 = "2-27-1-1", matmul_dw_27x20x80 = "1-26-1-2",
  matmul_dw_27x80x20 = "2-2-3-1", matmul_dw_27x${vocab}x20 = "1-1-1-9",
  matmul_1x2x3 = "1-1-1-1",
}
LUA
check "builds with a file" build
check "another build" test "$(folder "")" != "$modelled"
check "its kernels have the file's tilings" follows
check "its text names them" eval 'baked "" | grep -q "matmul_27x20x60-1-7-1-0+" &&
    baked "" | grep -q "matmul_dx_27x80x20-1-3-1-0"'
check "and no other config's" eval '! grep -q 1x2x3 "$(folder "")/model.h"'
check "no line is longer than 100 columns" eval \
    '! grep -n "^.\{101\}" "$(folder "")"/*.[ch] "$tmp/build/odd/cpu/defaults.c"'
check "trains, with the file" train tuned
check "the same weights and moments" same_weights modelled tuned
check "resumes the run of the other tiling, and does not mention it" eval 'cp -r "$tmp/modelled" "$tmp/mixed" &&
    train mixed --init_from=resume --max_iters=4 && ! grep -q tiling "$tmp/mixed.log"'
check "so it does without --init_from, to the same weights" eval 'cp -r "$tmp/modelled" "$tmp/unasked" &&
    train unasked --max_iters=4 && train straight --max_iters=4 && same_weights unasked straight'
check "a finished run says finished" eval 'cp -r "$tmp/modelled" "$tmp/ended" && train ended &&
    grep -q "this run is finished, after 4 iterations" "$tmp/ended.log"'
other=$(sed -n "s/^flags.*\bavx2\b.*/avx2/p" /proc/cpuinfo | head -n 1)
if [ -n "$other" ]; then
    check "another isa builds" build "isa=$other"
    check "another isa resumes it, and says so" eval 'cp -r "$tmp/modelled" "$tmp/wider" &&
        "$tmp/build/odd-isa@$other/cpu/train" --out_dir="$tmp/wider" --max_iters=4 >"$tmp/wider.log" 2>&1 &&
        grep -q "isa was generic, is now avx2: sums may round differently" "$tmp/wider.log"'
else
    skipped=$((skipped + 1))
fi
check "but not with another learning rate" eval 'cp -r "$tmp/modelled" "$tmp/steeper" &&
    ! train steeper --max_iters=4 --learning_rate=0.5 && grep -q "differs in learning_rate" "$tmp/steeper.log"'
check "the file again, the same build" eval 'tuned=$(folder "") && build && [ "$(folder "")" = "$tuned" ]'
check "tiling=model ignores the file" eval 'build tiling=model && [ "$(folder -tiling@model)" = "$modelled" ]'

# The command in the head of train.c, in a tree without the file.
command=$(sed -n '/made by/,/parameters/p' "$(folder "")/train.c" | sed '$d; s/^.*made by//; s|^// *||' |
    sed ':a; N; $!ba; s/+\n/+/g; s/\n/ /g')
check "the command in its head makes the same build" eval '$command --build "$tmp/again" &&
    [ "$(basename "$(dirname "$(folder "")")")" = "$(sed -n "s/^HASH := //p" "$tmp/again/again/cpu/build.mk")" ]'

refused() { # exit code, a text of its one line, then keys
    wanted=$1
    says=$2
    shift 2
    lua5.4 gen/main.lua --build "$tmp/build" "$tmp/odd.lua" "$@" >"$tmp/said" 2>&1
    [ $? = "$wanted" ] && [ "$(wc -l <"$tmp/said")" = 1 ] && grep -qF -- "$says" "$tmp/said" ||
        { cat "$tmp/said"; false; }
}
kept=$(cat "$file")
bad() { # the file's text, a text of the message
    printf '%s\n' "$1" >"$file"
    check "refused: $1" refused 65 "$2"
}
bad 'return {' 'not a table of tilings'
bad 'return 3' 'not a table of tilings'
bad 'os.exit(0)' 'not a table of tilings'
bad 'while true do end' 'not a table of tilings'
bad 'return { { 1 } }' 'not a table of tilings'
bad 'return { matmul_27x20x60 = 3 }' "'matmul_27x20x60' is not a product with its numbers"
bad 'return { system = "1-7-1-0" }' "'system' is not a product with its numbers"
bad 'return { matmul_27x20x60 = "1-7-1" }' 'wanted four whole numbers, vecs-depth-block-slices_outside'
bad 'return { matmul_dw_27x60x20 = "1-7-1-x" }' 'wanted four whole numbers, vecs-depth-block-block_cols'
bad 'return { matmul_27x20x60 = "0-7-1-0" }' 'vecs is 0; wanted 1 to 2'
bad 'return { matmul_27x20x60 = "3-7-1-0" }' 'vecs is 3; wanted 1 to 2'
bad 'return { matmul_27x20x60 = "1-21-1-0" }' 'depth is 21; wanted 1 to 20'
bad 'return { matmul_27x20x60 = "1-7-0-0" }' 'block is 0'
bad 'return { matmul_27x20x60 = "1-7-99999999999999999999-0" }' 'block is 1048577'
bad 'return { matmul_27x20x60 = "1-7-1-2" }' 'slices_outside is 2; wanted 0 to 1'
check "refused files do not matter with tiling=model" lua5.4 gen/main.lua --build "$tmp/build" \
    "$tmp/odd.lua" tiling=model
echo "$kept" >"$file"
check "refused: not a list" refused 64 'is not NAME-NUMBERS' tiling=best
check "refused: blanks" refused 64 'wanted tuned, model, or such as' 'tiling=a b'
check "refused: not this model's" refused 64 'matmul_1x2x3 is not a product of this model' tiling=matmul_1x2x3-1-1-1-1
check "refused: too deep" refused 64 'depth is 200; wanted 1 to 20' tiling=matmul_27x20x60-1-200-1-0

# `make tune` itself: it keeps the tilings of other configs' products.
check "make tune" make tune CONFIG="$tmp/odd.lua" BUILD="$tmp/build"
check "a line for each product" test "$(grep -c '^matmul_[a-z0-9x_]*  *[0-9.]*  *[0-9.]*  *[0-9.]*%' "$tmp/checked")" -ge 15
check "keeps entries of other configs" grep -q 'matmul_1x2x3 = "1-1-1-1"' "$file"
check "builds after it" build
check "whose kernels have the file's tilings" follows
check "trains, tuned" train measured
check "the same weights again" same_weights modelled measured
half() { # in bfloat16 kernels read an image of the weights
    lua5.4 gen/tune.lua --emit "$tmp/half" --build "$tmp/build" "$tmp/odd.lua" dtype=bfloat16 || return
    for emitted in "$tmp/half"/matmul*.c; do
        tests/strict.sh cc -std=gnu11 -I. -fsyntax-only "$emitted" || return
    done
}
check "kernels of all ways compile in bfloat16" half

finish
