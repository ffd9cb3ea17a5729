"""Writes the golden files: golden.py FOLDER [NAME ...], one file per config of configs/.

Everything is computed in float64 from weights that float32 holds exactly, then stored as float32,
so that what is compared against is right to the last stored digit. The same in float32 goes into
the metadata: how far PyTorch itself is away. NAME.autocast.json says how far it is away where it
trains in bfloat16 and in float16, as nanoGPT does: with float32 weights, under autocast.
"""

import json
import math
import pathlib
import sys
import zlib

import numpy
import torch

from config import read_lua, write_line
from model import create, mean_loss
from muon import Muon
from names import pieces, stored

HERE = pathlib.Path(__file__).parent
RUN_KEYS = (
    "learning_rate",
    "weight_decay",
    "beta1",
    "beta2",
    "eps",
    "grad_clip",
    "gradient_accumulation_steps",
)
MUON_KEYS = ("muon_learning_rate", "muon_momentum", "muon_weight_decay", "muon_adjust")
# Of groups of parameters; one that a config leaves out is as all parameters'.
GROUP_KEYS = tuple(
    f"{group}_{key}"
    for group in ("embd", "head", "vector")
    for key in ("learning_rate", "beta1", "beta2", "weight_decay")
)
BATCHES = 3  # S: micro-step j takes batch j % S
UPDATES = 20
GREEDY = 32  # tokens generated
AUTOCAST_TYPES = (torch.bfloat16, torch.float16)
DRAWS = 8  # of weights that are rounded under autocast
NEAR = 2.0**-8  # how far from the stored ones, relative: about bfloat16's rounding
MARGIN = 1e-3  # by which the best logit leads at each of them, so that rounding cannot change it


def draw_weights(model, random):
    """Weights that let every path matter: biases are not zero, layernorm scales not one."""
    for name, weight in model.named_parameters():
        z = random.standard_normal(tuple(weight.shape))
        if (".ln_" in name or "_norm" in name) and name.endswith(".weight"):
            z = 1.0 + 0.2 * z
        elif weight.dim() == 1:
            z = 0.2 * z
        elif "wte" in name or "wpe" in name or "table" in name:
            z = 0.5 * z
        else:
            z = 1.5 / math.sqrt(weight.shape[1]) * z
        weight.data = torch.from_numpy(z.astype(numpy.float32))


def draw_batches(config, ignored, random):
    """Random tokens (S, B, T), and as targets the ones that follow; some of them -1 if ignored."""
    B, T, V = config["batch_size"], config["block_size"], config["vocab_size"]
    text = random.randint(0, V, size=(BATCHES, B, T + 1))
    tokens, targets = text[:, :, :-1].copy(), text[:, :, 1:].copy()
    if ignored:
        targets[random.random_sample(targets.shape) < 0.2] = -1
        targets[0, 0, :] = -1
    return torch.from_numpy(tokens), torch.from_numpy(targets)


def create_optimizer(model, config, dtype):
    """A list, of one or two: "matrices" decays what has two dimensions; groups have settings of their own."""
    if config["optimizer"] == "muon":
        blocks = [(n, p) for n, p in model.named_parameters() if ".h." in n and p.dim() == 2]
        groups = [{"params": [p], "rows": list(pieces(n, len(p), config).values())} for n, p in blocks]
        rest = [(n, p) for n, p in model.named_parameters() if all(p is not b for _, b in blocks)]
        muon = Muon(groups, *(config[key] for key in MUON_KEYS), dtype and torch.bfloat16)
        return [muon, *adam_or_sgd(rest, config, "adamw")]
    return adam_or_sgd(model.named_parameters(), config, config["optimizer"])


def group_of(name, p):
    if p.dim() == 1:
        return "vector"
    if name == "lm_head.weight":
        return "head"
    return "embd" if any(word in name for word in ("wte", "wpe", "embed", "table")) else "matrix"


def adam_or_sgd(named, config, name):
    groups = []
    for n, p in named:

        def own(key, otherwise=None, group=group_of(n, p)):
            return config.get(f"{group}_{key}", config[key] if otherwise is None else otherwise)

        decays = config["decay_params"] == "all" or p.dim() >= 2
        group = {"params": [p], "lr": own("learning_rate")}
        group["weight_decay"] = own("weight_decay", None if decays else 0.0)
        if name != "sgd":
            group |= {"betas": (own("beta1"), own("beta2")), "eps": config["eps"]}
        groups.append(group)
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}[name]
    return [kind(groups, foreach=False)]


def losses(model, tokens, targets, dtype):
    """The loss of each batch."""
    with torch.no_grad(), autocast(dtype):
        return [mean_loss(model, *batch).item() for batch in zip(tokens, targets)]


def autocast(dtype):
    """Under it, products are computed in dtype; None is none."""
    return torch.autocast("cpu", dtype=dtype, enabled=dtype is not None)


def scaled_gradients(model, micro_batches, dtype, scale):
    """Fills .grad from losses multiplied by scale, which is divided out again. Returns the losses."""
    model.zero_grad()
    found = []
    for tokens, targets in micro_batches:
        with autocast(dtype):
            loss = mean_loss(model, tokens, targets)
        (loss / len(micro_batches) * scale).backward()
        found.append(loss.item())
    if scale != 1.0:
        for p in model.parameters():
            p.grad /= scale
    return found


def train(model, config, tokens, targets, dtype=None):
    """The first loss and gradients, then the loss of batch 0 after UPDATES updates.

    With a dtype, under autocast: float16 with losses scaled as PyTorch's GradScaler begins, half of
    that where gradients overflow, and the step then run again. Muon's products are then in bfloat16.
    """
    optimizers = create_optimizer(model, config, dtype)
    accumulation = config["gradient_accumulation_steps"]
    result, micro_step = {"clipped": 0}, 0
    scale = 65536.0 if dtype == torch.float16 else 1.0
    result["losses"] = losses(model, tokens, targets, dtype)
    for update in range(UPDATES):
        order = [(micro_step + micro) % BATCHES for micro in range(accumulation)]
        micro_batches = [(tokens[batch], targets[batch]) for batch in order]
        found = scaled_gradients(model, micro_batches, dtype, scale)
        while scale > 1.0 and not all(p.grad.isfinite().all() for p in model.parameters()):
            scale /= 2.0
            found = scaled_gradients(model, micro_batches, dtype, scale)
        micro_step += accumulation
        limit = config["grad_clip"]
        if update == 0:
            result["loss"] = found[0]
            result["grads"] = {n: p.grad.clone() for n, p in model.named_parameters()}
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), limit or math.inf).item()
        result["clipped"] += bool(limit) and norm > limit
        if update == 0:
            result["grad_norm"] = norm
        for optimizer in optimizers:
            optimizer.step()
    result["losses_after"] = losses(model, tokens, targets, dtype)
    result["loss_after"] = result["losses_after"][0]
    return result


@torch.no_grad()
def generate_greedy(model, block_size, prompt):
    """The prompt and GREEDY more tokens, each by a full forward pass; and the smallest lead."""
    text, lead = list(prompt), math.inf
    for _ in range(GREEDY):
        logits = model(torch.tensor([text[-block_size:]]))[0, -1]
        best = logits.topk(2).values
        lead = min(lead, (best[0] - best[1]).item())
        text.append(logits.argmax().item())
    return text, lead


def choose_prompt(model, config, random):
    """A random prompt whose continuation has no close calls."""
    for _ in range(100):
        length = min(5, config["block_size"])
        prompt = random.randint(0, config["vocab_size"], size=length).tolist()
        text, lead = generate_greedy(model, config["block_size"], prompt)
        if lead > MARGIN:
            return text, lead
    raise SystemExit("no prompt found whose greedy continuation is clear of ties")


def gradient_errors(grads, wanted):
    """Each tensor's L2 error, relative as tests/train/test_parity.c measures it."""
    norm = math.sqrt(sum(g.square().sum().item() for g in wanted.values()))
    return {
        n: ((grads[n].double() - w).norm() / max(w.norm().item(), 1e-3 * norm)).item()
        for n, w in wanted.items()
    }


def billionths(x):
    """What lists and tables hold, as whole numbers."""
    if isinstance(x, dict):
        return {key: billionths(value) for key, value in x.items()}
    return [billionths(value) for value in x] if isinstance(x, list) else round(x * 1e9)


def autocast_distances(model, config, weights, batches, double, random):
    """How far each type under autocast is from float64: the root mean square over weights near the
    stored ones, since what rounding does to one loss or to a small tensor is a matter of luck.
    """
    table = {key: double[key] for key in ("losses", "losses_after")}
    squares = {str(dtype).removeprefix("torch."): [] for dtype in AUTOCAST_TYPES}
    for draw in range(DRAWS):
        near = {
            n: w * (1 + NEAR * draw_normal(random, w)) if draw > 0 else w
            for n, w in weights.items()
        }
        if draw > 0:
            model.double().load_state_dict(near, strict=False)
            double = train(model, config, *batches)
        for dtype in AUTOCAST_TYPES:
            model.float().load_state_dict(near, strict=False)
            low = train(model, config, *batches, dtype)
            found = gradient_errors(stored(low["grads"], config), stored(double["grads"], config))
            for key in ("losses", "losses_after"):
                apart = [got / wanted - 1.0 for got, wanted in zip(low[key], double[key])]
                found[key] = numpy.sqrt(numpy.mean(numpy.square(apart)))
            squares[str(dtype).removeprefix("torch.")].append(found)
    for dtype, draws in squares.items():
        mean = {k: numpy.sqrt(numpy.mean([d[k] ** 2 for d in draws])) for k in draws[0]}
        table[dtype] = {key: mean.pop(key) for key in ("losses", "losses_after")} | {"grads": mean}
    return table


def draw_normal(random, like):
    return torch.from_numpy(random.standard_normal(tuple(like.shape)).astype(numpy.float32))


def write_safetensors(path, tensors, metadata):
    """F32 in the order given. Unlike the library's, the bytes are the same each time."""
    header, data = {"__metadata__": metadata}, b""
    for name, tensor in tensors.items():
        part = numpy.ascontiguousarray(tensor, dtype="<f4").tobytes()
        offsets = [len(data), len(data) + len(part)]
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": offsets}
        data += part
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 64)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def last_attention(model):
    """The first sequence's weights in the last forward pass (L, H, T, T); none of a bigram."""
    layers = getattr(model, "transformer", {"h": []})["h"]
    return torch.stack([block.attn.weights[0] for block in layers]) if len(layers) else None


def make_golden(folder, path):
    name, config = path.stem, read_lua(path)
    random = numpy.random.RandomState(zlib.crc32(name.encode()))  # its draws never change
    model = create(config)
    draw_weights(model, random)
    weights = {n: p.detach().clone() for n, p in model.named_parameters()}
    tokens, targets = draw_batches(config, "ignored" in name, random)

    single = train(model, config, tokens, targets)
    model.double().load_state_dict(weights, strict=False)  # a tied head is no weight of its own
    with torch.no_grad():
        logits = model(tokens[0])[0, -1]
    attention = last_attention(model)
    text, lead = choose_prompt(model, config, random)
    double = train(model, config, tokens, targets)

    tensors = {f"param.{n}": w.numpy() for n, w in stored(weights, config).items()}
    tensors |= {f"grad.{n}": g.numpy() for n, g in stored(double["grads"], config).items()}
    tensors |= {"tokens": tokens.numpy(), "targets": targets.numpy()}
    tensors |= {"logits_last": logits.numpy(), "greedy": numpy.array(text)}
    if attention is not None:
        tensors["attention"] = attention.numpy()
    metadata = {
        "format": "diecast golden",
        "name": name,
        "config": write_line({k: v for k, v in config.items() if k not in RUN_KEYS + MUON_KEYS + GROUP_KEYS}),
        "updates": str(UPDATES),
        "greedy_prompt": str(len(text) - GREEDY),
        "greedy_lead": f"{lead:.3g}",
        "clipped_updates": str(double["clipped"]),
    }
    metadata |= {key: repr(config[key]) for key in RUN_KEYS}
    metadata |= {key: repr(config[key]) for key in GROUP_KEYS if key in config}
    if config["optimizer"] == "muon":
        metadata |= {key: str(config[key]) for key in MUON_KEYS}
    metadata |= {k: f"{double[k]:.9g}" for k in ("loss", "grad_norm", "loss_after")}
    metadata |= {f"{k}_float32": f"{single[k]:.9g}" for k in ("loss", "grad_norm", "loss_after")}
    write_safetensors(folder / f"{name}.safetensors", tensors, metadata)
    if config["model"] != "bigram":  # it has no product: nothing runs under autocast
        batches = (tokens, targets)
        table = autocast_distances(model, config, weights, batches, double, random)
        text = json.dumps({"billionths": billionths(table)}, indent=1)
        (folder / f"{name}.autocast.json").write_text(text + "\n")

    def relative(key):
        return abs(single[key] / double[key] - 1.0)

    print(
        f"{name}: loss {double['loss']:.6f} -> {double['loss_after']:.6f}, "
        f"grad norm {double['grad_norm']:.3f}, clipped {double['clipped']}/{UPDATES}, "
        f"lead {lead:.1e}; float32 is off by: loss {relative('loss'):.1e}, "
        f"worst grad {max(gradient_errors(single['grads'], double['grads']).values()):.1e}, "
        f"after {UPDATES} {relative('loss_after'):.1e}"
    )


def main():
    if len(sys.argv) < 2:
        raise SystemExit("usage: golden.py FOLDER [NAME ...]")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    folder, names = pathlib.Path(sys.argv[1]), sys.argv[2:]
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((HERE / "configs").glob("*.lua")):
        if not names or path.stem in names:
            make_golden(folder, path)


if __name__ == "__main__":
    main()
