"""Long texts in windows that overlap, and rows of token ids around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from petkit.batching import collate
from petkit.encoding.encoded import Encoded
from petkit.encoding.tokenizing import Frame

__all__ = ["encode_rows", "framed", "padded", "seen_best", "windows"]

Int = NDArray[np.int64]
Framed = tuple[NDArray[np.int32], NDArray[np.uint8], list[int]]


def windows(length: int, *, room: int, stride: int) -> list[tuple[int, int]]:
    """Ranges of at most ``room`` tokens that cover ``length`` of them, each sharing ``stride`` tokens with the one before.

    The same as a tokenizer's ``return_overflowing_tokens``; no tokens make one empty window.

    >>> windows(10, room=6, stride=2), windows(3, room=6, stride=2)
    ([(0, 6), (4, 10)], [(0, 3)])
    """
    if not 0 <= stride < room:
        raise ValueError(f"stride must be from 0 to below room ({room}), not {stride}")
    starts = range(0, max(1, length - stride), room - stride)
    return [(start, min(length, start + room)) for start in starts]


def seen_best(places: Int, spans: Sequence[tuple[int, int]]) -> Int:
    """For each place (P,) the window (W in all) that shows most of its surroundings: (P,) int64, the first one of equals.

    As BERT's ``token_is_max_context`` (Devlin et al. 2019, released code): the smaller of the tokens to the left and to the right.

    >>> seen_best(np.array([0, 4, 5, 9]), [(0, 6), (4, 10)]).tolist()
    [0, 0, 1, 1]
    """
    bounds = np.asarray(spans, dtype=np.int64)
    left, right = places[:, None] - bounds[:, 0], bounds[:, 1] - 1 - places[:, None]
    return np.asarray(np.minimum(left, right).argmax(axis=1), dtype=np.int64)


def framed(frame: Frame, segments: Sequence[NDArray[np.int32]]) -> Framed:
    """One or two segments among a tokenizer's special tokens: ids (T,) int32, types (T,) uint8, where each segment starts."""
    ids: list[NDArray[np.int32]] = []
    types: list[NDArray[np.uint8]] = []
    starts: list[int] = []
    waiting = iter(segments)
    for token, kind in frame.of(len(segments)):
        part = next(waiting) if token is None else np.array([token], dtype=np.int32)
        if token is None:
            starts.append(sum(len(one) for one in ids))
        ids.append(part)
        types.append(np.full(len(part), kind, dtype=np.uint8))
    return np.concatenate(ids), np.concatenate(types), starts


def encode_rows(rows: Sequence[Any], types: Sequence[Any] | None = None) -> Encoded:
    """N rows of ids, each (T,), as one flat array; ``types`` alike, 0 where there are none."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    flat = np.concatenate([np.zeros(0, dtype=np.int32), *(np.asarray(row, dtype=np.int32) for row in rows)])
    kinds = np.zeros(len(flat), dtype=np.uint8)
    if types is not None:
        kinds = np.concatenate([np.zeros(0, dtype=np.uint8), *(np.asarray(row, dtype=np.uint8) for row in types)])
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    none = np.zeros(len(rows), dtype=np.int32)
    return Encoded(flat.astype(np.int32), kinds, offsets, np.zeros((len(rows), 0), dtype=np.int32), lengths.astype(np.int32), none)


def padded(values: Encoded, chosen: Int, *, fill: int) -> Any:
    """Rows of whole numbers that go along with others, such as labels: (B, T) int64, ``fill`` where a row has ended."""
    return collate(values, chosen, pad_id=fill).input_ids
