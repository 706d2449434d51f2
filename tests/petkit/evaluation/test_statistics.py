"""Tests and intervals against scipy, brute force, hand-computed cases and simulation."""

from __future__ import annotations

from inspect import signature
from itertools import product
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from petkit.evaluation.statistics import (
    EXACT,
    Estimate,
    bootstrap_interval,
    detectable,
    detectable_by,
    holm,
    mean_of_tasks,
    paired_rows_p,
    pooled_sd,
    sd,
    sign_flip_p,
    smallest_sign_flip_p,
    t_interval,
    t_p,
)
from petkit.objectives.streams import stream

DIFFERENCES = [0.12, 0.05, -0.02, 0.08, 0.03, 0.11]
numbers = st.lists(st.integers(-50, 50).map(lambda k: k / 100), min_size=2, max_size=8)


def test_standard_deviations() -> None:
    assert sd(DIFFERENCES) == pytest.approx(np.std(DIFFERENCES, ddof=1))
    assert sd([0.1 + 0.2, 0.3]) == 0, "rounding is no spread"
    assert (sd([0.5]), sd([]), pooled_sd([[1.0], [2.0]])) == (None, None, None)


def test_spread_within_groups_is_the_residual_of_an_analysis_of_variance() -> None:
    """Groups 1, 3 and 2, 2, 5: squares 2 and 6 over 1 + 2 degrees of freedom."""
    assert pooled_sd([[1.0, 3.0], [2.0, 2.0, 5.0], [7.0]]) == pytest.approx(np.sqrt(8 / 3))


@given(numbers)
def test_t_is_scipys(values: list[float]) -> None:
    if not sd(values):
        assert t_p(values) == (1.0 if values[0] == 0 else None)
        return
    found = stats.ttest_1samp(values, 0)
    assert t_p(values) == pytest.approx(found.pvalue)
    assert t_interval(values, level=0.9) == pytest.approx(tuple(found.confidence_interval(0.9)))


@pytest.mark.parametrize("splits", [3, 5])
@pytest.mark.parametrize("step", [0.25, 0.5, 1.0])
def test_coarse_steps_do_not_make_the_t_test_bolder(step: float, splits: int) -> None:
    """Differences in steps of so many standard deviations, the true one 0: few are equal by chance, and those have no t test."""
    draws = np.round(np.random.default_rng(7).normal(0, 1, (4000, splits)) / step) * step
    found = [t_p(one) for one in draws]
    assert np.mean([p is not None and p < 0.05 for p in found]) < 0.06
    assert any(p is None for p in found) == (splits == 3 or step == 1.0)


def test_t_interval_by_hand() -> None:
    """Mean 0.3, sd 0.1, n 3, quantile 4.3027: 0.3 -+ 0.2484."""
    assert t_interval([0.2, 0.3, 0.4], level=0.95) == pytest.approx((0.0516, 0.5484), abs=1e-4)
    assert t_interval([0.2], level=0.95) is None


@given(numbers)
def test_sign_flips_are_counted_out(values: list[float]) -> None:
    d = np.array(values)
    flipped = [abs(float(np.array(signs) @ d)) for signs in product((1, -1), repeat=len(d))]
    assert sign_flip_p(d) == pytest.approx(np.mean([value >= abs(d.sum()) - 1e-9 for value in flipped]))


def test_sign_flip_is_scipys_permutation_test() -> None:
    found = stats.permutation_test(
        (np.array(DIFFERENCES), np.zeros(6)), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_p(DIFFERENCES) == pytest.approx(found.pvalue)


@pytest.mark.parametrize(("splits", "p"), [(1, 1.0), (2, 0.5), (5, 0.0625), (6, 0.03125)])
def test_the_smallest_sign_flip_p_is_reached_by_equal_signs(splits: int, p: float) -> None:
    assert smallest_sign_flip_p(splits) == p
    assert sign_flip_p(np.arange(1, splits + 1) / 10) == p
    assert smallest_sign_flip_p(0) is sign_flip_p([]) is None


def test_two_tasks_are_welchs_test_of_a_sum_of_two_means() -> None:
    """Of x and -y: scipy's Welch test compares x with -y, whose difference is twice the mean of the tasks."""
    x, y = np.array([0.12, 0.05, -0.02, 0.08, 0.03]), np.array([0.3, 0.1, 0.05])
    found, terms = mean_of_tasks([x[None], y[None]])
    expected = stats.ttest_ind(x, -y, equal_var=False)
    assert (found.p(), found.freedom) == (pytest.approx(expected.pvalue), pytest.approx(expected.df))
    ends = expected.confidence_interval(0.9)
    assert found.interval(level=0.9) == pytest.approx((ends.low / 2, ends.high / 2))
    assert found.value == pytest.approx((x.mean() + y.mean()) / 2) == terms.sum()


@given(st.lists(st.lists(st.integers(-50, 50).map(lambda k: k / 100), min_size=2, max_size=5), min_size=1, max_size=6), st.randoms())
def test_the_mean_of_tasks_is_welchs_formula_whatever_the_splits_are_numbered(tasks: list[list[float]], rng: Random) -> None:
    found, _ = mean_of_tasks([np.array([one]) for one in tasks])
    v = [np.var(one, ddof=1) / len(one) for one in tasks]
    assert found.value == pytest.approx(np.mean([np.mean(one) for one in tasks]), abs=1e-12)
    assert found.error == pytest.approx(np.sqrt(sum(v)) / len(tasks), abs=1e-12)
    if found.error:
        assert found.freedom == pytest.approx(sum(v) ** 2 / sum(x**2 / (len(one) - 1) for x, one in zip(v, tasks, strict=True)))
    again, _ = mean_of_tasks([np.array([rng.sample(one, len(one))]) for one in tasks])
    assert again == pytest.approx(found)


def test_one_task_and_tasks_that_share_all_splits_are_the_paired_t_test() -> None:
    found, _ = mean_of_tasks([np.array([DIFFERENCES])])
    assert (found.p(), found.interval(level=0.95)) == (
        pytest.approx(t_p(DIFFERENCES)),
        pytest.approx(t_interval(DIFFERENCES, level=0.95)),
    )
    both = np.array([DIFFERENCES, np.roll(DIFFERENCES, 2)])
    found, terms = mean_of_tasks([both])
    assert (found.p(), found.freedom) == (pytest.approx(t_p(both.mean(axis=0))), pytest.approx(5))
    assert terms == pytest.approx(both.mean(axis=0) / 6)


def test_tasks_that_share_some_splits_have_their_covariance() -> None:
    """By hand: deviations -1, 1 and -2, 2 over root of 2, the second split of one being the first of the other: squares 1/2, 1/2, 2."""
    found, terms = mean_of_tasks([np.array([[1.0, 3.0, np.nan], [np.nan, 2.0, 6.0]])])
    assert (found.value, found.error, found.freedom) == (3.0, pytest.approx(np.sqrt(0.5 + 0.5 + 2) / 2), pytest.approx(1))
    assert terms.tolist() == [0.25, 1.25, 1.5]


def test_unequal_splits_have_their_signs_flipped_one_by_one() -> None:
    tasks = [[0.12, 0.05, -0.02], [0.3, 0.1], [0.02, -0.04, 0.05, 0.01]]
    found, terms = mean_of_tasks([np.array([one]) for one in tasks])
    means = [
        np.mean([np.mean(np.multiply(one, signs[start : start + len(one)])) for one, start in zip(tasks, (0, 3, 5), strict=True)])
        for signs in product((1, -1), repeat=9)
    ]
    assert sign_flip_p(terms) == np.mean(np.abs(means) >= found.value - 1e-12)


def test_where_nothing_varies_there_is_no_t() -> None:
    found, _ = mean_of_tasks([np.array([[0.1, 0.1]]), np.array([[0.1 + 0.2, 0.3]])])
    assert found == (pytest.approx(0.2), 0.0, 0.0)
    assert (found.interval(level=0.95), found.p(), detectable_by(found, alpha=0.05)) == (None, None, None)


def test_many_splits_are_drawn_by_seed_and_near_the_normal_limit() -> None:
    d = np.random.default_rng(0).normal(0.3, 1, 60)
    found = sign_flip_p(d, rng=stream(1, "flips"))
    assert found == sign_flip_p(d, rng=stream(1, "flips"))
    assert found == pytest.approx(2 * stats.norm.sf(abs(d.sum()) / np.sqrt((d**2).sum())), abs=0.015)
    with pytest.raises(ValueError, match=f"more than {EXACT}"):
        sign_flip_p(d)


def test_holm_by_hand() -> None:
    """Of four: 0.01 * 4, 0.02 * 3, then 0.03 * 2 = 0.06, and 0.9."""
    assert holm([0.03, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([None, 0.04, None, 0.03]) == [None, pytest.approx(0.06), None, pytest.approx(0.06)]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_order_and_lies_between_raw_and_bonferroni(values: list[float]) -> None:
    found = holm(values)
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(np.array(found, dtype=float)[order]) >= 0)
    for raw, corrected in zip(values, found, strict=True):
        assert corrected is not None
        assert raw <= corrected <= min(1.0, raw * len(values)) + 1e-15
    assert min(c for c in found if c is not None) == min(1.0, min(values) * len(values))


def test_rows_are_tested_by_mcnemars_exact_test() -> None:
    """Of six discordant rows five for a: 2 (1 + 6) / 2^6."""
    a, b = np.array([True] * 5 + [False] + [True] * 9), np.array([False] * 5 + [True] + [True] * 9)
    assert paired_rows_p(a, b) == pytest.approx(14 / 64)
    assert paired_rows_p(a, b) == paired_rows_p(b, a)
    assert paired_rows_p(a, a) == 1.0


def test_rows_of_several_seeds_count_once() -> None:
    """Shares of seeds: two rows for a, none for b: 2 / 2^2."""
    assert paired_rows_p(np.array([1.0, 2 / 3, 1 / 3]), np.array([0.5, 1 / 3, 1 / 3])) == 0.5


def test_bootstrap_is_of_the_seed_and_near_the_normal_interval() -> None:
    rng = np.random.default_rng(0)
    values = (rng.random((500, 2)) < [0.8, 0.5]).astype(float)
    found = bootstrap_interval(values, level=0.95, rng=stream(3, "rows"))
    assert found == bootstrap_interval(values, level=0.95, rng=stream(3, "rows"))
    assert found != bootstrap_interval(values, level=0.95, rng=stream(4, "rows"))
    for column, ends in zip(values.T, found, strict=True):
        assert ends == pytest.approx(stats.norm.interval(0.95, column.mean(), column.std() / np.sqrt(500)), abs=0.006)


def test_bootstrap_is_scipys() -> None:
    values = (np.random.default_rng(1).random(300) < 0.7).astype(float)
    rng: Any = {"rng" if "rng" in signature(stats.bootstrap).parameters else "random_state": np.random.default_rng(2)}  # scipy before 1.15
    expected = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", **rng).confidence_interval
    assert bootstrap_interval(values[:, None], level=0.95, rng=stream(0, "b"))[0] == pytest.approx(tuple(expected), abs=0.008)


@pytest.mark.parametrize(("splits", "size"), [(5, 1.682), (10, 0.996), (20, 0.660), (3, 3.264)])
def test_detectable_differences_are_those_of_tables(splits: int, size: float) -> None:
    """In standard deviations, 80 % power at 0.05; scipy's noncentral t agrees where it works."""
    found = detectable(1.0, splits, alpha=0.05)
    assert found == pytest.approx(size, abs=0.001)
    edge, shift = stats.t.ppf(0.975, splits - 1), size * np.sqrt(splits)
    assert stats.nct.sf(edge, splits - 1, shift) == pytest.approx(0.8, abs=0.001)
    assert detectable(0.03, splits, alpha=0.05) == pytest.approx(0.03 * size, abs=0.0001)


def test_detectable_differences_are_found_as_often_as_said() -> None:
    """Far out, where scipy's noncentral t fails: 80 % of simulated studies."""
    rng, alpha = np.random.default_rng(5), 0.001
    found = detectable(1.0, 5, alpha=alpha)
    assert found is not None
    p = stats.ttest_1samp(rng.normal(found, 1, (20_000, 5)), 0, axis=1).pvalue
    assert (p < alpha).mean() == pytest.approx(0.8, abs=0.012)


def test_what_a_mean_of_tasks_can_tell_is_what_one_of_as_much_freedom_can() -> None:
    assert detectable_by(Estimate(0.1, 0.03 / np.sqrt(5), 4.0), alpha=0.05) == pytest.approx(detectable(0.03, 5, alpha=0.05))


@pytest.mark.parametrize(("spread", "splits"), [(None, 5), (0.0, 5), (1.0, 1)])
def test_nothing_is_detectable_where_no_spread_is_known(spread: float | None, splits: int) -> None:
    assert detectable(spread, splits, alpha=0.05) is None


def test_why_no_bootstrap_over_five_splits() -> None:
    """Of 95 % intervals, the t interval holds the truth in 95 % of studies, the percentile bootstrap in far fewer."""
    rng = np.random.default_rng(6)
    draws = rng.normal(0, 1, (1000, 5))
    resampled = draws[:, rng.integers(0, 5, (500, 5))].mean(axis=2)
    low, high = np.quantile(resampled, [0.025, 0.975], axis=1)
    ends = np.array([t_interval(one, level=0.95) for one in draws])
    assert 0.93 < ((ends[:, 0] < 0) & (ends[:, 1] > 0)).mean() < 0.97
    assert 0.76 < ((low < 0) & (high > 0)).mean() < 0.88
