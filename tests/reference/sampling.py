"""sampling.py: what transformers leaves of logits: writes tests/runtime/choose_cases.txt, with which
tests/runtime/test_choose.c compares the sampler's. Needs PyTorch and transformers.

    python tests/reference/sampling.py >tests/runtime/choose_cases.txt

The processors are those of its generate(), in that order."""
import torch
import transformers
from transformers.generation.logits_process import (
    LogitsProcessorList, MinPLogitsWarper, RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper,
    TopKLogitsWarper, TopPLogitsWarper)

V = 12
CASES = [  # repetition_penalty, temperature, top_k, top_p, min_p
    (1.0, 1.0, 0, 1.0, 0.05), (1.0, 0.7, 0, 1.0, 0.1), (1.0, 1.9, 0, 1.0, 0.3), (1.0, 1.0, 0, 1.0, 1.0),
    (1.0, 1.0, 5, 1.0, 0.1), (1.0, 0.8, 0, 0.8, 0.2), (1.0, 1.5, 7, 0.9, 0.15), (1.3, 1.0, 0, 1.0, 0.0),
    (0.6, 1.0, 0, 1.0, 0.0), (2.5, 0.8, 0, 1.0, 0.0), (1.2, 0.8, 6, 1.0, 0.0), (1.2, 1.3, 0, 0.7, 0.0),
    (1.1, 1.0, 0, 1.0, 0.08), (1.7, 0.9, 8, 0.95, 0.05), (3.0, 2.0, 4, 0.99, 0.25), (1.0, 0.8, 4, 0.9, 0.0),
]


def row(numbers):
    return " ".join(f"{x:.9g}" for x in numbers)


def main():
    torch.manual_seed(1)
    print("# What transformers leaves of logits; written by tests/reference/sampling.py. A case is four lines: "
          "repetition_penalty,")
    print("# temperature, top_k, top_p, min_p and the ids of the text so far; the logits; their log probabilities; and the")
    print(f"# probabilities of the next token. transformers {transformers.__version__}")
    for penalty, temperature, top_k, top_p, min_p in CASES:
        ids = torch.randint(V, (1, 7))
        logits = 2.5 * torch.randn(1, V)
        processors = LogitsProcessorList()
        if penalty != 1:
            processors.append(RepetitionPenaltyLogitsProcessor(penalty))
        processors.append(TemperatureLogitsWarper(temperature))
        if top_k:
            processors.append(TopKLogitsWarper(top_k))
        if top_p < 1:
            processors.append(TopPLogitsWarper(top_p))
        if min_p > 0:
            processors.append(MinPLogitsWarper(min_p))
        left = processors(ids, logits.clone())
        print(row([penalty, temperature, top_k, top_p, min_p]), *ids[0].tolist())
        print(row(logits[0].tolist()))
        print(row(torch.log_softmax(logits[0].double(), -1).tolist()))
        print(row(torch.softmax(left[0].double(), -1).tolist()))


main()
