"""A study in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from petkit.report.names import METRIC_NAMES, SAME, SHARES, method_name, on_average, shots_name
from petkit.report.view import same_on_all_splits
from petkit.wording import many

__all__ = [
    "SPREAD",
    "bars",
    "costs",
    "findings",
    "headline",
    "intervals",
    "lead",
    "legend",
    "level_name",
    "same",
    "undecided",
    "where",
    "whole",
]

SPREAD: Final = "mean ± standard deviation over splits"
"""What ± means, in all that petkit writes. An interval is written with both its ends."""

Group = tuple[str, list[str]]
"""A task, or the tasks of a mean, with what is said of it."""

_NO_ROW: Final = ("zero-shot", "label-embedding")
"""Methods that use no labelled row."""


def headline(report: Mapping[str, Any]) -> str:
    """What was done, in one sentence or two."""
    study = report["study"]
    given = [k for k in study["shots"] if k is not None]
    rows = f"{_and([str(k) for k in given])} labelled rows per label{_in_all(report, given)}" if given else "labelled rows as given"
    rows += ", or as given" if given and None in study["shots"] else ""
    adapted = f", adapted to the raw text for {study['adapt_steps']} steps" if study["adapt_steps"] else ""
    drawn = {"per-class": "drawn per label", "random": "drawn by chance", "given": "given"}[study["draw"]]
    return (
        f"{many(len(study['methods']), 'method')} on {many(len(report['tasks']), 'task')}, with {rows}: "
        f"{many(study['splits'], 'split')} ({drawn}) and {many(len(study['seeds']), 'seed')} each. Model: {study['model']}{adapted}."
    )


def _in_all(report: Mapping[str, Any], shots: Sequence[int]) -> str:
    """Of rows that were drawn by chance: that so many per label are a mean, and how many they are where all tasks have as many."""
    draw, labels = report["study"]["draw"], {len(task["labels"]) for task in report["tasks"]}
    counted = draw == "random" and len(labels) == 1
    return on_average(draw) + (f" ({_and([str(k * max(labels)) for k in shots])} in all)" if counted else "")


def findings(report: Mapping[str, Any]) -> tuple[list[Group], list[Group]]:
    """What the comparisons say, by ``where`` they hold: means over tasks and decided differences, then all that decides nothing.

    The lines leave out where they hold: ``whole`` puts it back.
    """
    first: dict[str, list[str]] = {}
    rest: dict[str, list[str]] = {}
    for comparison in report["comparisons"]:
        decided = comparison["task"] is None or comparison["verdict"] in ("ahead", "behind")
        (first if decided else rest).setdefault(where(report, comparison), []).append(_said(comparison, report["study"]["draw"]))
    return list(first.items()), list(rest.items())


def lead(report: Mapping[str, Any]) -> str | None:
    """What stands where ``findings`` has nothing to come first; None where it has."""
    if not report["comparisons"]:
        return "Nothing is compared: that takes at least two methods and two splits."
    return None if findings(report)[0] else "No comparison decides a difference."


def undecided(number: int) -> str:
    """What stands above the comparisons that decide nothing.

    >>> undecided(1), undecided(2)
    ('1 comparison without a decided difference', '2 comparisons without a decided difference')
    """
    return f"{many(number, 'comparison')} without a decided difference"


def where(report: Mapping[str, Any], comparison: Mapping[str, Any]) -> str:
    """The task of a comparison, or the tasks that it is a mean of: those that have both methods at this number of labelled rows."""
    if comparison["task"] is not None:
        return str(comparison["task"])
    same = [c for c in report["comparisons"] if all(c[key] == comparison[key] for key in ("shots", "a", "b"))]
    without = comparison.get("left_out", ())
    mine = [c["task"] for c in same if c["task"] is not None and c["splits"] and c["task"] not in without]
    left = [task["name"] for task in report["tasks"] if task["name"] not in mine]
    if not left:
        return f"Mean of all {many(len(mine), 'task')}"
    return f"Mean of {many(len(mine), 'task')} ({f'all but {_and(left)}' if len(left) < len(mine) else _and(mine)})"


def whole(name: str, line: str) -> str:
    """A line of ``findings`` that stands by itself.

    >>> whole("mood", "16 per label: PET is ahead.")
    'mood, 16 per label: PET is ahead.'
    """
    return f"{name}, {line}"


def _said(comparison: Mapping[str, Any], draw: str) -> str:
    """The sentence from the number of labelled rows on."""
    shots = f"{shots_name(comparison['shots'], draw)}: "
    _, found, said = comparison["sentence"].partition(f", {shots}")
    return shots + said if found else str(comparison["sentence"])


def intervals(report: Mapping[str, Any]) -> str | None:
    """How intervals and verdicts go together; None where one comparison or none has an interval."""
    tests = sum(comparison["splits"] > 1 for comparison in report["comparisons"])
    if tests < 2:
        return None
    return (
        f"Each interval is taken alone. Ahead and behind are decided by the test corrected for all {tests} comparisons (Holm), "
        "so an interval may leave out 0 where nothing is decided."
    )


def same(report: Mapping[str, Any]) -> str | None:
    """Why some scores have no interval over splits; None where all have one."""
    metric = report["study"]["primary"]["metric"]
    found = {row["method"] for row in report["summary"] if row["metric"] == metric and same_on_all_splits(row)}
    if not found:
        return None
    methods = [method for method in report["study"]["methods"] if method in found]
    without = [method_name(method) for method in methods if method in _NO_ROW]
    others = [method_name(method) for method in methods if method not in _NO_ROW]
    lines = [f"Where a score is the {SAME}, an interval over splits would have no width and say nothing of other splits."]
    lines += [f"No labelled row is used by {_and(without)}: no split can change that."] if without else []
    lines += [f"Other splits may give other scores of {_and(others)}."] if others else []
    return " ".join(lines)


def level_name(report: Mapping[str, Any]) -> str:
    """The level of intervals.

    >>> level_name({"study": {"primary": {"level": 0.95}}})
    '95 %'
    """
    return f"{100 * report['study']['primary']['level']:g} %"


def legend(report: Mapping[str, Any]) -> str:
    """What stands in the cells of the tables of scores."""
    several = any(row["interval_splits"] for row in report["summary"])
    over = "splits" if several else "test rows (one split: nothing is known of other splits)"
    return f"{SPREAD if several else 'mean'}, and the {level_name(report)} interval over {over}"


def bars(report: Mapping[str, Any], metric: str) -> str:
    """What marks and bars of a figure of scores are."""
    over = "over splits" if any(row["interval_splits"] for row in report["summary"]) else "over test rows"
    unit = " in %" if metric in SHARES else ""
    return f"mean {METRIC_NAMES[metric]}{unit}; bars are the {level_name(report)} interval {over}"


def costs(report: Mapping[str, Any]) -> str:
    """What the figures of a study's cost leave out; seconds of reports of older versions leave out nothing."""
    apart = all("calibration_seconds" in cell for cell in report["measured"]["cells"])
    return f"Training steps{' and seconds' if apart else ', but not seconds,'} leave out trainings that only serve a temperature."


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
