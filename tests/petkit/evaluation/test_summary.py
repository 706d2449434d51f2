"""What a made-up study is summed up to: values by hand, verdicts by simulation, sentences word for word."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import jsonschema
import numpy as np
import pytest
from scipy import stats

from petkit.evaluation.comparisons import pairs
from petkit.evaluation.sentences import power_sentence
from petkit.evaluation.statistics import Estimate, detectable_by, holm
from petkit.evaluation.summary import METRICS, conclude
from tests.petkit.report.sample_study import sample_study

Values = Mapping[str, Sequence[float | Sequence[float]]]
ROWS = 40
SCHEMA = "schema/study.schema.json"


def cells_of(values: Values, *, task: str = "mood", shots: int | None = 16, metric: str = "accuracy") -> list[dict[str, Any]]:
    """method -> one value for each split, or one list over seeds."""
    return [
        {"task": task, "shots": shots, "split": split, "seed": seed, "method": method, "test": {metric: value}}
        for method, by_split in values.items()
        for split, seeds in enumerate(by_split)
        for seed, value in enumerate(seeds if isinstance(seeds, Sequence) else [seeds])
    ]


def concluded(values: Values, **options: Any) -> dict[str, Any]:
    cells = cells_of(values, metric=options.get("metric", "accuracy"))
    return conclude(cells, {}, methods=list(values), **options)


def only(values: Values, **options: Any) -> dict[str, Any]:
    (found,) = concluded(values, **options)["comparisons"]
    return dict(found)


AHEAD = {"pet": [0.8028, 0.8399, 0.8128, 0.8342, 0.8063], "supervised": [0.70, 0.69, 0.71, 0.70, 0.68]}
"""By hand: mean of the differences 0.1232, sd 0.0205, half the interval 2.776 * 0.0205 / root of 5 = 0.0254."""

UNSURE = {"pet": [0.80, 0.70, 0.78, 0.71, 0.79], "supervised": [0.75, 0.75, 0.70, 0.75, 0.74]}
"""By hand: mean 0.018, sd 0.0589, half the interval 0.0731."""


def test_the_sentence_of_a_clear_difference() -> None:
    found = only(AHEAD)
    assert found["sentence"] == (
        "mood, 16 per label: PET is ahead of plain fine-tuning by 12.3 points, 95 % interval 9.8 to 14.9, on 5 of 5 splits."
    )
    assert (found["verdict"], found["wins"], found["ties"], found["splits"]) == ("ahead", 5, 0, 5)


def test_numbers_of_a_comparison_are_scipys() -> None:
    found, d = only(AHEAD), np.subtract(AHEAD["pet"], AHEAD["supervised"])
    expected = stats.ttest_1samp(d, 0)
    assert found["differences"] == pytest.approx(d.tolist())
    assert found["difference"] == pytest.approx(d.mean())
    assert found["interval"] == pytest.approx(list(expected.confidence_interval()))
    assert found["t_p"] == found["holm_t_p"] == pytest.approx(expected.pvalue)
    assert found["sign_flip_p"] == found["holm_sign_flip_p"] == 0.0625


def test_behind_is_ahead_seen_from_the_other_side() -> None:
    found = only({"pet": AHEAD["supervised"], "supervised": AHEAD["pet"]})
    assert found["sentence"] == (
        "mood, 16 per label: PET is behind plain fine-tuning by 12.3 points, 95 % interval 9.8 to 14.9, on 5 of 5 splits."
    )
    assert (found["verdict"], found["wins"]) == ("behind", 0)


def test_the_sentence_of_no_difference() -> None:
    found = only(UNSURE)
    assert found["sentence"] == (
        "mood, 16 per label: no difference between PET and plain fine-tuning that 5 splits can tell: +1.8 points, "
        "95 % interval -5.5 to 9.1, PET ahead on 3 of 5 splits."
    )
    assert found["verdict"] == "no difference"


def test_one_split_has_no_verdict() -> None:
    found = only({"pet": [0.8], "tfidf": [0.7]})
    assert found["sentence"] == (
        "mood, 16 per label: PET is 10.0 points above TF-IDF + logistic regression on the only split; "
        "that tells nothing of other labelled rows."
    )
    assert (found["verdict"], found["interval"], found["t_p"], found["sign_flip_p"]) == ("too few splits", None, None, None)


def test_what_correction_takes_away_is_said() -> None:
    """By hand: mean 0.055, sd 0.0342, t 3.22, p 0.049 alone, twice that as the first of two."""
    values = {"pet": [0.80, 0.85, 0.76, 0.82], "supervised": [0.75, 0.76, 0.75, 0.75], "tfidf": [0.7, 0.9, 0.8, 0.8]}
    found = concluded(values)["comparisons"][0]
    assert 0.025 < found["t_p"] < 0.05 < found["holm_t_p"]
    assert found["verdict"] == "no difference"
    assert found["sentence"] == (
        "mood, 16 per label: PET is 5.5 points above plain fine-tuning, 95 % interval 0.1 to 10.9 taken alone, better on 4 of 4 splits; "
        "as one of 2 comparisons that may be chance."
    )


def test_lower_is_better_for_losses() -> None:
    values = {"pet": [0.4, 0.41, 0.39, 0.4], "tfidf": [0.6, 0.62, 0.61, 0.6]}
    found = only(values, metric="log_loss")
    assert (found["verdict"], found["wins"]) == ("ahead", 4)
    assert found["difference"] == pytest.approx(-0.2075)
    assert "PET is ahead of TF-IDF + logistic regression by 0.207 (log loss), 95 % interval 0.192 to 0.223, on 4 of 4" in found["sentence"]


def test_where_nothing_can_be_told_of_a_loss_its_difference_has_its_own_sign() -> None:
    """Ahead is lower: -0.02 on average, with PET lower on two splits of three."""
    found = only({"pet": [0.40, 0.41, 0.43], "tfidf": [0.47, 0.44, 0.39]}, metric="log_loss")
    assert (found["verdict"], found["wins"]) == ("no difference", 2)
    assert found["sentence"].endswith("can tell: -0.020 (log loss), 95 % interval -0.158 to 0.118, PET ahead on 2 of 3 splits.")
    one = only({"pet": [0.40], "tfidf": [0.47]}, metric="log_loss")
    assert "PET is 0.070 (log loss) below TF-IDF + logistic regression on the only split" in one["sentence"]


@pytest.mark.parametrize(("splits", "verdict"), [(3, "no difference"), (5, "no difference"), (6, "ahead")])
def test_a_difference_without_spread_is_left_to_the_sign_flip_test(splits: int, verdict: str) -> None:
    """Two methods that no labelled row changes differ by the same on all splits: a t test would call anything certain."""
    found = only({"pet": [0.8] * splits, "majority": [0.7] * splits})
    assert (found["t_p"], found["interval"], found["holm_t_p"], found["verdict"]) == (None, None, None, verdict)
    assert "10.0 points" in found["sentence"]
    assert "interval" not in found["sentence"]


def test_the_sentences_of_a_difference_without_spread() -> None:
    """By hand: three signs can be flipped in 8 ways, two of which are as far from 0; six in 64."""
    always, where = "always by as much, which allows no t test", "mood, 16 per label: PET is"
    found = only({"pet": [0.8, 0.75, 0.9], "majority": [0.7, 0.65, 0.8]})
    assert (found["sign_flip_p"], found["verdict"]) == (0.25, "no difference")
    assert found["sentence"] == (
        f"{where} 10.0 points above most frequent label, better on 3 of 3 splits; {always}, "
        "and the sign-flip test over 3 splits cannot go below p = 0.25."
    )
    behind = only({"pet": [0.8] * 6, "majority": [0.9] * 6})["sentence"]
    assert behind == f"{where} behind most frequent label by 10.0 points, on 6 of 6 splits; {always}, so by the sign-flip test."
    two = concluded({"pet": [0.8] * 6, "majority": [0.7] * 6, "tfidf": [0.6] * 6})["comparisons"]
    assert [(one["holm_sign_flip_p"], one["verdict"]) for one in two] == [(0.0625, "no difference")] * 2
    assert two[0]["sentence"].endswith("cannot go below p = 0.0312, before it is corrected for 2 comparisons.")


def test_an_opponent_that_never_varies_makes_no_verdict_bolder() -> None:
    """Three splits, 50 test rows, no true difference: a verdict in at most 5 of 100 studies, chance apart (16 of 200)."""
    found = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        ours = [float(rng.binomial(50, float(np.clip(p, 0, 1))) / 50) for p in 0.8 + rng.normal(0, 0.01, 3)]
        found += only({"pet": ours, "majority": [0.8] * 3})["verdict"] != "no difference"
    assert 0 < found <= 16


def test_methods_that_come_out_the_same() -> None:
    found = only({"pet": [0.8, 0.7, 0.9], "tfidf": [0.8, 0.7, 0.9]})
    assert (found["t_p"], found["sign_flip_p"], found["ties"], found["interval"]) == (1.0, 1.0, 3, [0.0, 0.0])
    assert found["sentence"] == "mood, 16 per label: PET and TF-IDF + logistic regression come out the same on each of 3 splits."


def test_a_metric_that_is_not_known_is_not_compared() -> None:
    cells = cells_of({"pet": [0.4, 0.5], "tfidf": [0.6, 0.7]}, metric="log_loss")
    cells[-1]["test"]["log_loss"] = cells[-2]["test"]["log_loss"] = None
    found = conclude(cells, {}, methods=["pet", "tfidf"], metric="log_loss")
    assert (found["comparisons"][0]["difference"], found["comparisons"][0]["verdict"]) == (None, "too few splits")
    assert "cannot be compared: log loss is not known for both" in found["comparisons"][0]["sentence"]
    row = next(row for row in found["summary"] if (row["method"], row["metric"]) == ("tfidf", "log_loss"))
    assert (row["mean"], row["values"]) == (None, [None, None])


@pytest.mark.parametrize(
    ("methods", "expected"),
    [
        (["pet"], []),
        (["supervised", "tfidf", "setfit"], [("supervised", "tfidf"), ("supervised", "setfit")]),
        (["pet", "ipet", "single"], [("ipet", "pet"), ("pet", "single")]),
        (["tfidf", "single", "ipet"], [("ipet", "single"), ("single", "tfidf"), ("ipet", "tfidf")]),
    ],
)
def test_which_methods_are_compared(methods: list[str], expected: list[tuple[str, str]]) -> None:
    assert pairs(methods) == expected


def test_summary_by_hand() -> None:
    """Splits 0.6, 0.7, 0.8 as means of two seeds that lie 0.02, 0.04 and 0 apart: variances 0.0002, 0.0008, 0."""
    found = concluded({"pet": [[0.59, 0.61], [0.68, 0.72], [0.8, 0.8]]})["summary"]
    assert [row["metric"] for row in found] == list(METRICS)
    row = found[0]
    assert row["values"] == pytest.approx([0.6, 0.7, 0.8])
    assert (row["mean"], row["sd_splits"]) == (pytest.approx(0.7), pytest.approx(0.1))
    assert row["sd_seeds"] == pytest.approx(np.sqrt(0.001 / 3))
    assert row["interval_splits"] == pytest.approx([0.7 - 4.3027 * 0.1 / np.sqrt(3), 0.7 + 4.3027 * 0.1 / np.sqrt(3)], abs=1e-4)
    assert (row["splits"], row["seeds"]) == (3, 2)


def test_intervals_of_shares_stay_shares() -> None:
    row = concluded({"pet": [0.9, 1.0]})["summary"][0]
    assert row["interval_splits"][1] == 1.0


OTHER = {"pet": [0.5, 0.6, 0.6, 0.5, 0.5], "supervised": [0.5, 0.5, 0.5, 0.45, 0.5]}


def rows_of(cells: list[dict[str, Any]], rng: np.random.Generator) -> dict[Any, np.ndarray]:
    """Rows of which the accuracy's share is right."""
    return {
        tuple(cell[name] for name in ("task", "shots", "split", "seed", "method")): rng.permutation(
            np.arange(ROWS) < round(cell["test"]["accuracy"] * ROWS)
        )
        for cell in cells
    }


def test_tests_over_rows_are_mcnemars_and_labelled() -> None:
    cells = cells_of({"pet": [0.9, 0.8], "supervised": [0.5, 0.8]})
    correct = rows_of(cells, np.random.default_rng(0))
    found = conclude(cells, correct, methods=["pet", "supervised"])["comparisons"][0]["rows_test"]
    a, b = (correct["mood", 16, 0, 0, method] for method in ("pet", "supervised"))
    expected = stats.binomtest(int((a & ~b).sum()), int((a ^ b).sum())).pvalue
    assert found["label"] == "for these splits only"
    assert found["mcnemar_p"][0] == pytest.approx(expected)
    assert found["holm_p"] == holm(found["mcnemar_p"])


def test_the_interval_over_rows_is_of_the_seed_and_holds_the_mean() -> None:
    cells = cells_of({"pet": [0.9, 0.8], "supervised": [0.5, 0.8]})
    correct = rows_of(cells, np.random.default_rng(0))
    first, again, other = (conclude(cells, correct, methods=["pet"], seed=seed)["summary"] for seed in (1, 1, 2))
    assert first == again
    assert first != other
    row = first[0]
    assert row["interval_rows"][0] < row["mean"] < row["interval_rows"][1]
    assert first[1]["interval_rows"] is None, "rows that are right tell of accuracy only"


def test_what_a_study_of_five_splits_can_tell() -> None:
    found = concluded(AHEAD)["power"]
    assert (found["splits"], found["smallest_sign_flip_p"]) == (5, 0.0625)
    assert found["sentence"] == (
        "With 5 splits the exact sign-flip test cannot go below p = 0.0625, so that it alone is never sure at 95 %. Verdicts rest on the "
        "paired t test over splits, and speak of other labelled rows, not of other test rows. The comparison finds a true difference of "
        "3.4 points in 80 % of such studies."
    )
    spread = np.std(np.subtract(AHEAD["pet"], AHEAD["supervised"]), ddof=1)
    (entry,) = found["detectable"]
    assert entry["difference"] == pytest.approx(1.682 * spread, rel=1e-3)
    assert entry["difference_corrected"] == entry["difference"]


def test_a_task_with_one_split_hides_nothing_of_those_with_several() -> None:
    few, six = {"pet": [0.8], "supervised": [0.7]}, {method: [*values, 0.7] for method, values in AHEAD.items()}
    cells = [*cells_of(few, task="one"), *cells_of(AHEAD, task="five"), *cells_of(six, task="six")]
    found = conclude(cells, {}, methods=["pet", "supervised"])
    mean, alone, *_ = found["comparisons"]
    assert (mean["splits"], mean["left_out"]) == (11, ["one"])
    d = np.subtract(AHEAD["pet"], AHEAD["supervised"])
    assert mean["differences"] == pytest.approx([*d, *d, 0.0])
    assert mean["difference"] == pytest.approx(d.sum() * (1 / 5 + 1 / 6) / 2)
    assert mean["sentence"].startswith("Mean of 2 tasks (without one, which has a single split), 16 per label: PET is ahead")
    assert (alone["task"], alone["verdict"]) == ("one", "too few splits")
    power = found["power"]
    assert (power["splits"], power["most_splits"], power["smallest_sign_flip_p"]) == (5, 6, 0.0625)
    assert power["single_split"] == [{"task": "one", "shots": 16}]
    assert power["sentence"].startswith(
        "With 5 to 6 splits of a task the exact sign-flip test cannot go below p = 0.0625 to 0.0312, "
        "so that with 5 it alone is never sure at 95 %."
    )
    assert "Means over tasks take all splits of each task, and every task alike." in power["sentence"]
    found_by = detectable_by(Estimate(0.0, mean["standard_error"], mean["degrees_of_freedom"]), alpha=0.05)
    assert power["detectable"][0]["difference"] == found_by
    assert power["sentence"].endswith(
        "one has a single split, which tells nothing of other labelled rows; it is left out of means over tasks."
    )


def test_splits_that_share_their_rows_decide_nothing() -> None:
    shared = {("mood", 16): 0.8}
    found, schema = concluded(AHEAD, shared=shared), json.loads(resources.files("petkit.report").joinpath(SCHEMA).read_text("utf-8"))
    (comparison,) = found["comparisons"]
    assert (comparison["verdict"], comparison["shared"]) == ("splits too alike", 0.8)
    assert comparison["interval"] == only(AHEAD)["interval"], "the numbers stay"
    assert comparison["sentence"] == (
        "mood, 16 per label: nothing is decided between PET and plain fine-tuning: +12.3 points, 95 % interval 9.8 to 14.9, "
        "PET ahead on 5 of 5 splits; two of them share 80 % of their labelled rows on average."
    )
    all_rows = only(AHEAD, shared={("mood", 16): 1.0})["sentence"]
    assert all_rows.endswith("PET ahead on 5 of 5 splits; they hold the same labelled rows.")
    power = found["power"]
    assert power["sentence"] == (
        "Nothing can be said of other labelled rows: splits that share half of their labelled rows or more decide nothing (mood)."
    )
    assert (power["alike_splits"], power["detectable"][0]["difference"]) == ([{"task": "mood", "shots": 16}], None)
    report = sample_study()
    report |= found
    jsonschema.validate(report, schema)


@pytest.mark.parametrize("share", [None, 0.1, 0.49])
def test_splits_that_share_fewer_rows_decide_as_ever(share: float | None) -> None:
    found = concluded(AHEAD, shared={} if share is None else {("mood", 16): share})
    assert (found["comparisons"][0]["verdict"], found["comparisons"][0]["shared"]) == ("ahead", share)
    assert found["power"] == concluded(AHEAD)["power"]


def test_rows_drawn_by_chance_are_so_many_per_label_on_average() -> None:
    found = concluded(AHEAD, draw="random", shared={("mood", 4): 0.9})
    assert found["comparisons"][0]["sentence"].startswith("mood, 16 per label on average: PET is ahead of plain fine-tuning by")


def test_a_number_of_rows_with_one_split_is_named_with_its_task() -> None:
    found = conclude([*cells_of(AHEAD, shots=4), *cells_of({"pet": [0.8], "supervised": [0.7]})], {}, methods=["pet", "supervised"])
    assert found["power"]["sentence"].endswith("mood, 16 per label has a single split, which tells nothing of other labelled rows.")


@pytest.mark.parametrize(
    ("sizes", "tests", "said"),
    [
        ([0.126, 0.942, 2.177], 3, "a comparison finds a true difference of 94.2 points (median; from 12.6 to more than 100) in 80 %"),
        ([0.126, 1.5, 2.177], 3, "Taken alone, a comparison of the median spread finds no true difference, however large, in 80 %"),
        ([1.5], 1, "With its spread, the comparison finds no true difference, however large, in 80 % of such studies."),
    ],
)  # fmt: skip
def test_no_difference_is_named_that_there_cannot_be(sizes: list[float], tests: int, said: str) -> None:
    assert said in power_sentence(3, sizes, metric="accuracy", level=0.95, tests=tests)


def test_what_a_study_of_one_split_can_tell() -> None:
    found = concluded({"pet": [0.8], "tfidf": [0.7]})["power"]
    assert found["sentence"].startswith("With 1 split nothing can be said of other labelled rows")
    assert found["detectable"][0]["difference"] is None


def test_an_empty_study_says_nothing() -> None:
    found = conclude([], {}, methods=["pet"])
    assert (found["summary"], found["comparisons"], found["power"]["splits"]) == ([], [], 0)


@pytest.mark.parametrize("splits", [1, 2, 5])
def test_the_result_fits_the_schema_and_is_json(splits: int) -> None:
    study = sample_study(splits=splits, shots=(4,), tasks=("mood", "ag_news"), methods=("pet", "ipet", "tfidf"))
    rows = rows_of(study["cells"], np.random.default_rng(0))
    study |= conclude(study["cells"], rows, methods=study["study"]["methods"])
    schema = json.loads((resources.files("petkit") / "report/schema/study.schema.json").read_text("utf-8"))
    part = {
        "type": "object",
        "properties": {n: schema["properties"][n] for n in ("summary", "comparisons", "power")},
        "$defs": schema["$defs"],
    }
    jsonschema.validate(json.loads(json.dumps({name: study[name] for name in part["properties"]}, allow_nan=False)), part)


def study_without_difference(rng: np.random.Generator, *, tasks: int, methods: Sequence[str], splits: int = 5) -> list[dict[str, Any]]:
    """Split variance of three points for each method by itself, two more that they share, and the chance of 200 test rows."""
    found = []
    for task in range(tasks):
        level = 0.75 + rng.normal(0, 0.02, splits)
        accuracy = {
            method: [float(rng.binomial(200, float(np.clip(p, 0, 1))) / 200) for p in level + rng.normal(0, 0.03, splits)]
            for method in methods
        }
        found += cells_of(accuracy, task=f"task {task}")
    return found


def quiet(seed: int, *, tasks: int, methods: Sequence[str]) -> bool:
    """Whether a study without any difference says "no difference" throughout."""
    cells = study_without_difference(np.random.default_rng(seed), tasks=tasks, methods=methods)
    return {one["verdict"] for one in conclude(cells, {}, methods=methods)["comparisons"]} == {"no difference"}


def test_a_study_with_split_variance_and_no_difference_says_so() -> None:
    """182 of 200; tests over test rows would call far more than 5 % certain."""
    assert sum(quiet(seed, tasks=1, methods=["pet", "supervised"]) for seed in range(200)) >= 182


@pytest.mark.slow
def test_no_comparison_of_a_large_report_is_called_certain_by_chance() -> None:
    """All 28 comparisons of each of 200 reports (three tasks and their mean, pairs of iPET, PET and three baselines)."""
    methods = ["pet", "ipet", "supervised", "tfidf", "linear-probe"]
    assert sum(quiet(seed, tasks=3, methods=methods) for seed in range(200)) >= 182


def test_a_true_difference_is_found() -> None:
    """The other side of the coin: 12 points with differences that vary by 4.5."""
    found = 0
    for seed in range(50):
        cells = study_without_difference(np.random.default_rng(seed), tasks=1, methods=["pet", "supervised"])
        for cell in cells:
            cell["test"]["accuracy"] += 0.12 if cell["method"] == "pet" else 0
        found += conclude(cells, {}, methods=["pet", "supervised"])["comparisons"][0]["verdict"] == "ahead"
    assert found >= 40
