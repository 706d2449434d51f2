"""Spans of words: n-grams, and SpanBERT's spans.

Both are defined one span after the other, each depending on those before. Here all rows are done at once, by two observations.
Whether a span comes through depends only on earlier ones that reach it, so all whose earlier neighbours are decided can be decided
together; chains of neighbours in random order are short (Blelloch et al. 2012, arXiv 1202.3205). And the budget only says where to
stop. So the result is exactly that of the loop, in a number of rounds that does not grow with tokens as the loop's does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from petkit.objectives.rows import BoolArray, FloatArray, IntArray, TokenRows, Words, flat_words, lowest
from petkit.objectives.select import budgets, ceiling_budgets

__all__ = ["Lengths", "draw_lengths", "geometric", "reciprocal", "select_ngrams", "select_spans"]


@dataclass(frozen=True)
class Lengths:
    """How long spans are, in words: from 1 to ``longest``, by the law ``reciprocal`` or ``geometric`` (with ``p``)."""

    law: Literal["reciprocal", "geometric"]
    longest: int
    p: float = 0.2

    def chances(self) -> FloatArray:
        """(longest,) the probability of each length."""
        return reciprocal(self.longest) if self.law == "reciprocal" else geometric(self.longest, self.p)

    def __str__(self) -> str:
        law = "1/n" if self.law == "reciprocal" else f"geometric({self.p:g})"
        return f"{law}, 1 to {self.longest}"


def reciprocal(longest: int) -> FloatArray:
    """(longest,) probabilities of lengths 1, 2, ...: proportional to 1/n (Lan et al. 2020, section 4.1, arXiv 1909.11942).

    >>> reciprocal(3).round(3).tolist()
    [0.545, 0.273, 0.182]
    """
    weights = 1.0 / np.arange(1, longest + 1)
    chances: FloatArray = weights / weights.sum()
    return chances


def geometric(longest: int, p: float = 0.2) -> FloatArray:
    """(longest,) probabilities of lengths 1, 2, ...: geometric, cut off and normalised (Joshi et al. 2020, section 3.1, arXiv 1907.10529).

    The mean of lengths 1 to 10 at 0.2 is 3.8, as the paper says.

    >>> round(float(geometric(10) @ np.arange(1, 11)), 1)
    3.8
    """
    weights = p * (1.0 - p) ** np.arange(longest)
    chances: FloatArray = weights / weights.sum()
    return chances


def draw_lengths(chances: FloatArray, size: int, rng: np.random.Generator) -> IntArray:
    """(size,) int64 lengths from 1 on with these probabilities."""
    steps = np.cumsum(chances)
    steps[-1] = 1.0
    return np.searchsorted(steps, rng.random(size), side="right").astype(np.int64) + 1


def select_spans(rows: TokenRows, rng: np.random.Generator, *, rate: float, lengths: FloatArray) -> BoolArray:
    """(B, T) bool: SpanBERT's spans (Joshi et al. 2020, section 3.1, arXiv 1907.10529), exactly ``ceil(rate n)`` tokens of each row.

    A span starts at the word of a random token that is not selected yet, is as many words long as drawn, may run over words that are
    selected, and breaks off, within a word if need be, when the budget is reached. Differs from ``select_ngrams`` in all of that.

    Args:
        lengths: (L,) probabilities of 1 to L words.
    """
    words = flat_words(rows)
    if len(words.row) == 0:
        return np.zeros(rows.ids.shape, dtype=bool)
    keys = np.minimum.reduceat(rng.random(len(words.places)), words.first[:-1])  # words by their first token in random order
    start = np.arange(len(words.row))
    reach = np.minimum(start + draw_lengths(lengths, len(start), rng), words.stop)
    left, right = _meetings(reach, len(lengths))
    earlier = keys[left] < keys[right]
    taken = ~_rejected(len(start), left[earlier], right[earlier])
    owner = _first_cover(np.where(taken, keys, np.inf), reach, len(lengths))
    ranking = np.full(rows.ids.size, np.inf)
    ranking[words.places] = owner[words.word]
    return lowest(ranking.reshape(rows.ids.shape), ceiling_budgets(rows.maskable.sum(axis=1), rate))


def _meetings(reach: IntArray, longest: int) -> tuple[IntArray, IntArray]:
    """The pairs of spans of which the left one, [w, reach[w]), covers the start of the right one: (E,) left, (E,) right."""
    shifts = range(1, min(longest, len(reach)))
    hits = [np.flatnonzero(reach[:-shift] > np.arange(shift, len(reach))) for shift in shifts]
    left = np.concatenate(hits) if hits else np.zeros(0, np.int64)
    return left, left + np.repeat(np.arange(1, len(hits) + 1), [len(hit) for hit in hits])


def _rejected(count: int, blocker: IntArray, blocked: IntArray) -> BoolArray:
    """(count,) bool: who is blocked by one that is not blocked itself. Pairs (E,), (E,); blockers come earlier."""
    rejected = np.zeros(count, dtype=bool)
    while len(blocker):
        waiting = np.zeros(count, dtype=bool)
        waiting[blocked] = True
        rejected[blocked[~waiting[blocker]]] = True
        still = waiting[blocker] & ~rejected[blocker] & ~rejected[blocked]
        blocker, blocked = blocker[still], blocked[still]
    return rejected


def _first_cover(keys: FloatArray, reach: IntArray, longest: int) -> FloatArray:
    """(W,) the lowest key of the spans that cover each word; spans that are not there have an infinite one."""
    owner = keys.copy()
    for shift in range(1, min(longest, len(keys))):
        covers = reach[:-shift] > np.arange(shift, len(keys))
        np.minimum(owner[shift:], np.where(covers, keys[:-shift], np.inf), out=owner[shift:])
    return owner


def select_ngrams(rows: TokenRows, rng: np.random.Generator, *, rate: float, lengths: FloatArray, cap: int | None = None) -> BoolArray:
    """(B, T) bool: n-grams of words in random order, each shrunk to fit the budget, left out if it overlaps one already taken.

    The rule of ALBERT's reference implementation (Lan et al. 2020, section 4.1, arXiv 1909.11942): every word is the start of one
    n-gram. Where all are used up before the count is reached, at high rates, single words fill it. Differs from ``select_whole_words`` in
    longer units, and from ``select_spans`` in that n-grams never overlap and words are never cut. A row whose every word is over the
    budget gets one of its shortest.
    """
    words = flat_words(rows)
    chosen = np.zeros(rows.ids.size, dtype=bool)
    if len(words.row):
        keys = rng.random(len(words.row))
        grams = draw_lengths(lengths, len(keys), rng)
        budget = _at_least_one_word(words, budgets(rows, rate=rate, cap=cap))
        chosen[words.places] = _take_ngrams(words, keys, grams, budget, len(lengths))[words.word]
    return chosen.reshape(rows.ids.shape)


def _at_least_one_word(words: Words, budget: IntArray) -> IntArray:
    shortest = np.full(len(budget), np.iinfo(np.int64).max)
    np.minimum.at(shortest, words.row, words.sizes)
    return np.where(budget > 0, np.maximum(budget, shortest), 0)


def _take_ngrams(words: Words, keys: FloatArray, grams: IntArray, left: IntArray, longest: int) -> BoolArray:
    """(W,) bool, the words of the n-grams taken.

    Rounds go, in all rows, as far as n-grams need no more shrinking. What is left in a row is then less than the n-gram that ended
    the round needed, so rounds are as many as sizes at most.
    """
    covered, left = np.zeros(len(keys), dtype=bool), left.copy()
    order = np.argsort(words.row + keys)  # row by row, in random order
    turn = np.arange(len(order)) - words.row_words[words.row[order]]
    turn_end = int(turn.max()) + 1
    chunk = 16 + int(left.max())  # mostly all that is needed; how many chunks there are depends on the rate, not on the length
    for begin, sizes in ((begin, sizes) for sizes in (grams, np.ones_like(grams)) for begin in range(0, turn_end, chunk)):
        live = order[(turn >= begin) & (turn < begin + chunk)] if left.any() else order[:0]
        while len(live := live[left[words.row[live]] > 0]):
            live = _round(words, live, sizes, left, covered, longest)
    return covered


def _round(words: Words, live: IntArray, grams: IntArray, left: IntArray, covered: BoolArray, longest: int) -> IntArray:
    """Take n-grams up to the first of each row that has to be shrunk; return the starts that are left. Changes ``left``, ``covered``."""
    row, limit = words.row[live], left[words.row[live]]
    fitting = np.searchsorted(words.first, words.first[live] + limit, side="right") - 1
    reach = np.minimum(np.minimum(live + grams[live], words.stop[live]), fitting)
    some = reach > live
    live, row, reach, limit = live[some], row[some], reach[some], limit[some]
    sizes = words.first[reach] - words.first[live]
    taken = _without_overlap(live, reach, covered, longest)
    begins = np.searchsorted(row, np.arange(len(left)))[row]
    past = _after_first(_cumulated(np.where(taken, sizes, 0), begins) + sizes > limit, begins)
    taken &= ~past
    covered |= _covering(live[taken], reach[taken], len(covered))
    left -= np.bincount(row[taken], sizes[taken], minlength=len(left)).astype(np.int64)
    return live[past]


def _without_overlap(live: IntArray, reach: IntArray, covered: BoolArray, longest: int) -> BoolArray:
    """(E,) bool: which n-grams [live, reach), in this order of precedence, overlap neither ``covered`` words nor one that came before."""
    count = len(covered)
    before = np.concatenate([[0], np.cumsum(covered)])
    clear = before[reach] == before[live]
    end, turn = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    end[live[clear]], turn[live] = reach[clear], np.arange(len(live))
    left, right = _meetings(end, longest)
    there = end[right] > 0
    left, right = left[there], right[there]
    first = turn[left] < turn[right]
    rejected = _rejected(count, np.where(first, left, right), np.where(first, right, left))
    free: BoolArray = clear & ~rejected[live]
    return free


def _cumulated(sizes: IntArray, begins: IntArray) -> IntArray:
    """(E,) the sum of the sizes before each entry within its row; ``begins`` is the first entry of that row."""
    total = np.cumsum(sizes) - sizes
    return total - total[begins]


def _after_first(flags: BoolArray, begins: IntArray) -> BoolArray:
    """(E,) bool: the first flagged entry of each row, and all behind it in the row."""
    seen = np.cumsum(flags)
    past: BoolArray = seen > seen[begins] - flags[begins]
    return past


def _covering(start: IntArray, stop: IntArray, count: int) -> BoolArray:
    """(count,) bool: what the intervals [start, stop) cover."""
    change = np.bincount(start, minlength=count + 1) - np.bincount(stop, minlength=count + 1)
    covering: BoolArray = np.cumsum(change)[:count] > 0
    return covering
