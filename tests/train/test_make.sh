#!/bin/sh
# test_make.sh: the make commands, in a copy of this folder: what is rebuilt and what is not, how runs are
# named, data sets, and the arguments that are refused.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
tests=$(pwd)/tests
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir "$copy/build"
cp -a Makefile gen templates runtime configs data "$copy/"
# Copies of the build only what no other test writes.
cp -a build/.gitignore build/prepare build/include build/runtime "$copy/build/" 2>/dev/null
cd "$copy" || exit 74
unset MAKEFLAGS MAKELEVEL

passed=0
failed=0
skipped=0
check() { # name, then a command that must succeed
    name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "test_make: $name: failed; the last command and its output were:"
        echo "    make $words"
        tail -n 25 log
    fi
}
run() { # make's arguments; output in log, its exit code in code
    words=$*
    make "$@" >log 2>&1 </dev/null
    code=$?
}
ends() { [ "$code" = "$1" ]; }
says() { grep -qF -- "$1" log; }
silent() { ! grep -qE -- "$1" log; }
compiled() { # exactly these objects of a model and of defaults, and none of the runtime
    [ "$(sed -n 's/^  cc   //p' log | sed 's|.*/||' | sort | tr '\n' ' ')" = "$1" ]
}

cat >tiny.lua <<'END'
return {
  n_layer = 2, n_head = 2, n_embd = 16, block_size = 8, batch_size = 2, vocab_size = 65,
  dataset = "tiny", max_iters = 4, lr_decay_iters = 4, warmup_iters = 1, eval_interval = 2,
  eval_iters = 2, gradient_accumulation_steps = 1,
}
END
i=0
while [ $i -lt 60 ]; do
    echo "The quick brown fox number $i jumps over the lazy dog."
    i=$((i + 1))
done >fox.txt

run build CONFIG=tiny.lua
check "builds" ends 0
check "four programs" test -x build/tiny/cpu/train -a -x build/tiny/cpu/sample \
    -a -x build/tiny/cpu/bench -a -x build/tiny/cpu/gradcheck
check "next command" says 'next: make train CONFIG=tiny.lua'
run build CONFIG=tiny.lua
check "nothing is built twice" silent '^  (cc|link) '
run build CONFIG=tiny.lua SET=learning_rate=0.5
check "another run key compiles defaults.c alone" compiled 'defaults.o '
check "which has it" grep -q 'learning_rate = 0.5' build/tiny-learning_rate@0.5/cpu/defaults.c
run build CONFIG=tiny.lua SET=n_layer=1
check "another baked key compiles the model alone" compiled 'defaults.o sample.o train.o '
run build CONFIG=tiny.lua
check "the first config again compiles nothing" silent '^  (cc|link) '
hash=$(sed -n 's/^HASH := //p' build/tiny/cpu/build.mk)
sha256sum build/"$hash"/cpu/*.[ch] build/"$hash"/cpu/ir/* >before
rm -rf build/"$hash"
run build CONFIG=tiny.lua
sha256sum build/"$hash"/cpu/*.[ch] build/"$hash"/cpu/ir/* >after
check "emitted text is the same from run to run" cmp -s before after
run ir CONFIG=tiny.lua
check "ir names the dumps" says "build/$hash/cpu/ir/1-build.txt"

run train CONFIG=tiny.lua
check "no data, no text: one line" says 'data/tiny/input.txt: no such file; make data DATASET=tiny'
check "and the program's code" says 'Error 66'
check "no folder is left" test ! -e data/tiny
run data DATASET=tiny TEXT=none.txt
check "a missing text" says 'none.txt: no such file'
run data DATASET=tiny TEXT=configs TOKENIZER=char
check "nor a folder, whose documents are not characters" says 'TOKENIZER: char has no token to end a document with'
mkfifo pipe
run data DATASET=tiny TEXT=pipe
check "nor a pipe" says 'pipe: is not a regular file, and a text is read twice; save it to one first'
run data DATASET="$(printf '%0201d' 0)" TEXT=fox.txt
check "a data set's name that is too long" says 'DATASET: a name of 201 characters; 200 are the most'
run train CONFIG=tiny.lua RUN="--learning_rate=$(printf '%0240d' 1)"
check "a run's too, before anything is built" says "the run's folder would have a name of more than 240 bytes; NAME="
check "in that one line" silent '^  (cc|link) '
sed 's/$/\r/' fox.txt >crlf.txt
run data DATASET=ends TEXT=crlf.txt NEWLINES=lf
check "line ends are read as LF" says 'crlf.txt: note: 60 line ends are CR LF and 0 are CR, read as LF'
run data DATASET=ends
check "and again, without NEWLINES" says 'read as LF'
run data DATASET=tiny TEXT=fox.txt
check "data from a text" ends 0
check "the same as with other line ends" cmp data/tiny/train.bin data/ends/train.bin
check "three files" test -s data/tiny/train.bin -a -s data/tiny/val.bin -a -s data/tiny/meta.json
mkdir data/copied
cp fox.txt data/copied/input.txt
run data DATASET=copied TEXT=fox.txt
check "a text in the data set's folder stays a file" test ! -L data/copied/input.txt -a -s data/copied/train.bin
run data DATASET=tiny TEXT=Makefile
check "the link to the text may change" ends 0
run data DATASET=tiny TEXT=fox.txt
check "and change back" ends 0
run data DATASET=../tiny TEXT=fox.txt
check "a data set's name is no path" says "'../tiny' is not a name"
run data
check "a name is wanted" says 'DATASET is missing'
run data DATASET=tiny TOKENIZER=bpe
check "an unknown tokenizer" says "TOKENIZER: 'bpe' is neither char, gpt2 nor a path"
run data DATASET=shakespeare TOKENIZER=char
check "shakespeare's is GPT-2's" says 'take that one, or another DATASET'
run data DATASET=gpt2 TEXT=fox.txt
check "data/gpt2 is not a data set" says "data/gpt2 is where GPT-2's tokenizer lies"

# A byte-pair encoding of one's own: the text's characters, and "he".
cat >own.lua <<'LUA'
local seen, tokens = {}, {}
for c in io.open("fox.txt"):read("a"):gmatch(".") do
  if not seen[c] then
    seen[c] = true
    local shown = c == " " and "\\u0120" or c == "\n" and "\\u010a" or c == '"' and '\\"' or c
    tokens[#tokens + 1] = ('"%s": %d'):format(shown, #tokens)
  end
end
tokens[#tokens + 1] = ('"he": %d'):format(#tokens)
print(('{"model": {"vocab": {%s}, "merges": [["h", "e"]]}, "pre_tokenizer": {"type": "ByteLevel"}}'):format(
  table.concat(tokens, ", ")))
LUA
lua5.4 own.lua >own.json
run data DATASET=own TEXT=fox.txt TOKENIZER=own.json
check "data in the tokens of a file" says 'the vocabulary: gpt2, '
cp data/own/train.bin own.bin
check "which are other ones" sh -c '! cmp -s own.bin data/tiny/train.bin'
run data DATASET=own
check "and again, without TOKENIZER" cmp data/own/train.bin own.bin
mv own.json moved.json
run data DATASET=own
check "unless the file has gone" says "own.json: no such file or folder; data/own/tokenizer leads there"
run data DATASET=own TOKENIZER=char
check "characters in its place" cmp data/own/train.bin data/tiny/train.bin
check "which are remembered too" test ! -L data/own/tokenizer

# GPT-2's tokenizer, with a curl that has no network, and one that downloads another file.
mkdir bin gpt2
mv data/gpt2/* gpt2/ 2>/dev/null
printf '#!/bin/sh\necho "curl: (6) no network" >&2\nexit 6\n' >bin/curl
chmod +x bin/curl
kept=$PATH
PATH=$PWD/bin:$PATH
run data DATASET=words TEXT=fox.txt TOKENIZER=gpt2
check "no files, no network: where to put them" says \
    'data/gpt2/vocab.bpe: missing, and the download failed (curl: (6) no network); put https://'
check "and the program's code" says 'Error 66'
check "and nothing is left" test ! -e data/words -a ! -e data/gpt2
printf '#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\necho other >"$2"\n' >bin/curl
run data DATASET=words TEXT=fox.txt TOKENIZER=gpt2
check "another file is refused" says 'vocab.bpe: sha256 is'
check "and not kept" test ! -e data/gpt2
PATH=$kept
mkdir data/gpt2
echo other >data/gpt2/vocab.bpe
run data DATASET=words TEXT=fox.txt TOKENIZER=gpt2
check "nor if the file is already there" says 'data/gpt2/vocab.bpe: sha256 is'
if [ -f gpt2/vocab.bpe ] && [ -f gpt2/encoder.json ]; then
    cp gpt2/* data/gpt2/
    run data DATASET=words TEXT=fox.txt TOKENIZER=gpt2
    check "data in GPT-2's tokens" says 'the vocabulary: gpt2, 50257 tokens'
    run data DATASET=words
    check "and again, without TOKENIZER" says 'the vocabulary: gpt2, 50257 tokens'
    run train CONFIG=tiny.lua SET="dataset=words vocab_size=50304" NAME=words
    check "trains on them" says 'gpt2, 50257 tokens'
    run sample CONFIG=tiny.lua SET="dataset=words vocab_size=50304" NAME=words START='The <|endoftext|>fox, é' \
        SAMPLE='--num_samples=1 --max_new_tokens=50 --top_k=0 --temperature=100'
    check "the sampler takes text" says 'The <|endoftext|>fox, é'
    check "and prints text" sh -c 'sed 1d log | iconv -f UTF-8 -t UTF-8 >after'
    mkdir many && head -n 40 fox.txt >many/a && printf '{"text": "%s"}\n' 'A fox.' 'No fox.' >many/b.jsonl
    run data DATASET=many TEXT=many VAL=0.4
    check "data from documents" says 'data/many/val.bin: '
    run train CONFIG=tiny.lua SET="dataset=many vocab_size=50304 block_size=2" NAME=many
    check "trains on them" says 'gpt2, 50257 tokens'
    run data DATASET=words TOKENIZER=char
    check "back to characters" says 'the vocabulary: char, '
else
    skipped=$((skipped + 1))
    echo "test_make: data in GPT-2's tokens: skipped: data/gpt2/vocab.bpe and encoder.json are not there"
fi
if [ -f data/shakespeare_char/input.txt ] && [ -f gpt2/vocab.bpe ]; then
    rm -rf data/shakespeare
    PATH=$PWD/bin:$PATH data/prepare.sh --if-missing shakespeare >log 2>&1
    check "shakespeare takes the text that is there" says 'data/shakespeare/val.bin: 36059 tokens'
    check "as many tokens as nanoGPT" says 'data/shakespeare/train.bin: 301966 tokens'
fi
rm -f data/shakespeare_char/*.bin data/shakespeare_char/input.txt
cp data/shakespeare_char/meta.json before
cp fox.txt data/shakespeare_char/input.txt
run data DATASET=shakespeare_char
check "another text is not shakespeare_char" says 'data/shakespeare_char/input.txt: sha256 is'
check "its meta.json is unchanged" cmp -s before data/shakespeare_char/meta.json

# A folder as nanoGPT leaves it: tokens, and a vocabulary as a pickle.
cat >pickle.lua <<'END'
local ids, letters = {}, {}
for hex in io.read("a"):match('"char ([%x ]*)"'):gmatch("%x+") do
  letters[#letters + 1] = utf8.char(tonumber(hex, 16))
end
local function text(s) return "\x8c" .. string.pack("s1", s) end
local stoi = {}
for i, letter in ipairs(letters) do
  ids[i] = "K" .. string.char(i - 1) .. text(letter)
  stoi[i] = text(letter) .. "K" .. string.char(i - 1)
end
io.write("\x80\x04}(", text("vocab_size"), "K", string.char(#letters), text("itos"), "}(", table.concat(ids), "u",
  text("stoi"), "}(", table.concat(stoi), "uu.")
END
mkdir data/nano
cp data/tiny/*.bin data/nano/
lua5.4 pickle.lua <data/tiny/meta.json >data/nano/meta.pkl
sha256sum data/nano/* >before
run train CONFIG=tiny.lua SET=dataset=nano
check "trains on what nanoGPT left" ends 0
check "and says where the vocabulary is from" says 'data/nano/meta.pkl: the vocabulary: char, '
check "which is unchanged" sha256sum --quiet -c before
run data DATASET=nano TEXT=fox.txt
check "a text is not prepared over it" says 'data/nano/train.bin: was not made here, and is not written over'
check "and nothing is changed" sha256sum --quiet -c before
cp data/tiny/val.bin data/nano/train.bin
run train CONFIG=tiny.lua SET=dataset=nano RUN=--seed=3
check "other tokens there: what to do" says "'make data DATASET=nano'"
run data DATASET=nano
check "which uses them as they are" says 'all else is as it was'
check "and unchanged" cmp data/tiny/val.bin data/nano/train.bin
mkdir -p else/where
cp data/nano/*.bin data/nano/meta.pkl else/where/
run train CONFIG=tiny.lua SET="dataset=where data_dir=else" RUN=--max_iters=1
check "in another folder too" ends 0
rm data/nano/meta.*
printf 'cos\nsystem\n(S"touch called"\ntR.' >data/nano/meta.pkl
run train CONFIG=tiny.lua SET=dataset=nano RUN=--seed=5
check "a pickle that does more is named" says 'data/nano/meta.pkl: holds more than a dict of strings'
check "and not run" test ! -e called

run train CONFIG=tiny.lua
check "trains" ends 0
check "into the config's folder" test -s out/tiny/ckpt.safetensors -a -s out/tiny/state.safetensors
check "paths are printed" says 'run: out/tiny'
run train CONFIG=tiny.lua SET="n_layer=1" RUN="--max_iters 2 --seed=7"
check "SET and RUN name the run" test -s out/tiny-n_layer=1-max_iters=2-seed=7/ckpt.safetensors
check "what to type next" says 'next: make sample CONFIG=tiny.lua SET="n_layer=1" RUN="--max_iters=2 --seed=7"'
run sample CONFIG=tiny.lua SET="n_layer=1" RUN="--max_iters 2 --seed=7" START='The q' \
    SAMPLE='--num_samples=1 --max_new_tokens=5'
check "the same words find that run" ends 0
check "and print the prompt" says 'The q'
run sample CONFIG=tiny.lua START='%$X `a` "b"' SAMPLE='--num_samples=1 --max_new_tokens=5'
check "a prompt reaches the sampler as it was typed" silent 'X: not found|unexpected|unterminated'
check "which refuses its characters" says 'Error 6'
NAME=elsewhere run train CONFIG=tiny.lua NAME=deeper
check "NAME names the run" test -s out/deeper/ckpt.safetensors
NAME=elsewhere run train CONFIG=tiny.lua RUN=--seed=8
check "but not from the environment" test -s out/tiny-seed=8/ckpt.safetensors -a ! -e out/elsewhere
run train CONFIG=tiny.lua RUN=--n_layer=3
check "a baked key in RUN names SET" says 'SET="n_layer=3"'
echo 'One more line.' >>fox.txt
run train CONFIG=tiny.lua RUN=--seed=9
check "says that the text has changed" says 'the text has changed since'
check "and trains" ends 0

run build CONFIG=nobody
check "no such config: the list" says 'configs/nobody.lua: no such config; there are: bigram'
for word in page sampler firmware; do
    run $word CONFIG=nobody
    check "nor for make $word" says 'configs/nobody.lua: no such config; there are: bigram'
done
run build CONFIG=tiny.lua SET=n_layer
check "SET without =" says "SET: 'n_layer' is not key=value"
run build CONFIG=tiny.lua SET=n_embed=16
check "a mistyped key" says "did you mean 'n_embd'?"
run build CONFIG=tiny.lua BACKEND=tpu
check "BACKEND" says "BACKEND: 'tpu' is not known"

run bench CONFIG=tiny.lua
check "bench" test -s build/tiny/cpu/bench.json
run sampler CONFIG=tiny.lua
sampler=build/tiny-isa@generic/cpu/sampler
check "sampler" test -x $sampler
check "it is one static file" sh -c "! readelf -l $sampler | grep -q INTERP"
check "under 180 KB" test "$(stat -c %s $sampler)" -lt 180000
lua5.4 "$tests/train/checkpoint.lua" pairs.safetensors n_embd=16 block_size=8 vocab_size=65 bias=false activation=gelu_erf \
    tokenizer="bpe-gpt2 65,c3,a9,c3a9 0000100002" >log 2>&1
$sampler --checkpoint=pairs.safetensors --start=e >log 2>&1
check "of few tokens it refuses byte pairs" says "less than 256 tokens leaves out; 'make sample' has them"
$sampler --checkpoint=out/tiny/ckpt.safetensors --start=The --num_samples=1 --max_new_tokens=20 \
    --temperature=0 >before 2>log
build/tiny/cpu/sample --checkpoint=out/tiny/ckpt.safetensors --start=The --num_samples=1 \
    --max_new_tokens=20 --temperature=0 >after 2>log
check "it writes what the other one writes" cmp -s before after
run help
check "help lists every target" sh -c "grep -q '^  train ' log && grep -q '^  CONFIG ' log"
run clean
check "clean keeps runs and data" test -s out/tiny/ckpt.safetensors -a -s data/tiny/train.bin \
    -a ! -e build/tiny -a -e build/.gitignore

echo "test_make: $passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
