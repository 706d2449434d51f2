"""Rounding by chance, ceilings, suffixes; lowest keys with ties."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from petkit.objectives import TokenRows, select_dynamic, select_suffix, stream
from petkit.objectives.rows import lowest, pack_left
from petkit.objectives.select import ceiling_budgets, random_budgets


def rows(count: int, width: int, tokens: int) -> TokenRows:
    maskable = np.zeros((count, width), dtype=bool)
    maskable[:, 1 : 1 + tokens] = True
    return TokenRows(np.zeros(maskable.shape, np.int64), maskable)


def test_rounding_by_chance_is_right_on_average_and_off_by_less_than_one() -> None:
    counts = random_budgets(rows(8000, 32, 30), stream(1), rate=0.15)  # 4.5
    assert sorted(set(counts.tolist())) == [4, 5]
    assert chisquare(np.bincount(counts)[4:]).pvalue > 1e-4
    short = random_budgets(rows(8000, 4, 2), stream(2), rate=0.15)  # 0.3: mostly none, unlike in BERT's rule
    assert chisquare(np.bincount(short), [5600, 2400]).pvalue > 1e-4
    assert (random_budgets(rows(9, 4, 2), stream(3), rate=1.0) == 2).all()


def test_dynamic_selection_takes_all_places_alike_and_nothing_else() -> None:
    batch = rows(6000, 20, 12)
    selection = select_dynamic(batch, stream(4), rate=0.15)
    assert not (selection & ~batch.maskable).any()
    assert set(selection.sum(axis=1).tolist()) == {1, 2}
    assert chisquare(selection.sum(axis=0)[1:13]).pvalue > 1e-4
    assert not select_dynamic(batch, stream(4), rate=0.0).any()
    assert (select_dynamic(batch, stream(4), rate=1.0) == batch.maskable).all()


def test_ceilings_do_not_trip_over_rounding() -> None:
    counts = np.arange(0, 2001)
    for percent in (1, 7, 15, 30, 55, 100):
        assert ceiling_budgets(counts, percent / 100).tolist() == [-(-percent * n // 100) for n in counts.tolist()]


def test_a_suffix_starts_anywhere_but_leaves_something_on_both_sides() -> None:
    batch = rows(5000, 9, 6)
    selection = select_suffix(batch, stream(5))
    taken = selection.sum(axis=1)
    assert chisquare(np.bincount(taken, minlength=7)[1:6]).pvalue > 1e-4
    assert (taken > 0).all()
    assert (taken < 6).all()
    assert all(not (row[:-1] & ~row[1:])[:5].any() for row in selection[:50, 1:7])  # nothing after a selected one is not selected
    assert not select_suffix(rows(3, 4, 1), stream(5)).any()
    assert not select_suffix(rows(3, 4, 0), stream(5)).any()


@pytest.mark.parametrize("counts", [[0, 1, 2, 5], [3, 4, 0, 1]])
def test_lowest_keys_with_ties_are_those_of_a_stable_sort(counts: list[int]) -> None:
    keys = np.array([[2, 1, 1, 0, 1], [1, 1, 1, 1, 1], [5, 4, 3, 2, 1], [0, 0, 9, 9, 0]], dtype=np.float64)
    wanted = np.zeros(keys.shape, dtype=bool)
    for row, count in enumerate(counts):
        wanted[row, np.argsort(keys[row], kind="stable")[:count]] = True
    assert (lowest(keys, np.array(counts)) == wanted).all()


def test_values_are_packed_to_the_left() -> None:
    packed, there = pack_left(np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], dtype=bool), -1)
    assert packed.tolist() == [[1, 3], [-1, -1], [8, -1]]
    assert there.tolist() == [[True, True], [False, False], [True, False]]
