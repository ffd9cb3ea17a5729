#!/bin/sh
# test_peers.sh: peers.py with fake contenders that give made-up times: which are tried, which take
# turns, medians, ratios, and the message if one stops. PyTorch is not needed.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
command -v python3 >/dev/null || { echo "test_peers: python3: not found"; exit 77; }
export PYTHONDONTWRITEBYTECODE=1
. tests/check.sh
# ours: 10 ms, but 30 and 31 in the first turn. The others must get the config's sizes.
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
held = [os.environ.get(key) for key in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS",
    "TORCHINDUCTOR_CPP_MARCH")]
assert held in ([None] * 4, ["avx2", "AVX2", "AVX2", "x86-64-v3"]), held
held = held[0] is not None
assert held == ("TORCHINDUCTOR_CACHE_DIR" in os.environ), "a cache of its own"
if held and os.path.exists(here + "/no-held"):
    sys.exit("worker: cannot be held")
isa = "AVX2" if held and not os.path.exists(here + "/deaf") else "AVX9"
print(json.dumps({"torch": "9.9", "params": 1234, "capability": isa, "product_gflops": 100 + malloc + held}), flush=True)
ms = 50 if not fused else 40 - 15 * compile - 5 * malloc - 4 * held
assert fused or "--autocast" not in words
ms = ms // 2 if "--autocast" in words else ms
for line in sys.stdin:
    assert float(line) == 0.25, line
    print(json.dumps({"ms": [ms, ms + 1, ms], "peak_rss_bytes": ms << 20}), flush=True)
END
figures() { # parameters, [optimizer], [more]
    cat <<END
{"program": "bench", "config": "model=gpt n_layer=4 bias=false optimizer=${2-adamw}", "threads": 2, "dropout": 0.25,
 "grad_clip": 1, "params": $1, "flop_per_step": 1e9, "peak_gflops": 400, "plan_bytes": 1, ${3-}"kernels": [{"name": "a"}]}
END
}
autocast=no
peers() { # flags of bench; the exit code in code
    cp "$tmp/bench.json" "$tmp/before"
    python3 tests/bench/peers.py --autocast=$autocast --rounds=3 --seconds=0.25 --worker="$tmp/worker.py" "$tmp/bench" "$@" \
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
check "all tunings are tried" holds '[(p["name"], p["ms_median"]) for p in j["peers_tried"]] == [
    ("torch.compile, fused AdamW, malloc", 20), ("torch.compile, fused AdamW", 25),
    ("eager, fused AdamW, malloc", 35), ("eager, fused AdamW", 40)]'
check "the best two take turns" holds '[p["name"] for p in j["peers"]] == [
    "ours", "as installed", "torch.compile, fused AdamW, malloc", "torch.compile, fused AdamW"]'
check "medians over all turns" holds '[p["ms_median"] for p in j["peers"]] == [10, 50, 20, 25]'
check "quantiles" holds 'j["peers"][0]["ms_p90"] == 30 and j["peers"][1]["ms_p90"] == 51'
check "only steps of the turns count" holds '[p["steps"] for p in j["peers"]] == [8, 9, 9, 9]'
check "ratios" holds '[p["ratio"] for p in j["peers"]] == [1, 5, 2, 2.5]'
check "shares of the peak" holds '[p["share_of_peak"] for p in j["peers"]] == [0.25, 0.05, 0.125, 0.1]'
check "memory" holds '[p["peak_rss_bytes"] >> 20 for p in j["peers"]] == [2, 50, 20, 25]'
check "for the table" holds '(j["torch"], j["torch_best"]) == ("9.9", "torch.compile, fused AdamW, malloc")'
check "figures for the table" holds '[j[k] for k in ("ms_in_turns", "torch_ms_installed", "torch_ms_best",
    "ratio_installed", "ratio_best", "torch_rss_bytes")] == [10, 50, 20, 5, 2, 20 << 20]'
check "PyTorch's best product" holds 'j["torch_product_gflops"] == 101'
check "bench's figures are kept" holds 'j["flop_per_step"] == 1e9 and j["kernels"] == [{"name": "a"}]'
check "the comparison with the best is printed" grep -qx 'ours against the best (torch.compile, fused AdamW, malloc): 2.00x' "$tmp/log"

check "no twin held to AVX2, since ours may use all instructions" holds '"torch_ms_held" not in j and "ratio_held" not in j'

# The twin is made faster than the rest, to show where it counts.
malloc='torch.compile, fused AdamW, malloc'
figures 1234 adamw '"isa": "avx2", ' >"$tmp/bench.json"
peers
check "isa=avx2: it runs" test $code = 0
check "the fastest one's twin is held to AVX2" holds '[(p["name"], p["ms_median"]) for p in j["peers"]] == [
    ("ours", 10), ("as installed", 50), ("torch.compile, fused AdamW, malloc", 20),
    ("torch.compile, fused AdamW, malloc, held to AVX2", 16), ("torch.compile, fused AdamW", 25)]'
check "it takes its turns" holds '[p["steps"] for p in j["peers"] if "held" in p] == [9]'
check "its figures" holds '(j["torch_ms_held"], j["ratio_held"]) == (16, 1.6)'
check "the best is one that is not held" holds '[j[k] for k in ("torch_best", "torch_ms_best", "ratio_best",
    "torch_rss_bytes", "torch_product_gflops")] == ["'"$malloc"'", 20, 2, 20 << 20, 101]'
check "both comparisons are printed" grep -qx 'ours against PyTorch held to AVX2: 1.60x' "$tmp/log"
check "and the best as before" grep -qxF "ours against the best ($malloc): 2.00x" "$tmp/log"

# As where the processor multiplies bfloat16.
autocast=yes
peers
autocast=no
cast='torch.compile, autocast, fused AdamW'
check "autocast: all are tried" holds 'len(j["peers_tried"]) == 8'
check "the best two, the best in float32 and its twin take turns" holds '[p["name"] for p in j["peers"]] == [
    "ours", "as installed", "'"$cast"', malloc", "'"$cast"'", "'"$malloc"'", "'"$malloc"', held to AVX2"]'
check "the best is one with autocast" holds '(j["torch_ms_best"], j["ratio_best"]) == (10, 1)'
check "the best in float32" holds '(j["torch_ms_float32"], j["ratio_float32"]) == (20, 2)'
check "and a line says so" grep -qxF "ours against PyTorch in float32 ($malloc): 2.00x" "$tmp/log"

touch "$tmp/no-held"
peers
check "without autocast its figures are removed" holds '"ratio_float32" not in j'
check "a twin that cannot run: the others compete" holds '[p["ms_median"] for p in j["peers"]] == [10, 50, 20, 25]'
check "a line says so" grep -qxF "peers: $malloc, held to AVX2 is left out: worker: cannot be held" "$tmp/log"
check "and an earlier run's figures are removed" holds '"torch_ms_held" not in j and "ratio_held" not in j'
rm "$tmp/no-held"
touch "$tmp/deaf"
peers
check "a twin that is not held to AVX2: the others compete" holds '[p["ms_median"] for p in j["peers"]] == [10, 50, 20, 25]'
check "it is left out" grep -qxF "peers: $malloc, held to AVX2 is left out: it uses AVX9" "$tmp/log"

figures 1234 >"$tmp/bench.json"
touch "$tmp/no-compiler"
peers
check "no compiler: the others compete" holds '[p["ms_median"] for p in j["peers"]] == [10, 50, 35, 40]'
check "and a line says so" grep -qx 'peers: torch.compile, fused AdamW is left out: worker: no C++ compiler' "$tmp/log"

touch "$tmp/broken"
peers
check "ours stops" test $code = 1
check "its line" grep -qx 'peers: a contender stopped: bench: it is broken' "$tmp/log"
check "the figures are kept" cmp "$tmp/bench.json" "$tmp/before"
rm "$tmp/broken"

# ---- what it refuses -----------------------------------------------------------------------------

figures 77 >"$tmp/bench.json"
peers
check "another model" refuses 70 'peers: 1234 parameters, ours has 77'
figures 1234 muon >"$tmp/bench.json"
peers
check "Muon's peers are called so" holds '"Muon and fused AdamW" in j["torch_best"]'
figures 1234 sgd >"$tmp/bench.json"
peers
check "another optimizer" refuses 64 'peers: model=gpt optimizer=sgd: the peers know a GPT with AdamW or Muon alone'
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
