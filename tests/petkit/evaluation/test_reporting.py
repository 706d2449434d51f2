"""What the report warns of."""

from __future__ import annotations

from typing import Any

from petkit.evaluation.grid import Split, Study, TaskPlan
from petkit.evaluation.reporting import shown_wrong, task_entries, warnings
from petkit.pvp import Task
from petkit.settings import preset
from petkit.taskspec import task_digest

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


def told(splits: tuple[Split, ...] = (), draw: str = "per-class", **changes: Any) -> list[str]:
    plan = TaskPlan(TASK, 0, splits or (Split(4, 0, "draw 0", "a", 8, (4, 4)),))
    return list(warnings(plan, {**CLEAN, **changes}, draw))


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


def alike(*shared: float, shots: int = 16, rows: int = 32) -> tuple[Split, ...]:
    """Splits, the n-th of which shares so much of its rows with those before it."""
    return tuple(Split(shots, n, "draw", f"{shots}-{n}", rows, (rows // 2,) * 2, share) for n, share in enumerate((None, *shared)))


def test_splits_of_few_rows_are_told_to_be_alike() -> None:
    def of(rows: int, *shared: float) -> list[str]:
        return told(alike(*shared), train={"rows": 2 * rows, "class_counts": [rows, rows]})

    assert of(64, 0.25, 0.24) == [], "24 of 100 on average"
    assert of(40, 0.4, 0.4) == [
        "t, 16 per label: two splits share 6.4 of 16 labelled rows of a label on average, since there are 40 to draw from; "
        "intervals and tests speak of draws from these rows only, and are too narrow for other rows."
    ]
    assert of(20, 0.75, 0.75) == [
        "t, 16 per label: two splits share 12 of 16 labelled rows of a label on average, since there are 20 to draw from; "
        "intervals and tests speak of draws from these rows only, so nothing is decided by them."
    ]


def test_splits_of_all_rows_are_told_once() -> None:
    same = tuple(Split(17, n, f"draw {n}", "a", 34, (17, 17), 1.0 if n else None) for n in range(5))
    other = alike(0.1, shots=4, rows=8)
    assert told((*other, *same), train={"rows": 34, "class_counts": [17, 17]}) == [
        "t, 17 per label: all 5 splits hold the same labelled rows, since there are 17 to draw from; "
        "intervals and tests speak of draws from these rows only, so nothing is decided by them."
    ]


def test_alike_splits_by_chance_or_given_say_how_they_are() -> None:
    (by_chance,) = told(alike(0.75, rows=24), draw="random", train={"rows": 32, "class_counts": [26, 6]}, test=CLEAN["test"])[1:]
    assert by_chance.startswith(
        "t, 16 per label on average: two splits share 18 of 24 labelled rows on average, since there are 32 to draw"
    )
    (given,) = told(alike(0.3), draw="given", train=None)
    assert given == (
        "t, 16 per label: two splits share 9.6 of 32 labelled rows on average; intervals and tests speak of these rows only, "
        "and are too narrow for other rows."
    )


def test_wrong_rows_are_those_of_a_method_whose_patterns_vote() -> None:
    assert [shown_wrong(methods) for methods in (["tfidf", "pet"], ["zero-shot", "single", "tfidf"], ["majority", "tfidf"])] == [
        "pet",
        "single",
        "majority",
    ]


def test_a_task_s_entry_says_what_it_asks() -> None:
    study = Study((TaskPlan(TASK, 0, ()),), (42,), ("pet",), preset("small"), preset("small"))
    (entry,) = task_entries(study, {"t": CLEAN})
    assert entry["label_words"] == [{"no": ["No"], "yes": ["Yes"]}]
    assert entry["specification"] == task_digest(TASK)
