"""What a row costs that is many times as long as a model takes: clozes of two patterns, beside tokenising the texts to their ends once.

    python -m benchmarks.long_texts [--words 2000] [--texts 200] [--length 256] [--rounds 3]

Texts of the installed packages' documentation, the builtin tokenizer; processor seconds, medians of interleaved rounds in one process.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import cycle, islice

from petkit.backbones import load_tokenizer
from petkit.builtin.docs import docstrings
from petkit.encoding import Encoder
from petkit.encoding.tokenizing import plain_tokenizer
from petkit.pvp import Pattern
from petkit.rows import Rows

PATTERNS = (Pattern("{mask}: {text}"), Pattern("{text} It was {mask}."))


def long_texts(count: int, words: int) -> tuple[str, ...]:
    """Texts of so many words, one after the other from the documentation, over and over."""
    source = cycle([word for package in ("torch", "scipy", "sklearn") for doc in docstrings(package) for word in doc.text.split()])
    return tuple(" ".join(islice(source, words)) for _ in range(count))


def seconds(work: Callable[[], object]) -> float:
    """Processor time, of all threads."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("words", 2000), ("texts", 200), ("length", 256), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    tokenizer, texts = load_tokenizer("builtin"), long_texts(options.texts, options.words)
    rows = Rows(tuple(map(str, range(len(texts)))), {"text": texts})
    names = ("tokenised to the end, once", "clozes of the first pattern", "clozes of the second pattern")
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(options.rounds):
        encoder = Encoder(tokenizer, max_length=options.length)
        works = [lambda: plain_tokenizer(tokenizer).spans(texts)]
        works += [lambda e=encoder, p=pattern: e.clozes(rows, p, filler="good") for pattern in PATTERNS]
        for times, work in zip(found.values(), works, strict=True):
            times.append(seconds(work))
    print(f"{options.texts} texts of {options.words} words, {options.length} tokens a row: processor seconds")
    for name, times in found.items():
        print(f"  {name}: {statistics.median(times):.3f}")


if __name__ == "__main__":
    main()
