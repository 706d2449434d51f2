"""Rows that splits have in common, from the rows themselves."""

from __future__ import annotations

import pytest

from petkit.evaluation.alike import alike_notices, shares, with_shared
from petkit.evaluation.splits import SplitRows, drawn_splits, split_of
from petkit.rows import Rows

LABELS = ("no", "yes")


def rows(*texts: str, labels: tuple[int, ...] = ()) -> Rows:
    return Rows(tuple(str(n) for n in range(len(texts))), {"text": texts}, labels or tuple(n % 2 for n in range(len(texts))))


def given(*splits: Rows) -> list[SplitRows]:
    made = [split_of(train, LABELS, n, f"few/{n}", shots=None) for n, train in enumerate(splits)]
    return with_shared([SplitRows(split, train, train.select([])) for split, train in zip(made, splits, strict=True)])


def entry(splits: list[SplitRows]) -> dict[str, object]:
    return {"name": "t", "splits": [{"shots": one.split.shots, "shared": one.split.shared} for one in splits]}


def test_rows_of_given_splits_are_the_same_by_text_and_label_and_not_by_id() -> None:
    one, other = rows("A  b", "c", "d", "e"), rows("x", "C", "a B", "y", labels=(0, 1, 0, 1))
    assert [split.split.shared for split in given(one, other)] == [None, 0.5]
    assert [split.split.shared for split in given(one, rows("a b", "c", labels=(1, 0)))] == [None, 0.0], "other labels"
    assert [split.split.shared for split in given(one, one, rows("v", "w", "x", "y"))] == [None, 1.0, 0.0]
    assert shares([entry(given(one, one, rows("v", "w", "x", "y")))]) == {("t", None): pytest.approx(1 / 3)}


def test_splits_of_other_sizes_share_twice_what_both_have() -> None:
    assert given(rows("a", "b"), rows("a", "b", "c", "d", "e", "f"))[1].split.shared == 0.5


@pytest.mark.parametrize(("there", "share"), [(17, 16 / 17), (20, 0.8), (40, 0.4), (400, 0.04)])
def test_draws_share_as_many_rows_as_chance_has_it(there: int, share: float) -> None:
    source = rows(*(f"text {n}" for n in range(2 * there)))
    drawn = with_shared(drawn_splits(source, LABELS, shots=(16,), splits=12, draw="per-class", seed=3, development=False))
    assert shares([entry(drawn)])["t", 16] == pytest.approx(share, abs=0.02)


def test_each_number_of_rows_is_looked_at_by_itself() -> None:
    source = rows(*(f"text {n}" for n in range(40)))
    options = {"splits": 3, "draw": "per-class", "seed": 1, "development": False}
    both, one = (with_shared(drawn_splits(source, LABELS, shots=shots, **options)) for shots in ((4, 16), (16,)))  # type: ignore[arg-type]
    assert shares([entry(both)])["t", 16] == shares([entry(one)])["t", 16]
    assert [split.split.shared for split in both if split.split.split == 0] == [None, None]


def test_what_is_not_known_is_not_said() -> None:
    older = {"name": "t", "splits": [{"shots": 4}, {"shots": 4}]}
    assert shares([older, {"name": "one", "splits": [{"shots": 4, "shared": None}]}]) == {}


def test_before_training_it_is_said_what_helps() -> None:
    source = rows(*(f"text {n}" for n in range(34)))
    drawn = with_shared(drawn_splits(source, LABELS, shots=(17,), splits=2, draw="per-class", seed=1, development=False))
    (found,) = alike_notices("task 't'", [one.split for one in drawn], {"rows": 34, "class_counts": [17, 17]}, "per-class")
    assert found == (
        "task 't', 17 per label: both splits hold the same labelled rows, since there are 17 to draw from; intervals and tests speak of "
        "draws from these rows only, so nothing is decided by them; more labelled rows to draw from help, or fewer --shots"
    )
