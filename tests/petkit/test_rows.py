"""Rows: what is checked when they are made, however their columns are held, and how they are told from others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from petkit.rows import UNLABELED, Rows

IDS, TEXTS = ("a", "b"), {"text": ("x", "y")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((IDS, {"text": ("x",)}), r"columns of different lengths: \[1, 2\]"),
        ((IDS, TEXTS, (0,)), r"columns of different lengths: \[1, 2\]"),
        (((1, 2), TEXTS), "ids: each must be a string, and number 1 is 1 \\(int\\)"),
        ((IDS, {"text": ("x", None)}), "field 'text': each must be a string, and number 2 is None \\(NoneType\\)"),
        ((IDS, {"text": "xy"}), "field 'text': a sequence of strings is needed, not 'xy' \\(str\\)"),
        (("ab", TEXTS), "ids: a sequence of strings is needed, not 'ab' \\(str\\)"),
        ((IDS, {"text": None}), "field 'text': a sequence of strings is needed, not None"),
        (
            (IDS, TEXTS, ("neg", "pos")),
            "labels: legal is the place of a label among the task's, from 0 on, or -1 for none; number 1 is 'neg'",
        ),
        ((IDS, TEXTS, (0, -2)), "number 2 is -2 \\(int\\)"),
        ((IDS, TEXTS, (0, 1.0)), "number 2 is 1.0 \\(float\\)"),
        ((IDS, TEXTS, 1), "labels: a sequence of label indices is needed, not 1 \\(int\\)"),
    ],
)
def test_what_are_no_rows_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rows(*arguments)


def test_lists_and_arrays_make_the_same_rows_as_tuples() -> None:
    rows = Rows(IDS, TEXTS, (1, UNLABELED))
    held: Any = [(list(IDS), {"text": list(TEXTS["text"])}, [1, -1]), (np.array(IDS), {"text": np.array(TEXTS["text"])}, np.array([1, -1]))]
    for one in held:
        assert Rows(*one) == rows
        assert Rows(*one).fingerprint() == rows.fingerprint()
        assert type(Rows(*one).labels[0]) is int


@pytest.mark.parametrize("name", ["ids", "labels", "fields"])
def test_a_field_may_be_called_as_a_part_of_rows_is(name: str) -> None:
    rows = Rows(IDS, {name: ("x", "y"), "text": ("1", "2")}, (0, 1))
    assert (rows.ids, dict(rows.fields), rows.labels) == (IDS, {name: ("x", "y"), "text": ("1", "2")}, (0, 1))
    with pytest.raises(ValueError, match=r"columns of different lengths: \[2, 3\]"):
        Rows(("a", "b", "c"), {name: ("x", "y")})


def test_none_is_no_labels() -> None:
    given: Any = None
    assert Rows(IDS, TEXTS, given) == Rows(IDS, TEXTS)


def test_rows_of_several_files_may_share_ids() -> None:
    rows = Rows(IDS, TEXTS)
    assert Rows.concat([rows, rows]).select([0, 2]).ids == ("a", "a")


def test_they_are_shown_in_short() -> None:
    rows = Rows(tuple(map(str, range(10_000))), {"text": ("a long text",) * 10_000}, (0,) * 9_999 + (UNLABELED,))
    assert repr(rows) == "<Rows: 10000 rows, 9999 labelled, fields text>"
