"""A study in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["SPREAD", "headline", "legend", "level_name", "sentences"]

SPREAD: Final = "mean ± standard deviation over splits"
"""What ± means, in all that petkit writes. An interval is written with both its ends."""


def headline(report: Mapping[str, Any]) -> str:
    """What was done, in one sentence or two."""
    study = report["study"]
    given = [k for k in study["shots"] if k is not None]
    rows = f"{_and([str(k) for k in given])} labelled rows per label" if given else "labelled rows as given"
    adapted = f", adapted to the raw text for {study['adapt_steps']} steps" if study["adapt_steps"] else ""
    drawn = {"per-class": "drawn per label", "random": "drawn by chance", "given": "given"}[study["draw"]]
    return (
        f"{_many(len(study['methods']), 'method')} on {_many(len(report['tasks']), 'task')}, with {rows}: "
        f"{_many(study['splits'], 'split')} ({drawn}) and {_many(len(study['seeds']), 'seed')} each. Model: {study['model']}{adapted}."
    )


def sentences(report: Mapping[str, Any]) -> list[tuple[str | None, list[str]]]:
    """What the comparisons say, by task; those over all tasks (None) come first."""
    groups: dict[str | None, list[str]] = {None: []}
    for comparison in report["comparisons"]:
        groups.setdefault(comparison["task"], []).append(comparison["sentence"])
    return [(task, lines) for task, lines in groups.items() if lines]


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


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
