"""From one flat buffer of tokens to padded rows, without a loop over rows or tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from petkit.objectives.rows import BoolArray, IntArray

__all__ = ["gather_rows", "unit_ids"]


def gather_rows(
    flat: npt.NDArray[np.integer[Any]],
    starts: IntArray,
    lengths: IntArray,
    *,
    pad_id: int,
    width: int | None = None,
    before: int | None = None,
    after: int | None = None,
) -> tuple[IntArray, BoolArray]:
    """Rows of tokens cut out of ``flat``.

    Args:
        flat: (N,) integer ids, a memory map if need be. starts, lengths: (B,) where each row's tokens lie.
        width: tokens per row, all that is longer is cut; None for the longest.
        before, after: a token put before and behind each text, None for none.

    Returns:
        ids (B, T) int64 and valid (B, T) bool.
    """
    ends = (before is not None) + (after is not None)
    width = int(lengths.max(initial=0)) + ends if width is None else width
    sizes = np.minimum(lengths, width - ends)[:, None]
    columns = np.arange(width)[None, :] - (before is not None)
    text = (columns >= 0) & (columns < sizes)
    ids = np.full(text.shape, pad_id, dtype=np.int64)
    ids[text] = flat[(starts[:, None] + columns)[text]]
    valid = columns < sizes + (after is not None)
    if before is not None:
        ids[:, 0] = before
    if after is not None:
        ids[np.arange(len(ids)), sizes[:, 0] + (before is not None)] = after
    return ids, valid


def unit_ids(begins: npt.NDArray[np.bool_]) -> IntArray:
    """(B, T) bool, where units (words, phrases, entities) begin -> (B, T) int64 unit ids that count up within each row."""
    return np.cumsum(begins, axis=1, dtype=np.int64)
