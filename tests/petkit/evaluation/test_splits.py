"""Draws: so many per class, nested, apart from development rows, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from petkit.errors import DataError
from petkit.evaluation.splits import SplitRows, by_chance, drawn_splits, duplicates, nominal_shots, per_class
from petkit.rows import Rows

LABELS = ("no", "yes")


def rows(counts: tuple[int, ...]) -> Rows:
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    order = np.random.default_rng(0).permutation(len(labels))
    return Rows(tuple(f"r{i}" for i in range(len(labels))), {"text": tuple(f"text {i}" for i in order)}, tuple(labels[i] for i in order))


def draw(source: Rows, **changes: object) -> list[SplitRows]:
    given = {"shots": (2, 4), "splits": 3, "draw": "per-class", "seed": 1, "development": False, **changes}
    return drawn_splits(source, LABELS, **given)  # type: ignore[arg-type]


def test_so_many_of_each_label_and_small_draws_within_large_ones() -> None:
    found = draw(rows((20, 9)))
    assert [(one.split.shots, one.split.split, one.split.class_counts) for one in found] == [
        (k, n, (k, k)) for k in (2, 4) for n in range(3)
    ]
    for small, large in zip(found[:3], found[3:], strict=True):
        assert set(small.train.ids) < set(large.train.ids)
    assert len({one.split.hash for one in found}) == 6
    assert [one.train.ids for one in draw(rows((20, 9)))] == [one.train.ids for one in found]
    assert [one.train.ids for one in draw(rows((20, 9)), seed=2)] != [one.train.ids for one in found]


def test_every_row_is_as_likely() -> None:
    source = rows((10, 10))
    drawn = np.bincount([i for n in range(500) for i in per_class(source, 2, 2, number=n, seed=0)], minlength=20)
    assert drawn.sum() == 2000
    assert np.abs(drawn - 100).max() < 4 * np.sqrt(500 * 0.2 * 0.8)  # four standard deviations of a share of 2 in 10


def test_development_rows_are_others() -> None:
    for how in ("per-class", "random"):
        for one in draw(rows((20, 20)), draw=how, development=True):
            assert len(one.development) == len(one.train) == 2 * one.split.shots
            assert not set(one.train.ids) & set(one.development.ids)


def test_draws_by_chance_take_no_heed_of_labels() -> None:
    source = rows((90, 10))
    counts = np.array(
        [np.bincount([source.labels[i] for i in by_chance(source, 2, 10, number=n, seed=0)], minlength=2) for n in range(200)]
    )
    assert (counts.sum(1) == 20).all()
    assert counts[:, 1].mean() == pytest.approx(2, abs=0.4)
    assert counts[:, 1].std() > 0.5


def test_too_few_rows_are_named() -> None:
    with pytest.raises(DataError, match=r"--shots 4: 'yes' has 3 of 4 rows"):
        draw(rows((9, 3)))
    with pytest.raises(DataError, match=r"'yes' has 6 of 8 rows \(as many again for development\)"):
        draw(rows((9, 6)), development=True)
    with pytest.raises(DataError, match="8 rows are needed, and 5 are there"):
        draw(rows((3, 2)), draw="random")


def test_given_splits_have_the_shots_that_all_but_reach() -> None:
    assert nominal_shots([(16, 15), (16, 16)]) == 16
    assert nominal_shots([(5, 4)]) == 5
    assert nominal_shots([(4, 3)]) is None  # a quarter less is another number
    assert nominal_shots([(3, 3)]) == 3
    assert nominal_shots([(16, 16), (14, 16)]) is None
    assert nominal_shots([(8, 8), (9, 9), (10, 10)]) is None
    assert nominal_shots([(1, 0)]) is None


def test_repeated_rows_are_counted() -> None:
    assert duplicates([("a", "b"), ("a", "b"), ("b", "a")]) == 1
