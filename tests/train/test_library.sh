#!/bin/sh
# test_library.sh: make sampler LIBRARY=: the sampler as a library. Two models' in one program (library.c) write what the
# sampler's programs write for the same flags; errors are values, and nothing is left behind; the example is built by
# pkg-config, also after a move; a library has no variables, prints and exits nowhere, and only its own names.
# With SANITIZE=1 or thread all is built with sanitizers, which have names and variables of their own.
# shares: library
set -u
sanitize=${SANITIZE:-}
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh

model() { # name, keys, tokenizer: its config, and a checkpoint with made-up weights
    mkdir "$tmp/$1-run"
    keys="batch_size=1 block_size=32 n_layer=2 n_head=4 n_embd=32 $2"
    echo "$keys" | tr ' ' '\n' | sed -e "s/=\([a-z].*\)/='\1'/; s/'\(true\|false\)'/\1/; s/\$/,/; 1s/^/return { /" \
        -e "\$s|\$| out_dir = '$tmp/$1-run' }|" >"$tmp/$1.lua"
    # shellcheck disable=SC2086 # words
    lua5.4 tests/train/checkpoint.lua "$tmp/$1-run/ckpt.safetensors" scale=0.3 tokenizer="$3" $keys
}
model one "vocab_size=16 bias=true activation=gelu_erf tie_weights=true" "char 0a 20 61 62 63 64 65 66 71 e9 20ac"
model two "vocab_size=24 bias=false n_kv_head=2 norm=rmsnorm pos=rope activation=swiglu n_ff=64" \
    "bpe-gpt2 61,62,63,64,66,71,c3,a9,e2,82,ac,20,0a,6162,e282 00000000010000800009"
run() { # words of make; its output is in $tmp/log, its code in $code
    make "$@" BUILD="$tmp/build" SANITIZE="$sanitize" >"$tmp/log" 2>&1
    code=$?
}
says() { # code, text
    [ "$code" = "$1" ] && grep -qF -- "$2" "$tmp/log"
}

run sampler LIBRARY=no-name CONFIG="$tmp/one.lua"
check "a name that is none in C" says 2 "LIBRARY: 'no-name' is not a name in C; give one, as LIBRARY=tiny"
run sampler LIBRARY=1 EMBED=1 CONFIG="$tmp/one.lua"
check "what a library has not" says 2 "LIBRARY beside ARCH or EMBED"
run sampler LIBRARY=1 CONFIG="$tmp/one.lua" ISA=native WERROR=1
check "it is built" says 0 "libsampler_one.a libsampler_one.so sampler_one.h sampler_one.pc example.c"
run sampler LIBRARY=two CONFIG="$tmp/two.lua" ISA=native TYPE=q8_0 WERROR=1
check "with small weights" says 0 "libsampler_two.a"
built=$tmp/build
case $sanitize in
    1) built=$tmp/build/asan/werror-gcc/library options=-fsanitize=address,undefined ;;
    thread) built=$tmp/build/tsan/werror-gcc/library options=-fsanitize=thread ;;
    *) options= ;;
esac
one="$built/one-isa@native/cpu/sampler_one"
two="$built/two-isa@native/cpu/sampler_two"
weights=$tmp/build/two-isa@native/cpu/weights-q8_0.safetensors

# ---- what it is made of ---------------------------------------------------------------------------
for folder in "$one" "$two"; do
    [ -z "$sanitize" ] || break
    name=${folder##*_}
    nm "$folder/libsampler_$name.a" >"$tmp/names"
    check "$name: only names of its header are global" \
        sh -c "grep -q ' T ${name}_open$' '$tmp/names' && ! grep ' [A-TV-Z] ' '$tmp/names' | grep -v ' T ${name}_'"
    check "$name: its header declares them" \
        sh -c "sed -n 's/.* T //p' '$tmp/names' | while read -r f; do grep -q \"\\<\$f(\" '$folder/sampler_$name.h' || echo \$f; done |
        tee '$tmp/undeclared'; [ ! -s '$tmp/undeclared' ]"
    check "$name: nothing prints, exits, or sets a handler" sh -c "! grep -E ' U (_?exit|abort|std(out|err)|puts|putc|[a-z]*printf|
        |fwrite|perror|signal|sigaction|raise|kill|environ)$' '$tmp/names' | grep -v snprintf"
    # The place to go back to is a thread's own (T); `known` remembers what the processor has (kernel/small.h); tables of
    # addresses are written by the loader alone (.data.rel.ro).
    readelf -SW "$folder/libsampler_$name.a" | grep -E ' WA[A-Z]* ' | grep -v -e '\.data\.rel\.ro' -e '\.bss\.known' >"$tmp/written"
    check "$name: no variable but a thread's own" sh -c "! grep -v ' WAT ' '$tmp/written' && grep -q 'tbss.trap' '$tmp/written'"
    check "$name: its header is C11 and C++" sh -c "tests/strict.sh gcc -std=c11 -Wall -Wextra -pedantic -fsyntax-only -x c \
        '$folder/sampler_$name.h' && { ! command -v g++ || g++ -Wall -Wextra -fsyntax-only -x c++ '$folder/sampler_$name.h'; }"
    check "$name: its header's lines" sh -c "! grep -n -e NAME -e TITLE -e WEIGHTS '$folder/sampler_$name.h'"
done

# ---- two in one program ---------------------------------------------------------------------------
wraps="-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=posix_memalign,--wrap=free"
flags="$options -std=gnu11 -O1 -g -Wall -Wextra tests/train/library.c -I$one -I$two"
# shellcheck disable=SC2086 # words
check "both as archives" tests/strict.sh gcc $flags $wraps "$one/libsampler_one.a" "$two/libsampler_two.a" -lm -pthread -o "$tmp/archives"
# shellcheck disable=SC2086
check "and as shared ones" tests/strict.sh gcc $flags $wraps -L"$one" -L"$two" -lsampler_one -lsampler_two \
    -Wl,-rpath,"$one:$two" -pthread -o "$tmp/shared"

# The program's texts: model, slide's number, tokens, more flags. As `ways` of library.c.
make build CONFIG="$tmp/one.lua" PROGRAMS=sample BUILD="$tmp/build" >"$tmp/log" 2>&1
make build CONFIG="$tmp/two.lua" TYPE=q8_0 PROGRAMS=sample-q8_0 BUILD="$tmp/build" >>"$tmp/log" 2>&1
program() { # model, flags...
    case $1 in
        one) shift; "$tmp/build/one/cpu/sample" "$tmp/one-run/ckpt.safetensors" "$@" ;;
        two) shift; "$tmp/build/two/cpu/sample-q8_0" "$weights" "$@" ;;
    esac 2>>"$tmp/log"
}
wanted() { # model, slide, flags...
    name=$1 slide=$2
    shift 2
    program "$name" --start=abcd --num_samples=3 --threads=1 --temperature=0 "$@" >"$tmp/wanted/$name-$slide-0"
    program "$name" --start=abcd --num_samples=3 --threads=1 "$@" >"$tmp/wanted/$name-$slide-1"
    program "$name" --start=abcd --num_samples=3 --threads=1 --temperature=1.5 --top_k=0 --top_p=0.9 --min_p=0.01 \
        --repetition_penalty=1.2 --seed=5 "$@" >"$tmp/wanted/$name-$slide-2"
    program "$name" --start=abcd --num_samples=3 --threads=1 --temperature=1.2 --top_k=7 --seed=4294967295 --stop=af --stop=q \
        "$@" >"$tmp/wanted/$name-$slide-3"
}
mkdir "$tmp/wanted" "$tmp/of_archives" "$tmp/of_shared"
for name in one two; do
    # A context of 32: as many tokens as fit behind the prompt, and the last one.
    room=$((33 - $(program $name --start=abcd --tokens | wc -w)))
    wanted $name 0 --max_new_tokens=$room
    wanted $name 1 --max_new_tokens=80
    wanted $name 2 --max_new_tokens=80 --slide=half
    program $name --start=abcd --attention="$tmp/$name.json"
    lua5.4 - "$tmp/$name.json" >"$tmp/wanted/$name-attention" <<'END'
        local a = require("dkjson").decode(io.open(arg[1]):read("a"))
        for _, layer in ipairs(a.attention) do
          for _, head in ipairs(layer) do
            for _, weight in ipairs(head[#head]) do print(("%.9g"):format(weight)) end
          end
        end
END
done
for how in archives shared; do
    "$tmp/$how" texts "$tmp/of_$how" "$tmp/one-run/ckpt.safetensors" "$weights" >"$tmp/log" 2>&1
    code=$?
    check "$how: texts" says 0 " 0 failed"
    check "$how: they are the program's, and so is where tokens look" diff -r "$tmp/wanted" "$tmp/of_$how"
done
check "texts differ" sh -c "[ \$(sort -u '$tmp/wanted/'* | wc -l) -gt 40 ]"
"$tmp/archives" checks "$tmp/one-run/ckpt.safetensors" "$weights" >"$tmp/log" 2>&1
code=$?
check "errors are values, threads and all else ($(tail -n 1 "$tmp/log"))" says 0 " 0 failed"

# ---- the example ----------------------------------------------------------------------------------
if command -v pkg-config >/dev/null; then
    example() { # folder
        # shellcheck disable=SC2046,SC2086 # words
        tests/strict.sh gcc $options -Wall -Wextra "$1/example.c" $(PKG_CONFIG_PATH=$1 pkg-config --cflags --libs sampler_one) -o "$tmp/example" &&
            "$tmp/example" "$tmp/one-run/ckpt.safetensors" abcd >"$tmp/log" && grep -q '^--- 1$' "$tmp/log"
    }
    check "the example, by pkg-config" example "$one"
    mv "$one" "$tmp/moved"
    check "and of a folder that was moved" example "$tmp/moved"
    "$tmp/example" "$tmp/none" >"$tmp/log" 2>&1
    code=$?
    check "it says what is wrong" says 1 "$tmp/none: cannot open: "
else
    echo "test_library: pkg-config is not installed: skipped"
    skipped=$((skipped + 1))
fi
finish
