"""Which tokens go when a cloze or a pair is too long: arithmetic on token counts only."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["drop_from_longest", "drop_like_paper", "drop_longest_first"]


def drop_from_longest(counts: Sequence[int], excess: int) -> list[int] | None:
    """Drop ``excess`` tokens one by one, each from the end of the longest part (ties: the later part).

    Computed level by level, so that it takes no longer for a million tokens. Returns what is kept of each part, or None if
    the parts have too few tokens.

    >>> drop_from_longest([9, 4], 3), drop_from_longest([5, 5], 3), drop_from_longest([2, 1], 4)
    ([6, 4], [4, 3], None)
    """
    if excess > sum(counts):
        return None
    kept = list(counts)
    while excess > 0:
        top = max(kept)
        tallest = [i for i, n in enumerate(kept) if n == top]
        below = max((n for n in kept if n < top), default=0)
        each, rest = divmod(min(excess, (top - below) * len(tallest)), len(tallest))
        for place, i in enumerate(reversed(tallest)):
            kept[i] -= each + (place < rest)
        excess -= each * len(tallest) + rest
    return kept


def drop_like_paper(segments: Sequence[Sequence[int]], excess: int) -> list[list[int]] | None:
    """Drop ``excess`` tokens as the original implementation does (preset ``paper``).

    One by one: from the segment with more shortenable tokens (ties: the second), there from its last part that has any left.
    Differs from ``drop_from_longest``, which weighs parts, not segments. Returns what is kept, or None if it cannot be.

    >>> drop_like_paper([[4, 3], [5]], 4)
    [[4, 0], [4]]
    """
    totals = drop_from_longest([sum(parts) for parts in segments], excess)
    if totals is None:
        return None
    return [_first(parts, total) for parts, total in zip(segments, totals, strict=True)]


def _first(parts: Sequence[int], total: int) -> list[int]:
    kept = []
    for count in parts:
        kept.append(min(count, total))
        total -= kept[-1]
    return kept


def drop_longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """What a transformers tokenizer keeps of a pair under ``truncation="longest_first"``.

    Differs from ``drop_from_longest`` in the odd token: it goes to the longer text, to the second if both are equally long.

    >>> drop_longest_first(9, 9, 7), drop_longest_first(10, 9, 7), drop_longest_first(2, 9, 7)
    ((3, 4), (4, 3), (2, 5))
    """
    if first + second <= room:
        return first, second
    short = min(first, second)
    long = max(short, room - short)
    if short + long > room:
        short, long = room // 2, room - room // 2
    return (long, short) if first > second else (short, long)
