"""Rows that are not packed: the text as one stream without padding, and pairs of texts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from petkit.errors import DataError
from petkit.objectives import PairPrediction, Pairs, Vocabulary, pair_rows, stream
from petkit.objectives.rows import BoolArray, IntArray
from petkit.pretraining.tokenfiles import TokenFile
from petkit.pretraining.units import ranges, word_ids

__all__ = ["ChunkedRows", "PairedRows"]


@dataclass(frozen=True)
class ChunkedRows:
    """All documents one after the other, ``end_id`` behind each, cut into rows of ``length`` tokens without padding.

    As GPT-2 and T5 fill their rows. What is left over, less than a row, is at the front or the end, by
    ``stream(seed, "pretrain", "chunks", epoch)``, so rows are cut elsewhere in every epoch. A text shorter than one row is padded.
    """

    tokens: TokenFile
    length: int
    end_id: int
    pad_id: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.length < 1 or not len(self.tokens.ids):
            raise DataError(f"rows of {self.length} tokens cannot be cut out of {len(self.tokens.ids)}")

    @cached_property
    def ends(self) -> IntArray:
        """(D,) int64, where the end tokens are in the stream."""
        return self.tokens.starts[1:] + np.arange(len(self.tokens.documents) - 1)

    @property
    def total(self) -> int:
        """Tokens of the stream."""
        return len(self.tokens.ids) + len(self.tokens.documents) - 1

    def __len__(self) -> int:
        return max(1, self.total // self.length)

    def rows(self, chosen: IntArray, *, epoch: int = 0) -> tuple[IntArray, BoolArray, BoolArray | None]:
        """The chosen (B,) rows as ``PackedRows.rows`` gives them."""
        spare = max(0, self.total - len(self) * self.length)
        shift = int(stream(self.seed, "pretrain", "chunks", epoch).integers(0, spare + 1))
        first = shift + chosen * self.length
        low, high = np.searchsorted(self.ends, first), np.searchsorted(self.ends, first + self.length)
        is_end = np.zeros((len(chosen), self.length), dtype=bool)
        found = self.ends[ranges(low, high - low)]
        row = np.repeat(np.arange(len(chosen)), high - low)
        is_end[row, found - first[row]] = True
        places = first[:, None] + np.arange(self.length)[None, :]
        before = low[:, None] + np.cumsum(is_end, axis=1) - is_end
        source = places - before
        valid = places < self.total
        ids = np.take(self.tokens.ids, source, mode="clip").astype(np.int64)
        ids[is_end] = self.end_id
        np.putmask(ids, ~valid, self.pad_id)
        begins = None if self.tokens.begins is None else np.take(self.tokens.begins, source, mode="clip") | is_end
        return ids, valid, begins

    def batch(self, chosen: IntArray, objective: Any, vocabulary: Vocabulary, rng: np.random.Generator, *, epoch: int = 0) -> Any:
        """See ``RowSource``."""
        ids, valid, begins = self.rows(chosen, epoch=epoch)
        return objective.batch(ids, valid, vocabulary, rng, **word_ids(begins))


class PairedRows:
    """Pairs of texts for NSP or SOP, drawn anew every epoch from ``stream(seed, "pretrain", "pairs", epoch)`` by the objective's ``build``.

    An epoch has as many rows as the first one has pairs; where a later draw gives fewer, some come twice, where it gives more, some do not.
    Drawing is a loop in Python over the stretches of the whole text, once an epoch: about a second for 80,000 pairs of NSP.

    Attributes:
        left_out: stretches of the text of which the first epoch makes no pair (``Pairs.left_out``).
        unparted: its pairs that are of two documents for want of a second sentence (``Pairs.unparted``). random: its share of label 1.
    """

    def __init__(self, tokens: TokenFile, objective: PairPrediction, *, length: int, seed: int) -> None:
        self.tokens, self.length, self.seed = tokens, length, seed
        self._build, self._short = objective.build, objective.short
        self._drawn: tuple[int, Pairs] = (0, self._draw(0))
        first = self._drawn[1]
        self._count, self.left_out, self.unparted = len(first.labels), first.left_out, first.unparted
        if self._count == self.unparted:
            what = "pair of texts that follow each other" if self._count else "pair"
            raise DataError(f"--objective {objective.name}: no {what} can be made; {_why_no_pair(tokens, length)}")
        self.random = float(first.labels.mean())

    def _draw(self, epoch: int) -> Pairs:
        rng = stream(self.seed, "pretrain", "pairs", epoch)
        pairs: Pairs = self._build(self.tokens.as_documents, rng, tokens=self.length - 3, short=self._short)
        return pairs

    def pairs(self, epoch: int) -> Pairs:
        """The pairs of an epoch; the last one asked for is kept."""
        if self._drawn[0] != epoch:
            self._drawn = (epoch, self._draw(epoch))
        return self._drawn[1]

    def __len__(self) -> int:
        return self._count

    def batch(self, chosen: IntArray, objective: Any, vocabulary: Vocabulary, rng: np.random.Generator, *, epoch: int = 0) -> Any:
        """See ``RowSource``. Words are those that the vocabulary shows."""
        pairs = self.pairs(epoch)
        places: npt.NDArray[np.int64] = chosen % len(pairs.labels)
        rows = pair_rows(self.tokens.as_documents, pairs, places, rng, vocabulary, length=self.length)
        return objective.batch(rows, vocabulary, rng)


def _why_no_pair(tokens: TokenFile, length: int) -> str:
    if (np.diff(tokens.documents) < 2).all():
        return "it takes documents of two sentences at least, and each of this text is a single one"
    return f"rows of {length} tokens are too short: a single sentence of this text fills one; raise --length"
