"""iPET: the paper's growth, teachers, and which rows are drawn."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from petkit.ipet import Chosen, choose_rows, draw_teachers, generations, pool_shares, quotas, sets_unit
from petkit.rowfiles import load_rows, save_scores
from petkit.rows import Rows
from petkit.units import stage_folder
from tests.petkit.stage_runs import context_for, deposit, spec_of, texts, tiny_settings
from tests.tiny_runs import TOPICS


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# Growth


@pytest.mark.parametrize(("labeled", "count"), [(10, 3), (50, 2), (100, 2), (40, 2), (200, 1), (1000, 1), (5000, 1), (0, 4)])
def test_generations_until_a_thousand_rows(labeled: int, count: int) -> None:
    """ceil(log_5(1000 / N)) after generation 0; 40 and 200 are exact powers, where rounding could add one."""
    assert generations(labeled) == count


def test_sets_grow_fivefold_with_the_labelled_rows_in_them() -> None:
    assert [10 + sum(quotas([5, 5], g)) for g in (1, 2, 3)] == [50, 250, 1250]
    assert [100 + sum(quotas([50, 50], g)) for g in (1, 2)] == [500, 2500]
    assert [sum(quotas([3, 4], g, scale=3)) for g in (1, 2)] == [7 * 3 - 7, 7 * 9 - 7]


def test_without_labelled_rows_the_sets_hold_10_50_250_in_equal_parts() -> None:
    assert [sum(quotas([0, 0], g)) for g in (1, 2, 3)] == [10, 50, 250]
    assert quotas([0, 0, 0], 1) == [4, 3, 3]
    assert quotas([0] * 5, 2) == [10] * 5
    assert [quotas([0] * 15, g) for g in (1, 2)] == [[1] * 15, [4] * 5 + [3] * 10]


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [([2, 8], [8, 32]), ([1, 1, 8], [4, 4, 32]), ([1, 2], [4, 8]), ([1, 1, 1], [4, 4, 4])],
)
def test_labels_keep_their_proportion(counts: list[int], wanted: list[int]) -> None:
    assert quotas(counts, 1) == wanted


def test_halves_are_rounded_up_never_to_the_even_number() -> None:
    """1 row, growing by 3.5 and 1.5: 2.5 and 0.5 new rows. Banker's rounding makes 2 and 0 of them."""
    assert sum(quotas([1, 0], 1, scale=3.5)) == 3
    assert sum(quotas([1, 0], 1, scale=1.5)) == 1


@given(st.lists(st.integers(0, 60), min_size=2, max_size=6).filter(any), st.integers(1, 3), st.sampled_from([2.0, 3.0, 5.0]))
def test_quotas_add_up_and_are_within_one_of_their_share(counts: list[int], generation: int, scale: float) -> None:
    found, total = quotas(counts, generation, scale=scale), sum(counts)
    new = total * scale**generation - total
    assert sum(found) == new
    assert all(abs(quota - new * count / total) < 1 for quota, count in zip(found, counts, strict=True))
    assert all(quota == 0 for quota, count in zip(found, counts, strict=True) if count == 0)


# Teachers


@given(st.integers(2, 30), st.data(), st.sampled_from([0.01, 0.25, 0.5, 1.0]), st.integers(0, 99))
def test_teachers_are_others_and_as_many_as_the_share_says(members: int, data: st.DataObject, share: float, seed: int) -> None:
    student = data.draw(st.integers(0, members - 1))
    found = draw_teachers(members, student, share=share, rng=rng(seed))
    assert student not in found
    assert len(set(found)) == len(found) == max(1, int(share * (members - 1) + 0.5))
    assert set(found) <= set(range(members))


@pytest.mark.parametrize(("members", "count"), [(2, 1), (3, 1), (4, 1), (7, 2), (11, 3), (12, 3), (18, 4)])
def test_a_quarter_of_the_others_rounded_and_at_least_one(members: int, count: int) -> None:
    """In the original three members give round(0.5) = 0 teachers and a crash, after a generation was trained (issue 103)."""
    assert len(draw_teachers(members, 0, share=0.25, rng=rng())) == count


def test_a_lone_member_teaches_itself() -> None:
    assert draw_teachers(1, 0, share=0.25, rng=rng()) == [0]


def test_every_other_member_teaches_as_often() -> None:
    drawn = Counter(t for seed in range(600) for t in draw_teachers(5, 2, share=0.25, rng=rng(seed)))
    assert chisquare([drawn[i] for i in (0, 1, 3, 4)]).pvalue > 0.01


# Rows


def scores_for(probabilities: list[list[float]]) -> np.ndarray:
    found: np.ndarray = np.log(np.array(probabilities)).astype(np.float32)
    return found


SURE = [[0.9, 0.1], [0.6, 0.4], [0.75, 0.25], [0.2, 0.8], [0.95, 0.05]]


def test_the_first_row_is_drawn_in_proportion_to_its_probability() -> None:
    counts = Counter(int(choose_rows(scores_for(SURE), [1, 0], rng=rng(seed)).indices[0]) for seed in range(4000))
    weights = np.array([0.9, 0.6, 0.75, 0.95])
    assert chisquare([counts[i] for i in (0, 1, 2, 4)], weights / weights.sum() * 4000).pvalue > 0.01


def test_further_rows_are_drawn_in_proportion_from_what_is_left() -> None:
    """P({i, j}) = sum over both orders of w_i / W * w_j / (W - w_i)."""
    sharp = [[0.51, 0.49], [0.9, 0.1], [0.99, 0.01]]
    weights = {0: 0.51, 1: 0.9, 2: 0.99}
    total, wanted = sum(weights.values()), Counter[frozenset[int]]()
    for i, j in permutations(weights, 2):
        wanted[frozenset((i, j))] += weights[i] / total * weights[j] / (total - weights[i])  # type: ignore[assignment]
    found = Counter(frozenset(choose_rows(scores_for(sharp), [2, 0], rng=rng(seed)).indices.tolist()) for seed in range(4000))
    assert chisquare([found[pair] for pair in wanted], [4000 * p for p in wanted.values()]).pvalue > 0.01


@given(st.integers(1, 40), st.integers(2, 4), st.integers(0, 99), st.booleans(), st.data())
def test_rows_are_taken_once_and_short_ones_are_counted(n: int, labels: int, seed: int, zero: bool, data: st.DataObject) -> None:
    scores = rng(seed).normal(0, 3, (n, labels)).astype(np.float32)
    quota = data.draw(st.lists(st.integers(0, 30), min_size=labels, max_size=labels))
    found = choose_rows(scores, quota, rng=rng(seed), most_likely=5 if zero else None)
    assert len(set(found.indices.tolist())) == len(found.indices) == len(found.labels)
    taken = np.bincount(found.labels, minlength=labels)
    assert [q - t for q, t in zip(quota, taken, strict=True)] == list(found.short)
    if not zero:
        assert (scores[found.indices].argmax(axis=1) == found.labels).all()
        available = np.bincount(scores.argmax(axis=1), minlength=labels)
        assert taken.tolist() == np.minimum(quota, available).tolist()
    else:
        assert taken.sum() == min(n, sum(quota))


def test_a_label_that_nobody_predicts_ends_in_a_shortfall() -> None:
    """The original loops for ever here (issue 104)."""
    found = choose_rows(scores_for([[0.9, 0.1], [0.8, 0.2]]), [1, 5], rng=rng())
    assert (found.labels.tolist(), found.short) == ([0], (0, 5))


def test_too_few_rows_are_taken_all_and_never_repeated() -> None:
    """The original repeats the list until it is long enough."""
    found = choose_rows(scores_for(SURE), [7, 7], rng=rng())
    assert sorted(found.indices.tolist()) == [0, 1, 2, 3, 4]
    assert found.short == (3, 6)


def test_an_empty_quota_draws_nothing() -> None:
    found = choose_rows(scores_for(SURE), [0, 0], rng=rng())
    assert (len(found.indices), found.short) == (0, (0, 0))


def test_probability_zero_is_drawn_last_not_never() -> None:
    scores = np.array([[500.0, 0.0], [0.0, -0.001], [600.0, 0.0]], np.float32)
    assert sorted(choose_rows(scores, [3, 0], rng=rng()).indices.tolist()) == [0, 1, 2]
    zero = np.array([[0.0, 900.0], [0.0, 901.0]], np.float32)
    assert len(choose_rows(zero, [2, 0], rng=rng(), most_likely=2).indices) == 2


def test_the_zero_shot_start_takes_the_most_likely_rows_whatever_they_would_get() -> None:
    """Every row's best label is 0; label 1 still gets the two rows most likely under it."""
    scores = scores_for([[0.9, 0.1], [0.6, 0.4], [0.99, 0.01], [0.55, 0.45], [0.8, 0.2], [0.97, 0.03]])
    for seed in range(20):
        found = choose_rows(scores, [2, 2], rng=rng(seed), most_likely=2)
        assert found.short == (0, 0)
        assert set(found.indices[found.labels == 0].tolist()) == {2, 5}
        assert set(found.indices[found.labels == 1].tolist()) == {1, 3}


def test_the_zero_shot_start_draws_among_more_rows_than_it_needs() -> None:
    scores = scores_for([[0.9, 0.1]] * 30)
    drawn = {i for seed in range(40) for i in choose_rows(scores, [2, 0], rng=rng(seed), most_likely=10).indices.tolist()}
    assert drawn == set(range(10)), "the first ten of equals, in turn"


def test_a_quota_above_the_most_likely_rows_widens_them() -> None:
    """The original stops with a ValueError."""
    assert len(choose_rows(scores_for([[0.9, 0.1]] * 30), [8, 8], rng=rng(), most_likely=3).indices) == 16


# The stage


POOL = texts(30, name="u")


def run_sets(root: Path, scores: dict[str, np.ndarray], train: Rows, **more: Any) -> dict[str, Any]:
    deposit(root, train=train, pool=POOL)
    for name, found in scores.items():
        stage_folder(root, name).mkdir()
        save_scores(stage_folder(root, name) / "pool.parquet", POOL.ids, TOPICS.labels, found)
    students = [f"g1-p{i}-s0" for i in range(len(scores))]
    given: dict[str, Any] = {
        "teachers": list(scores),
        "weights": [1.0] * len(scores),
        "students": students,
        "own": list(range(len(scores))),
    }
    settings = tiny_settings(ipet__scale=3, ipet__most_likely=4)
    spec = {**spec_of(TOPICS, settings, **given, generation=1), **more}
    return sets_unit(spec, context_for(root, "g1-sets", *scores))


def certain(label: int) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[[label] * 30] * 9


def test_each_student_learns_from_the_others_only(tmp_path: Path) -> None:
    """Teacher i is sure of label i everywhere, so the labels tell who taught."""
    record = run_sets(tmp_path, {f"t{i}": certain(i) for i in range(3)}, texts(3, labels=3))
    for i in range(3):
        taught = load_rows(stage_folder(tmp_path, "g1-sets") / f"g1-p{i}-s0.parquet")
        assert set(taught.labels) <= {0, 1, 2} - {i}
        assert len(taught) == record["rows"][f"g1-p{i}-s0"] == 2, "one teacher, so one label of three gets its two rows"
    assert record["quota"] == {"World": 2, "Sports": 2, "Business": 2}
    assert all(sorted(missing.values()) == [2, 2] for missing in record["short"].values())


def test_what_a_student_must_not_learn_from_is_as_given(tmp_path: Path) -> None:
    """After a zero-shot start all repetitions of a pattern have one untrained model behind them."""
    scores = {f"untrained-p{i}": certain(i) for i in range(2)}
    students = ["g1-p0-s0", "g1-p0-s1", "g1-p1-s0", "g1-p1-s1"]
    run_sets(tmp_path, scores, texts(3, labels=3), students=students, own=[0, 0, 1, 1])
    taught = [set(load_rows(stage_folder(tmp_path, "g1-sets") / f"{name}.parquet").labels) for name in students]
    assert taught == [{1}, {1}, {0}, {0}]


def test_weights_count_in_the_merging(tmp_path: Path) -> None:
    scores = {"t0": certain(0), "t1": certain(1), "t2": certain(2)}
    settings = tiny_settings(ipet__scale=3, ipet__share=1.0)
    run_sets(tmp_path, scores, texts(3, labels=3), weights=[0.5, 0.4, 0.1], settings=settings.as_dict())
    taught = [set(load_rows(stage_folder(tmp_path, "g1-sets") / f"g1-p{i}-s0.parquet").labels) for i in range(3)]
    assert taught == [{1}, {0}, {0}], "of the two others the heavier"


def test_rows_are_the_pools_in_its_order_and_students_differ(tmp_path: Path) -> None:
    scores = {f"t{i}": rng(i).normal(0, 2, (30, 3)).astype(np.float32) for i in range(3)}
    run_sets(tmp_path / "a", scores, texts(9, labels=3))
    run_sets(tmp_path / "b", scores, texts(9, labels=3))
    seen = set()
    for i in range(3):
        taught, again = (load_rows(stage_folder(tmp_path / run, "g1-sets") / f"g1-p{i}-s0.parquet") for run in "ab")
        places = [POOL.ids.index(name) for name in taught.ids]
        assert places == sorted(places)
        assert taught.fields["text"] == tuple(POOL.fields["text"][place] for place in places)
        assert taught == again, "same seed, same rows"
        seen.add(taught.ids)
    assert len(seen) == 3


def test_the_zero_shot_start_is_for_the_first_generation_without_labels_only(tmp_path: Path) -> None:
    """All teachers say World. The start labels all three classes all the same; generation 2 does not."""
    none, lean = texts(0), {"t0": rng(1).normal(0, 0.1, (30, 3)).astype(np.float32) + np.array([5, 0, 0], np.float32)}
    first = run_sets(tmp_path / "first", lean, none)
    assert (first["quota"], first["short"]) == ({"World": 4, "Sports": 3, "Business": 3}, {})
    taught = load_rows(stage_folder(tmp_path / "first", "g1-sets") / "g1-p0-s0.parquet")
    assert Counter(taught.labels) == {0: 4, 1: 3, 2: 3}
    second = run_sets(tmp_path / "second", lean, none, generation=2)
    assert second["short"] == {"g1-p0-s0": {"Sports": 10, "Business": 10}}


def test_the_pools_balance(tmp_path: Path) -> None:
    """The teachers together see World in 58 % of the rows, Sports in 30 %; labelled rows are balanced."""
    scores = np.log(np.array([[0.94, 0.03, 0.03], [0.04, 0.92, 0.04], [0.02, 0.02, 0.96]], np.float32))[[0] * 18 + [1] * 9 + [2] * 3]
    probabilities = np.exp(scores)
    assert pool_shares(scores) == pytest.approx(probabilities.mean(axis=0).tolist(), abs=1e-5)
    teachers = {"t0": scores, "t1": scores}
    settings = {"settings": tiny_settings(ipet__scale=3, ipet__balance="pool").as_dict()}
    assert run_sets(tmp_path / "own", teachers, texts(9, labels=3))["quota"] == {"World": 6, "Sports": 6, "Business": 6}
    found = run_sets(tmp_path / "pool", teachers, texts(9, labels=3), **settings)
    assert found["quota"] == {"World": 11, "Sports": 5, "Business": 2}, "of 18: 10.4, 5.3 and 2.3"
    assert not found["short"]
    start = run_sets(tmp_path / "start", teachers, texts(0), **settings)
    assert start["quota"] == {"World": 4, "Sports": 3, "Business": 3}, "an untrained model's opinion of the balance counts for nothing"


def test_chosen_holds_integers() -> None:
    found: Chosen = choose_rows(scores_for(SURE), [2, 1], rng=rng())
    assert found.indices.dtype == np.int64
    assert found.labels.dtype == np.int64
