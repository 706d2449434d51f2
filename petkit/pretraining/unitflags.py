"""Marked paragraphs to tokens, and which tokens begin a unit: a phrase or entity, or a word outside of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from petkit.encoding.tokenizing import encoded, plain_backend
from petkit.objectives import Vocabulary
from petkit.objectives.rows import BoolArray, IntArray
from petkit.pretraining.marked import Marked
from petkit.pretraining.sections import Run, behind_blanks, set_apart

__all__ = ["marked_encoder", "set_marked_apart", "unit_begins"]


def set_marked_apart(documents: Iterable[list[Marked]]) -> Iterator[list[Marked]]:
    """``set_apart`` of marked paragraphs: spans move with their characters."""
    for document in documents:
        (texts,) = set_apart([[paragraph.text for paragraph in document]])
        yield [Marked(text, given.spans + (len(text) - len(given.text))) for text, given in zip(texts, document, strict=True)]


def marked_encoder(tokenizer: Any, kind: np.dtype[Any]) -> Callable[[list[Marked]], Iterator[Run]]:
    """Marked paragraphs -> for each its ids (T,) of type ``kind``, as ``text_encoder`` gives them, and (T,) bool which begin a unit.

    A token covers its characters in the paragraph, before the tokenizer normalises anything, from the first on that is no blank.
    Raises ModelError where the tokenizer has no fast backend.
    """
    backend, vocabulary = plain_backend(tokenizer), Vocabulary.of(tokenizer)

    def encode(paragraphs: list[Marked]) -> Iterator[Run]:
        found = encoded(backend, [paragraph.text for paragraph in paragraphs], fast=False)
        for paragraph, one in zip(paragraphs, found, strict=True):
            ids = np.array(one.ids, dtype=np.int64)
            offsets = np.array(one.offsets, dtype=np.int64).reshape(-1, 2)
            starts = behind_blanks(paragraph.text)[offsets[:, 0]]
            ends = np.maximum(offsets[:, 1], starts + 1)  # a token of blanks alone goes with what follows
            yield ids.astype(kind), unit_begins(vocabulary.words(ids[None])[0], starts, ends, paragraph.spans)

    return encode


def unit_begins(words: IntArray, starts: IntArray, ends: IntArray, spans: IntArray) -> BoolArray:
    """(T,) bool, which tokens begin a unit. Units are spans, and of the tokens in no span the words.

    A token that overlaps a span belongs to it, the rest of its word does not; one that overlaps several belongs to the first.

    Args:
        words: (T,) int64 word ids. starts, ends: (T,) int64, the first character of each token and the one behind its last.
        spans: (K, 2) int64, as of ``Marked``.

    >>> unit_begins(np.array([0, 1, 1, 2, 3]), np.array([0, 3, 5, 8, 12]), np.array([2, 5, 7, 11, 15]), np.array([[3, 11]])).tolist()
    [True, True, False, False, True]
    """
    first = np.searchsorted(spans[:, 1], starts, side="right")
    span = np.where(np.append(spans[:, 0], np.iinfo(np.int64).max)[first] < ends, first, -1)
    begins = np.ones(len(words), dtype=bool)
    begins[1:] = (span[1:] != span[:-1]) | ((span[1:] < 0) & (words[1:] != words[:-1]))
    return begins
