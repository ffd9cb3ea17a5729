"""Reads a run's event files with TensorBoard's own package: event_files.py RUNFOLDER.

Every scalar must be metrics.jsonl's, each step once, also where the run was stopped and started;
the settings must be found by the HParams plugin, and the samples by the text plugin.
"""

import json
import math
import pathlib
import sys

from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import plugin_data_pb2

STEP = {
    "train/loss": "loss",
    "lr": "lr",
    "grad_norm": "grad_norm",
    "skipped": "skipped",
    "ms": "ms",
    "tokens_per_s": "tokens_per_s",
    "mfu": "mfu",
}
EVALUATION = {"train/eval_loss": "train_loss", "val/loss": "val_loss", "val/best_loss": "best", "eval_ms": "ms"}
HELLASWAG = {"val/hellaswag": "hellaswag", "val/hellaswag_sum": "hellaswag_sum", "hellaswag_ms": "ms"}
FLOAT = 2e-7  # relative: what event files hold
# Beside that, what metrics.jsonl rounds: to so much, absolute, or to four digits.
ROUNDED = {"ms": 6e-4, "eval_ms": 6e-4, "hellaswag_ms": 6e-4, "tokens_per_s": 0.51}
DIGITS = {"mfu": 6e-4}


def read(folder):
    """All of a folder's events."""
    keep_all = {"scalars": 0, "tensors": 0}
    accumulator = event_accumulator.EventAccumulator(str(folder), size_guidance=keep_all)
    accumulator.Reload()
    return accumulator


def series(accumulator, tag):
    return [(event.step, event.value) for event in accumulator.Scalars(tag)]


def same(tag, got, wanted):
    wanted = math.nan if wanted is None else float(wanted)
    if math.isnan(wanted):
        return math.isnan(got)
    return math.isclose(got, wanted, rel_tol=DIGITS.get(tag, FLOAT), abs_tol=ROUNDED.get(tag, 0))


def compare(accumulator, lines):
    """Every scalar of each kind of lines; returns how many."""
    count = 0
    tags = accumulator.Tags()["scalars"]
    for table, of in ((STEP, "loss"), (EVALUATION, "val_loss"), (HELLASWAG, "hellaswag")):
        rows = [line for line in lines if of in line]
        if of == "hellaswag" and not rows:
            continue
        for tag, key in table.items():
            if key == "mfu" and all(row["mfu"] is None for row in rows):
                continue
            found = series(accumulator, tag)
            assert [step for step, _ in found] == [row["iter"] for row in rows], f"{tag}: other steps: {found}"
            for (step, got), row in zip(found, rows):
                assert same(tag, got, row[key]), f"{tag} at {step}: {got}, metrics.jsonl has {row[key]}"
            count += len(found)
            tags.remove(tag)
    assert not tags, f"scalars that metrics.jsonl has not: {tags}"
    return count


def hparams(accumulator):
    """The plugin's data by tag."""
    content = accumulator.PluginTagToContent("hparams")
    return {tag: plugin_data_pb2.HParamsPluginData.FromString(text) for tag, text in content.items()}


def compare_hparams(accumulator, run):
    found = hparams(accumulator)
    start = found["_hparams_/session_start_info"].session_start_info.hparams
    kinds = {"number_value": float, "string_value": str, "bool_value": bool}
    stated = run["config"] | run["run"]
    for key, value in start.items():
        kind = value.WhichOneof("kind")
        got = kinds[kind](getattr(value, kind))
        assert got == stated[key], f"hparam {key} is {got}, run.json has {stated[key]}"
    for key in run["config"]:
        assert key in start, f"no hparam {key}"
    for key in ("learning_rate", "max_iters", "seed"):
        assert key in start, f"no hparam {key}"
    end = found["_hparams_/session_end_info"].session_end_info
    assert end.status == 1, f"session ended with {end.status}"  # STATUS_SUCCESS
    return len(start)


def samples(accumulator):
    """The texts that the text plugin would show."""
    assert "sample" in accumulator.PluginTagToContent("text"), "no text"
    found = []
    for event in accumulator.Tensors("sample"):
        text = event.tensor_proto.string_val[0].decode("utf-8", errors="replace")
        assert all(line.startswith("    ") for line in text.split("\n") if line), text
        found.append((event.step, text))
    return found


def add_best(lines):
    """The lowest validation loss so far, which metrics.jsonl does not have."""
    best = math.inf
    for line in lines:
        if line.get("val_loss") is not None:
            best = min(best, line["val_loss"])
        line["best"] = best


def main():
    folder = pathlib.Path(sys.argv[1])
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    add_best(lines)
    run = json.loads((folder / "run.json").read_text())
    accumulator = read(folder)
    count = compare(accumulator, lines)
    settings = compare_hparams(accumulator, run)
    texts = samples(accumulator)
    assert texts[-1][0] == lines[-1]["iter"] + 1, f"the last sample is of step {texts[-1][0]}"
    print(f"{folder}: {count} scalars as in metrics.jsonl, {settings} settings, {len(texts)} samples")


if __name__ == "__main__":
    main()
