"""Encoded rows: token ids of many rows in one flat array, with their mask slots. No padding is ever stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Encoded", "flat_ranges"]


@dataclass(frozen=True)
class Encoded:
    """N rows of token ids, special tokens included.

    Args:
        ids: (sum of lengths,) int32, all rows' tokens one after the other.
        types: (sum of lengths,) uint8, token types as the tokenizer gives them.
        offsets: (N + 1,) int64; row i is ``ids[offsets[i]:offsets[i + 1]]``.
        slots: (N, M) int32, positions of the mask slots, counted from the start of the row; M = 0 if there is no gap.
        second: (N,) int32, position of the second segment's first token; the row's length if there is one segment.
        dropped: (N,) int32, how many tokens of the texts shortening left out, of those that were read.

    Raises ValueError if shapes, dtypes or positions contradict each other.

    >>> two = Encoded.of([[1, 7, 2], [1, 8, 9, 2]], slots=[[1], [2]])
    >>> len(two), two.lengths.tolist(), two.select([1]).row(0).tolist()
    (2, [3, 4], [1, 8, 9, 2])
    """

    ids: NDArray[np.int32]
    types: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    slots: NDArray[np.int32]
    second: NDArray[np.int32]
    dropped: NDArray[np.int32]

    def __post_init__(self) -> None:
        n = len(self.offsets) - 1
        expected = {
            "ids": ((int(self.offsets[-1]),) if n >= 0 else (0,), np.int32),
            "types": (self.ids.shape, np.uint8),
            "offsets": ((n + 1,), np.int64),
            "slots": ((n, self.slots.shape[-1]), np.int32),
            "second": ((n,), np.int32),
            "dropped": ((n,), np.int32),
        }
        for name, (shape, dtype) in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise ValueError(f"{name} is {array.dtype} of shape {array.shape}; needed is {np.dtype(dtype)} of shape {shape}")
        self._check_positions()

    def _check_positions(self) -> None:
        lengths = self.lengths
        if self.offsets[0] != 0 or (lengths < 0).any():
            raise ValueError("offsets do not start at 0 or go down")
        if (self.slots < 0).any() or (self.slots >= lengths[:, None]).any():
            raise ValueError("a slot lies outside its row")
        if (self.second < 0).any() or (self.second > lengths).any() or (self.dropped < 0).any():
            raise ValueError("a second segment starts outside its row, or fewer than 0 tokens were dropped")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(N,) int64, tokens per row."""
        return np.diff(self.offsets)

    def row(self, index: int) -> NDArray[np.int32]:
        """(T,) int32, the tokens of one row."""
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def select(self, indices: Sequence[int] | NDArray[np.integer]) -> Encoded:
        """The rows at ``indices``, in that order."""
        chosen = np.asarray(indices, dtype=np.int64)
        lengths = self.lengths[chosen]
        where = flat_ranges(self.offsets[chosen], lengths)
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
        return Encoded(self.ids[where], self.types[where], offsets, self.slots[chosen], self.second[chosen], self.dropped[chosen])

    @staticmethod
    def of(rows: Sequence[Sequence[int]], *, slots: Sequence[Sequence[int]] | None = None) -> Encoded:
        """Rows of one segment from plain lists of ids; ``slots`` lists each row's mask positions."""
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        ids = np.array([token for row in rows for token in row], dtype=np.int32)
        places = np.array(slots, dtype=np.int32) if slots else np.zeros((len(rows), 0), dtype=np.int32)
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
        second = lengths.astype(np.int32)
        return Encoded(ids, np.zeros(len(ids), dtype=np.uint8), offsets, places, second, np.zeros(len(rows), dtype=np.int32))


def flat_ranges(starts: NDArray[np.integer], lengths: NDArray[np.integer]) -> NDArray[np.int64]:
    """The numbers ``start, ..., start + length - 1`` of each pair, one after the other, int64.

    >>> flat_ranges(np.array([10, 3]), np.array([2, 3])).tolist()
    [10, 11, 3, 4, 5]
    """
    before = np.cumsum(lengths) - lengths
    return np.repeat(np.asarray(starts, dtype=np.int64) - before, lengths) + np.arange(int(np.sum(lengths)), dtype=np.int64)
