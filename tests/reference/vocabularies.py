"""Compares our tokenizers with Hugging Face's tokenizers library, id for id, on real vocabularies.

    vocabularies.py ENCODE FILE.gguf ...     ENCODE: the program that encode.c makes

Of each GGUF file's tokens and merges the library's own tokenizer is made, cut as `tokenizer.ggml.pre` says; its
tokenizer.json is read by our program too. Texts are those of tokenizer.py, and FILE.gguf.inp where llama.cpp has put
one beside the vocabulary, with the ids that it expects in FILE.gguf.out.
"""

import json
import os
import subprocess
import sys
import tempfile

import gguf
import tokenizer as texts
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

CL100K = ("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}%s| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
          "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")
CONTROL, USER_DEFINED = 3, 4


def split(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def bytes_alone():
    return pre_tokenizers.ByteLevel(add_prefix_space=False)


CUTS = {"gpt-2": bytes_alone(), "llama-bpe": split(CL100K % "{1,3}"), "qwen2": split(CL100K % ""),
        "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), bytes_alone()])}


def made_of(path):
    """The library's tokenizer, without a token before the text, and the way in which it cuts."""
    fields = gguf.GGUFReader(path).fields
    def value(key):
        return fields["tokenizer.ggml." + key].contents()
    tokens, types, pre = value("tokens"), value("token_type"), value("pre")
    named = [i for i, t in enumerate(types) if t in (CONTROL, USER_DEFINED) and tokens[i] != f"[PAD{i}]"]
    vocabulary = {t: i for i, t in enumerate(tokens) if types[i] == 1 or i in set(named)}
    model = models.BPE(vocab=vocabulary, merges=[tuple(m.split(" ")) for m in value("merges")],
                       ignore_merges=pre == "llama-bpe")
    made = Tokenizer(model)
    made.pre_tokenizer, made.decoder = CUTS[pre], decoders.ByteLevel()
    if pre == "qwen2":
        made.normalizer = normalizers.NFC()
    for i in named:
        made.add_tokens([AddedToken(tokens[i], special=types[i] == CONTROL, normalized=False)])
    return made, pre, [tokens[i] for i in named]


def ours(program, place, mode, lines):
    sent = b"".join(len(r).to_bytes(4, "little") + r for r in lines)
    done = subprocess.run([program, place, mode], input=sent, stdout=subprocess.PIPE, check=True).stdout
    at, answers = 0, []
    while at < len(done):
        length = int.from_bytes(done[at : at + 4], "little") * 4
        answers.append(texts.ids_of(done[at + 4 : at + 4 + length]))
        at += 4 + length
    return answers


def compare(what, program, place, some, wanted):
    found = ours(program, place, "prompt", [t.encode() for t in some])
    assert len(found) == len(some), f"{what}: {len(found)} answers to {len(some)} texts"
    bad = [i for i in range(len(some)) if found[i] != wanted[i]]
    if bad:
        i = bad[0]
        sys.exit(f"vocabularies: {what}: {len(bad)} texts of {len(some)} differ, as {some[i][:200]!r}: it is "
                 f"{found[i][:50]}, {wanted[i][:50]} is wanted")
    print(f"vocabularies: {what}: {len(some)} texts, {sum(map(len, wanted))} tokens, all equal")


def expected(path):
    """llama.cpp's own texts and ids, where they lie beside the vocabulary."""
    if not os.path.exists(path + ".inp"):
        return [], []
    some = open(path + ".inp", encoding="utf-8", newline="").read().split("\n__ggml_vocab_test__\n")
    ids = [[int(i) for i in line.split()] for line in open(path + ".out", encoding="utf-8").read().split("\n")]
    return some, ids[: len(some)]


def check(program, path, folder):
    library, pre, named = made_of(path)
    characters = texts.assigned()
    around = [("a", ""), ("", "a"), (" ", ""), ("", " "), ("1", "2"), ("  ", "x"), ("'", "s"), ("\n", "\n"), ("'", "")]
    special = named[:40]
    parts = {
        "code points alone": characters,
        "code points in contexts": [";".join(a + c + b for a, b in around) + "; " + c + c + "\n" for c in characters],
        "mixed scripts": texts.mixed(20000, 1),
        "named tokens": [f"a{a} {b}{b}x<|{b[:-1]}" for a in special for b in special],
        "random characters": texts.anything(10000, 2, characters),
        "random bytes of one kind": texts.anything(10000, 3, [chr(c) for c in range(256)]),
        "marks": texts.anything(20000, 4, [chr(c) for c in [*range(0x300, 0x370), *range(0x41, 0x7b), 0x1100, 0x1161,
                                                            0x11a8, 0xac00, 0x1e69, 0x958, 0x2126, 0x3b1]]),
        "runs of spaces": texts.runs(),
        "long pieces": texts.long_pieces()[::7],
    }
    parts = {what: some for what, some in parts.items() if some}
    tokenizer_json = os.path.join(folder, "tokenizer.json")
    library.save(tokenizer_json)
    for what, some in parts.items():
        wanted = [e.ids for e in library.encode_batch(some, add_special_tokens=False)]
        compare(f"{pre}, {what}", program, path, some, wanted)
    some = parts["mixed scripts"]
    compare(f"{pre}, from tokenizer.json", program, folder, some, [e.ids for e in library.encode_batch(some)])
    some, ids = expected(path)
    compare(f"{pre}, llama.cpp's texts", program, path, some, ids)


if __name__ == "__main__":
    for file in sys.argv[2:]:
        with tempfile.TemporaryDirectory() as temporary:
            check(sys.argv[1], file, temporary)
