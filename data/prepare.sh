#!/bin/sh
# prepare.sh: makes a data set, data/DATASET/{train.bin, val.bin, meta.json}, with build/prepare.
#
#     data/prepare.sh DATASET [TEXT]        anew; TEXT is the path of a UTF-8 text
#     data/prepare.sh --if-missing DATASET  where it is missing; else says if its text has changed
#
# Without TEXT the text is data/DATASET/input.txt, which two data sets can make on their own:
# shakespeare_char downloads it, kjv takes it from Debian's bible-kjv package.
# Exit codes: 0 done, 64 usage, 65 the text is wrong, 66 a file is missing, 74 input or output.
set -u

tiny_url=https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt
tiny_sha256=86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed

stop() { # code line
    echo "$2" >&2
    exit "$1"
}
sha256() {
    sha256sum <"$1" | cut -d ' ' -f 1
}

if_missing=
[ "${1-}" = --if-missing ] && if_missing=1 && shift
dataset=${1-}
text=${2-}
case $dataset in
    '') stop 64 "DATASET is missing: make data DATASET=mytext TEXT=path/to/file.txt" ;;
    [.-]* | *[!A-Za-z0-9_.-]*) stop 64 "DATASET: '$dataset' is no name (letters, digits, _ . -)" ;;
esac
dir=data/$dataset
input=$dir/input.txt

if [ -n "$if_missing" ] && [ -f "$dir/train.bin" ] && [ -f "$dir/val.bin" ] &&
    [ -f "$dir/meta.json" ]; then
    echo "data: $dir"
    # A text that was not written since the tokens were cannot differ: spare reading it.
    if [ -f "$input" ] && [ "$(stat -L -c %Z "$input")" -ge "$(stat -c %Y "$dir/train.bin")" ] &&
        ! grep -q "$(sha256 "$input")" "$dir/meta.json"; then
        echo "$input: the text has changed since $dir was prepared, which is used as it is;" \
            "'make data DATASET=$dataset' prepares it anew"
    fi
    exit 0
fi

part=$dir/input.txt.part
trap 'rm -f "$part"; rmdir "$dir" 2>/dev/null' EXIT
trap 'exit 130' INT TERM
mkdir -p "$dir" || exit 74

if [ -n "$text" ]; then
    [ -f "$text" ] || stop 66 "$text: no such file; TEXT is the path of a UTF-8 text"
    if [ -f "$input" ] && [ ! -L "$input" ] && ! cmp -s "$text" "$input"; then
        stop 64 "$input: is there already and is another text than $text; remove it, or choose another DATASET"
    fi
elif [ ! -f "$input" ]; then
    case $dataset in
        shakespeare_char)
            echo "data: downloading $tiny_url"
            why=$(curl -fsSL --connect-timeout 10 --max-time 120 -o "$part" "$tiny_url" 2>&1) ||
                stop 66 "$input: missing, and the download failed ($why); put $tiny_url there"
            ;;
        kjv)
            command -v bible >/dev/null ||
                stop 66 "$input: no such file, and no 'bible' command (apt-get install bible-kjv) to make it with"
            # Its text is looked for in the working folder first.
            (cd / && bible -f ge1:1-re22:21 </dev/null) >"$part" || stop 74 "$input: 'bible -f' failed"
            [ "$(wc -c <"$part")" -gt 4000000 ] || stop 65 "$input: 'bible -f' gave only $(wc -c <"$part") bytes"
            ;;
        *) stop 66 "$input: no such file; make data DATASET=$dataset TEXT=path/to/file.txt" ;;
    esac
fi
source=$input
[ -f "$part" ] && source=$part
[ -n "$text" ] && source=$text
hash=$(sha256 "$source")
if [ "$dataset" = shakespeare_char ] && [ "$hash" != $tiny_sha256 ]; then
    stop 65 "$source: sha256 is $hash, wanted $tiny_sha256; another text is another data set: make data DATASET=mytext TEXT=..."
fi
if [ "$source" = "$part" ]; then
    mv "$part" "$input" || exit 74
    source=$input
fi
build/prepare --text="$source" --out="$dir" --name="$dataset" --sha256="$hash" || exit
if [ -n "$text" ] && [ "$(realpath "$text")" != "$(realpath "$input")" ]; then
    # A link: the text stays where it is, and a change to it is seen.
    ln -sfn "$(realpath "$text")" "$input" || exit 74
fi
echo "data: $dir"
