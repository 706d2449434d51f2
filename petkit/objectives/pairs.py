"""Pairs of texts for BERT's and ALBERT's second loss: documents -> pairs with a label -> rows.

The label's polarity is that of the reference implementations: 0 is the real thing, 1 the random or swapped one. Some tutorials have it
the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from petkit.errors import DataError
from petkit.objectives.rows import BoolArray, IntArray
from petkit.objectives.vocabulary import Vocabulary

__all__ = ["Documents", "PairRows", "Pairs", "nsp_pairs", "pair_rows", "sop_pairs"]


@dataclass(frozen=True)
class Documents:
    """Token ids of documents, in one flat buffer.

    Attributes:
        ids: (N,) integer, without special tokens.
        sentences: (S + 1,) int64, the first token of each sentence, and N. documents: (D + 1,) int64, the first sentence of each, and S.
    """

    ids: npt.NDArray[np.integer[Any]]
    sentences: IntArray
    documents: IntArray


@dataclass(frozen=True)
class Pairs:
    """P pairs: ``first`` and ``second`` (P, 2) int64, from which token to before which; ``labels`` (P,) int64.

    ``left_out``: chunks of which no pair could be made. ``unparted``: pairs that had to be of two documents, whatever was drawn.
    """

    first: IntArray
    second: IntArray
    labels: IntArray
    left_out: int = 0
    unparted: int = 0


def nsp_pairs(documents: Documents, rng: np.random.Generator, *, tokens: int, short: float = 0.1) -> Pairs:
    """Next-sentence prediction (Devlin et al. 2019, section 3.1, arXiv 1810.04805).

    Label 0: the text that follows; 1: one of another document. As in the reference: chunks of sentences up to ``tokens``, with
    probability ``short`` up to a random smaller number; the first text is a random number of a chunk's sentences. Half of the chunks
    keep their rest; the others, and those of a single sentence (counted as ``unparted``), get sentences from a random place of another
    document, and the rest is used again. A loop in Python over the chunks, some 80,000 a second.
    """
    bounds, docs = documents.sentences, documents.documents
    filled = np.flatnonzero(np.diff(docs))
    if len(filled) < 2:
        raise DataError(f"next-sentence prediction needs two documents at least, for texts that do not follow; here are {len(filled)}")
    found: list[tuple[int, int, int, int, int]] = []
    unparted = 0
    for turn, document in enumerate(filled.tolist()):
        at, last = int(docs[document]), int(docs[document + 1])
        while at < last:
            target = _target(tokens, short, rng)
            stop = _fill(bounds, at, last, target)
            single = stop - at == 1
            unparted += single
            middle = stop if single else int(rng.integers(at + 1, stop))
            if single or rng.random() < 0.5:
                other = int(filled[(turn + int(rng.integers(1, len(filled)))) % len(filled)])
                start = int(rng.integers(docs[other], docs[other + 1]))
                end = _fill(bounds, start, int(docs[other + 1]), target - int(bounds[middle] - bounds[at]))
                found.append((at, middle, start, end, 1))
                at = middle
            else:
                found.append((at, middle, middle, stop, 0))
                at = stop
    return _pairs(found, bounds, unparted=unparted)


def sop_pairs(documents: Documents, rng: np.random.Generator, *, tokens: int, short: float = 0.1) -> Pairs:
    """Sentence-order prediction (Lan et al. 2020, section 3.1, arXiv 1909.11942): label 0 two texts in order, 1 the same two swapped.

    Differs from ``nsp_pairs`` in that both texts always come from one document, so that the topic tells nothing. A chunk of a single
    sentence cannot be parted: it is left out and counted (the reference makes a random pair of it). As slow as ``nsp_pairs``.
    """
    bounds, docs = documents.sentences, documents.documents
    found: list[tuple[int, int, int, int, int]] = []
    left_out = 0
    for document in np.flatnonzero(np.diff(docs)).tolist():
        at, last = int(docs[document]), int(docs[document + 1])
        while at < last:
            stop = _fill(bounds, at, last, _target(tokens, short, rng))
            if stop - at == 1:
                left_out += 1
            else:
                middle = int(rng.integers(at + 1, stop))
                swapped = rng.random() < 0.5
                found.append((middle, stop, at, middle, 1) if swapped else (at, middle, middle, stop, 0))
            at = stop
    return _pairs(found, bounds, left_out=left_out)


def _target(tokens: int, short: float, rng: np.random.Generator) -> int:
    return int(rng.integers(2, tokens + 1)) if rng.random() < short else tokens


def _fill(bounds: IntArray, at: int, last: int, target: int) -> int:
    """The sentence before which a chunk from ``at`` ends: it has ``target`` tokens or more, or the document is over."""
    return min(max(int(np.searchsorted(bounds, bounds[at] + target)), at + 1), last)


def _pairs(found: list[tuple[int, int, int, int, int]], bounds: IntArray, **counts: int) -> Pairs:
    table = np.array(found, dtype=np.int64).reshape(-1, 5)
    return Pairs(bounds[table[:, 0:2]], bounds[table[:, 2:4]], table[:, 4], **counts)


@dataclass(frozen=True)
class PairRows:
    """Rows ``[CLS] a [SEP] b [SEP]``: ``ids``, ``types`` (B, T) int64, ``valid`` (B, T) bool, ``labels`` (B,) int64."""

    ids: IntArray
    types: IntArray
    valid: BoolArray
    labels: IntArray


def pair_rows(
    documents: Documents, pairs: Pairs, chosen: IntArray, rng: np.random.Generator, vocabulary: Vocabulary, *, length: int
) -> PairRows:
    """The chosen (B,) pairs as rows of ``length`` tokens. Of too long ones the longer text loses tokens from front or end, by chance."""
    first, second = pairs.first[chosen], pairs.second[chosen]
    sizes = np.stack([np.diff(first)[:, 0], np.diff(second)[:, 0]])
    kept = _shortened(sizes, length - 3)
    front = rng.binomial(sizes - kept, 0.5)
    starts = np.stack([first[:, 0], second[:, 0]]) + front
    cls_id, sep_id = vocabulary.need("cls_id", "nsp"), vocabulary.need("sep_id", "nsp")
    columns = np.arange(length)[None, :]
    (one, two), (at_one, at_two) = kept[:, :, None], starts[:, :, None]
    in_one, in_two = (columns >= 1) & (columns <= one), (columns > one + 1) & (columns < one + two + 2)
    source = np.where(in_one, at_one + columns - 1, np.where(in_two, at_two + columns - one - 2, 0))
    ids = np.where(in_one | in_two, documents.ids[source], vocabulary.pad_id).astype(np.int64)
    ids[(columns == one + 1) | (columns == one + two + 2)] = sep_id
    ids[:, 0] = cls_id
    valid = columns <= one + two + 2
    return PairRows(ids, ((columns > one + 1) & valid).astype(np.int64), valid, pairs.labels[chosen])


def _shortened(sizes: IntArray, room: int) -> IntArray:
    """(2, B) how many tokens of each text stay, when the longer one loses one after the other until ``room`` is enough."""
    first = np.minimum(sizes[0], np.maximum(room - sizes[1], -(-room // 2)))
    return np.stack([first, np.minimum(sizes[1], room - first)])
