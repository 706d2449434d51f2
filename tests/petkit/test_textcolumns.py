"""Tables in memory: which of their columns are read, by what names, and what becomes of those beside them."""

from __future__ import annotations

from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from petkit.errors import DataError
from petkit.textcolumns import Table, column_values, is_null, table_columns, text_columns

TWICE: list[Any] = [
    pd.DataFrame([["a", 1, 2]], columns=["text", "x", "x"]),
    pa.Table.from_arrays([pa.array(["a"]), pa.array([1]), pa.array([2])], names=["text", "x", "x"]),
]
"""Tables of which a column beside the text is there twice."""
BESIDE: list[Any] = [
    *TWICE,
    {"text": ["a"], "x": "a note"},
    {"text": ["a"], "x": 7},
    {"text": ["a"], "x": np.array(7)},
    {"text": ["a"], "x": [1, 2]},
    {"text": ["a"], "x": pd.DataFrame({"y": [1]})},
    {"text": ["a"], "x": {"y": 1}},
]
"""Tables of which another column than the text could not be read."""


@pytest.mark.parametrize("table", BESIDE)
def test_columns_that_are_not_asked_for_may_hold_anything(table: Any) -> None:
    assert text_columns(table, ["text"]) == {"text": ("a",)}
    assert column_values(table, "text") == ["a"]
    with pytest.raises(DataError, match=r"^texts: there is no column 'body'; there are text, x(, x)?$"):
        text_columns(table, ["body"])
    with pytest.raises(DataError, match=r"^column(s of different lengths: text 1, x 2| 'x' is )"):
        text_columns(table, ["text", "x"])


@pytest.mark.parametrize("table", TWICE)
def test_a_column_that_is_read_has_a_name_of_its_own(table: Any) -> None:
    for read in (table_columns, lambda held: column_values(held, "x")):
        with pytest.raises(DataError, match=r"^column 'x' is there more than once; give each column that is read a name of its own$"):
            read(table)


def test_the_column_of_labels_is_no_text_and_not_read_as_one() -> None:
    assert text_columns({"text": ["a"], "label": "good"}, label="label") == {"text": ("a",)}


@pytest.mark.parametrize("hold", [pd.DataFrame, dict])
def test_names_that_are_no_strings_stay_what_they_are(hold: Any) -> None:
    table = hold({0: ["a", "b"], 1: [7, 8]})
    assert text_columns(table) == text_columns(table, [0]) == text_columns(table, label=1) == {0: ("a", "b")}
    assert column_values(table, 1) == [7, 8]
    assert table_columns(table) == {"0": ["a", "b"], "1": [7, 8]}  # as files have them
    with pytest.raises(DataError, match="there is no column '0'; there are 0, 1"):
        text_columns(table, ["0"])


def test_names_that_are_spelled_alike_are_one_name_where_they_are_spelled() -> None:
    table = {0: ["a"], "0": ["b"]}
    assert text_columns(table) == {0: ("a",), "0": ("b",)}
    with pytest.raises(DataError, match="column '0' is there more than once"):
        table_columns(table)


def test_headers_of_several_rows_are_tuples() -> None:
    frame = pd.DataFrame([["a", 1]], columns=pd.MultiIndex.from_tuples([("review", "text"), ("review", "stars")]))
    assert text_columns(frame, [("review", "text")]) == {("review", "text"): ("a",)}


def test_streams_have_the_columns_of_their_rows() -> None:
    stream = datasets.Dataset.from_dict({"text": ["a", "b"], "x": [1, 2]}).to_iterable_dataset()
    table = Table(stream)
    assert (table.names, table.columns(["text"])) == (["text", "x"], {"text": ["a", "b"]})


def test_nulls_of_pandas_are_told_from_values() -> None:
    assert [is_null(value) for value in (pd.NA, pd.NaT, None, float("nan"), "")] == [True, True, False, False, False]
