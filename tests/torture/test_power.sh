#!/bin/sh
# test_power.sh: durable: the power is cut behind each call of small runs, and what was not synced is lost, or its names
# are there without its bytes, or any part of it (disk.lua): no file with a final name is damaged, what was saved is
# there, and the same command again comes to the same bytes. Without any one fsync this is not so.
# shares: torture-tiny
set -u
cd "$(dirname "$0")/../.." || exit 74
. tests/torture/torture.sh
small_runs

# Cuts in all; how many random ways at each call, and on one of how many disks the command is run again.
random_ways=2 share=20
[ -z "$all" ] || random_ways=8 share=1
power() { # cut or without, share
    lua5.4 tests/torture/power.lua "$small/work" "$small/bin" "$small/texts" "$seed" "$1" $random_ways "$2"
}
# What a sweep has to find again is written by Lua: its bytes are synced before it has its name, its name behind that.
durable() {
    mkdir -p "$tmp/lua"
    folder=$tmp/lua $tracer --under="$tmp/lua" --calls=rename,fsync record "$tmp/calls" lua5.4 -E -e '
        package.path = "./?.lua;" .. package.path
        require("gen.base.files").write(os.getenv("folder") .. "/plan", "text\n", true)'
    cut -f 2 "$tmp/calls" | tr '\n' ' ' | tee /dev/stderr | grep -qx 'fsync rename fsync '
}
check "what Lua writes durably" durable
# An exported folder has its name once all that is in it is synced; then its name is.
exported() {
    mkdir -p "$tmp/export/out" && lua5.4 -E tests/train/checkpoint.lua "$tmp/export/model" && make build/export && {
        echo '#!/bin/sh'
        echo '[ $# != 1 ] || exec build/export "$@"'
        echo 'exec "$tracer" --under="$folder" --calls=rename,fsync record "$folder/../calls" build/export "$@"'
    } >"$tmp/export/export" && chmod +x "$tmp/export/export" || return
    tracer=$tracer folder="$tmp/export/out" lua5.4 gen/export.lua --build="$tmp/export" --checkpoint="$tmp/export/model" \
        --format=hf --to="$tmp/export/out/hf" || return
    cut -f 2,7 "$tmp/export/calls" | sed "s,$tmp/export/out/*,," | tee /dev/stderr | awk '
        $1 == "fsync" { synced[$2] = NR }
        $1 == "rename" && $2 == "hf.tmp" { renamed = NR }
        END {
            count = split("model.safetensors.tmp config.json generation_config.json tokenizer.json vocab.json " \
                "tokenizer_config.json", name, " ")
            for (i = 1; i <= count; i++) good += synced["hf.tmp/" name[i]] && synced["hf.tmp/" name[i]] < synced["hf.tmp"]
            exit !(good == count && synced["hf.tmp"] < renamed && renamed < synced[""])
        }'
}
check "what make export writes" exported
check "power cuts (SEED=$seed)" power cut $share
reached "durable through a power cut" "$(tail -n 1 "$tmp/checked")"
check "without any one fsync it fails (SEED=$seed)" power without 1
reached "durable, and each fsync is needed" "$(tail -n 1 "$tmp/checked")"

finish
