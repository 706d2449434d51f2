"""What iPET lacked, label by label: the largest lacks, and how many more."""

from __future__ import annotations

from typing import Any

from petkit.shortfalls import short_labels, shortfalls

RECORD = {"quota": {"a": 4, "b": 6, "c": 6}, "short": {"m0": {"b": 2}, "m1": {"b": 5, "a": 1}}}
MANY: dict[str, Any] = {"quota": {f"l{n}": 9 for n in range(8)}, "short": {"m0": {f"l{n}": n for n in range(1, 8)}}}


def test_shortfalls_in_words() -> None:
    found = shortfalls(RECORD)
    assert len(found) == 2
    assert "label 'b'" in found[0]
    assert "up to 5 of its quota of 6 are missing" in found[0]
    assert "up to 1 of its quota of 4" in found[1]
    assert shortfalls({"quota": {}, "short": {}}) == []


def test_a_sentence_names_the_labels_that_are_short_and_no_others() -> None:
    assert short_labels(RECORD) == "some labels got fewer rows than their quota, at worst 'b' 1 of 6, 'a' 3 of 4"


def test_of_many_labels_the_largest_lacks_are_named_and_the_others_counted() -> None:
    found = shortfalls(MANY)
    assert [line.split("'")[1] for line in found[:5]] == ["l7", "l6", "l5", "l4", "l3"]
    assert found[5:] == ["2 more labels lack rows"]
    assert short_labels(MANY).endswith("at worst 'l7' 2 of 9, 'l6' 3 of 9, 'l5' 4 of 9, 'l4' 5 of 9, 'l3' 6 of 9; 2 more labels lack rows")
