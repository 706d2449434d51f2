"""Labels of which an iPET generation got fewer raw rows than their quota, in words: for notices and reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from petkit.wording import NAMED_PLACES, many, verb

__all__ = ["short_labels", "shortfalls"]


def shortfalls(record: Mapping[str, Any]) -> list[str]:
    """What a sets stage (``petkit.ipet.sets_unit``) could not give, a line for each label: the largest lacks, and how many more."""
    worst = _worst(record["short"])
    found = [
        f"label {label!r}: the last generation gives it too few rows; up to {count} of its quota of {record['quota'][label]} are missing"
        for label, count in list(worst.items())[:NAMED_PLACES]
    ]
    return [*found, *_rest(len(worst))]


def short_labels(record: Mapping[str, Any]) -> str:
    """The same in one sentence, by what the labels got at worst, some member's rows being fewer than another's.

    >>> short_labels({"quota": {"a": 4, "b": 6}, "short": {"g1-p0-s0": {"b": 2}, "g1-p1-s0": {"b": 5, "a": 1}}})
    "some labels got fewer rows than their quota, at worst 'b' 1 of 6, 'a' 3 of 4"
    """
    worst, quota = _worst(record["short"]), record["quota"]
    got = ", ".join(f"{label!r} {quota[label] - count} of {quota[label]}" for label, count in list(worst.items())[:NAMED_PLACES])
    return "; ".join([f"some labels got fewer rows than their quota, at worst {got}", *_rest(len(worst))])


def _worst(short: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """label -> the most rows that any member lacks of it, the largest first."""
    worst: dict[str, int] = {}
    for missing in short.values():
        for label, count in missing.items():
            worst[label] = max(worst.get(label, 0), count)
    return dict(sorted(worst.items(), key=lambda item: (-item[1], item[0])))


def _rest(labels: int) -> list[str]:
    more = labels - NAMED_PLACES
    return [f"{many(more, 'more label')} {verb(more, 'lack')} rows"] if more > 0 else []
