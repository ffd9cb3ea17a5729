"""A config's sampler and llama.cpp with the same made-up weights, in turns: make bench PEERS=1.

    peers_llama.py [--rounds=R] [--seconds=S] [--worker=FILE] --model=FILE.gguf --python=PATH ...
        PROGRAM [FLAG ...]

PROGRAM is build/NAME/cpu/sample_bench or sample_bench-TYPE, FLAGs are its own; its JSON is there
from its run, and gets "llama" and "in_turns". One text, 8 and 64 together, and a prompt: of each
ours and llama.cpp, in the environment of each PATH, take a turn of S seconds, one after the other,
R times over, in one run: so all meet the same machine. Rates are from medians over all turns.
llama.sh makes the GGUF file.
"""

import argparse
import json
import os
import statistics
import tempfile

from peers import Contender, Stopped, begin, fail, read_figures, read_turns, write_figures

TEXTS = (1, 8, 64)


def llama_contenders(options, work, threads):
    """One for each environment, whose folder tells them apart where there are several."""
    contenders = []
    for python in options.python:
        folder = os.path.basename(os.path.dirname(os.path.dirname(os.path.abspath(python))))
        name = f"llama.cpp ({folder})" if len(options.python) > 1 else "llama.cpp"
        flags = [f"--model={options.model}", f"--work={work}", f"--threads={threads}"]
        contenders.append(Contender(name, [python, options.worker, *flags]))
    return contenders


def play(contenders, works, rounds, seconds):
    """Gives all a turn at each work, round after round; the times of each in each."""
    times = {(texts, one.name): [] for texts in works for one in contenders}
    for index in range(rounds):
        for texts in works:
            for one in contenders:
                times[texts, one.name] += one.ask(f"{texts} {seconds:g}")
        print(f"peers: after round {index + 1} of {rounds}")
    return times


def row_of(what, texts, name, tokens, ms):
    """The rate at which so many tokens come in these times."""
    ordered = sorted(1e3 * tokens / one for one in ms)
    last = len(ordered) - 1
    return {
        "what": what,
        "texts": texts,
        "name": name,
        "tokens_per_s": round(1e3 * tokens / statistics.median(ms), 2),
        "p10": round(ordered[round(0.1 * last)], 2),
        "p90": round(ordered[round(0.9 * last)], 2),
        "turns": len(ms),
    }


def rows_of(times, prompt):
    rows = []
    for (texts, name), ms in times.items():
        what = f"{texts} texts together" if texts > 1 else "one text"
        what = what if texts else f"a prompt of {prompt} tokens"
        ours = statistics.median(times[texts, "ours"])
        ratio = round(statistics.median(ms) / ours, 3)
        rows.append(row_of(what, texts, name, texts or prompt, ms) | {"ratio": ratio})
    return rows


def report(figures, contenders):
    title = f"in turns, weights in {figures['weights']}, {figures['threads']} threads"
    print(f"\n{title:58} {'tokens/s':>9} {'p10':>9} {'p90':>9} {'ours is':>9}")
    for row in figures["in_turns"]:
        rates = " ".join(f"{row[key]:9.1f}" for key in ("tokens_per_s", "p10", "p90"))
        first = row["name"] == "ours"
        ratio = "" if first else f" {row['ratio']:8.2f}x"
        print(f"{row['what'] if first else '':27} {row['name']:30} {rates}{ratio}")
    for one in contenders:
        built = one.ready.get("built_for")
        more = f"; {one.ready['llama.cpp']}, built for {built}" if built else ""
        print(f"{one.name}: {one.rss / 2**20:.1f} MiB at most{more}")


def compete(options, figures, path):
    threads = figures["threads"]
    ours = Contender("ours", [options.program, "--serve", f"--threads={threads}", *options.flags])
    with tempfile.TemporaryDirectory() as folder:
        work = os.path.join(folder, "work.json")
        theirs = llama_contenders(options, work, threads)
        contenders = [ours, *theirs]
        try:
            ours.start(True)
            texts = [texts for texts in TEXTS if texts <= ours.ready["most_texts"]]
            with open(work, "w", encoding="utf-8") as file:
                json.dump(ours.ready | {"most_texts": texts[-1]}, file)
            for one in theirs:
                one.start(True)
            times = play(contenders, [*texts, 0], options.rounds, options.seconds)
        except Stopped as why:
            fail(1, f"a contender stopped: {why}")
        finally:
            for one in contenders:
                one.stop()
    figures["llama"] = [{"name": one.name, "rss_bytes": one.rss} | one.ready for one in theirs]
    figures["rss_bytes"] = ours.rss
    figures["in_turns"] = rows_of(times, len(ours.ready["prompt"]))
    report(figures, contenders)
    write_figures(path, figures)
    print(f"written: {path}")


def main():
    begin()
    parser = argparse.ArgumentParser(description="Texts in turns with llama.cpp's.")
    parser.add_argument("--model", required=True, help="the weights as a GGUF file")
    parser.add_argument("--python", action="append", required=True, help="one with llama.cpp")
    options = read_turns(parser, "peer_llama.py", "one text")
    path = options.program + ".json"
    compete(options, read_figures(path, "sample_bench"), path)


if __name__ == "__main__":
    main()
