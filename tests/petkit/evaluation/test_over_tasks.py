"""Methods compared over several tasks: Welch's formulas, which splits are paired, signs flipped one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import stats

from petkit.evaluation.statistics import holm
from petkit.evaluation.summary import conclude
from tests.petkit.evaluation.test_summary import AHEAD, OTHER, Values, cells_of


def over_tasks(tasks: Mapping[str, Values], *, hashes: Mapping[str, Sequence[str]] | None = None, **options: Any) -> dict[str, Any]:
    """The mean over tasks of two methods; ``hashes``: task -> the hash of each split."""
    cells = [cell for task, values in tasks.items() for cell in cells_of(values, task=task, metric=options.get("metric", "accuracy"))]
    entries = [
        {"name": task, "splits": [{"shots": 16, "split": n, "hash": one} for n, one in enumerate(of)]}
        for task, of in (hashes or {}).items()
    ]
    found = conclude(cells, {}, methods=list(next(iter(tasks.values()))), tasks=entries, **options)["comparisons"][0]
    assert found["task"] is None
    return dict(found)


def test_means_over_tasks_that_are_nought_but_for_rounding_are_ties() -> None:
    tasks = {"A": [0.7, 0.61, 0.65], "B": [0.8, 0.57, 0.65], "C": [0.3, 0.62, 0.59]}  # beside 0.6: sums of 0, 0 and 0.09
    found = over_tasks({task: {"pet": ours, "tfidf": [0.6] * 3} for task, ours in tasks.items()}, hashes={task: "xyz" for task in tasks})
    assert (found["wins"], found["ties"], found["splits"]) == (1, 2, 3)
    assert found["differences"] == [0.0, 0.0, pytest.approx(0.03)]
    assert found["sign_flip_p"] == 1.0
    tasks = {task: ours[:2] for task, ours in tasks.items()}
    found = over_tasks({task: {"pet": ours, "tfidf": [0.6] * 2} for task, ours in tasks.items()}, hashes={task: "xy" for task in tasks})
    assert (found["t_p"], found["sign_flip_p"], found["interval"], found["ties"]) == (1.0, 1.0, [0.0, 0.0], 2)


def test_over_all_tasks_each_task_has_its_own_splits() -> None:
    """Scipy's Welch test of one task against minus the other has the same t, freedom and p as the mean of both."""
    cells = [*cells_of(AHEAD), *cells_of(OTHER, task="news")]
    found = conclude(cells, {}, methods=["pet", "supervised"])["comparisons"]
    assert [one["task"] for one in found] == [None, "mood", "news"]
    first, second = (np.subtract(values["pet"], values["supervised"]) for values in (AHEAD, OTHER))
    expected = stats.ttest_ind(first, -second, equal_var=False)
    mean, ends = found[0], expected.confidence_interval()
    assert mean["differences"] == pytest.approx([*first, *second])
    assert mean["strata"] == [{"tasks": ["mood"], "splits": 5}, {"tasks": ["news"], "splits": 5}]
    assert (mean["t_p"], mean["degrees_of_freedom"]) == (pytest.approx(expected.pvalue), pytest.approx(expected.df))
    assert mean["interval"] == pytest.approx([ends.low / 2, ends.high / 2])
    assert mean["standard_error"] == pytest.approx((ends.high - ends.low) / 4 / stats.t.ppf(0.975, expected.df))
    assert mean["sentence"] == (
        "Mean of 2 tasks, 16 per label: PET is ahead of plain fine-tuning by 8.7 points, 95 % interval 5.6 to 11.7, on 8 of 10 splits."
    )
    assert [one["holm_t_p"] for one in found] == holm([one["t_p"] for one in found])
    assert mean["rows_test"] is None


@pytest.mark.parametrize("splits", [3, 12])
def test_no_mean_over_tasks_rests_on_how_splits_are_numbered(splits: int) -> None:
    """Up to 20 signs are flipped in all ways, more by chance: neither sees the order."""
    draws = np.random.default_rng(splits).normal(0.04, 0.05, (2, splits))
    tasks = [{"pet": (0.6 + d).tolist(), "tfidf": [0.6] * splits} for d in draws]
    found = over_tasks(dict(zip("ab", tasks, strict=True)))
    turned = {"pet": [*tasks[1]["pet"][1:], tasks[1]["pet"][0]], "tfidf": tasks[1]["tfidf"]}
    again = over_tasks({"a": tasks[0], "b": turned})
    for name in ("difference", "interval", "t_p", "sign_flip_p", "holm_t_p", "wins"):
        assert again[name] == pytest.approx(found[name], rel=1e-9), name


def test_signs_of_a_mean_over_tasks_are_flipped_split_by_split() -> None:
    """Counted out: two and three splits, each weighing a half of one over as many."""
    found = over_tasks({"a": {"pet": [0.7, 0.65], "tfidf": [0.6] * 2}, "b": {"pet": [0.61, 0.64, 0.58], "tfidf": [0.6] * 3}})
    d = np.array([0.1 / 4, 0.05 / 4, 0.01 / 6, 0.04 / 6, -0.02 / 6])
    flipped = np.abs([np.array(signs) @ d for signs in product((1, -1), repeat=5)])
    assert found["sign_flip_p"] == np.mean(flipped >= d.sum() - 1e-12)
    assert (found["wins"], found["splits"], found["difference"]) == (4, 5, pytest.approx(d.sum()))


def test_tasks_on_the_same_labelled_rows_are_paired_split_by_split() -> None:
    """What they share cancels in the mean: mood and its mirror, beside a third task with rows of its own."""
    mood, mirror = np.array([0.1, -0.05, 0.02]), np.array([-0.08, 0.07, 0.02])
    values = {"mood": mood, "mirror": mirror[[2, 0, 1]], "news": np.array([0.01, 0.03, 0.02])}
    tasks = {task: {"pet": (0.6 + d).tolist(), "tfidf": [0.6] * 3} for task, d in values.items()}
    hashes = {"mood": ["x", "y", "z"], "mirror": ["z", "x", "y"], "news": ["u", "v", "w"]}
    found = over_tasks({task: tasks[task] for task in ("mood", "mirror")}, hashes=hashes)
    assert (found["t_p"], found["splits"]) == (pytest.approx(stats.ttest_1samp((mood + mirror) / 2, 0).pvalue), 3)
    three = over_tasks(tasks, hashes=hashes)
    assert three["strata"] == [{"tasks": ["mood", "mirror"], "splits": 3}, {"tasks": ["news"], "splits": 3}]
    assert three["differences"] == pytest.approx([*(mood + mirror) / 2, *values["news"]])
    spread = [np.var(x, ddof=1) / 3 for x in (mood + mirror, values["news"])]
    assert three["standard_error"] == pytest.approx(np.sqrt(sum(spread)) / 3)
    assert three["degrees_of_freedom"] == pytest.approx(2 * sum(spread) ** 2 / sum(v**2 for v in spread))
    assert over_tasks(tasks)["standard_error"] > 2 * three["standard_error"], "rows that are not the same have nothing to cancel"


def test_splits_with_the_same_rows_within_a_task_stay_apart() -> None:
    found = over_tasks({"a": AHEAD, "b": OTHER}, hashes={"a": ["x", "x", "y", "z", "u"], "b": ["v", "w", "x", "q", "r"]})
    assert [(one["tasks"], one["splits"]) for one in found["strata"]] == [(["a", "b"], 9)], "one of b's splits is the first x of a"


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        (
            {"a": [0.7] * 3, "b": [0.8] * 3},
            "PET is ahead of TF-IDF + logistic regression by 15.0 points, on 6 of 6 splits; "
            "in each task always by as much, which allows no t test, so by the sign-flip test.",
        ),
        (
            {"a": [0.7] * 3, "b": [0.56] * 3},
            "PET is 3.0 points above TF-IDF + logistic regression, better on 3 of 6 splits; in each task always by as much, "
            "which allows no t test, and the sign-flip test over 6 splits has p = 0.344, before it is corrected for 3 comparisons.",
        ),
        (
            {"a": [0.7] * 3, "b": [0.5] * 3},
            "no difference between PET and TF-IDF + logistic regression that 6 splits can tell: 0.0 points, PET ahead on 3 of 6 splits.",
        ),
        ({"a": [0.6] * 3, "b": [0.6] * 3}, "PET and TF-IDF + logistic regression come out the same on each of 6 splits."),
    ],
)  # fmt: skip
def test_sentences_of_means_over_tasks_none_of_which_varies(ours: dict[str, list[float]], said: str) -> None:
    found = over_tasks({task: {"pet": values, "tfidf": [0.6] * 3} for task, values in ours.items()}, level=0.9)
    assert found["sentence"].partition("16 per label: ")[2] == said
    same = not any(found["differences"])
    assert (found["t_p"], found["interval"]) == ((1.0, [0.0, 0.0]) if same else (None, None))


def test_a_mean_over_tasks_with_alike_splits_is_not_decided() -> None:
    cells = [
        *cells_of(AHEAD),
        *cells_of(AHEAD, task="news"),
        *cells_of({method: values[:1] for method, values in AHEAD.items()}, task="one"),
    ]
    shared = {("mood", 16): 0.1, ("news", 16): 0.6}
    found = conclude(cells, {}, methods=["pet", "supervised"], shared=shared)
    verdicts = {comparison["task"]: comparison["verdict"] for comparison in found["comparisons"]}
    assert verdicts == {None: "splits too alike", "mood": "ahead", "news": "splits too alike", "one": "too few splits"}
    assert found["comparisons"][0]["sentence"].endswith("in one of the tasks two of them share 60 % of their labelled rows on average.")
    power = found["power"]["sentence"]
    assert power.startswith("With 5 splits of a task the exact sign-flip test")
    assert power.endswith(
        " But splits that share half of their labelled rows or more decide nothing (news), nor does a mean over tasks that they have part "
        "in."
    )
    kept = conclude(cells, {}, methods=["pet", "supervised"], shared={("mood", 16): 0.1, ("one", 16): 0.9})
    assert kept["comparisons"][0]["verdict"] == "ahead", "a task that is left out of the mean takes nothing from it"


def test_tasks_with_one_split_each_have_a_mean() -> None:
    cells = [*cells_of({"pet": [0.8], "tfidf": [0.7]}), *cells_of({"pet": [0.7], "tfidf": [0.7]}, task="news")]
    found = conclude(cells, {}, methods=["pet", "tfidf"])
    assert (found["comparisons"][0]["task"], found["comparisons"][0]["left_out"]) == (None, [])
    assert found["power"]["sentence"].startswith("With 1 split nothing can be said")
    assert found["power"]["single_split"] == []
