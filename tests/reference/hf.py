"""Hugging Face's side of `make hf-parity`.

    hf.py make FOLDER [dtype] [shards]     a small random GPT-2, as transformers saves it
    hf.py family FOLDER NAME [dtype]       the same of the Llama family: NAME is one of FAMILIES
    hf.py loss FOLDER TEXT STRIDE          mean loss over TEXT in windows, in double, and the tokens predicted
    hf.py tokens FOLDER BIN STRIDE         the same of a file of uint16 tokens, for a model without a tokenizer
    hf.py text FOLDER PROMPT COUNT         the prompt and the likeliest tokens after it
    hf.py llmc FOLDER FILE VERSION         the model as llm.c's train_gpt2.py writes it: 3 float32, 5 bfloat16
"""

import sys

import numpy
import torch
from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
# What each has besides SIZES; model_type is the name's first word.
SIZES = {
    "vocab_size": 50257,
    "hidden_size": 48,
    "intermediate_size": 100,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
}
FAMILIES = {
    "llama": {"attention_bias": True, "mlp_bias": True, "rms_norm_eps": 1e-5, "rope_parameters": {"rope_theta": 5000.0}},
    "llama tied": {"tie_word_embeddings": True, "num_key_value_heads": 6, "rope_parameters": {"rope_theta": 1e5}},
    "llama scaled": {
        "rope_parameters": LLAMA3 | {"rope_theta": 500.0, "original_max_position_embeddings": 32}
    },
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"head_dim": 12},
    "arcee": {"num_key_value_heads": 1},
    "nanochat": {"head_dim": 12, "rope_parameters": {"rope_theta": 1e5}},
    "nanochat uncapped": {
        "final_logit_softcapping": None,
        "attention_bias": True,
        "tie_word_embeddings": True,
        "rms_norm_eps": 1e-3,
    },
}


def make(folder, dtype="float32", shards=None):
    torch.manual_seed(1)
    config = GPT2Config(n_layer=3, n_head=4, n_embd=64, n_positions=64, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        for parameter in model.parameters():  # biases and scales that say something
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.to(getattr(torch, dtype)).save_pretrained(folder, **({"max_shard_size": shards} if shards else {}))


def family(folder, name, dtype="float32"):
    torch.manual_seed(1)
    words = SIZES | FAMILIES[name]
    words["rope_parameters"] = {"rope_type": "default"} | words.get("rope_parameters", {"rope_theta": 1e4})
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(name.split()[0], **words))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:  # biases and gains that say something
                parameter.add_(0.3 * torch.randn_like(parameter))
    model.to(getattr(torch, dtype)).save_pretrained(folder)


def windows(model, ids, stride):
    length, total, count, begin = model.config.max_position_embeddings, 0.0, 0, 0
    with torch.no_grad():
        while True:
            target = ids[begin + 1 : begin + length + 1]
            logits = model(ids[None, begin : begin + len(target)]).logits[0]
            losses = torch.nn.functional.cross_entropy(logits, target, reduction="none")
            fresh = losses[0 if begin == 0 else length - stride :]
            total, count = total + fresh.sum().item(), count + len(fresh)
            if begin + length >= len(ids) - 1:
                break
            begin += stride
    print(f"{total / count:.9f} {count}")


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)


def llmc(folder, path, version):
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32)
    c, state = model.config, model.transformer.state_dict()
    table = torch.nn.functional.pad(state["wte.weight"], (0, 0, 0, -c.vocab_size % 128))
    tensors = [table, state["wpe.weight"]]
    for name in ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"):
        weights = [state[f"h.{layer}.{name}.weight"] for layer in range(c.n_layer)]
        tensors += [w.T if "c_" in name else w for w in weights]  # Conv1D's are (in, out)
        tensors += [state[f"h.{layer}.{name}.bias"] for layer in range(c.n_layer)]
    tensors += [state["ln_f.weight"], state["ln_f.bias"]]
    header = numpy.zeros(256, dtype=numpy.int32)
    sizes = (c.n_positions, c.vocab_size, c.n_layer, c.n_head, c.n_embd, len(table))
    header[:8] = (20240326, version, *sizes)
    with open(path, "wb") as file:
        file.write(header.tobytes())
        for tensor in tensors:
            tensor = tensor.contiguous()
            bits = tensor if version == 3 else tensor.to(torch.bfloat16).view(torch.int16)
            file.write(bits.numpy().tobytes())


def main():
    command, folder, *words = sys.argv[1:]
    if command == "make":
        make(folder, *words)
    elif command == "family":
        family(folder, *words)
    elif command == "loss":
        with open(words[0], encoding="utf-8") as file:
            ids = GPT2TokenizerFast.from_pretrained(folder)(file.read(), return_tensors="pt").input_ids[0]
        windows(load(folder), ids, int(words[1]))
    elif command == "tokens":
        ids = torch.from_numpy(numpy.fromfile(words[0], dtype=numpy.uint16).astype(numpy.int64))
        windows(load(folder), ids, int(words[1]))
    elif command == "text":
        model, tokenizer = load(folder), GPT2TokenizerFast.from_pretrained(folder)
        ids = tokenizer(words[0], return_tensors="pt").input_ids
        with torch.no_grad():
            for _ in range(int(words[1])):
                ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], 1)
        print(tokenizer.decode(ids[0]))
    elif command == "llmc":
        llmc(folder, words[0], int(words[1]))
    else:
        sys.exit(__doc__)


main()
