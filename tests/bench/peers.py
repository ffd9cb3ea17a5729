"""A config's training step and the same step in PyTorch, in turns: make bench PEERS=1.

    peers.py [--rounds=R] [--seconds=S] [--worker=FILE] [--autocast=yes|no] PROGRAM [FLAG ...]

PROGRAM is build/NAME/cpu/bench, FLAGs are its own; bench.json is there from its run, and gets
"peers". The contenders are ours, PyTorch as installed, and the two fastest ways to tune it among
{eager, torch.compile} x {as it is, malloc that keeps its memory}, all with fused AdamW (and
torch.optim.Muon, if ours has it), which are tried alone first. Where the processor multiplies
bfloat16 (--autocast says otherwise), each is tried with autocast too, whatever our dtype is; the
fastest in float32 has its turns in any case. Then each takes its turn of S seconds, R times over,
in one run: so all meet the same machine. Medians are over all turns. The honest ratio is against
the best.

Where the processor has AVX-512, PyTorch uses it, beside an isa=avx2 build of ours too. So for such
a build the fastest way to tune PyTorch comes into the turns a second time, held to AVX2 by its
environment (HELD): ours against that one compares code for the same instructions. "The best" is
still the fastest of those that may use all. ATEN_CPU_CAPABILITY is for PyTorch's own kernels and
for the vectors in what torch.compile writes, whose compiler is told -march=native all the same:
hence a -march. Its cache takes no notice of either, and gives out 16 columns for 8 (PyTorch 2.15:
NaN): hence a folder of its own. MKL heeds its variable on Intel's processors alone; on others it
chooses by itself.
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile

MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
    "MALLOC_ARENA_MAX": "1",
}
HELD = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "TORCHINDUCTOR_CPP_MARCH": "x86-64-v3",
}
# Of the caller's environment, what changes PyTorch's speed: kept with the result.
NOTED = (*HELD, "OMP_NUM_THREADS")
FINALISTS = 2
ROUNDS_MS = ("ms_median", "ms_p10", "ms_p90")


def fail(code, line):
    print(f"peers: {line}", file=sys.stderr)
    raise SystemExit(code)


# ---- contenders ----------------------------------------------------------------------------------


class Stopped(Exception):
    pass


class Contender:
    """A program that waits for its turns, and its results."""

    def __init__(self, name, command, env=None):
        self.name, self.command, self.env = name, command, env or {}
        self.process = self.ready = None
        self.held = self.autocast = False
        self.ms, self.rss = [], 0

    def start(self, says_ready):
        self.log = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(
            self.command,
            env=os.environ | self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        if says_ready:
            self.ready = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        try:
            return json.loads(line)
        except ValueError:
            self.process.kill()
            code = self.process.wait()
            self.log.seek(0)
            said = [text for text in self.log.read().splitlines() if text.strip()]
            raise Stopped(said[-1] if said else f"it ended with {code}") from None

    def ask(self, line):
        """The times of a turn that the line describes."""
        with contextlib.suppress(BrokenPipeError):  # its missing answer is noticed
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        answer = self.answer()
        self.rss = max(self.rss, answer["peak_rss_bytes"])
        return answer["ms"]

    def turn(self, seconds):
        self.ms += self.ask(f"{seconds:g}")

    def stop(self):
        if self.process:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.wait()
            self.log.close()
            self.process = None

    def median(self):
        return statistics.median(self.ms)

    def figures(self):
        ordered = sorted(self.ms)
        last = len(ordered) - 1
        figures = {
            "name": self.name,
            "ms_median": round(self.median(), 4),
            "ms_p10": round(ordered[round(0.1 * last)], 4),
            "ms_p90": round(ordered[round(0.9 * last)], 4),
            "steps": len(ordered),
            "peak_rss_bytes": self.rss,
        }
        marks = {key: True for key in ("held", "autocast") if getattr(self, key)}
        return figures | marks


def torch_contenders(worker, sizes, threads, autocast, muon):
    """PyTorch as installed, and the ways to tune it."""
    optimizer = "Muon and fused AdamW" if muon else "fused AdamW"
    base = [sys.executable, worker, f"--sizes={sizes}", f"--threads={threads}"]
    omp = {"OMP_NUM_THREADS": str(threads)}
    tuned = []
    for how, flag in (("eager", []), ("torch.compile", ["--compile"])):
        for cast in (False, True) if autocast else (False,):
            for more, env in (("", {}), (", malloc", MALLOC)):
                name = f"{how}{', autocast' if cast else ''}, {optimizer}{more}"
                flags = flag + ["--fused"] + (["--autocast"] if cast else [])
                tuned.append(Contender(name, base + flags, env | omp))
                tuned[-1].autocast = cast
    return Contender("as installed", base), tuned


def held_twin(one, folder):
    """The same, held to AVX2; the folder is for its compiled code."""
    env = one.env | HELD | {"TORCHINDUCTOR_CACHE_DIR": os.path.join(folder, "held")}
    twin = Contender(f"{one.name}, held to AVX2", one.command, env)
    twin.held = True
    return twin


def attempt(one, seconds):
    """Runs two turns alone; returns whether it can compete."""
    try:
        one.start(True)
        one.turn(seconds)
        one.turn(seconds)
    except Stopped as why:
        print(f"peers: {one.name} is left out: {why}")
        return False
    finally:
        one.stop()
    print(f"peers: tried {one.name}: {one.median():.2f} ms")
    return True


def qualify(tuned, seconds, most_bytes, held_folder):
    """The fastest of the tuned ones, each alone, with the fastest in float32 among them, and behind
    that one, where there is a held_folder, its twin; as many as fit into memory together."""
    done = sorted((one for one in tuned if attempt(one, seconds)), key=Contender.median)
    tried = [one.figures() for one in done]
    exact = next((one for one in done if not one.autocast), None)
    finalists = done[:FINALISTS]
    if exact and exact not in finalists:
        finalists.append(exact)
    if exact and held_folder:
        twin = held_twin(exact, held_folder)
        if attempt(twin, seconds):
            if twin.ready["capability"] == "AVX2":
                finalists.insert(finalists.index(exact) + 1, twin)
            else:
                print(f"peers: {twin.name} is left out: it uses {twin.ready['capability']}")
    chosen = []
    for one in finalists:
        most_bytes -= one.rss
        if chosen and most_bytes < 0:
            print(f"peers: no memory for {one.name} beside the others")
            break
        chosen.append(one)
        one.ms = []
    return chosen, tried


# ---- bench.json ----------------------------------------------------------------------------------


def read_figures(path, program="bench"):
    try:
        with open(path, encoding="utf-8") as file:
            figures = json.load(file)
    except FileNotFoundError:
        fail(66, f"{path}: is not there; run {program} first")
    except ValueError as error:
        fail(65, f"{path}: is not JSON ({error}); run {program} again")
    if "device" in figures:
        fail(64, f"{path}: is of a GPU; make gpu-bench runs PyTorch beside it")
    if figures.get("program") != program:
        fail(65, f"{path}: was not written by {program}; run it again")
    return figures


def constant(text):
    """A key's value: true, false, a number, or a word."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return {"true": True, "false": False}.get(text, text)


def keys_of(figures):
    """The config's keys as JSON has them, for peer_model.GPT."""
    keys = {"weight_decay": 0.1, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "dropout_embd": True}
    for pair in figures["config"].split():
        key, value = pair.split("=", 1)
        keys[key] = constant(value)
    keys |= {key: figures[key] for key in ("dropout", "grad_clip")}
    if keys["model"] != "gpt" or keys["optimizer"] not in ("adamw", "muon"):
        what = f"model={keys['model']} optimizer={keys['optimizer']}"
        fail(64, f"{what}: the peers know a GPT with AdamW or Muon alone")
    return keys


def write_figures(path, figures):
    """JSON with each member, and each element of an array, on a line."""
    parts = []
    for key, value in figures.items():
        if isinstance(value, list):
            rows = ",\n".join("    " + json.dumps(row) for row in value)
            parts.append(f"  {json.dumps(key)}: [\n{rows}\n  ]")
        else:
            parts.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    with open(path + ".part", "w", encoding="utf-8") as file:
        file.write("{\n" + ",\n".join(parts) + "\n}\n")
    os.replace(path + ".part", path)


# ---- the run -------------------------------------------------------------------------------------


def available_bytes():
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 1 << 62


def multiplies_bfloat16():
    """Whether this processor has products of bfloat16: x86's or ARM's."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(file.read().split())


def play(contenders, rounds, seconds):
    """Gives all contenders turns; each is started before its first turn."""
    for index in range(rounds):
        for one in contenders:
            one.turn(seconds)
        times = ", ".join(f"{one.name} {one.median():.2f}" for one in contenders)
        print(f"peers: after round {index + 1}, ms: {times}")


def report(figures):
    peers = figures["peers"]
    ours = peers[0]["ms_median"]
    heads = f"{'ms':>9} {'p10':>9} {'p90':>9} {'of peak':>8} {'MiB':>8} {'ours is':>9}"
    print(f"\n{'in turns':58} {heads}")
    for one in peers:
        share = figures["flop_per_step"] / one["ms_median"] * 1e-6 / figures["peak_gflops"]
        one["share_of_peak"] = round(share, 4)
        one["ratio"] = round(one["ms_median"] / ours, 3)
        times = " ".join(f"{one[key]:9.2f}" for key in ROUNDS_MS)
        ratio = f"{one['ratio']:8.2f}x" if one is not peers[0] else ""
        name = one["name"] if one is peers[0] else "PyTorch " + one["name"]
        print(f"{name:58} {times} {share:8.1%} {one['peak_rss_bytes'] / 2**20:8.1f} {ratio}")
    free = [one for one in peers[1:] if "held" not in one]
    best = min(free, key=lambda one: one["ms_median"])
    figures["ms_in_turns"], figures["torch_ms_installed"] = ours, peers[1]["ms_median"]
    figures["torch_ms_best"], figures["torch_best"] = best["ms_median"], best["name"]
    figures["torch_rss_bytes"] = min(one["peak_rss_bytes"] for one in free)
    figures["ratio_installed"], figures["ratio_best"] = peers[1]["ratio"], best["ratio"]
    rate = figures["torch_product_gflops"]
    print(f"\na product of 1024 rows and columns in PyTorch: {rate} GFLOP/s")
    print(f"ours against PyTorch as installed: {peers[1]['ratio']:.2f}x")
    print(f"ours against the best ({best['name']}): {best['ratio']:.2f}x")
    for key in ("torch_ms_held", "ratio_held", "torch_ms_float32", "ratio_float32"):
        figures.pop(key, None)  # an earlier run's
    if "autocast" in best:
        exact = min((one for one in free if "autocast" not in one), key=lambda one: one["ms_median"])
        figures["torch_ms_float32"], figures["ratio_float32"] = exact["ms_median"], exact["ratio"]
        print(f"ours against PyTorch in float32 ({exact['name']}): {exact['ratio']:.2f}x")
    for one in peers[1:]:
        if one not in free:
            figures["torch_ms_held"], figures["ratio_held"] = one["ms_median"], one["ratio"]
            print(f"ours against PyTorch held to AVX2: {one['ratio']:.2f}x")


def compete(options, figures, path):
    threads = figures["threads"]
    ours = Contender("ours", [options.program, "--serve", f"--threads={threads}", *options.flags])
    with tempfile.TemporaryDirectory() as folder:
        sizes = os.path.join(folder, "sizes.json")
        keys = keys_of(figures)
        with open(sizes, "w", encoding="utf-8") as file:
            json.dump(keys, file)
        installed, tuned = torch_contenders(
            options.worker, sizes, threads, options.autocast == "yes", keys["optimizer"] == "muon"
        )
        contenders = [ours, installed]
        try:
            installed.start(True)
            if installed.ready["params"] != figures["params"]:
                fail(70, f"{installed.ready['params']} parameters, ours has {figures['params']}")
            installed.turn(options.seconds)
            installed.stop()
            left = available_bytes() - figures["plan_bytes"] - installed.rss
            held_folder = folder if figures.get("isa") == "avx2" else None
            finalists, tried = qualify(tuned, options.seconds, left, held_folder)
            installed.ms = []
            contenders += finalists
            free = [one for one in contenders[1:] if not one.held]
            for one in contenders:
                one.start(one is not ours)
            play(contenders, options.rounds, options.seconds)
        except Stopped as why:
            fail(1, f"a contender stopped: {why}")
        finally:
            for one in contenders + tuned:
                one.stop()
    figures["torch"] = installed.ready["torch"]
    figures["torch_capability"] = installed.ready["capability"]
    figures["torch_product_gflops"] = max(one.ready["product_gflops"] for one in free)
    figures["torch_environment"] = {key: os.environ[key] for key in NOTED if key in os.environ}
    figures["peers"] = [one.figures() for one in contenders]
    figures["peers_tried"] = tried
    report(figures)
    write_figures(path, figures)
    print(f"written: {path}")


def read_turns(parser, worker, atom):
    """The options of programs that take turns; `atom` is the least that a turn does."""
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help=f"of a turn; at least {atom}")
    parser.add_argument("--worker", default=os.path.join(here, worker))
    parser.add_argument("program")
    parser.add_argument("flags", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.rounds < 1 or not 0 < options.seconds <= 3600:
        parser.error("--rounds is at least 1, --seconds above 0 and up to 3600")
    return options


def begin():
    """Lines are read as they come; what ends a session leaves the code of a stopped run."""
    sys.stdout.reconfigure(line_buffering=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))


def main():
    begin()
    parser = argparse.ArgumentParser(description="Training steps in turns with PyTorch's.")
    default = "yes" if multiplies_bfloat16() else "no"
    parser.add_argument("--autocast", choices=("yes", "no"), default=default, help="try it too")
    options = read_turns(parser, "peer_cpu.py", "2 steps")
    path = os.path.join(os.path.dirname(options.program), "bench.json")
    for flag in options.flags:
        if flag.startswith("--json="):
            path = flag[len("--json=") :]
    compete(options, read_figures(path), path)


if __name__ == "__main__":
    main()
