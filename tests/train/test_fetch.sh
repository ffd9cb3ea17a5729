#!/bin/sh
# test_fetch.sh: `make import URL=`: a model's files are downloaded whole, a download is continued, the sha256 is checked,
# and what is wrong is one line. The files come from a folder by file://; what a server says, from a curl made up here.
# shares: nothing
. tests/check.sh

root=$PWD
site=$tmp/site/o/m/resolve/main
mkdir -p "$site"
cd "$tmp" || exit 74
sha256() { sha256sum <"$1" | cut -d ' ' -f 1; }
fetch() { # words...: the path in $tmp/path, what is said in $tmp/said
    "$root/gen/import/fetch.sh" "$@" >"$tmp/path" 2>"$tmp/said"
    code=$?
    cat "$tmp/path" "$tmp/said"
    return $code
}
# Ends with this code, and the words in its last line.
refuses() { # code words fetch.sh's words...
    wanted=$1 words=$2
    shift 2
    fetch "$@"
    code=$?
    [ $code = "$wanted" ] && tail -n 1 "$tmp/said" | grep -qF -- "$words" && [ ! -s "$tmp/path" ] ||
        { echo "ended with $code, wanted $wanted and '$words'"; return 1; }
}
gives() { # path fetch.sh's words...
    wanted=$1
    shift
    fetch "$@" && [ "$(cat "$tmp/path")" = "$wanted" ]
}
there() { # files of models/m, in order
    [ "$(cd models/m && printf '%s ' *)" = "$* " ] || { ls models/m; return 1; }
}
again() { # forgets what was downloaded
    rm -rf models
}

# ---- a repository --------------------------------------------------------------------------------

url=file://$tmp/site/o/m
check "no config.json" refuses 66 'has no config.json' "$url" m
check "leaves nothing" [ ! -e models/m ]
echo '{}' >"$site/config.json"
check "no weights" refuses 66 'has neither model.safetensors nor' "$url" m
head -c 300000 /dev/urandom >"$site/model.safetensors"
check "a repository" gives models/m "$url/" m
check "without a tokenizer" grep -q 'has no tokenizer' said
check "has these files" there config.json model.safetensors source
check "whole" cmp models/m/model.safetensors "$site/model.safetensors"
check "another address does not go there" refuses 64 'is there already and is not a download of' "$url/tree/v2" m
again
echo v >"$site/vocab.json"
echo m >"$site/merges.txt"
check "with a tokenizer, and the right sha256" gives models/m "$url" m "$(sha256 "$site/model.safetensors")"
check "has all files" there config.json merges.txt model.safetensors source vocab.json
check "is not downloaded again" gives models/m "$url" m
check "says so" [ ! -s said ]
check "another sha256 is noticed then too" refuses 65 'once it is removed' "$url" m "$(sha256 "$site/vocab.json")"
again
check "another sha256" refuses 65 'models/m/model.safetensors.part: sha256 is' "$url" m "$(sha256 "$site/vocab.json")"
check "is no model" there config.json model.safetensors.part source
mkdir -p "$tmp/site/o/m/resolve/v2"
cp "$site"/* "$tmp/site/o/m/resolve/v2"
again
check "a revision" gives models/m "$url/tree/v2" m
again

# A part that is there is continued: its bytes stay, here other ones.
mkdir -p models/m
echo "$url" >models/m/source
{ echo begun; head -c 200000 "$site/model.safetensors" | tail -c +7; } >models/m/model.safetensors.part
check "a download that was stopped" gives models/m "$url" m
check "is continued" [ "$(head -n 1 models/m/model.safetensors)" = begun ]
check "to its end" [ "$(tail -c 250000 models/m/model.safetensors | sha256sum)" = "$(tail -c 250000 "$site/model.safetensors" | sha256sum)" ]
again
mkdir -p models/m
echo "$url" >models/m/source
cat "$site/model.safetensors" "$site/model.safetensors" >models/m/model.safetensors.part
check "a part that is longer than the file" gives models/m "$url" m
check "is downloaded anew" cmp models/m/model.safetensors "$site/model.safetensors"
again

mv "$site/model.safetensors" "$site/a-2.safetensors"
echo 1 >"$site/a-1.safetensors"
echo '{"weight_map":{"x":"a-1.safetensors","y":"a-2.safetensors","z":"a-1.safetensors"}}' >"$site/model.safetensors.index.json"
check "a model in two files" gives models/m "$url" m
check "has both" there a-1.safetensors a-2.safetensors config.json merges.txt model.safetensors.index.json source vocab.json
again
check "a sha256 of several files" refuses 64 'has its weights in several' "$url" m "$(sha256 "$site/vocab.json")"
rm "$site/a-1.safetensors"
check "one that is missing" refuses 66 'a-1.safetensors: no such file' "$url" m
again

# ---- a file --------------------------------------------------------------------------------------

check "a file" gives models/m/a-2.safetensors "file://$site/a-2.safetensors?download=true" m
check "alone" there a-2.safetensors source
again
check "no such file" refuses 66 'no such file' "file://$site/none.bin" m
check "a PyTorch file" refuses 65 'tests/reference/pytorch.py makes' "file://$site/pytorch_model.pt" m
check "no name" refuses 64 "NAME: ''" "$url" ''
check "a name that is a path" refuses 64 "NAME: '../m'" "$url" ../m
check "no address" refuses 64 "'gpt2' is no address" gpt2 m
check "half a sha256" refuses 64 'SHA256: has 8 digits' "$url" m 01234567
check "no sha256" refuses 64 'is not 64 digits' "$url" m xyz
check "leave nothing" [ ! -e models/m ]
mkdir -p out/m
: >out/m/ckpt.safetensors
check "an import that is there" refuses 64 'out/m: is there already' "$url" m
rm -r out

# ---- what a server says --------------------------------------------------------------------------

# curl: writes "whole" and what HEADERS says; with CODES, one for each call, it fails so.
mkdir bin
cat >bin/curl <<'END'
#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in -o) part=$2 ;; -D) headers=$2 ;; -C) [ ! -s "$part" ] || echo continued ;; esac
    shift
done
code=$(head -n 1 codes 2>/dev/null)
sed -i 1d codes 2>/dev/null
[ "${code:-0}" != 0 ] || echo whole >"$part"
printf '%b' "$HEADERS" >"$headers"
printf '%s why' "${STATUS-200}"
exit "${code:-0}"
END
chmod +x bin/curl
PATH=$tmp/bin:$PATH
export HEADERS=
file=https://huggingface.co/o/m/blob/main/x.gguf
check "a page about a file" gives models/m/x.gguf "$file" m
check "is where the file is" grep -qF 'https://huggingface.co/o/m/resolve/main/x.gguf' said
again
echo whole >whole
HEADERS="HTTP/2 302\r\nx-linked-etag: \"$(sha256 whole)\"\r\n"
check "Hugging Face's sha256" gives models/m/x.gguf "$file" m
again
HEADERS="HTTP/2 302\r\nX-Linked-Etag: \"$(sha256 said)\"\r\n"
check "is checked" refuses 65 "wanted $(sha256 said)" "$file" m
again
HEADERS=
echo 33 >codes
check "a server that does not continue" gives models/m/x.gguf "$file" m
again
printf '33\n33\n' >codes
check "nor begins" refuses 66 'the download failed (why)' "$file" m
for code in 6 18 28 56; do
    echo $code >codes
    check "a line that breaks, $code" refuses 66 'the same command continues it' "$file" m
done
echo 23 >codes
check "a full disk" refuses 74 'cannot be written' "$file" m
echo 22 >codes
STATUS=404 check "a file that is not there" refuses 66 'no such file' "$file" m
export STATUS=401
echo 22 >codes
check "one that is not for all" refuses 66 'the download failed (why)' "$file" m

# ---- all of it -----------------------------------------------------------------------------------

cd "$root" || exit 74
PATH=${PATH#*:}
rm -rf "$site" && mkdir "$site" && lua5.4 tests/train/hf.lua "$site"
name=fetch-test-$$
trap 'rm -rf "$tmp" "models/$name" "out/$name"' EXIT
check "make import URL=" make import URL="$url" SHA256="$(sha256 "$site/model.safetensors")" NAME=$name
check "is an import" [ -e "out/$name/$name.lua" ]
no_weights() {
    ! make train CONFIG=eval_gpt2 SET=init_from=out/none/ckpt.safetensors 2>"$tmp/line" &&
        grep -qF 'out/none/ckpt.safetensors: is not there; make import URL=https://huggingface.co/openai-community/gpt2 NAME=gpt2' "$tmp/line"
}
check "a config of published weights says where they come from" no_weights
finish
