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
_DOCUMENTS: Final = 2**15


def unit_offsets(tokens: TokenFile, longest: int) -> IntArray:
    """(U + 1,) int64: the text in units of ``longest`` tokens at most, the first token of each, and N.

    Paragraphs of a document that follow each other are joined while they fit; longer ones are cut. Nothing else is held than these
    numbers, and some for a block of documents.
    """
    starts = tokens.starts
    blocks = (starts[at : at + _DOCUMENTS + 1] for at in range(0, len(starts) - 1, _DOCUMENTS))
    return np.concatenate([*(_block_units(tokens.paragraphs, block, longest) for block in blocks), starts[-1:]])


def _block_units(paragraphs: IntArray, documents: IntArray, longest: int) -> IntArray:
    """The first token of each unit, from the first of these documents' starts to the last."""
    low, high = np.searchsorted(paragraphs, documents[[0, -1]])
    bounds = paragraphs[low : high + 1]
    pieces = -(-np.diff(bounds) // longest)
    starts = np.append(np.repeat(bounds[:-1], pieces) + ranges(np.zeros_like(pieces), pieces) * longest, bounds[-1])
    last = np.searchsorted(starts, documents)
    ends = np.repeat(last[1:], np.diff(last))
    following = np.minimum(np.searchsorted(starts, starts[:-1] + longest, side="right") - 1, ends)
    chosen = np.zeros(len(starts), dtype=bool)
    here = last[:-1]
    while len(here):  # one unit further in every document at a time
        chosen[here] = True
        here = following[here]
        here = here[~chosen[here] & (here < len(following))]
    return starts[chosen]


def best_fit(order: IntArray, sizes: IntArray, room: int) -> tuple[IntArray, IntArray]:
    """Units in rows of ``room``: each row starts with the next unit in ``order`` and takes the largest ones that still fit from the
    block of units around it.

    Args:
        order: (U,) int64. sizes: (U,) int64, from 1 to ``room``.

    Returns:
        (U,) int64 the units row by row, and (R + 1,) int64 where each row begins there.
    """
    members, counts = [np.zeros(0, np.int64)], [np.zeros(1, np.int64)]
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        places, rows = _fit_block(sizes[block].tolist(), room)
        members.append(block[places])
        counts.append(np.array(rows, dtype=np.int64))
    return np.concatenate(members), np.cumsum(np.concatenate(counts))


def _fit_block(sizes: list[int], room: int) -> tuple[list[int], list[int]]:
    """The places of a block's units row by row, and how many each row has."""
    by_size: list[list[int]] = [[] for _ in range(room + 1)]
    there = 0  # bit n: a unit of size n is left
    for place in range(len(sizes) - 1, -1, -1):
        by_size[sizes[place]].append(place)
        there |= 1 << sizes[place]
    used = bytearray(len(sizes))
    members: list[int] = []
    rows: list[int] = []
    for place, size in enumerate(sizes):
        if used[place]:
            continue
        found, left, before = size, room, len(members)
        while found > 0:  # the first one of its size is always the last of its list
            one = by_size[found].pop()
            used[one] = 1
            members.append(one)
            left -= found
            if not by_size[found]:
                there &= ~(1 << found)
            found = (there & ((2 << left) - 1)).bit_length() - 1
        rows.append(len(members) - before)
    return members, rows


def ranges(starts: IntArray, sizes: IntArray) -> IntArray:
    """The numbers from each start on, as many as its size, one after the other."""
    ends = np.cumsum(sizes)
    return np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - ends + sizes, sizes)


def word_ids(begins: BoolArray | None) -> dict[str, IntArray]:
    """The argument ``words`` of an objective, for rows of a file that says which tokens begin a unit."""
    return {} if begins is None else {"words": unit_ids(begins)}
