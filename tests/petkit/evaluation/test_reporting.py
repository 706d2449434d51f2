"""What the report warns of."""

from __future__ import annotations

from typing import Any

from petkit.evaluation.grid import Split, TaskPlan
from petkit.evaluation.reporting import shown_wrong, warnings
from petkit.pvp import Task

TASK = Task(name="t", fields=("text",), patterns="{mask}: {text}", verbalizer={"no": "No", "yes": "Yes"})
CLEAN: dict[str, Any] = {
    "train": {"rows": 400, "class_counts": [200, 200]},
    "pool": {"rows": 400, "class_counts": None},
    "test": {"rows": 400, "class_counts": [200, 200]},
    "duplicates": {"train": 0, "pool": 0, "test": 0},
    "removed_from_pool": 0,
    "removed_from_train": 0,
    "overlap": 0,
    "development_overlap": 0,
}


def told(splits: tuple[Split, ...] = (), **changes: Any) -> list[str]:
    plan = TaskPlan(TASK, 0, splits or (Split(4, 0, "draw 0", "a", 8, (4, 4)),))
    return list(warnings(plan, {**CLEAN, **changes}))


def test_clean_rows_need_no_warning() -> None:
    assert told() == []


def test_leaks_and_duplicates_are_told() -> None:
    found = told(duplicates={"train": 3, "pool": 0, "test": 1}, removed_from_pool=2, removed_from_train=5, overlap=1, development_overlap=2)
    assert found == [
        "t: 3 labelled rows repeat another one of those to draw from.",
        "t: 1 test row repeats another one.",
        "t: 2 unlabelled rows equal a test row and were left out of the pool.",
        "t: 5 labelled rows equal a test row and were not drawn from.",
        "t: 1 labelled row of the splits equals a test row (--allow-overlap): scores are too good.",
        "t: 2 development rows of the splits equal a test row (--allow-overlap): the gain by them is too good.",
    ]


def test_of_given_splits_nothing_is_said_of_draws() -> None:
    found = told(train=None, duplicates={"train": 1, "pool": 2, "test": 0}, removed_from_pool=1)
    assert found == [
        "t: 1 labelled row repeats another one of the same split.",
        "t: 2 unlabelled rows repeat another one.",
        "t: 1 unlabelled row equals a test row and was left out of the pool.",
    ]


def test_skew_and_few_rows_are_told() -> None:
    found = told(train={"rows": 40, "class_counts": [31, 9]}, test={"rows": 60, "class_counts": [59, 1]})
    assert found == [
        "t: labels are skewed in the training file: 31 rows of 'no', 9 of 'yes'; see macro-F1.",
        "t: labels are skewed in the test: 59 rows of 'no', 1 of 'yes'; see macro-F1.",
        "t: the test has only 60 rows; small differences cannot be told.",
        "t: 'yes' has 1 test row; its precision, recall and F1 say little.",
    ]


def test_a_label_without_test_rows_bounds_macro_f1() -> None:
    assert told(test={"rows": 400, "class_counts": [400, 0]}) == [
        "t: labels are skewed in the test: 400 rows of 'no', 0 of 'yes'.",
        "t: no test row has 'yes': macro-F1 counts it as 0 and is at most 50.0.",
    ]


def test_splits_that_lack_a_label_or_are_the_same_are_told() -> None:
    splits = (Split(4, 0, "draw 0", "a", 8, (8, 0)), Split(4, 1, "draw 1", "a", 8, (8, 0)), Split(4, 2, "draw 2", "b", 8, (4, 4)))
    assert told(splits) == ["t: in 2 of 3 splits some label has no row.", "t: 1 split holds the same rows as another one."]


def test_wrong_rows_are_those_of_a_method_whose_patterns_vote() -> None:
    assert [shown_wrong(methods) for methods in (["tfidf", "pet"], ["zero-shot", "single", "tfidf"], ["majority", "tfidf"])] == [
        "pet",
        "single",
        "majority",
    ]
