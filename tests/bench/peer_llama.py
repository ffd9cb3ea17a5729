"""llama.cpp on a CPU, in turns with our sampler (peers_llama.py starts it).

    peer_llama.py --model=FILE.gguf --work=WORK.json --threads=N

It is xllamacpp's server, with a slot for each text. WORK.json is the first line of our sample_bench
--serve, with the most texts that will be asked for. Each line on stdin is a number of texts, 0 for the prompt alone, and of
seconds; it is answered by a line of JSON with the times, in ms, of a step in which each text gets a
token, or of the prompt with its first token, as the server itself measured them, and the process's
peak resident memory. The first line of stdout says what runs.

Tokens are drawn as ours are: the 200 likeliest, temperature 0.8. The rest is as it comes: flash
attention where llama.cpp likes it, keys and values in float16. Off are what is no part of a turn,
or would leave a part of it out: its caches of prompts, its own first run.
"""

import argparse
import json
import os
import re
import resource
import statistics
import sys
import time
import urllib.request
from importlib.metadata import version

ROOM = 8  # positions of a slot beyond those that are used
SAMPLING = {"samplers": ["top_k", "temperature"], "top_k": 200, "temperature": 0.8, "seed": 1}


def read_options():
    parser = argparse.ArgumentParser(description="Times texts of llama.cpp.")
    parser.add_argument("--model", required=True, help="a GGUF file")
    parser.add_argument("--work", required=True, help="what a turn is, as JSON")
    parser.add_argument("--threads", type=int, required=True)
    return parser.parse_args()


class Writer:
    def __init__(self, options, work):
        import xllamacpp as x

        p = x.CommonParams()
        p.model.path = options.model
        p.n_parallel = work["most_texts"]
        used = max(len(work["prompt"]) + 1, work["from"] + work["tokens"])
        p.n_ctx = work["most_texts"] * (used + ROOM)
        p.cpuparams.n_threads = p.cpuparams_batch.n_threads = options.threads
        p.n_gpu_layers = 0
        p.fit_params = p.warmup = p.cache_idle_slots = False
        p.cache_ram_mib = p.n_ctx_checkpoints = p.port = 0
        p.verbosity = 1  # errors
        self.work, self.server = work, x.Server(p)
        self.built_for = " ".join(re.findall(r"(\w+) = 1", x.get_system_info()))

    def timings(self, prompts, count):
        """The server's timings of the texts after some prompts, side by side."""
        words = {"prompt": prompts, "n_predict": count, "ignore_eos": True, "cache_prompt": False}
        request = urllib.request.Request(
            f"{self.server.listening_address}/completion",
            json.dumps(words | SAMPLING).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            found = json.load(answer)
        return [one["timings"] for one in (found if isinstance(found, list) else [found])]

    def step_ms(self, texts):
        some = self.work["prompt"][: self.work["from"]]
        found = self.timings([some] * texts, self.work["tokens"])
        if len(found) != texts or any(t["predicted_n"] < 2 for t in found):
            raise SystemExit(f"peer_llama: {len(found)} of {texts} texts, or too short ones")
        # From a text's first token to its last.
        return statistics.fmean(t["predicted_ms"] / (t["predicted_n"] - 1) for t in found)

    def prompt_ms(self):
        (found,) = self.timings([self.work["prompt"]], 1)
        if found["prompt_n"] != len(self.work["prompt"]):
            raise SystemExit(f"peer_llama: it took {found['prompt_n']} tokens of the prompt in")
        return found["prompt_ms"]

    def turn(self, texts, seconds):
        if texts == 0:
            self.prompt_ms()  # the others' turns have left their own data in the caches
        ms, start = [], time.perf_counter()
        while not ms or time.perf_counter() - start < seconds:
            ms.append(self.step_ms(texts) if texts else self.prompt_ms())
        return ms


def main():
    answers = os.fdopen(os.dup(1), "w", buffering=1)  # llama.cpp may print to stdout
    os.dup2(2, 1)
    options = read_options()
    with open(options.work, encoding="utf-8") as file:
        writer = Writer(options, json.load(file))
    ready = {
        "llama.cpp": f"xllamacpp {version('xllamacpp')}",
        "built_for": writer.built_for,
        "gguf_bytes": os.path.getsize(options.model),
    }
    print(json.dumps(ready), file=answers)
    for line in sys.stdin:
        texts, seconds = line.split()
        ms = writer.turn(int(texts), float(seconds))
        rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"ms": ms, "peak_rss_bytes": rss}), file=answers)


if __name__ == "__main__":
    main()
