#!/bin/sh
# library.sh: writes a file of the sampler's library for one model, from that of NAME in runtime/programs/library.
#
#     gen/tools/library.sh NAME FILE MODEL_DIR [TYPE]    to stdout; TYPE: of the weights, if it is not float32
#
# NAME becomes the model's, in capitals for constants, TITLE and WEIGHTS say which it is, and sizes are those of the emitted code.
set -eu
name=$1 file=$2 model=$3 type=${4:-}
size() { # MODEL_T
    sed -n "s/^ *$1 = \([0-9]*\),\$/\1/p" "$model/model.h"
}
title=$(sed -n '3s|^// *||p' "$model/model.h" | sed 's/[&|\\]/\\&/g')
weights="as a trainer writes it"
[ -z "$type" ] || weights="with weights in $type, as make sampler TYPE=$type writes it"
sed -e "s|TITLE|$title|; s|WEIGHTS|$weights|" \
    -e "s|\(NAME_CONTEXT\) = 1|\1 = $(size MODEL_T)|; s|\(NAME_VOCAB\) = 1|\1 = $(size MODEL_V)|" \
    -e "s|\(NAME_LAYERS\) = 1|\1 = $(size MODEL_L)|; s|\(NAME_HEADS\) = 1|\1 = $(size MODEL_H)|" \
    -e "s|\(NAME_MOST_SEQUENCES\) = 256, // at most.*|\1 = $(sed -n 's/^ *\.max_rows = \([0-9]*\),$/\1/p' \
        "$model/sample.c"), // at most|" \
    -e "s|NAME_\([A-Z]\)|$(echo "$name" | tr a-z A-Z)_\1|g; s|NAME|$name|g" "$file"
