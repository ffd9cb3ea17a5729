#!/bin/sh
# test_peers.sh: peers.py with made-up contenders that answer made-up times: who is tried, who comes
# into the turns, medians, ratios, and what is said where one stops. PyTorch is not needed.
set -u
cd "$(dirname "$0")/../.." || exit 74
command -v python3 >/dev/null || { echo "test_peers: python3: not found"; exit 77; }
export PYTHONDONTWRITEBYTECODE=1
. tests/check.sh
# ours: 10 ms, but 30 and 31 in the first turn. The sizes that the others get must be the config's.
cat >"$tmp/bench" <<'END'
#!/bin/sh
echo "$@" >"${0%/*}/ours"
[ ! -e "${0%/*}/broken" ] || { echo 'bench: it is broken' >&2; exit 71; }
read -r seconds && echo '{"ms": [30, 31], "peak_rss_bytes": 1048576}'
while read -r seconds; do echo '{"ms": [10, 10, 10], "peak_rss_bytes": 2097152}'; done
END
chmod +x "$tmp/bench"
cat >"$tmp/worker.py" <<'END'
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
malloc, words = "MALLOC_ARENA_MAX" in os.environ, set(sys.argv)
sizes = json.load(open(next(w for w in words if w.startswith("--sizes="))[8:]))
assert sizes["n_layer"] == 4 and sizes["bias"] is False and sizes["dropout"] == 0.25, sizes
assert "--threads=2" in words, words
compile, fused = "--compile" in words, "--fused" in words
assert fused == (os.environ.get("OMP_NUM_THREADS") == "2"), "threads"
if compile and os.path.exists(here + "/no-compiler"):
    sys.exit("worker: no C++ compiler")
print(json.dumps({"torch": "9.9", "params": 1234, "capability": "AVX9", "product_gflops": 100 + malloc}), flush=True)
ms = 50 if not fused else 40 - 15 * compile - 5 * malloc
for line in sys.stdin:
    assert float(line) == 0.25, line
    print(json.dumps({"ms": [ms, ms + 1, ms], "peak_rss_bytes": ms << 20}), flush=True)
END
figures() {
    cat <<END
{"program": "bench", "config": "model=gpt n_layer=4 bias=false optimizer=${2-adamw}", "threads": 2, "dropout": 0.25,
 "grad_clip": 1, "params": $1, "flop_per_step": 1e9, "peak_gflops": 400, "plan_bytes": 1, "kernels": [{"name": "a"}]}
END
}
peers() { # flags of bench; the exit code in code
    cp "$tmp/bench.json" "$tmp/before"
    python3 tests/bench/peers.py --rounds=3 --seconds=0.25 --worker="$tmp/worker.py" "$tmp/bench" "$@" \
        >"$tmp/log" 2>&1 </dev/null
    code=$?
}
holds() { # a condition in Python on the figures
    python3 -c 'import json, sys; j = json.load(open(sys.argv[1])); assert eval(sys.argv[2]), sys.argv[2]' \
        "$tmp/bench.json" "$1"
}
refuses() { # exit code, the line
    test $code = "$1" && grep -qxF -- "$2" "$tmp/log" && test "$(wc -l <"$tmp/log")" = 1 &&
        cmp "$tmp/bench.json" "$tmp/before"
}

figures 1234 >"$tmp/bench.json"
peers --dropout=0.25
check "it runs" test $code = 0
check "ours serves, with bench's flags" grep -qx -- '--serve --threads=2 --dropout=0.25' "$tmp/ours"
check "all ways to tune are tried" holds '[(p["name"], p["ms_median"]) for p in j["peers_tried"]] == [
    ("torch.compile, fused AdamW, malloc", 20), ("torch.compile, fused AdamW", 25),
    ("eager, fused AdamW, malloc", 35), ("eager, fused AdamW", 40)]'
check "the best two come into the turns" holds '[p["name"] for p in j["peers"]] == [
    "ours", "as installed", "torch.compile, fused AdamW, malloc", "torch.compile, fused AdamW"]'
check "medians over all turns" holds '[p["ms_median"] for p in j["peers"]] == [10, 50, 20, 25]'
check "quantiles" holds 'j["peers"][0]["ms_p90"] == 30 and j["peers"][1]["ms_p90"] == 51'
check "steps of the turns alone" holds '[p["steps"] for p in j["peers"]] == [8, 9, 9, 9]'
check "ratios" holds '[p["ratio"] for p in j["peers"]] == [1, 5, 2, 2.5]'
check "shares of the peak" holds '[p["share_of_peak"] for p in j["peers"]] == [0.25, 0.05, 0.125, 0.1]'
check "memory" holds '[p["peak_rss_bytes"] >> 20 for p in j["peers"]] == [2, 50, 20, 25]'
check "for the table" holds '(j["torch"], j["torch_best"]) == ("9.9", "torch.compile, fused AdamW, malloc")'
check "figures for the table" holds '[j[k] for k in ("ms_in_turns", "torch_ms_installed", "torch_ms_best",
    "ratio_installed", "ratio_best", "torch_rss_bytes")] == [10, 50, 20, 5, 2, 20 << 20]'
check "PyTorch's best product" holds 'j["torch_product_gflops"] == 101'
check "what bench wrote is still there" holds 'j["flop_per_step"] == 1e9 and j["kernels"] == [{"name": "a"}]'
check "against the best, said" grep -qx 'ours against the best (torch.compile, fused AdamW, malloc): 2.00x' "$tmp/log"

touch "$tmp/no-compiler"
peers
check "no compiler: the others compete" holds '[p["ms_median"] for p in j["peers"]] == [10, 50, 35, 40]'
check "and it is said" grep -qx 'peers: torch.compile, fused AdamW is left out: worker: no C++ compiler' "$tmp/log"

touch "$tmp/broken"
peers
check "ours stops" test $code = 1
check "its line" grep -qx 'peers: a contender stopped: bench: it is broken' "$tmp/log"
check "the figures stay" cmp "$tmp/bench.json" "$tmp/before"
rm "$tmp/broken"

# ---- what it refuses -----------------------------------------------------------------------------

figures 77 >"$tmp/bench.json"
peers
check "another model" refuses 70 'peers: 1234 parameters, ours has 77'
figures 1234 sgd >"$tmp/bench.json"
peers
check "another optimizer" refuses 64 'peers: model=gpt optimizer=sgd: the peers know a GPT with AdamW alone'
echo '{"program": ' >"$tmp/bench.json"
peers
check "no JSON" test $code = 65 -a "$(wc -l <"$tmp/log")" = 1
echo '{"device": "H200"}' >"$tmp/bench.json"
peers
check "a GPU's" refuses 64 "peers: $tmp/bench.json: is of a GPU; make gpu-bench runs PyTorch beside it"
peers --json="$tmp/none.json"
check "no figures" refuses 66 "peers: $tmp/none.json: is not there; run bench first"
PYTHON=false tests/bench/peers.sh "$tmp/bench" >"$tmp/log" 2>&1
check "a Python without PyTorch" test $? = 66 -a "$(wc -l <"$tmp/log")" = 1

finish
