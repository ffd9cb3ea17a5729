"""Results of the GPU suite as JSON and Markdown.

    report.py --add CONFIG WORK OUT     what bench.sh has in WORK so far, into OUT/DEVICE-DATE.json
    report.py --merge OUT FILE...       the configs of several such files in one
    report.py --markdown FILE           the tables of one file, again

Each writes the Markdown beside the JSON. A config that is there already is replaced. Figures are
those of the run; what follows from them (MFU, shares, ratios) is worked out here, once.
"""

import csv
import datetime
import json
import os
import pathlib
import re
import statistics
import sys

# Dense bf16 TFLOP/s by NVIDIA's data sheets, if the trainer's bench does not state it.
PEAKS = (("H200", 989.0), ("H100", 989.0), ("A100", 312.0))


# ---- results of bench.sh -------------------------------------------------------------------------


def read_text(path):
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def number(text):
    try:
        return float(text)
    except ValueError:
        return text.strip()


def read_device(work):
    with open(work / "device.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, skipinitialspace=True))
    device = {key.split(" [")[0]: number(value) for key, value in zip(rows[0], rows[1])}
    device["nvcc"], device["kit"] = read_text(work / "nvcc.txt"), read_text(work / "arch.txt")
    return device


def read_clocks(path):
    """Medians, and extremes, of the samples in which the device was busy."""
    names = ("sm_mhz", "memory_mhz", "watts", "celsius")
    if not path.exists():
        return None
    with open(path, newline="", encoding="utf-8") as file:
        rows = [[number(field) for field in row] for row in csv.reader(file)]
    rows = [row for row in rows if len(row) == 5 and all(isinstance(x, float) for x in row)]
    busy = [row for row in rows if row[4] >= 90]
    if not busy:
        return None
    columns = list(zip(*busy))
    return {"samples": len(busy)} | {
        name: {"median": statistics.median(column), "min": min(column), "max": max(column)}
        for name, column in zip(names, columns)
    }


def read_work(work):
    result = {"tokens": read_text(work / "tokens.txt"), "config": read_json(work / "sizes.json")}
    lines = read_text(work / "candidates.jsonl").splitlines()
    result["candidates"] = [json.loads(line) for line in lines]
    keys = ("batch_size", "accumulation", "warm", "steps")  # once a candidate is chosen
    result |= zip(keys, (int(x) for x in read_text(work / "ours.txt").split()))
    for who, name in (("ours", "ours"), ("torch", "peer")):
        result[who] = read_json(work / f"{name}.json")
        result[f"{who}_clocks"] = read_clocks(work / f"{name}.csv")
    run = read_text(work / "run.txt").split()
    if run:
        code, seconds, loss = run
        result["run"] = {"exit": int(code), "seconds": float(seconds)}
        result["run"]["best_val_loss"] = number(loss)
    return result


# ---- what follows --------------------------------------------------------------------------------


def peak_of(device, ours):
    if ours.get("device_peak_tflops"):
        return float(ours["device_peak_tflops"])
    return next((peak for name, peak in PEAKS if name in str(device["name"])), None)


def derive(result, device):
    """MFU in both formulas, the share of the run's large product, PyTorch's time over ours."""
    config, ours, torch = result["config"], result["ours"], result["torch"]
    if not ours:
        return {}
    peak, product = peak_of(device, ours), ours.get("peak_bf16_tflops")
    derived = {"peak_tflops": peak}
    for who, timed in (("ours", ours), ("torch", torch)):
        if not timed:
            continue
        for formula in ("llmc", "nanogpt"):
            tflops = config[f"flop_per_token_{formula}"] * timed["tokens_per_s"] / 1e12
            derived[f"{who}_tflops_{formula}"] = tflops
            if peak:
                derived[f"{who}_mfu_{formula}"] = tflops / peak
        if product:
            derived[f"{who}_share_of_product"] = derived[f"{who}_tflops_llmc"] / product
    if torch:
        derived["speedup"] = ours["tokens_per_s"] / torch["tokens_per_s"]
    return derived


# ---- Markdown ------------------------------------------------------------------------------------


def percent(x):
    return "" if x is None else f"{100 * x:.1f}%"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    return lines + ["| " + " | ".join(str(field) for field in row) + " |" for row in rows] + [""]


def clocks_text(clocks):
    if not clocks:
        return ("", "")
    sm, watts = clocks["sm_mhz"], clocks["watts"]
    return f"{sm['median']:.0f} ({sm['min']:.0f}–{sm['max']:.0f})", f"{watts['median']:.0f}"


def step_rows(results):
    for name, r in results.items():
        for who, timed, clocks in (
            ("Diecast", r["ours"], r["ours_clocks"]),
            ("PyTorch", r["torch"], r["torch_clocks"]),
        ):
            if not timed:
                continue
            key, d = {"Diecast": "ours", "PyTorch": "torch"}[who], r["derived"]
            batch = timed.get("batch_size", r["batch_size"])
            steps = timed.get("steps", r["steps"])
            yield (
                name,
                who,
                f"{timed.get('accumulation', r['accumulation'])} x {batch}",
                f"{timed.get('warm', r['warm'])} + {steps}",
                f"{timed['ms_median']:.2f}",
                f"{timed['ms_p10']:.2f}–{timed['ms_p90']:.2f}" if "ms_p10" in timed else "",
                f"{timed['tokens_per_s']:,.0f}",
                percent(d.get(f"{key}_mfu_llmc")),
                percent(d.get(f"{key}_mfu_nanogpt")),
                percent(d.get(f"{key}_share_of_product")),
                f"{d['speedup']:.2f}" if key == "ours" and "speedup" in d else "",
                *clocks_text(clocks),
            )


def kernel_rows(kernels):
    total = sum(k["ms"] for k in kernels)
    for k in sorted(kernels, key=lambda k: -k["ms"]):
        if k["ms"] <= 0:
            continue
        yield (
            f"`{k['name']}`",
            f"{k['calls']:g}",
            f"{k['ms']:.3f}",
            percent(k["ms"] / total),
            f"{k['flop'] / k['ms'] / 1e9:.0f}",
            f"{k['bytes'] / k['ms'] / 1e6:.0f}",
            percent(k.get("roofline")),
        )


def tried_text(candidate):
    """What was tried, how fast it was, and its numbers in the first update and in the last."""
    c = candidate
    text = f"{c['batch_size']}, {c['attention']}, {c['products']}: "
    if not c["tokens_per_s"]:
        return text + "did not run"
    rate = f"{c['tokens_per_s']:,.0f}" + ("" if c["counted"] else ", not counted")
    first, last = (f"{c['loss_' + x]}, {c['norm_' + x]}" for x in ("first", "last"))
    return f"{text}{rate} ({first}; {last})"


def config_lines(name, r):
    ours, torch, d = r["ours"], r["torch"], r["derived"]
    c = r["config"]
    yield f"## {name}"
    yield ""
    yield (
        f"{c['params']:,} parameters, {c['activation']}, {c['attention']} attention, "
        f"T = {c['block_size']}, dropout {c['dropout']:g}; {r['tokens']}."
    )
    yield (
        "Tried, as micro-batch, attention, products: tokens/s (loss and norm of the gradients in "
        f"the first update; in the last): {', '.join(tried_text(x) for x in r['candidates'])}."
    )
    if not ours:
        yield "The timed updates are missing: the run ended before."
        yield ""
        return
    yield (
        f"Planned memory {ours.get('plan_bytes', 0) / 1e9:.2f} GB; "
        f"{ours.get('products', 'unknown')} products."
    )
    if not ours.get("complete"):
        yield "The run was cut short: what it had not measured yet is missing."
    if ours.get("peak_bf16_tflops"):
        yield f"A large cuBLASLt product in the same run: {ours['peak_bf16_tflops']:.0f} TFLOP/s."
    if ours.get("copy_gbs"):
        yield f"A copy within the device's memory: {ours['copy_gbs']:.0f} GB/s, read and written."
    if d["peak_tflops"]:
        yield f"MFU is of {d['peak_tflops']:.0f} TFLOP/s, the data sheet's dense bf16 rate."
    if torch:
        tries = ", ".join(f"{n} {ms:.2f} ms" for n, ms in torch["sdpa_ms"].items())
        yield (
            f"PyTorch {torch['torch']}: torch.compile ({torch['compile']}), attention "
            f"{torch['sdpa']} (forward and backward of one layer: {tries}), fused AdamW; its large "
            f"product: {torch['product_tflops']:.0f} TFLOP/s."
        )
        if torch["batch_size"] != torch["asked_batch_size"]:
            yield f"Micro-batches of {torch['asked_batch_size']} did not fit PyTorch's memory."
    if "run" in r:
        run = r["run"]
        yield (
            f"The whole run, {c['max_iters']:,} iterations with evaluations: {run['seconds']:.1f} "
            f"s, best validation loss {run['best_val_loss']}, exit {run['exit']}."
        )
    yield ""
    if ours.get("kernels"):
        head = ("kernel", "calls", "ms", "share", "TFLOP/s", "GB/s", "of its roofline")
        yield from table(head, kernel_rows(ours["kernels"]))


def markdown(data):
    device = data["device"]
    head = (
        "config",
        "",
        "micro-steps",
        "updates warm + timed",
        "ms an update",
        "p10–p90",
        "tokens/s",
        "MFU, llm.c",
        "MFU, nanoGPT",
        "of the product",
        "× PyTorch",
        "SM MHz",
        "W",
    )
    lines = [
        f"# {device['name']}, {data['date']}",
        "",
        f"Driver {device['driver_version']}, CUDA {device['nvcc'] or 'unknown'}, kit for "
        f"{device['kit']}; power limit {device['power.limit']} W, SM clock at most "
        f"{device['clocks.max.sm']} MHz.",
        "Written by tests/cuda/gpu/report.py; tests/cuda/gpu/README.md says how it was measured.",
        "",
    ]
    lines += table(head, step_rows(data["results"]))
    for name, r in data["results"].items():
        lines += config_lines(name, r)
    return "\n".join(lines).rstrip() + "\n"


# ---- files ---------------------------------------------------------------------------------------


def replace(path, text):
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def write(path, data):
    replace(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    replace(path.with_suffix(".md"), markdown(data))


def file_name(data):
    name = str(data["device"]["name"]).replace("NVIDIA", "")
    name = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
    return f"{name}-{data['date']}.json"


def add(config, work, out):
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    data = {"device": read_device(work), "date": today, "results": {}}
    path = out / file_name(data)
    if path.exists():
        data["results"] = read_json(path)["results"]
    result = read_work(work)
    result["derived"] = derive(result, data["device"])
    data["results"][config] = result
    write(path, data)
    (work / "written.txt").write_text(f"{path}\n", encoding="utf-8")


def merge(out, paths):
    files = [read_json(path) for path in paths]
    names = {file_name(data) for data in files}
    if len(names) != 1:
        raise SystemExit(f"report.py: of several devices or days: {', '.join(sorted(names))}")
    data = files[0]
    for other in files[1:]:
        data["results"] |= other["results"]
    out.mkdir(parents=True, exist_ok=True)
    write(out / names.pop(), data)


def main():
    words = sys.argv[1:]
    if len(words) == 4 and words[0] == "--add":
        add(words[1], pathlib.Path(words[2]), pathlib.Path(words[3]))
    elif len(words) >= 3 and words[0] == "--merge":
        merge(pathlib.Path(words[1]), [pathlib.Path(word) for word in words[2:]])
    elif len(words) == 2 and words[0] == "--markdown":
        path = pathlib.Path(words[1])
        replace(path.with_suffix(".md"), markdown(read_json(path)))
    else:
        raise SystemExit(__doc__.strip())


if __name__ == "__main__":
    main()
