#!/bin/sh
# test_llama.sh: peers_llama.py with a sampler and a llama.cpp that make their times up: what each is asked for, the rates,
# ratios and the table, and the message if one stops. llama.cpp is not needed: a module of its name has its server's
# answers.
# shares: nothing
set -u
cd "$(dirname "$0")/../.." || exit 74
command -v python3 >/dev/null || { echo "test_llama: python3: not found"; exit 77; }
export PYTHONDONTWRITEBYTECODE=1
. tests/check.sh
# Ours: 10 ms a token, eight together in 20 ms, but 100 in the first turn; a prompt of four tokens in 2 ms.
cat >"$tmp/sample_bench-q8_0" <<'END'
#!/bin/sh
here=${0%/*}
echo "$@" >"$here/ours"
[ ! -e "$here/broken" ] || { echo 'sample_bench: it is broken' >&2; exit 71; }
echo '{"most_texts": 40, "from": 2, "tokens": 5, "prompt": [3, 1, 4, 1]}'
together=100
while read -r texts seconds; do
    [ "$seconds" = 0.01 ] || exit 64
    case $texts in
    0) ms=2 ;;
    1) ms='10, 10' ;;
    8) ms=$together together=20 ;;
    *) exit 64 ;;
    esac
    echo "{\"ms\": [$ms], \"peak_rss_bytes\": 1048576}"
done
END
# llama.cpp: as many milliseconds a token as PACE says, three times that for eight together.
mkdir -p "$tmp/module/xllamacpp-9.9.dist-info"
printf 'Metadata-Version: 2.1\nName: xllamacpp\nVersion: 9.9\n' >"$tmp/module/xllamacpp-9.9.dist-info/METADATA"
cat >"$tmp/module/xllamacpp.py" <<'END'
import http.server, json, os, threading, types
here = os.path.dirname(os.path.abspath(__file__))
pace = int(os.environ["PACE"])

class CommonParams(types.SimpleNamespace):
    def __init__(self):
        of = types.SimpleNamespace
        super().__init__(model=of(), cpuparams=of(), cpuparams_batch=of())

def get_system_info():
    return "CPU : AVX2 = 1 | AVX512 = 0 | REPACK = 1 | "

def timings(prompt, texts, count):
    taken = len(prompt) - os.path.exists(here + "/cached")
    return {"timings": {"prompt_n": taken, "prompt_ms": pace * len(prompt), "predicted_n": count,
                        "predicted_ms": (count - 1) * pace * (3 if texts > 1 else 1)}}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        words = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompts, count = words["prompt"], words["n_predict"]
        assert self.path == "/completion" and words["ignore_eos"] and words["cache_prompt"] is False, words
        assert words["samplers"] == ["top_k", "temperature"] and words["top_k"] == 200, words
        assert (prompts, count) in (([[3, 1]], 5), ([[3, 1]] * 8, 5), ([[3, 1, 4, 1]], 1)), words
        found = [timings(prompt, len(prompts), count) for prompt in prompts]
        data = json.dumps(found if len(found) > 1 else found[0]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass

class Server:
    def __init__(self, p):
        print("loading", flush=True)  # llama.cpp may say something, which is no answer
        assert p.model.path.endswith("/a.gguf") and p.n_parallel == 8 and p.n_ctx == 8 * (2 + 5 + 8), p
        assert p.cpuparams.n_threads == p.cpuparams_batch.n_threads == 2 and p.n_gpu_layers == 0, p
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.listening_address = f"http://127.0.0.1:{server.server_port}"
END
for pace in 15 5; do
    mkdir -p "$tmp/venv-$pace/bin"
    printf '#!/bin/sh\nPACE=%d PYTHONPATH=%s exec python3 "$@"\n' $pace "$tmp/module" >"$tmp/venv-$pace/bin/python"
done
chmod +x "$tmp/sample_bench-q8_0" "$tmp"/venv-*/bin/python
printf 1234567 >"$tmp/a.gguf"
echo '{"program": "sample_bench", "weights": "q8_0", "threads": 2, "token_ms": 7}' >"$tmp/figures"

peers() { # flags of peers_llama.py; the exit code in code
    cp "$tmp/figures" "$tmp/sample_bench-q8_0.json"
    python3 tests/bench/peers_llama.py --rounds=3 --seconds=0.01 --model="$tmp/a.gguf" "$@" \
        "$tmp/sample_bench-q8_0" --seed=7 >"$tmp/log" 2>&1 </dev/null
    code=$?
}
holds() { # a condition in Python on the figures
    python3 -I -S -c 'import json, sys; j = json.load(open(sys.argv[1])); assert eval(sys.argv[2]), (sys.argv[2], j)' \
        "$tmp/sample_bench-q8_0.json" "$1"
}
prints() { # a row, however wide its columns are
    tr -s ' ' <"$tmp/log" | grep -qxF -- "$1" || { cat "$tmp/log"; return 1; }
}
refuses() { # exit code, the line; the figures are as before
    cat "$tmp/log"
    test $code = "$1" && tail -n 1 "$tmp/log" | grep -qxF -- "$2" && cmp "$tmp/sample_bench-q8_0.json" "$tmp/figures"
}

peers --python="$tmp/venv-15/bin/python"
check "it runs" test $code = 0
check "ours serves, with its flags" grep -qx -- '--serve --threads=2 --seed=7' "$tmp/ours"
check "as many texts as there is room for, and a prompt" holds '[(r["texts"], r["name"]) for r in j["in_turns"]] == [
    (1, "ours"), (1, "llama.cpp"), (8, "ours"), (8, "llama.cpp"), (0, "ours"), (0, "llama.cpp")]'
check "rates of medians over all turns" holds '[r["tokens_per_s"] for r in j["in_turns"]] == [
    100, 66.67, 400, 177.78, 2000, 66.67]'
check "quantiles" holds '(j["in_turns"][2]["p10"], j["in_turns"][2]["p90"]) == (80, 400)'
check "turns" holds 'j["in_turns"][0]["turns"] == 6 and j["in_turns"][2]["turns"] == 3'
check "ratios" holds '[r["ratio"] for r in j["in_turns"]] == [1, 1.5, 1, 2.25, 1, 30]'
check "what the build is for" holds '[(a["name"], a["llama.cpp"], a["built_for"], a["gguf_bytes"]) for a in j["llama"]] == [
    ("llama.cpp", "xllamacpp 9.9", "AVX2 REPACK", 7)]'
check "memory" holds 'j["rss_bytes"] == 1048576 and j["llama"][0]["rss_bytes"] > 1048576'
check "the sampler's own figures are kept" holds '(j["token_ms"], j["weights"]) == (7, "q8_0")'
check "the table" prints 'in turns, weights in q8_0, 2 threads tokens/s p10 p90 ours is'
check "ours in it" prints '8 texts together ours 400.0 80.0 400.0'
check "and llama.cpp" prints ' llama.cpp 177.8 177.8 177.8 2.25x'
check "a prompt" prints 'a prompt of 4 tokens ours 2000.0 2000.0 2000.0'

peers --python="$tmp/venv-15/bin/python" --python="$tmp/venv-5/bin/python"
check "two builds: they run" test $code = 0
check "all take turns" holds '[(r["name"], r["tokens_per_s"], r["ratio"]) for r in j["in_turns"][:3]] == [
    ("ours", 100, 1), ("llama.cpp (venv-15)", 66.67, 1.5), ("llama.cpp (venv-5)", 200, 0.5)]'

touch "$tmp/module/cached"
peers --python="$tmp/venv-15/bin/python"
check "a prompt that is not taken in" refuses 1 'peers: a contender stopped: peer_llama: it took 3 tokens of the prompt in'
rm "$tmp/module/cached"
touch "$tmp/broken"
peers --python="$tmp/venv-15/bin/python"
check "ours stops" refuses 1 'peers: a contender stopped: sample_bench: it is broken'
rm "$tmp/broken"
mv "$tmp/module/xllamacpp.py" "$tmp/module/other.py"
peers --python="$tmp/venv-15/bin/python"
check "no llama.cpp" refuses 1 "peers: a contender stopped: ModuleNotFoundError: No module named 'xllamacpp'"
LLAMA_VENV="$tmp/venv-15" tests/bench/llama.sh "$tmp/sample_bench-q8_0" q8_0 >"$tmp/log" 2>&1
check "the script says so" test $? = 66 -a "$(wc -l <"$tmp/log")" = 1
echo '{"program": "bench"}' >"$tmp/figures"
peers --python="$tmp/venv-15/bin/python"
check "another program's figures" refuses 65 \
    "peers: $tmp/sample_bench-q8_0.json: was not written by sample_bench; run it again"
finish
