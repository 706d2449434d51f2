"""Labelled rows that splits have in common: how many, what is said of it, and from how many on nothing is decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from petkit.data import normalise
from petkit.evaluation.grid import Split
from petkit.evaluation.splits import SplitRows
from petkit.report.names import TINY, shots_name
from petkit.rows import Rows
from petkit.wording import many

__all__ = ["TOO_ALIKE", "alike_lines", "alike_notices", "identical", "shares", "too_alike", "with_shared"]

_ALIKE: Final = 0.25
"""From this share on the report warns: over 5 draws of 16 from 40 rows of a label, the 95 % interval holds the truth 87 times of 100."""
TOO_ALIKE: Final = 0.5
"""From this share on nothing is decided from splits: of 16 from 20 rows the interval holds the truth about 57 times of 100."""

Shares = Mapping[tuple[str, int | None], float]
"""(task, shots) -> the share of labelled rows that two splits have in common, mean over all pairs of splits."""


def with_shared(splits: Sequence[SplitRows]) -> list[SplitRows]:
    """The splits, each with the share of rows that it has in common with an earlier one of its shots: the mean over these.

    Rows are the same if texts and label are, blanks and case apart: given splits lie in files of their own, and a file may hold a text
    twice. Two splits of other sizes share twice what they have in common over the rows of both (Dice).
    """
    earlier: dict[int | None, list[Counter[Any]]] = {}
    found = []
    for one in splits:
        mine, before = Counter(_keys(one.train)), earlier.setdefault(one.split.shots, [])
        each = [2 * (mine & other).total() / (mine.total() + other.total()) for other in before]
        found.append(replace(one, split=replace(one.split, shared=sum(each) / len(each) if each else None)))
        before.append(mine)
    return found


def _keys(rows: Rows) -> Iterator[tuple[Any, ...]]:
    for *texts, label in zip(*rows.fields.values(), rows.labels, strict=True):
        yield (*map(normalise, texts), label)


def shares(tasks: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int | None], float]:
    """From the tasks of report.json; without those of a single split, and of reports of older versions, which do not know."""
    found = {}
    for task in tasks:
        for shots in dict.fromkeys(split["shots"] for split in task["splits"]):
            share = _share([split.get("shared") for split in task["splits"] if split["shots"] == shots])
            if share is not None:
                found[task["name"], shots] = share
    return found


def too_alike(report: Mapping[str, Any], task: str, shots: int | None) -> bool:
    """Whether nothing is decided from a study's splits of a task; the study as report.json has it, or its ``tasks`` alone."""
    return shares([one for one in report["tasks"] if one["name"] == task]).get((task, shots), 0.0) >= TOO_ALIKE


def _share(shared: Sequence[float | None]) -> float | None:
    """The mean over all pairs, from what each split shares with the ones before it.

    >>> _share([None, 0.5, 0.25]), _share([None]), _share([None, None])
    (0.3333333333333333, None, None)
    """
    known = [(place, share) for place, share in enumerate(shared) if place and share is not None]
    if len(known) < max(1, len(shared) - 1):
        return None
    return sum(place * share for place, share in known) / sum(place for place, _ in known)


def alike_lines(task: str, splits: Sequence[Split], train: Mapping[str, Any] | None, draw: str) -> list[str]:
    """What is to be known of a task's splits that share a quarter of their rows or more: one sentence for each number of rows.

    Args:
        train: what the splits are drawn from, as in report.json; None where they are given. draw: of the study, as there.
    """
    lines = []
    for shots in dict.fromkeys(split.shots for split in splits):
        mine = [split for split in splits if split.shots == shots]
        share = _share([split.shared for split in mine])
        if share is not None and share >= _ALIKE:
            since = _since(train, draw) if train is not None else ""
            lines.append(f"{task}, {shots_name(shots, draw)}: {_common(mine, share, draw)}{since}; {_meaning(share, draw)}.")
    return lines


def alike_notices(task: str, splits: Sequence[Split], train: Mapping[str, Any] | None, draw: str) -> list[str]:
    """The same before anything is trained, with what helps."""
    helps = "; give splits that have other rows" if draw == "given" else "; more labelled rows to draw from help, or fewer --shots"
    return [f"{line.removesuffix('.')}{helps}" for line in alike_lines(task, splits, train, draw)]


def identical(splits: Sequence[Split]) -> bool:
    """Whether several splits of one number of rows are all the same."""
    share = _share([split.shared for split in splits])
    return share is not None and share >= 1 - TINY


def _common(splits: Sequence[Split], share: float, draw: str) -> str:
    if identical(splits):
        return (
            "both splits hold the same labelled rows"
            if len(splits) == 2
            else f"all {many(len(splits), 'split')} hold the same labelled rows"
        )
    sizes = {split.rows for split in splits}
    if draw == "per-class" and splits[0].shots is not None:
        return f"two splits share {_number(share * splits[0].shots)} of {splits[0].shots} labelled rows of a label on average"
    if len(sizes) == 1:
        return f"two splits share {_number(share * max(sizes))} of {max(sizes)} labelled rows on average"
    return f"two splits share {100 * share:.0f} % of their labelled rows on average"


def _since(train: Mapping[str, Any], draw: str) -> str:
    """Why drawn splits are alike: the rows that there are to draw from."""
    counts = train.get("class_counts") or []
    if draw != "per-class" or not counts:
        return f", since there are {train['rows']} to draw from"
    least, most = min(counts), max(counts)
    return f", since there are {least if least == most else f'{least} to {most}'} to draw from"


def _meaning(share: float, draw: str) -> str:
    these = "these rows" if draw == "given" else "draws from these rows"
    rest = "so nothing is decided by them" if share >= TOO_ALIKE else "and are too narrow for other rows"
    return f"intervals and tests speak of {these} only, {rest}"


def _number(rows: float) -> str:
    """Rows with one decimal where that says more.

    >>> _number(12.8), _number(12.04)
    ('12.8', '12')
    """
    return f"{rows:.1f}".removesuffix(".0")
