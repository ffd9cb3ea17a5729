#!/bin/sh
# prepare.sh: makes a data set, data/DATASET/{train.bin, val.bin, meta.json}, with build/prepare.
#
#     data/prepare.sh DATASET [TEXT [TOKENIZER [NEWLINES [VAL]]]]   (re)makes it; TEXT is the path of a UTF-8 text, or
#                                                     of documents: a folder, or a file of JSON lines, .jsonl
#     data/prepare.sh --if-missing DATASET [DATA_DIR]   makes it if it is missing; else says if its text has changed
#     data/prepare.sh --hellaswag TEXT    makes data/hellaswag/hellaswag_val.bin, with build/hellaswag
#     data/prepare.sh --shards DATASET SHARDS VAL TOKENIZER   makes it of llm.c's token shards, with build/listing
#
# A train.bin and val.bin without a meta.json were made elsewhere, for example by nanoGPT: they are used as they are,
# and only a meta.json is written beside them. In another folder than data/ nothing else is made.
#
# Without TEXT the text is data/DATASET/input.txt, which three data sets can get by themselves:
# shakespeare_char and shakespeare download it, kjv takes it from Debian's package bible-kjv.
# TOKENIZER is char, gpt2, or the path of a byte-pair encoding: a tokenizer.json, a folder with one, a GGUF file, a
# checkpoint; data/DATASET/tokenizer is a link to it. The default is gpt2 for shakespeare, char for shakespeare_char,
# and for any other data set what it had before, else char. GPT-2's tokens need data/gpt2/vocab.bpe and
# data/gpt2/encoder.json, which are downloaded if they are missing.
# NEWLINES is lf (CR LF and CR are read as LF) or keep; the default is what the data set had, else keep.
# Documents have GPT-2's tokens, or those of a path, and VAL is the fraction of them to validate with; the default is
# what the data set had, else 0.0005. data/DATASET/documents is a link to them.
# Exit codes: 0 done, 64 usage, 65 a text or file is wrong, 66 a file is missing, 74 input or output failed, 75 stopped.
set -u
LC_ALL=C
export LC_ALL

tiny_url=https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt
tiny_sha256=86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed
gpt2_url=https://openaipublic.blob.core.windows.net/gpt-2/encodings/main
gpt2_vocab_bpe_sha256=1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5
gpt2_encoder_json_sha256=196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783

stop() { # code line; not by echo, which reads a path's \n as a new line
    printf '%s\n' "$2" >&2
    exit "$1"
}
sha256() {
    sha256sum <"$1" | cut -d ' ' -f 1
}

# Downloads to a temporary file first, so that the file is there whole or not at all.
download() { # url file sha256 [what else to do by hand]
    echo "data: downloading $1"
    why=$(curl -fsSL --connect-timeout 10 --max-time 120 -o "$part" "$1" 2>&1) ||
        stop 66 "$2: missing, and the download failed ($(echo "$why" | head -n 1)); put $1 there${4-}"
    found=$(sha256 "$part")
    [ "$found" = "$3" ] || stop 65 "$1: sha256 is $found, wanted $3; put the right file at $2"
    sync "$part" && mv "$part" "$2" || exit 74
}
# Checks a file of GPT-2's tokenizer, or downloads it.
gpt2_file() { # name sha256 [what else to do by hand]
    file=data/gpt2/$1
    if [ -f "$file" ]; then
        found=$(sha256 "$file")
        [ "$found" = "$2" ] ||
            stop 65 "$file: sha256 is $found, wanted $2; remove it: it is then downloaded, or put $gpt2_url/$1 there"
    else
        mkdir -p data/gpt2 || exit 74
        part=$file.part
        download "$gpt2_url/$1" "$file" "$2" "${3-}"
    fi
}
gpt2_files() {
    gpt2_file vocab.bpe $gpt2_vocab_bpe_sha256 ", and encoder.json of the same folder beside it"
    gpt2_file encoder.json $gpt2_encoder_json_sha256
}

if [ "${1-}" = --hellaswag ]; then
    [ -n "${2-}" ] || stop 64 "TEXT is missing: make data EVAL=hellaswag TEXT=path/to/hellaswag_val.jsonl"
    [ -f "$2" ] || stop 66 "$2: no such file; TEXT is the path of hellaswag_val.jsonl, of github.com/rowanz/hellaswag"
    part=
    trap '[ -z "$part" ] || rm -f "$part"' EXIT
    trap 'exit 130' INT TERM
    gpt2_files
    mkdir -p data/hellaswag || exit 74
    build/hellaswag --text="$2" --out=data/hellaswag/hellaswag_val.bin
    exit
fi

if_missing=
[ "${1-}" = --if-missing ] && if_missing=1 && shift
shards= shards_val=
if [ "${1-}" = --shards ]; then
    shards=$3 shards_val=$4
    set -- "$2" '' "$5" ''
fi
dataset=${1-}
text=${2-}
tokenizer=${3-}
newlines=${4-}
val=${5-}
data_dir=data
[ -n "$if_missing" ] && data_dir=${2:-data} text=
case $dataset in
    '') stop 64 "DATASET is missing: make data DATASET=mytext TEXT=path/to/file.txt" ;;
    [.-]* | *[!A-Za-z0-9_.-]*) stop 64 "DATASET: '$dataset' is not a name (letters, digits, _ . -)" ;;
    gpt2) stop 64 "DATASET: data/gpt2 is where GPT-2's tokenizer lies; choose another name" ;;
esac
[ ${#dataset} -le 200 ] || stop 64 "DATASET: a name of ${#dataset} characters; 200 are the most"
[ -z "$shards" ] || [ -n "$tokenizer" ] ||
    stop 64 "TOKENIZER is missing: shards do not say whose tokens they have; TOKENIZER=gpt2, a tokenizer's path, or ids:COUNT"
case $tokenizer in
    '' | char | gpt2) ;;
    ids:*) [ -n "$shards" ] || stop 64 "TOKENIZER: ids:COUNT is for SHARDS; there are: char, gpt2, a tokenizer's path" ;;
    *)
        [ -e "$tokenizer" ] ||
            stop 64 "TOKENIZER: '$tokenizer' is neither char, gpt2 nor a path of a tokenizer.json, .gguf, checkpoint or folder"
        ;;
esac
case $newlines in
    '' | lf | keep) ;;
    *) stop 64 "NEWLINES: '$newlines' is not known; there are: lf, keep" ;;
esac
case $dataset/$tokenizer in
    shakespeare/ | shakespeare/gpt2 | shakespeare_char/ | shakespeare_char/char) ;;
    shakespeare/* | shakespeare_char/*)
        stop 64 "TOKENIZER: shakespeare has GPT-2's tokens, shakespeare_char characters; take that one, or another DATASET"
        ;;
esac
dir=$data_dir/$dataset
input=$dir/input.txt
documents=$dir/documents

listed() { grep -qs '^  "shards": {$' "$dir/meta.json"; }
if [ -n "$shards" ]; then
    [ "$tokenizer" != gpt2 ] || gpt2_files
    build/listing --out="$dir" --name="$dataset" --shards="$shards" --val="$shards_val" --tokenizer="$tokenizer" || exit
    printf 'data: %s\n' "$dir"
    exit 0
fi
if listed; then
    [ -z "$if_missing" ] ||
        { printf 'data: %s\n' "$dir" && exit 0; }
    stop 64 "$dir/meta.json: lists token shards; SHARDS= and TOKENIZER= list them again, for a text take another DATASET"
fi
if [ -n "$if_missing" ] && [ -f "$dir/train.bin" ] && [ -f "$dir/val.bin" ] &&
    [ -f "$dir/meta.json" ]; then
    printf 'data: %s\n' "$dir"
    if [ -e "$documents" ] && [ -n "$(find -L "$documents" -newer "$dir/train.bin" -print -quit)" ]; then
        printf '%s %s\n' "$documents: has changed since $dir was prepared, which is used as it is;" \
            "'make data DATASET=$dataset' prepares it again"
    fi
    # The text can only differ if it was written after the tokens; otherwise do not read it.
    if [ -f "$input" ] && ! grep -q '"adopted": true' "$dir/meta.json" &&
        [ "$(stat -L -c %Z "$input")" -ge "$(stat -c %Y "$dir/train.bin")" ] &&
        ! grep -q "$(sha256 "$input")" "$dir/meta.json"; then
        printf '%s %s\n' "$input: the text has changed since $dir was prepared, which is used as it is;" \
            "'make data DATASET=$dataset' prepares it again"
    fi
    exit 0
fi
part=$dir/input.txt.part
trap 'rm -f "$part"; rmdir "$dir" data/gpt2 2>/dev/null' EXIT
trap 'exit 130' INT TERM
adopted() { grep -qs '"adopted": true' "$dir/meta.json"; }
if [ -z "$text$tokenizer$newlines" ] && [ -f "$dir/train.bin" ] && [ -f "$dir/val.bin" ] &&
    [ ! -e "$dir/meta.json.tmp" ] && { [ ! -e "$dir/meta.json" ] || { [ -z "$if_missing" ] && adopted; }; }; then
    [ -f "$dir/meta.pkl" ] || gpt2_files
    build/prepare --adopt="$dir" --name="$dataset" || exit
    printf 'data: %s\n' "$dir"
    exit 0
fi
if [ -z "$newlines" ]; then
    newlines=keep
    grep -qs '"newlines": "lf"' "$dir/documents.json" "$dir/meta.json" && newlines=lf
fi
[ "$data_dir" = data ] || exit 0 # the trainer will say what is missing

# A tokenizer's path is remembered as a link, as a text's is.
own_tokenizer=$dir/tokenizer
if [ -z "$tokenizer" ] && [ -L "$own_tokenizer" ]; then
    tokenizer=$(readlink "$own_tokenizer") || exit 74
    [ -e "$tokenizer" ] || stop 66 "$tokenizer: no such file or folder; $own_tokenizer leads there"
fi
keep_tokenizer() {
    case $tokenizer in
        char | gpt2) rm -f "$own_tokenizer" || exit 74 ;;
        *) ln -sfn "$(realpath "$tokenizer")" "$own_tokenizer" || exit 74 ;;
    esac
}

# Documents: build/prepare goes on with what an earlier run has done, and takes signals itself.
case $text in -*) text=./$text ;; esac # so that the programs below do not take it for a flag
if [ -z "$text" ] && [ -L "$documents" ]; then
    text=$(readlink "$documents") || exit 74
    [ -e "$text" ] || stop 66 "$text: no such file or folder; $documents leads there"
fi
case $text in *.jsonl) [ ! -f "$text" ] || many=1 ;; *) [ ! -d "$text" ] || many=1 ;; esac
if [ -n "${many-}" ]; then
    [ "$tokenizer" != char ] ||
        stop 64 "TOKENIZER: char has no token to end a document with; documents are encoded with gpt2, or a tokenizer's path"
    case $dataset in shakespeare | shakespeare_char | kjv) stop 64 "DATASET: $dataset is a text's; choose another name" ;; esac
    if [ -e "$input" ] || [ -L "$input" ]; then
        stop 64 "$input: is there already, and a data set is of a text or of documents; choose another DATASET"
    fi
    if [ -z "$val" ]; then
        val=$(sed -n 's/^  "val_fraction": "\([0-9.]*\)".*/\1/p' "$dir/documents.json" "$dir/meta.json" 2>/dev/null | head -n 1)
    fi
    tokenizer=${tokenizer:-gpt2}
    [ "$tokenizer" != gpt2 ] || gpt2_files
    mkdir -p "$dir" || exit 74
    keep_tokenizer
    [ "$(realpath "$text")" = "$(realpath "$documents" 2>/dev/null)" ] || ln -sfn "$(realpath "$text")" "$documents" || exit 74
    exec build/prepare --documents="$text" --out="$dir" --name="$dataset" --tokenizer="$tokenizer" \
        --newlines="$newlines" --val="${val:-0.0005}"
fi
[ -z "$val" ] || stop 64 "VAL: is for documents; of one text the last tenth is for validation"

case $dataset/$tokenizer in
    shakespeare/) tokenizer=gpt2 ;;
    */)
        tokenizer=char
        grep -qs '"tokenizer": "bpe gpt2 ' "$dir/meta.json" && tokenizer=gpt2
        ;;
esac

mkdir -p "$dir" || exit 74

case $dataset in
    shakespeare_char) twin=shakespeare ;;
    shakespeare) twin=shakespeare_char ;;
    *) twin= ;;
esac
[ ! -e "$documents" ] ||
    stop 64 "$documents: is there already, and a data set is of a text or of documents; choose another DATASET"
[ ! -d "$input" ] || stop 65 "$input: is a folder; wanted a UTF-8 text"
[ ! -e "${text:-$input}" ] || [ -f "${text:-$input}" ] ||
    stop 65 "${text:-$input}: is not a regular file, and a text is read twice; save it to one first"
if [ -n "$text" ]; then
    [ -f "$text" ] || stop 66 "$text: no such file; TEXT is the path of a UTF-8 text"
    if [ -f "$input" ] && [ ! -L "$input" ] && ! cmp -s "$text" "$input"; then
        stop 64 "$input: is there already and is another text than $text; remove it, or choose another DATASET"
    fi
elif [ ! -f "$input" ]; then
    case $dataset in
        shakespeare_char | shakespeare)
            if [ -f "data/$twin/input.txt" ] && [ "$(sha256 "data/$twin/input.txt")" = $tiny_sha256 ]; then
                cat "data/$twin/input.txt" >"$part" || exit 74
            else
                download "$tiny_url" "$input" "$tiny_sha256"
            fi
            ;;
        kjv)
            command -v bible >/dev/null ||
                stop 66 "$input: no such file, and no 'bible' command (apt-get install bible-kjv) to make it with"
            # bible reads a text in the working folder first, so run it elsewhere.
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
if [ -n "$twin" ] && [ "$hash" != $tiny_sha256 ]; then
    stop 65 "$source: sha256 is $hash, wanted $tiny_sha256; another text is another data set: make data DATASET=mytext TEXT=..."
fi
if [ "$source" = "$part" ]; then
    sync "$part" && mv "$part" "$input" || exit 74
    source=$input
fi
[ "$tokenizer" != gpt2 ] || gpt2_files
build/prepare --text="$source" --out="$dir" --name="$dataset" --sha256="$hash" --tokenizer="$tokenizer" \
    --newlines="$newlines" || exit
keep_tokenizer
if [ -n "$text" ] && { [ -L "$input" ] || [ ! -e "$input" ]; } &&
    [ "$(realpath "$text")" != "$(realpath "$input")" ]; then
    # Link to the text, so that a later change of it is noticed.
    ln -sfn "$(realpath "$text")" "$input" || exit 74
fi
printf 'data: %s\n' "$dir"
