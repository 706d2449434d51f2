"""Selection: counts by the rule, every position alike, nothing forbidden, whole words or none of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from petkit.objectives import TokenRows, select_exact, select_independent, select_whole_words, stream
from petkit.objectives.select import budgets
from tests.petkit.objectives.made import calls

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
SELECTORS = [select_independent, select_exact, select_whole_words]


def rows_with(counts: list[int], *, length: int) -> TokenRows:
    """Rows of which the i-th may be masked at ``counts[i]`` places, scattered; words of one token each."""
    maskable = np.zeros((len(counts), length), dtype=bool)
    for row, count in enumerate(counts):
        maskable[row, stream(7, row).permutation(length)[:count]] = True
    words = np.broadcast_to(np.arange(length), maskable.shape).astype(np.int64)
    return TokenRows(np.zeros(maskable.shape, dtype=np.int64), maskable, words)


def words_of(sizes: list[list[int]], *, first: int = 0) -> TokenRows:
    """Rows of words of these sizes, all maskable, padded with places that are not."""
    length = max(sum(row) for row in sizes)
    words = np.zeros((len(sizes), length), dtype=np.int64)
    for row, counts in enumerate(sizes):
        ids = np.repeat(np.arange(len(counts)), counts) + first
        words[row] = np.pad(ids, (0, length - len(ids)), constant_values=len(counts) + first)
    maskable = np.arange(length)[None, :] < np.array([sum(row) for row in sizes])[:, None]
    return TokenRows(np.zeros(words.shape, dtype=np.int64), maskable, words)


def rounded(rate: float, count: int) -> int:
    """Exactly ``rate * count``, halves upwards: 0.15 as 3/20, not as its nearest binary fraction."""
    return math.floor(Fraction(str(rate)) * count + Fraction(1, 2))


@pytest.mark.parametrize("rate", [0.01, 0.15, 0.4, 1.0])
@pytest.mark.parametrize("cap", [None, 1, 20])
def test_exact_counts_are_the_rule_of_bert(rate: float, cap: int | None) -> None:
    counts = list(range(151))
    selection = select_exact(rows_with(counts, length=160), stream(1), rate=rate, cap=cap)
    wanted = [min(cap if cap is not None else n, n, max(1, rounded(rate, n))) for n in counts]
    assert selection.sum(axis=1).tolist() == wanted


def test_counts_at_128_tokens_by_hand() -> None:
    counts = rows_with([0, 1, 3, 10, 126], length=128)
    assert budgets(counts, rate=0.15, cap=20).tolist() == [0, 1, 1, 2, 19]
    assert budgets(counts, rate=0.2, cap=20).tolist() == [0, 1, 1, 2, 20]
    assert budgets(counts, rate=0.0).tolist() == [0] * 5


@pytest.mark.parametrize("select", SELECTORS)
def test_places_that_are_not_maskable_are_never_selected(select: Callable[..., Bools]) -> None:
    rows = rows_with(list(range(0, 60, 3)), length=64)
    for rate in (0.15, 0.9, 1.0):
        assert not (select(rows, stream(2, step=int(rate * 100)), rate=rate) & ~rows.maskable).any()


@pytest.mark.parametrize("select", SELECTORS)
def test_a_rate_of_one_selects_all_and_of_zero_nothing(select: Callable[..., Bools]) -> None:
    rows = rows_with([0, 1, 17, 64], length=64)
    assert (select(rows, stream(3), rate=1.0) == rows.maskable).all()
    assert not select(rows, stream(3), rate=0.0).any()


@pytest.mark.parametrize("select", SELECTORS)
def test_a_batch_with_nothing_to_mask_and_an_empty_batch(select: Callable[..., Bools]) -> None:
    assert not select(rows_with([0, 0], length=9), stream(4), rate=0.15).any()
    assert select(rows_with([], length=9), stream(4), rate=0.15).shape == (0, 9)
    assert select(rows_with([0, 0], length=0), stream(4), rate=0.15).shape == (2, 0)


def test_independent_selection_has_the_rate() -> None:
    rows = rows_with([100] * 400, length=128)
    selection = select_independent(rows, stream(5), rate=0.15)
    hit = int(selection.sum())
    assert chisquare([hit, 40_000 - hit], [6_000, 34_000]).pvalue > 1e-4
    per_row = selection.sum(axis=1)
    assert per_row.var() == pytest.approx(100 * 0.15 * 0.85, rel=0.3)  # binomial: unlike the exact count


@pytest.mark.parametrize("select", [select_exact, select_whole_words])
def test_every_place_is_selected_equally_often(select: Callable[..., Bools]) -> None:
    rows = TokenRows(np.zeros((4000, 24), dtype=np.int64), np.ones((4000, 24), dtype=bool), np.tile(np.arange(24), (4000, 1)))
    assert chisquare(select(rows, stream(6), rate=0.15).sum(axis=0)).pvalue > 1e-4


def test_pairs_of_places_are_selected_equally_often() -> None:
    rows = TokenRows(np.zeros((6000, 6), dtype=np.int64), np.ones((6000, 6), dtype=bool))
    selection = select_exact(rows, stream(8), rate=1 / 3).astype(np.int64)
    together = (selection.T @ selection)[np.triu_indices(6, 1)]
    assert together.sum() == 6000
    assert chisquare(together).pvalue > 1e-4


def reference_whole_words(rows: TokenRows, row: int, order: list[int], budget: int) -> set[int]:
    """Words one by one in the given order, each taken if it fits what is left."""
    assert rows.words is not None
    taken: set[int] = set()
    for word in order:
        size = int(((rows.words[row] == word) & rows.maskable[row]).sum())
        if 0 < size <= budget:
            taken.add(word)
            budget -= size
    return taken


@given(
    sizes=st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=12), min_size=1, max_size=4),
    rate=st.sampled_from([0.15, 0.5, 0.9]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_whole_words_are_those_of_a_slow_reference(sizes: list[list[int]], rate: float, seed: int) -> None:
    rows = words_of(sizes, first=seed % 3)
    assert rows.words is not None
    selection = select_whole_words(rows, stream(seed), rate=rate)
    units = int((np.where(rows.maskable, rows.words - seed % 3, 0)).max()) + 1
    keys = stream(seed).random((len(sizes), units))
    for row, counts in enumerate(sizes):
        order = sorted(range(len(counts)), key=lambda word: keys[row, word])
        budget = max(1, rounded(rate, sum(counts)))
        wanted = reference_whole_words(rows, row, [word + seed % 3 for word in order], budget)
        got = set(rows.words[row][selection[row]].tolist())
        if wanted:
            assert got == wanted
            assert selection[row].sum() <= budget
        else:  # no word fits: one of the shortest
            assert len(got) == 1
            assert selection[row].sum() == min(counts)
        for word in got:
            assert selection[row][rows.words[row] == word].all()  # never a part of a word


def test_of_words_that_are_all_too_long_every_shortest_one_gets_its_turn() -> None:
    rows = words_of([[2, 3, 2, 2]] * 900)  # 9 tokens at 15 %: a budget of 1
    selection = select_whole_words(rows, stream(9), rate=0.15)
    assert rows.words is not None
    chosen = [int(words[picked][0]) for words, picked in zip(rows.words, selection, strict=True)]
    assert (selection.sum(axis=1) == 2).all()
    assert sorted(set(chosen)) == [0, 2, 3]
    assert chisquare([chosen.count(word) for word in (0, 2, 3)]).pvalue > 1e-4


def test_whole_words_respect_the_cap_and_need_word_ids() -> None:
    rows = words_of([[1, 2, 3] * 30] * 20)
    assert (select_whole_words(rows, stream(10), rate=0.5, cap=7).sum(axis=1) == 7).all()
    with pytest.raises(ValueError, match="word ids"):
        select_whole_words(TokenRows(rows.ids, rows.maskable), stream(10), rate=0.15)


@pytest.mark.parametrize("select", SELECTORS)
def test_longer_rows_take_no_more_calls(select: Callable[..., Bools]) -> None:
    short, long = words_of([[1, 2, 3, 2] * 8] * 8), words_of([[1, 2, 3, 2] * 64] * 8)
    assert (short.ids.shape[1], long.ids.shape[1]) == (64, 512)
    counted = []
    for rows in (short, long):
        counted.append(max(calls(partial(select, rows, stream(11, step=step), rate=0.15)) for step in range(5)))
    assert counted[1] <= counted[0] + 20  # two more rounds over sizes at most; a loop over tokens or words would add hundreds
