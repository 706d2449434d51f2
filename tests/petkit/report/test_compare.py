"""What got worse: against scipy, by simulation, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from petkit.cli.evaluate import compared, show_compared
from petkit.errors import RunError
from petkit.evaluation.statistics import sign_flip_p
from petkit.report.compare import check_against, check_comparable, difference, regressions, undecided
from tests.petkit.report.sample_study import sample_study

ONE: dict[str, Any] = {"tasks": ("mood",), "shots": (16,), "methods": ("pet", "tfidf")}


def row(values: list[float], *, half: float = 0.06, method: str = "pet") -> dict[str, Any]:
    mean = float(np.mean(values))
    return {"method": method, "mean": mean, "values": values, "interval_rows": [mean - half, mean + half]}


def with_values(report: dict[str, Any], method: str, values: list[float]) -> dict[str, Any]:
    """The study with other accuracies of a method."""
    for found in report["summary"]:
        if (found["method"], found["metric"]) == (method, "accuracy"):
            mean = float(np.mean(values))
            found.update(values=values, mean=mean, interval_rows=[mean - 0.06, mean + 0.06])
    return report


def test_paired_differences_are_those_of_scipy() -> None:
    a, b = [0.71, 0.74, 0.69, 0.80, 0.77], [0.75, 0.79, 0.70, 0.86, 0.80]
    found = difference(row(a), row(b), paired=True, level=0.9)
    wanted = stats.ttest_rel(a, b)
    assert found is not None
    assert found.how == "paired"
    assert found.p == pytest.approx(wanted.pvalue)
    assert found.interval == pytest.approx(tuple(wanted.confidence_interval(0.9)))


def test_other_splits_are_compared_by_welch() -> None:
    a, b = [0.71, 0.74, 0.69], [0.75, 0.79, 0.70, 0.86, 0.80]
    found = difference(row(a), row(b), paired=False, level=0.95)
    wanted = stats.ttest_ind(a, b, equal_var=False)
    assert found is not None
    assert found.how == "welch"
    assert found.p == pytest.approx(wanted.pvalue)
    assert found.interval == pytest.approx(tuple(wanted.confidence_interval(0.95)))


def test_one_split_has_its_test_rows_only() -> None:
    found = difference(row([0.7], half=0.03), row([0.8], half=0.04), paired=True, level=0.95)
    assert found is not None
    assert found.how == "rows"
    assert found.interval == pytest.approx((-0.15, -0.05))  # 3, 4, 5
    assert found.p == pytest.approx(2 * stats.norm.sf(0.1 / (0.05 / stats.norm.ppf(0.975))))


def test_no_spread_at_all() -> None:
    same, less = row([0.5, 0.75]), row([0.25, 0.5])
    assert difference(same, same, paired=True, level=0.95) == (0.0, (0.0, 0.0), 1.0, "paired")
    assert difference(less, same, paired=True, level=0.95) == (-0.25, None, 0.5, "paired"), "an interval without width would be sure of it"
    assert difference({**same, "mean": None}, same, paired=True, level=0.95) is None


@pytest.mark.parametrize(("splits", "p"), [(6, 2**-5), (20, 2**-19), (25, 1 / 20_001)])
def test_splits_that_are_all_worse_by_as_much_are_left_to_the_sign_flip_test(splits: int, p: float) -> None:
    values = [0.5 + n / 64 for n in range(splits)]
    found = difference(row([v - 0.25 for v in values]), row(values), paired=True, level=0.95)
    assert found is not None
    assert found.p == p == sign_flip_p([-0.25] * splits, rng=np.random.default_rng(1))


@pytest.mark.parametrize(("before", "after"), [(0.5, 0.25), (0.33, 0.03)])  # 0.33 and 0.03 have a variance of rounding
def test_other_splits_without_any_spread_are_left_to_the_permutation_test(before: float, after: float) -> None:
    found = difference(row([after] * 10), row([before] * 10), paired=False, level=0.95)
    assert found is not None
    assert found.p == pytest.approx(2 / 184_756)
    assert (found.interval, found.how) == (None, "welch")
    few = difference(row([after] * 4), row([before] * 3), paired=False, level=0.95)
    exact = stats.permutation_test(([after] * 4, [before] * 3), lambda a, b: np.mean(a) - np.mean(b), n_resamples=np.inf)
    assert few is not None
    assert few.p == pytest.approx(2 / 35) == pytest.approx(exact.pvalue)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("splits", [1, 5])
def test_of_a_method_that_no_split_changes_the_test_rows_decide(splits: int, paired: bool) -> None:
    new, old = row([0.033] * splits, method="zero-shot"), row([0.333] * splits, method="zero-shot")
    found = difference(new, old, paired=paired, level=0.95)
    assert found is not None
    assert found.how == "rows"
    assert found.p == pytest.approx(2 * stats.norm.sf(0.3 / (0.06 * 2**0.5 / stats.norm.ppf(0.975))))
    drawn = difference(row([0.1, 0.2], method="majority"), row([0.3, 0.5], method="majority"), paired=paired, level=0.95)
    assert drawn is not None
    assert drawn.how != "rows", "of splits drawn by chance the most frequent label differs"


def test_widths_over_rows_are_of_the_study_s_level_whatever_is_asked_for() -> None:
    new, old = row([0.6], half=0.096), row([0.7], half=0.09)
    error = np.hypot(0.096, 0.09) / stats.norm.ppf(0.975)
    for level in (0.9, 0.99):
        found = difference(new, old, paired=True, level=level, row_levels=(0.95, 0.95))
        assert found is not None
        assert found.p == pytest.approx(2 * stats.norm.sf(0.1 / error))
        assert found.interval == pytest.approx(stats.norm.interval(level, loc=-0.1, scale=error))


def test_a_method_that_no_split_changes_can_be_worse_over_five_splits() -> None:
    study = {**ONE, "methods": ("tfidf", "majority")}
    old, new = (with_values(sample_study(**study), "majority", [value] * 5) for value in (0.333, 0.033))
    (found,) = regressions(new, old)
    assert found["sentence"].startswith(
        "mood, 16 per label: most frequent label is worse than before over the test rows, as none of 5 splits changes it: accuracy 3.3 inst"
    )
    assert undecided(new, old) == []


def test_what_few_splits_cannot_decide_is_not_called_unchanged() -> None:
    old, new = (with_values(sample_study(**ONE), "pet", [value] * 5) for value in (0.8, 0.5))
    assert regressions(new, old) == []
    (found,) = undecided(new, old)
    assert found["sentence"] == (
        "mood, 16 per label: PET is worse than before on the same 5 splits: accuracy 50.0 instead of 80.0; always by as much, and then "
        "no test over so few splits goes below p = 0.0625 (corrected 0.125): not decided."
    )
    assert undecided(old, new) == [], "better"
    assert undecided(old, old) == []
    assert undecided(new, old, level=0.8) == []
    assert len(regressions(new, old, level=0.8)) == 1


@pytest.mark.parametrize("which", ["old", "new"])
def test_splits_that_share_their_rows_call_nothing_worse(which: str) -> None:
    old, new = sample_study(**ONE), sample_study(**ONE)
    before = next(r["values"] for r in old["summary"] if (r["method"], r["metric"]) == ("pet", "accuracy"))
    new = with_values(new, "pet", [v - 0.1 - n / 1000 for n, v in enumerate(before)])
    assert (len(regressions(new, old)), undecided(new, old)) == (1, [])
    for place, split in enumerate({"old": old, "new": new}[which]["tasks"][0]["splits"]):
        split["shared"] = 0.75 if place else None
    assert regressions(new, old) == []
    (found,) = undecided(new, old)
    assert found["sentence"].endswith("; the splits share half of their labelled rows or more: not decided.")
    assert check_against(new, old) == [
        "mood, 16 per label: the splits share half of their labelled rows or more, so nothing is called worse by them"
    ]


def test_the_test_rows_decide_whatever_rows_the_splits_share() -> None:
    study = {**ONE, "methods": ("tfidf", "majority")}
    old, new = (with_values(sample_study(**study), "majority", [value] * 5) for value in (0.333, 0.033))
    for place, split in enumerate(new["tasks"][0]["splits"]):
        split["shared"] = 0.75 if place else None
    assert [one["method"] for one in regressions(new, old)] == ["majority"]


def test_the_command_says_that_nothing_is_worse_only_where_it_could_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = (with_values(sample_study(**ONE), "pet", [value] * 5) for value in (0.8, 0.5))
    show_compared(new, tmp_path, compared(new, old))
    told = capsys.readouterr().out
    assert "no regressions" not in told
    assert "Worse than in the earlier study, without a decision: 1 score\n  mood, 16 per label: PET is worse" in told
    show_compared(old, tmp_path, compared(old, new))
    told = capsys.readouterr().out
    assert "no regressions" in told
    assert "decision" not in told


def test_the_sentence_s_interval_ends_where_differences_do() -> None:
    old, new = with_values(sample_study(**ONE), "pet", [0.99, 0.9]), with_values(sample_study(**ONE), "pet", [0.01, 0.0])
    for report in (old, new):
        report["tasks"][0]["splits"] = report["tasks"][0]["splits"][:2]
    (found,) = [one for one in regressions(new, old, level=0.9) if one["method"] == "pet"]
    assert found["interval"][0] < -1
    assert "interval of the difference -100.0 to -" in found["sentence"]


def test_what_got_worse_is_named_and_nothing_else() -> None:
    old, new = sample_study(**ONE), sample_study(**ONE)
    before = next(r["values"] for r in old["summary"] if (r["method"], r["metric"]) == ("pet", "accuracy"))
    new = with_values(new, "pet", [v - 0.1 - n / 1000 for n, v in enumerate(before)])
    new = with_values(new, "tfidf", [v + 0.1 for v in before])
    (found,) = regressions(new, old)
    assert (found["task"], found["shots"], found["method"], found["how"]) == ("mood", 16, "pet", "paired")
    assert found["difference"] == pytest.approx(-0.102)
    a, b = np.mean(before) - 0.102, np.mean(before)
    assert found["sentence"].startswith("mood, 16 per label: PET is worse than before on the same 5 splits: accuracy ")
    assert f"accuracy {100 * a:.1f} instead of {100 * b:.1f}, 95 % interval of the difference -10.4 to -10.0." in found["sentence"]


def test_the_same_study_is_no_worse() -> None:
    assert regressions(sample_study(**ONE), sample_study(**ONE)) == []


def test_lower_is_better_for_losses() -> None:
    old, new = sample_study(**ONE), sample_study(**ONE)
    for report in (old, new):
        report["study"]["primary"]["metric"] = "log_loss"
    for found in new["summary"]:
        if found["metric"] == "log_loss":
            found.update(values=[v + 0.2 + n / 1000 for n, v in enumerate(found["values"])], mean=found["mean"] + 0.2)
    assert [one["method"] for one in regressions(new, old)] == ["pet", "tfidf"]
    assert regressions(old, new) == []


def test_other_splits_are_not_paired() -> None:
    old, new = sample_study(**ONE), sample_study(**ONE)
    new["tasks"][0]["splits"][0]["hash"] = "another"
    before = next(r["values"] for r in old["summary"] if (r["method"], r["metric"]) == ("pet", "accuracy"))
    assert regressions(with_values(new, "pet", [v - 0.02 - n / 1000 for n, v in enumerate(before)]), old) == [], (
        "within the spread of two sets of splits"
    )
    new["tasks"][0]["splits"][0]["hash"] = old["tasks"][0]["splits"][0]["hash"]
    assert [one["how"] for one in regressions(new, old)] == ["paired"]


def test_chance_is_seldom_taken_for_a_regression() -> None:
    """200 pairs of studies of five splits and two methods that differ by chance: at most 5 % of studies, both sides counted, are wrong."""
    rng, old, alarms = np.random.default_rng(5), sample_study(**ONE), 0
    for _ in range(200):
        new = {**old, "summary": [dict(found) for found in old["summary"] if found["metric"] == "accuracy"]}
        for method in ("pet", "tfidf"):
            values = next(r["values"] for r in old["summary"] if (r["method"], r["metric"]) == (method, "accuracy"))
            new = with_values(new, method, (np.array(values) + rng.normal(0, 0.03, 5)).tolist())
        alarms += bool(regressions(new, old))
    assert alarms <= 12, "2.5 % are expected: worse is half of what differs"


def test_what_cannot_be_compared_is_refused_with_every_reason() -> None:
    one, other = sample_study(), sample_study()
    other["tasks"][0]["labels"] = ["positive", "negative"]
    other["tasks"][1]["data"]["test"]["fingerprint"] = "f" * 64
    with pytest.raises(RunError) as found:
        check_comparable({"a": one, "b": other})
    assert len(found.value.problems) == 2
    assert "mood: labels differ: negative, positive in a, positive, negative in b" in found.value.problems
    assert any(line.startswith("ag_news: test rows differ: ") for line in found.value.problems)
    with pytest.raises(RunError, match="no task in common"):
        check_comparable({"a": sample_study(tasks=("mood",)), "b": sample_study(tasks=("ag_news",))})
    with pytest.raises(RunError, match="a is a study and b a run"):
        check_comparable({"a": one, "b": {"kind": "run"}})
    check_comparable({"a": one, "b": sample_study(tasks=("mood",))})


def test_other_questions_and_raw_rows_of_the_earlier_study_are_told() -> None:
    new, old = sample_study(**ONE), sample_study(**ONE)
    new["study"]["adapt_steps"] = old["study"]["adapt_steps"] = None
    assert check_against(new, old) == []
    (task,) = old["tasks"]
    task["label_words"], task["specification"] = [{"negative": ["schlecht"], "positive": ["gut"]}] * 3, "0" * 64
    assert check_against(new, old) == ["mood: the earlier study had other label words, so a difference may come from these alone"]
    del task["label_words"], task["specification"]
    assert check_against(new, old) == [], "an older report does not say them"
    task["data"]["pool"]["fingerprint"] = "0" * 64
    assert check_against(new, old) == [
        "mood: the earlier study had other raw rows (hash 000000000000, now 3f8a61c2d9e0), which PET, TF-IDF + logistic regression depend "
        "on, so a difference may come from these alone"
    ]


def test_raw_rows_on_which_nothing_depends_are_not_spoken_of() -> None:
    new, old = (sample_study(**{**ONE, "methods": ("supervised", "majority")}) for _ in range(2))
    new["study"]["adapt_steps"] = old["study"]["adapt_steps"] = None
    old["tasks"][0]["data"]["pool"]["fingerprint"] = "0" * 64
    assert check_against(new, old) == []
    old["study"]["adapt_steps"] = 9
    (told,) = check_against(new, old)
    assert "which plain fine-tuning depends on, so" in told
