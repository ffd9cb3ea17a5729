"""Made-up tokens: tokens.py FILE VOCABULARY [COUNT]: raw little-endian uint16, as train.bin is.

They follow Zipf's law as Mandelbrot wrote it for words: the id r has a weight of 1 / (r + 2.7).
What a training step costs depends on tokens only where rows of the embedding's gradient meet; there
a few frequent tokens matter, which uniform ones would not show.
"""

import array
import itertools
import random
import sys

SHIFT = 2.7
COUNT = 4_000_000


def main():
    if len(sys.argv) not in (3, 4):
        raise SystemExit("usage: tokens.py FILE VOCABULARY [COUNT]")
    path, vocabulary = sys.argv[1], int(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) == 4 else COUNT
    if not 1 <= vocabulary <= 65536:
        raise SystemExit(f"tokens.py: VOCABULARY is {vocabulary}, wanted 1 to 65536")
    weights = list(itertools.accumulate(1.0 / (r + SHIFT) for r in range(vocabulary)))
    draw = random.Random(1337)
    tokens = array.array("H", draw.choices(range(vocabulary), cum_weights=weights, k=count))
    if sys.byteorder == "big":
        tokens.byteswap()
    with open(path, "wb") as file:
        tokens.tofile(file)


if __name__ == "__main__":
    main()
