"""SmolLM2-135M-Instruct beside transformers and llama.cpp, the two oracles of `make smollm2-parity`.

    smollm2.py whole GGUF F32                    the file with all tensors dequantised to float32, as gguf writes it
    smollm2.py ids CHECKPOINT TEXT COUNT OUT     our first COUNT ids of a text: OUT.ids, int32, and OUT.txt, their text
    smollm2.py texts F32 CHECKPOINT COUNT        texts, tokenized by llama.cpp and by us
    smollm2.py loss CHECKPOINT IDS T OURS        transformers' mean log-probability in windows of T, and make eval's
    smollm2.py positions F32 IDS OURS            llama.cpp's log-probability of each id after the first, and --score's
    smollm2.py greedy F32 IDS OURS               llama.cpp's likeliest ids, one after the other, and our sampler's

`loss` takes an environment with torch and transformers, the others one with gguf and xllamacpp. CHECKPOINT has Hugging
Face's names; OURS is the JSON that a program of ours wrote. A window of T ids predicts the T ids one further on.
"""

import json
import random
import subprocess
import sys

import numpy


def whole(path, out):
    import gguf

    reader = gguf.GGUFReader(path)
    w = gguf.GGUFWriter(out, "llama")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
            continue
        value = field.contents()
        kind = field.types[0]
        if kind == gguf.GGUFValueType.ARRAY:
            w.add_key_value(field.name, value, kind, sub_type=field.types[-1])
        else:
            w.add_key_value(field.name, value, kind)
    w.add_file_type(0)
    for tensor in reader.tensors:
        w.add_tensor(tensor.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def ask_ours(checkpoint, mode, records):
    sent = b"".join((len(r) // (4 if mode == "decode" else 1)).to_bytes(4, "little") + r for r in records)
    done = subprocess.run(["build/encode", checkpoint, mode], input=sent, stdout=subprocess.PIPE, check=True).stdout
    answers, at = [], 0
    while at < len(done):
        length = int.from_bytes(done[at:at + 4], "little") * (1 if mode == "decode" else 4)
        answers.append(done[at + 4:at + 4 + length])
        at += 4 + length
    return answers


def ids(checkpoint, path, count, out):
    with open(path, "rb") as file:
        text = file.read()[:8 * int(count)]
    found = ask_ours(checkpoint, "prompt", [text])[0][:4 * int(count)]
    cut = ask_ours(checkpoint, "decode", [found])[0]
    assert text.startswith(cut) and ask_ours(checkpoint, "prompt", [cut])[0] == found and len(found) == 4 * int(count)
    for name, data in (("ids", found), ("txt", cut)):
        with open(f"{out}.{name}", "wb") as file:
            file.write(data)
    print(count, "ids,", len(cut), "bytes")


def texts(path, checkpoint, count):
    from llama_cpp import PIECES, Server

    rng = random.Random(1)
    pieces = [*PIECES, "<|im_start|>user", "<|im_end|>", "<|endoftext|>", "1234567", " 2024", "x1y22z", "<|im_"]
    some = ["".join(rng.choice(pieces) for _ in range(1 + i % 40)) for i in range(int(count))]
    ours = [numpy.frombuffer(a, numpy.int32).tolist() for a in ask_ours(checkpoint, "prompt", [t.encode() for t in some])]
    server = Server(path, 512)
    for text, own in zip(some, ours, strict=True):
        theirs = server.ask("tokenize", content=text, add_special=False, parse_special=True)["tokens"]
        assert own == theirs, f"{text!r}: ours {own}, llama.cpp's {theirs}"
    print(f"{count} texts, {sum(map(len, ours))} ids, all equal")


def loss(checkpoint, path, window, ours):
    import torch
    from safetensors import safe_open
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    config = LlamaConfig(vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
                         num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=8192, rms_norm_eps=1e-5,
                         rope_theta=100000.0, tie_word_embeddings=True, attn_implementation="eager")
    model = LlamaForCausalLM(config).float().eval()
    with safe_open(checkpoint, "pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    model.load_state_dict(weights)
    tokens = torch.from_numpy(numpy.fromfile(path, numpy.int32).astype(numpy.int64))
    total, seen, window = 0.0, 0, int(window)
    with torch.no_grad():
        for first in range(0, len(tokens) - 1, window):
            x, y = tokens[first:first + window], tokens[first + 1:first + window + 1]
            logits = model(x[None, :len(y)]).logits[0].double()
            total += float(torch.log_softmax(logits, -1).gather(1, y[:, None]).sum())
            seen += len(y)
    with open(ours, encoding="utf-8") as file:
        own = json.load(file)
    print(f"{seen} tokens, mean log-probability: transformers' {total / seen:.8f}, ours {-own['loss']:.8f}")
    assert seen == own["targets"] and abs(total / seen + own["loss"]) < 1e-4


def positions(path, ids_path, ours):
    from llama_cpp import Server

    server, tokens = Server(path, 512), numpy.fromfile(ids_path, numpy.int32).tolist()
    with open(ours, encoding="utf-8") as file:
        own = json.load(file)
    assert [t["id"] for t in own["tokens"]] == tokens
    theirs = []
    for i in range(1, len(tokens)):
        # The bias makes it choose this id; what it says of the id's probability is without the bias.
        answer = server.ask("completion", prompt=tokens[:i], n_predict=1, n_probs=1, samplers=["top_k"], top_k=1,
                            cache_prompt=True, return_tokens=True, logit_bias=[[tokens[i], 1e4]])
        assert answer["tokens"] == [tokens[i]]
        theirs.append(answer["completion_probabilities"][0]["logprob"])
    far = max(abs(t["logprob"] - p) for t, p in zip(own["tokens"][1:], theirs, strict=True))
    mean = -sum(theirs) / len(theirs)
    print(f"{len(theirs)} positions, log-probabilities at most {far:.1e} apart; loss: llama.cpp's {mean:.6f}, "
          f"ours {own['loss']:.6f}")
    # With transformers ours agrees to 1e-6; llama.cpp's differ from both by up to 3e-4, in one direction.
    assert far < 1e-3 and abs(mean - own["loss"]) < 5e-4


def greedy(path, ids_path, ours):
    from llama_cpp import Server

    prompt = numpy.fromfile(ids_path, numpy.int32).tolist()
    with open(ours, encoding="utf-8") as file:
        own = json.loads(file.readline())
    chosen = [t["id"] for t in own["tokens"]]
    theirs = Server(path, 512).complete(prompt, len(chosen))["tokens"]
    print(f"{len(theirs)} ids: {own['text']!r}")
    assert chosen == theirs, f"ours {chosen}, llama.cpp's {theirs}"


if __name__ == "__main__":
    {"whole": whole, "ids": ids, "texts": texts, "loss": loss, "positions": positions,
     "greedy": greedy}[sys.argv[1]](*sys.argv[2:])
