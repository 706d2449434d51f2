"""A batch of token rows, and the few moves on padded and flat arrays of which selection, corruption and noise are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["BoolArray", "FloatArray", "IntArray", "TokenRows", "Words", "flat_words", "lowest", "pack_left"]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TokenRows:
    """A batch of token rows.

    Attributes:
        ids: (B, T) int64 token ids, padded.
        maskable: (B, T) bool, positions that may be selected: no padding, no special token, no pattern's mask slot.
        words: (B, T) int64 ids of units that stay whole (words, phrases), rising within a row; needed where units are words.
        sentences: (B, T) int64 sentence ids, counting up within a row; needed by sentence permutation only.
        valid: (B, T) bool, positions that are no padding; None where they are the maskable ones.
    """

    ids: IntArray
    maskable: BoolArray
    words: IntArray | None = None
    sentences: IntArray | None = None
    valid: BoolArray | None = None


@dataclass(frozen=True)
class Words:
    """The N maskable tokens of a batch as one flat list, row by row, and the W words that they form.

    A word ends where the word id changes, at a position that may not be selected, and at the end of its row.

    Attributes:
        places: (N,) int64, where each token is in the flattened (B T).
        word: (N,) int64, the word of each token.
        first: (W + 1,) int64, the first token of each word, and N.
        row: (W,) int64, the row of each word.
        stop: (W,) int64, the word after the last one of its unbroken run: a span of words ends there at the latest.
        row_words: (B + 1,) int64, the first word of each row, and W.
    """

    places: IntArray
    word: IntArray
    first: IntArray
    row: IntArray
    stop: IntArray
    row_words: IntArray

    @property
    def sizes(self) -> IntArray:
        """(W,) tokens of each word."""
        return np.diff(self.first)

    @property
    def rank(self) -> IntArray:
        """(W,) the place of each word within its row."""
        return np.arange(len(self.row)) - self.row_words[self.row]


def flat_words(rows: TokenRows) -> Words:
    """The words of a batch as flat arrays. Raises ValueError where ``rows`` has no word ids."""
    if rows.words is None:
        raise ValueError("selection by words needs word ids")
    length = rows.ids.shape[1]
    places = np.flatnonzero(rows.maskable)
    row_of, ids = places // max(length, 1), rows.words.reshape(-1)[places]
    broken = np.ones(len(places), dtype=bool)
    broken[1:] = (np.diff(places) > 1) | (np.diff(row_of) > 0)
    starts = broken.copy()
    starts[1:] |= np.diff(ids) != 0
    first = np.flatnonzero(starts)
    runs = np.append(np.flatnonzero(broken[first]), len(first))
    row = row_of[first]
    return Words(
        places=places,
        word=np.cumsum(starts) - 1,
        first=np.append(first, len(places)),
        row=row,
        stop=np.repeat(runs[1:], np.diff(runs)),
        row_words=np.searchsorted(row, np.arange(len(rows.ids) + 1)),
    )


def pack_left(values: npt.NDArray[np.generic], keep: BoolArray, fill: object) -> tuple[npt.NDArray[np.generic], BoolArray]:
    """Move the kept values of each row to its left.

    Args:
        values: (B, T). keep: (B, T) bool. fill: what stands behind them.

    Returns:
        (B, U) values and (B, U) bool which of them are there; U is the longest row.
    """
    counts = keep.sum(axis=1)
    there = np.arange(int(counts.max(initial=0)))[None, :] < counts[:, None]
    packed = np.full(there.shape, fill, dtype=values.dtype)
    packed[there] = values[keep]
    return packed, there


def lowest(keys: npt.NDArray[np.floating[Any]], counts: IntArray) -> BoolArray:
    """(B, T) bool: the ``counts[b]`` positions of row b with the lowest keys, of equal ones the first.

    Sorts values, not places, which is several times as quick.
    """
    if keys.shape[1] == 0:
        return np.zeros(keys.shape, dtype=bool)
    last = np.sort(keys, axis=1)[np.arange(len(keys)), np.maximum(counts, 1) - 1][:, None]
    chosen: BoolArray = keys <= last
    if (chosen.sum(axis=1) != counts).any():
        below, equal = keys < last, keys == last
        chosen = below | (equal & (np.cumsum(equal, axis=1) <= (counts - below.sum(axis=1))[:, None]))
        chosen &= counts[:, None] > 0
    return chosen
