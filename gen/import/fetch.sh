#!/bin/sh
# fetch.sh: downloads a published model into models/NAME, for `make import URL=...`, and prints the path to import:
#
#     gen/import/fetch.sh URL NAME [SHA256]
#
# URL is that of a file (.safetensors, .gguf, .bin), or of a repository at Hugging Face, whose config.json, weights and
# tokenizer are taken (URL/resolve/main/FILE; URL/tree/REVISION for another revision). SHA256 is that of the file, or of
# the repository's model.safetensors; Hugging Face states it of large files itself, and then it is checked without.
#
# A file gets its name when it is whole; until then it is NAME.part, which the same command continues. Files that are
# there are not downloaded again.
# Exit codes: 0 done, 64 usage, 65 another sha256, 66 a file is missing or a download failed, 74 cannot be written.
set -u
LC_ALL=C
export LC_ALL

stop() { # code line
    printf '%s\n' "$2" >&2
    exit "$1"
}
say() {
    printf '%s\n' "$1" >&2 # what is printed is the path
}

url=${1-}
url=${url%/}
name=${2-}
sha256=${3-}
case $name in
    '' | [!A-Za-z0-9_]* | *[!A-Za-z0-9_.+-]*)
        stop 64 "NAME: '$name' is not a name of letters, digits, '_', '-', '.', '+'; make import URL=address NAME=gpt2-hf"
        ;;
esac
[ ${#name} -le 200 ] || stop 64 "NAME: has ${#name} characters; 200 are the most"
case $url in
    *[!!-~]*) stop 64 "URL: has a space or another character that no address has; write it as %20" ;;
    https://?* | http://?* | file:///?*) ;;
    *) stop 64 "URL: '$url' is no address; one that begins with https:// is wanted" ;;
esac
case $sha256 in
    *[!0-9a-f]*) stop 64 "SHA256: '$sha256' is not 64 digits of 0 to 9 and a to f" ;;
esac
[ -z "$sha256" ] || [ ${#sha256} = 64 ] || stop 64 "SHA256: has ${#sha256} digits; 64 are wanted"
[ ! -e "out/$name/ckpt.safetensors" ] || stop 64 "out/$name: is there already; take another NAME, or remove it"
command -v curl >/dev/null || stop 66 "curl is not installed; apt-get install curl"

dir=models/$name
if [ -e "$dir" ] && [ "$(cat "$dir/source" 2>/dev/null)" != "$url" ]; then
    stop 64 "$dir: is there already and is not a download of $url; take another NAME, or remove it"
fi
mkdir -p "$dir" && printf '%s\n' "$url" >"$dir/source" || exit 74
headers=$dir/headers.tmp
finish() {
    rm -f "$headers"
    [ "$(ls -A "$dir")" != source ] || rm -r "$dir" # nothing came
}
trap finish EXIT
trap 'exit 130' INT TERM
progress=-s
[ ! -t 2 ] || progress=--progress-bar

# Whether a file has this sha256, or none is wanted; otherwise the program ends.
matches() { # path sha256
    [ -n "$2" ] || return 0
    found=$(sha256sum <"$1" | cut -d ' ' -f 1)
    [ "$found" = "$2" ] || stop 65 "$1: sha256 is $found, wanted $2; once it is removed, the same command downloads it anew"
}

# Downloads a file, or the rest of it. Ends the program if that fails; returns 1 if there is no such file.
get() { # url name [sha256]
    part=$dir/$2.part
    if [ -f "$dir/$2" ]; then
        matches "$dir/$2" "${3-}"
        return
    fi
    again=
    while :; do
        say "import: downloading $1"
        : >"$headers" || exit 74
        said=$(curl -fL $progress -C - --proto =https,http,file --proto-redir =https,http --connect-timeout 10 \
            --speed-limit 1 --speed-time 60 -D "$headers" -o "$part" -w '%{http_code} %{errormsg}' -- "$1")
        code=$?
        why=${said#* }
        case $code/$said in
            0/*) break ;;
            22/404* | 37/*) return 1 ;;
            33/* | 36/*) # what is there cannot be continued
                [ -z "$again" ] || stop 66 "$1: the download failed ($why)"
                again=yes
                rm -f "$part"
                ;;
            23/*) stop 74 "$part: cannot be written ($why)" ;;
            *) stop 66 "$1: the download failed ($why); the same command continues it" ;;
        esac
    done
    wanted=${3-}
    [ -n "$wanted" ] ||
        wanted=$(sed -n 's/^[Xx]-[Ll]inked-[Ee][Tt]ag: *"\([0-9a-f]\{64\}\)".*/\1/p' "$headers" | head -n 1)
    matches "$part" "$wanted"
    sync "$part" && mv "$part" "$dir/$2" || exit 74
}

file=${url%%[?#]*}
file=${file##*/}
case $file in
    *.safetensors | *.gguf | *.bin)
        case $file in
            [!A-Za-z0-9_]* | *[!A-Za-z0-9_.+-]*) stop 64 "URL: '$file' is not the name of a file here; download it by hand" ;;
        esac
        case $url in # the page about a file
            https://huggingface.co/*/blob/*) url=${url%%/blob/*}/resolve/${url#*/blob/} ;;
        esac
        get "$url" "$file" "$sha256" || stop 66 "$url: no such file"
        printf '%s\n' "$dir/$file"
        exit
        ;;
    *.pt | *.pth)
        stop 65 "$url: is a PyTorch file, which nothing here unpickles; tests/reference/pytorch.py makes a safetensors file of it"
        ;;
esac
revision=main
case $url in
    */tree/*)
        revision=${url##*/tree/}
        url=${url%/tree/*}
        ;;
esac
from=$url/resolve/$revision
get "$from/config.json" config.json ||
    stop 66 "$url: has no config.json; a repository of a GPT-2 at Hugging Face, or a file's address, is wanted"
if ! get "$from/model.safetensors" model.safetensors "$sha256"; then
    index=model.safetensors.index.json
    get "$from/$index" "$index" || stop 66 "$url: has neither model.safetensors nor $index; another format is not read"
    [ -z "$sha256" ] || stop 64 "SHA256: is that of one file, but $url has its weights in several; leave it out"
    for shard in $(grep -o '"[A-Za-z0-9_][A-Za-z0-9_.-]*\.safetensors"' "$dir/$index" | tr -d '"' | sort -u); do
        get "$from/$shard" "$shard" || stop 66 "$from/$shard: no such file, but $index names it"
    done
fi
{ get "$from/vocab.json" vocab.json && get "$from/merges.txt" merges.txt; } ||
    get "$from/tokenizer.json" tokenizer.json || say "import: $url has no tokenizer"
printf '%s\n' "$dir"
