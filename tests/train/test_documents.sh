#!/bin/sh
# test_documents.sh: data sets of documents, as make data makes them: which documents are in them is read back by
# documents.lua; what is stopped goes on; what is refused. Needs GPT-2's own files.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/check.sh
root=$PWD
if [ ! -f data/gpt2/vocab.bpe ] || [ ! -f data/gpt2/encoder.json ]; then
    echo "test_documents: data/gpt2/vocab.bpe and encoder.json are not there"
    exit 77
fi
make build/prepare build/inspect >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }

# data/ of its own, as the project's.
mkdir -p "$tmp/w/data"
cp data/prepare.sh "$tmp/w/data/"
ln -s "$root/data/gpt2" "$tmp/w/data/gpt2"
ln -s "$root/build" "$tmp/w/build"
lua5.4 tests/train/documents.lua write "$tmp/w/in" || exit 1
cd "$tmp/w" || exit 74
prepares() { # prepare.sh's arguments; output in log, its exit code in code
    data/prepare.sh "$@" >"$tmp/log" 2>&1
    code=$?
}
ends() { [ "$code" = "$1" ]; }
says() { grep -qF -- "$1" "$tmp/log"; }
same() { # two data sets
    cmp "data/$1/train.bin" "data/$2/train.bin" && cmp "data/$1/val.bin" "data/$2/val.bin"
}
reads_back() { (cd "$root" && lua5.4 tests/train/documents.lua check "$tmp/w/data/$1" ${2+"$2"}); }

prepares all in '' '' 0.1
check "a folder of texts and JSON lines" ends 0
check "each document is there, ended by its token" reads_back all
check "inspect takes it" build/inspect --file=data/all --verify=1
check "a link to the documents" test "$(readlink data/all/documents)" = "$(realpath in)"
prepares all
check "again, without TEXT" ends 0
check "which has nothing to do" sh -c "! grep -q anew '$tmp/log'"
prepares ends in gpt2 lf 0.1
check "line ends are read as LF" ends 0
check "in each document" reads_back ends lf
prepares one in/b1.jsonl
check "one file of JSON lines" ends 0
check "without a document below the bound, one is to validate with" says 'data/one/val.bin: 1 documents'
check "which is in meta.json" grep -q '"val_fraction": "0.0005"' data/one/meta.json
prepares --if-missing all
check "what is there is used" says 'data: data/all'
touch in/long
prepares --if-missing all
check "if the documents have changed: a line" says 'data/all/documents: has changed since data/all was prepared'
prepares all
check "a changed time alone changes nothing" sh -c "! grep -q anew '$tmp/log'"

# ---- stopped, killed, mended ------------------------------------------------------------------------

direct() { # data set, more flags
    dataset=$1
    shift
    build/prepare --documents=in --out="data/$dataset" --name=all --val=0.1 --threads=2 "$@" >"$tmp/log" 2>&1
    code=$?
}
direct units --unit=100
check "in small units: the same bytes" same units all
check "and the same meta.json" cmp data/units/meta.json data/all/meta.json
kills=0
while [ $kills -lt 5 ]; do
    build/prepare --documents=in --out=data/killed --name=all --val=0.1 --unit=50 >"$tmp/log" 2>&1 &
    sleep "0.0$((kills + 3))"
    kill -KILL $! 2>/dev/null
    wait $! 2>/dev/null
    kills=$((kills + 1))
done
build/prepare --documents=in --out=data/killed --name=all --val=0.1 --unit=50 >"$tmp/log" 2>&1 &
sleep 0.05
kill -TERM $! 2>/dev/null
wait $!
code=$?
check "a signal stops it, or it was done" test $code = 75 -o $code = 0 -o $code = 143
direct killed --unit=50
check "killed and stopped: it goes on" ends 0
check "to the same bytes" same killed all
check "nothing is left over" test -z "$(find data/killed -name '*.tmp')"

cp in/b3.jsonl kept
sed -i '150s/$/,/' in/b3.jsonl
direct mended --unit=500
check "a wrong line ends it" ends 65
check "with its file and line" says 'in/b3.jsonl:150: broken JSON: something follows the value'
check "in one line" test "$(wc -l <"$tmp/log")" = 1
check "and no data set" test ! -e data/mended/meta.json -a ! -e data/mended/train.bin
cp kept in/b3.jsonl
direct mended --unit=500
check "when it is mended, it goes on" says 'data: goes on after'
check "to the same bytes as without" same mended all

# ---- refused ----------------------------------------------------------------------------------------

prepares other in char
check "characters have no token to end a document" ends 64
check "which is said" says 'TOKENIZER: char has no token to end a document with'
prepares other in/a/10.txt gpt2 '' 0.1
check "VAL is not for a text" says 'VAL: is for documents'
prepares other in gpt2 '' 1.5
check "a fraction that is none" says "'1.5' is not a fraction"
printf 'a text of its own, some words' >text.txt
prepares text text.txt
check "a text" ends 0
prepares text in
check "is not replaced by documents" says 'data/text/input.txt: is there already'
prepares all text.txt
check "nor documents by a text" says 'data/all/documents: is there already'
mkdir empty
prepares none empty
check "a folder with nothing in it" ends 65
cp in/b1.jsonl packed.gz
mkdir packed && mv packed.gz packed/
prepares none packed
check "compressed files" says 'packed/packed.gz: is compressed'

cd "$root" || exit 74
finish
