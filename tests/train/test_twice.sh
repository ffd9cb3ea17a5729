#!/bin/sh
# test_twice.sh: two builds of one model at the same time, and one that is killed, leave no incomplete file behind.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh

# In another tree, since another compiler would recompile what other tests build.
mkdir "$tmp/tree" "$tmp/tree/tests"
cp -r Makefile gen runtime templates configs data "$tmp/tree"
cp tests/strict.sh "$tmp/tree/tests"
cat >"$tmp/tree/small.lua" <<'LUA'
return { n_layer = 1, n_head = 2, n_embd = 16, block_size = 8, batch_size = 2, vocab_size = 9, isa = "generic" }
LUA
# Compilers write their output in pieces; this one waits between them.
cat >"$tmp/slow-cc" <<'SH'
#!/bin/sh
out=
last=
for word; do
    [ "$last" != -o ] || out=$word
    last=$word
done
gcc "$@" || exit
mv "$out" "$out.whole"
half=$(($(stat -c %s "$out.whole") / 2))
head -c "$half" "$out.whole" >"$out"
sleep 0.3
tail -c +$((half + 1)) "$out.whole" >>"$out"
chmod +x "$out"
rm "$out.whole"
SH
chmod +x "$tmp/slow-cc"
build() {
    make -C "$tmp/tree" build CONFIG=small.lua PROGRAMS=sample CC="$tmp/slow-cc"
}
started() { # what: in the folders of objects
    tries=0
    until [ -n "$(find "$tmp/tree/build" -name "$1" 2>/dev/null)" ]; do
        sleep 0.02
        tries=$((tries + 1))
        [ $tries -lt 15000 ] || return 1
    done
}

build >"$tmp/log" 2>&1 &
first=$!
check "one begins" started 'hash.o*'
build >"$tmp/second" 2>&1
second=$?
wait $first
check "two builds at a time: the first" test $? = 0
mv "$tmp/second" "$tmp/log"
check "and the second" test $second = 0
check "the program is complete" sh -c '"$0" --help | grep -q temperature' "$tmp/tree/build/small/cpu/sample"
check "nothing else is left" test -z "$(find "$tmp/tree/build" -name '*.[0-9][0-9]*')"

rm -rf "$tmp/tree/build/runtime" "$tmp/tree/build/small"
setsid make -C "$tmp/tree" build CONFIG=small.lua PROGRAMS=sample CC="$tmp/slow-cc" >"$tmp/log" 2>&1 &
maker=$!
check "another one begins" started 'hash.o*'
kill -KILL -- -$maker 2>/dev/null
wait $maker 2>/dev/null
build >"$tmp/log" 2>&1
check "after a killed one it builds" test $? = 0
finish
