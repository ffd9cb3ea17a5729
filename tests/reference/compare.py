"""Compares two folders of golden files: compare.py STORED REBUILT. Fails where they are apart."""

import json
import pathlib
import sys

import numpy
from safetensors import safe_open

LIMIT = 1e-6  # relative; float64 rounded to float32 leaves far less
AUTOCAST_FACTOR = 1.5  # between distances under autocast, which are of rounding
EXACT = ("param.", "tokens", "targets", "greedy")  # these are drawn or chosen, not computed
LOSSES = ("loss", "grad_norm", "loss_after")


def read(path):
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name).astype(numpy.float64) for name in file.keys()}
        return file.metadata(), tensors


def compare(stored, rebuilt):
    """The largest relative difference of anything computed; raises ValueError on the rest."""
    (data_a, a), (data_b, b) = read(stored), read(rebuilt)
    if data_a["config"] != data_b["config"]:
        raise ValueError(f"config is \"{data_b['config']}\", stored was \"{data_a['config']}\"")
    if a.keys() != b.keys():
        raise ValueError(f"tensors differ: {sorted(a.keys() ^ b.keys())}")
    apart = [abs(float(data_b[k]) / float(data_a[k]) - 1.0) for k in LOSSES]
    for name, wanted in a.items():
        if b[name].shape != wanted.shape:
            raise ValueError(f"{name} is {b[name].shape}, stored was {wanted.shape}")
        if name.startswith(EXACT):
            if not numpy.array_equal(b[name], wanted):
                raise ValueError(f"{name} differs")
            continue
        norm = numpy.linalg.norm(wanted)
        error = numpy.linalg.norm(b[name] - wanted)
        apart.append(error / norm if norm > 0 else error)
    return numpy.max(apart)  # NaN where one is


def numbers(path, table):
    """Every number of nested tables and lists, by its place."""
    if isinstance(table, (dict, list)):
        items = table.items() if isinstance(table, dict) else enumerate(table)
        return {k: v for key, value in items for k, v in numbers(f"{path}.{key}", value).items()}
    return {path: table}


def compare_autocast(stored, rebuilt):
    """The largest ratio of two distances; raises ValueError on the rest."""
    a, b = (numbers("", json.loads(path.read_text())) for path in (stored, rebuilt))
    if a.keys() != b.keys():
        raise ValueError(f"numbers differ: {sorted(a.keys() ^ b.keys())}")
    worst = 1.0
    for name, wanted in a.items():
        ratio = max(b[name], 1) / max(wanted, 1)
        if "float16" in name:  # bfloat16 too
            worst = max(worst, ratio, 1.0 / ratio)
        elif abs(ratio - 1.0) > LIMIT:
            raise ValueError(f"{name} is {b[name]}, stored was {wanted}")
    return worst


def main():
    if len(sys.argv) != 3:
        raise SystemExit("usage: compare.py STORED REBUILT")
    folders = [pathlib.Path(word) for word in sys.argv[1:]]
    stored, rebuilt = (
        {path.name for kind in ("safetensors", "json") for path in f.glob(f"*.{kind}")}
        for f in folders
    )
    failed = bool(stored ^ rebuilt) or not stored
    for name in sorted(stored ^ rebuilt):
        print(f"{name}: in one folder alone")
    for name in sorted(stored & rebuilt):
        try:
            if name.endswith(".json"):
                worst = compare_autocast(folders[0] / name, folders[1] / name)
                limit = AUTOCAST_FACTOR
                found = f"distances differ by a factor of {worst:.2f} at most"
            else:
                worst = compare(folders[0] / name, folders[1] / name)
                limit = LIMIT
                found = f"at most {worst:.1e} apart"
            verdict = "ok" if worst <= limit else f"too far apart, wanted {limit}"
            print(f"{name}: {found}: {verdict}")
            failed |= not worst <= limit
        except ValueError as error:
            print(f"{name}: {error}")
            failed = True
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
