"""Training byte-level BPE (Radford et al. 2019, section 2.2): pieces of bytes, so no text is unknown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from petkit.errors import SettingsError

__all__ = ["train_bytelevel"]

Merge = tuple[str, str]


def train_bytelevel(
    texts: Callable[[], Iterable[str]], *, size: int, specials: Sequence[str], keep: Sequence[str] = (), lowercase: bool = False
) -> Any:
    """A backend with ``size`` pieces at most, special tokens first, then the bytes, then merges in the order in which they were found.

    The trainer breaks ties by the numbers of pieces, which are the same in every process, so the same texts give the same pieces.

    Args:
        keep: words that are one piece after a blank and at the start of a text. Where the text did not make them so, merges are added
            behind all others, in place of the last ones.

    Raises SettingsError where ``size`` leaves no room.
    """
    from tokenizers import pre_tokenizers, trainers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    least = len(specials) + len(alphabet)
    if size < least:
        raise SettingsError(f"--vocab-size is {size}; a byte-level tokenizer needs {least} at least")
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(specials), initial_alphabet=alphabet, show_progress=False)
    backend = _backend({}, [], lowercase)
    backend.train_from_iterator(texts(), trainer)
    found = json.loads(backend.to_str())["model"]["merges"]
    merges: list[Merge] = [(left, right) for left, right in (m.split(" ") if isinstance(m, str) else m for m in found)]
    base, words = [*specials, *alphabet], _forms(backend, keep)
    kept = len(merges)
    while True:
        more = _missing(base, merges[:kept], words, lowercase)
        vocabulary = _numbered(base, [*merges[:kept], *more])
        if len(vocabulary) <= size:
            return _backend(vocabulary, [*merges[:kept], *more], lowercase)
        if not kept:
            raise SettingsError(f"--vocab-size is {size}; the {len(keep)} words to keep need {len(vocabulary)}")
        kept = max(0, kept - (len(vocabulary) - size))


def _backend(vocabulary: dict[str, int], merges: list[Merge], lowercase: bool) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    backend = Tokenizer(models.BPE(vocabulary, merges))
    if lowercase:
        backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return backend


def _numbered(base: Sequence[str], merges: Iterable[Merge]) -> dict[str, int]:
    vocabulary = {piece: number for number, piece in enumerate(base)}
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
    return vocabulary


def _forms(backend: Any, keep: Sequence[str]) -> list[str]:
    """Each word after a blank and alone, as the trained backend normalises it."""
    words = [word if backend.normalizer is None else backend.normalizer.normalize_str(word) for word in keep]
    return [form for word in dict.fromkeys(words) for form in (f" {word}", word)]


def _missing(base: Sequence[str], merges: list[Merge], forms: Sequence[str], lowercase: bool) -> list[Merge]:
    """The merges that make one piece of each form that is not one yet."""
    more: list[Merge] = []
    backend = _backend(_numbered(base, merges), merges, lowercase)
    for form in forms:
        pieces = backend.encode(form, add_special_tokens=False).tokens
        if len(pieces) > 1:
            starts = ["".join(pieces[: end + 1]) for end in range(len(pieces))]
            more += [(start, longer[len(start) :]) for start, longer in pairwise(starts)]
            backend = _backend(_numbered(base, [*merges, *more]), [*merges, *more], lowercase)
    return more
