"""Paragraphs to units of at most so many tokens, units to rows: all of it indices, none of it text."""

from __future__ import annotations

from typing import Final

import numpy as np

from petkit.objectives import unit_ids
from petkit.objectives.rows import BoolArray, IntArray
from petkit.pretraining.tokenfiles import TokenFile

__all__ = ["best_fit", "ranges", "unit_offsets", "word_ids"]

_BLOCK: Final = 4096
"""Units among which those that fit are looked for."""


def unit_offsets(tokens: TokenFile, longest: int) -> IntArray:
    """(U + 1,) int64: the text in units of ``longest`` tokens at most, the first token of each, and N.

    Paragraphs of a document that follow each other are joined while they fit; longer ones are cut.
    """
    sizes = np.diff(tokens.paragraphs)
    pieces = -(-sizes // longest)
    place = np.arange(int(pieces.sum())) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    starts = np.append(np.repeat(tokens.paragraphs[:-1], pieces) + place * longest, len(tokens.ids))
    last = np.searchsorted(starts, tokens.starts)
    ends = np.repeat(last[1:], np.diff(last))
    following = np.minimum(np.searchsorted(starts, starts[:-1] + longest, side="right") - 1, ends)
    chosen = np.zeros(len(starts), dtype=bool)
    here = last[:-1]
    while len(here):  # one unit further in every document at a time
        chosen[here] = True
        here = following[here]
        here = here[~chosen[here] & (here < len(following))]
    chosen[-1] = True
    return starts[chosen]


def best_fit(order: IntArray, sizes: IntArray, room: int) -> tuple[IntArray, IntArray]:
    """Units in rows of ``room``: each row starts with the next unit in ``order`` and takes the largest ones that still fit from the
    block of units around it.

    Args:
        order: (U,) int64. sizes: (U,) int64, from 1 to ``room``.

    Returns:
        (U,) int64 the units row by row, and (R + 1,) int64 where each row begins there.
    """
    members: list[int] = []
    bounds = [0]
    for start in range(0, len(order), _BLOCK):
        _fit_block(order[start : start + _BLOCK].tolist(), sizes[order[start : start + _BLOCK]].tolist(), room, members, bounds)
    return np.array(members, dtype=np.int64), np.array(bounds, dtype=np.int64)


def _fit_block(order: list[int], sizes: list[int], room: int, members: list[int], bounds: list[int]) -> None:
    by_size: list[list[int]] = [[] for _ in range(room + 1)]
    there = 0  # bit n: a unit of size n is left
    for place in range(len(order) - 1, -1, -1):
        by_size[sizes[place]].append(place)
        there |= 1 << sizes[place]
    used = bytearray(len(order))
    for place, size in enumerate(sizes):
        left, found = room, size
        if used[place]:
            continue
        while found:  # the first one of its size is always the last of its list
            one = by_size[found].pop()
            used[one] = 1
            members.append(order[one])
            left -= found
            if not by_size[found]:
                there &= ~(1 << found)
            found = (there & ((2 << left) - 1)).bit_length() - 1 if left > 0 else 0
            found = max(found, 0)
        bounds.append(len(members))


def ranges(starts: IntArray, sizes: IntArray) -> IntArray:
    """The numbers from each start on, as many as its size, one after the other."""
    ends = np.cumsum(sizes)
    return np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - ends + sizes, sizes)


def word_ids(begins: BoolArray | None) -> dict[str, IntArray]:
    """The argument ``words`` of an objective, for rows of a file that has a segmenter's words."""
    return {} if begins is None else {"words": unit_ids(begins)}
