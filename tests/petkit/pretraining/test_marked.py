"""Spans of rows: read from every format with columns, refused where they cannot be, and moved with their characters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petkit.errors import DataError
from petkit.pretraining.corpus import LONGEST
from petkit.pretraining.marked import Marked, given_spans, marked_paragraphs, read_marked

TEXT = "New York sees  the\r\n\r\nWall Street."
SPANS = [[22, 33], [0, 8]]


def jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def phrases(documents: Sequence[Sequence[Marked]]) -> list[list[list[str]]]:
    """What the spans of each paragraph of each document are."""
    return [[[one.text[start:end] for start, end in one.spans] for one in document] for document in documents]


# Every format with columns


def test_rows_with_and_without_spans_are_read(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"text": TEXT, "names": SPANS},
        {"text": "One."},
        {"text": "Two.", "names": []},
        {"text": "Three.", "names": None},
        {"text": "", "names": []},
    ]
    documents = list(read_marked(jsonl(tmp_path / "a.jsonl", rows), units="names"))
    assert [[one.text for one in document] for document in documents] == [
        ["New York sees the", "Wall Street."],
        ["One."],
        ["Two."],
        ["Three."],
    ]
    assert phrases(documents) == [[["New York"], ["Wall Street"]], [[]], [[]], [[]]]
    for one in documents[0]:
        assert (one.spans.dtype, one.spans.shape, len(one)) == (np.int64, (1, 2), len(one.text))


def test_other_formats_with_columns_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('body,names\nNew York sees,"[[0, 8]]"\nnothing,\n')
    assert phrases(list(read_marked(str(tmp_path / "a.csv"), column="body", units="names"))) == [[["New York"]], [[]]]
    pq.write_table(pa.table({"text": ["New York sees", "x", "y"], "names": [[[0, 8], [9, 13]], None, []]}), tmp_path / "b.parquet")
    assert phrases(list(read_marked(str(tmp_path / "b.parquet"), units="names"))) == [[["New York", "sees"]], [[]], [[]]]
    (tmp_path / "c.tsv").write_text('text\tnames\n"New York sees\t[[1, 9]]\n', "utf-8")
    assert phrases(list(read_marked(str(tmp_path / "c.tsv"), units="names", quotes=False))) == [[["New York"]]]


@pytest.mark.slow
def test_a_folder_that_datasets_saved_is_read_too(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"text": ["New York sees", "x"], "names": [[[0, 8]], []]}).save_to_disk(tmp_path / "saved")
    assert phrases(list(read_marked(str(tmp_path / "saved"), units="names"))) == [[["New York"]], [[]]]


# What cannot be


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("New York", "column 'names' holds 'New York'; a list of [start, end] is needed, whole numbers that count characters"),
        (7, "column 'names' holds 7; a list of"),
        ({"start": 0}, "column 'names' holds {'start': 0}; a list of"),
        ([0, 8], "column 'names' holds 0 among its spans; a list of [start, end] is needed"),
        ([[0, 8, 9]], "column 'names' holds [0, 8, 9] among its spans"),
        ([[0, 8.0]], "column 'names' holds [0, 8.0] among its spans"),
        ([[False, 8]], "column 'names' holds [False, 8] among its spans"),
        (["x" * 99], f"column 'names' holds '{'x' * 56}... among its spans"),
        ([[9, 14]], "column 'names' holds [9, 14], which is beyond the text of its row; that has 13 characters"),
        ([[-4, 2]], "column 'names' holds [-4, 2], which is beyond the text"),
        ([[3, 3]], "column 'names' holds [3, 3], which is empty; the end is the character behind the last one"),
        ([[8, 3]], "column 'names' holds [8, 3], which is empty"),
        ([[8, 9]], "column 'names' holds [8, 9], where the text has nothing but blanks"),
        ([[4, 13], [0, 8]], "column 'names' holds [0, 8] and [4, 13], which overlap; each character belongs to one unit at most"),
        ([[0, 8], [0, 3]], "column 'names' holds [0, 3] and [0, 8], which overlap"),
    ],
)
def test_spans_that_cannot_be_are_named_with_file_and_row(cell: Any, message: str, tmp_path: Path) -> None:
    source = jsonl(tmp_path / "a.jsonl", [{"text": "One."}, {"text": "New York sees", "names": cell}])
    with pytest.raises(DataError) as caught:
        list(read_marked(source, units="names"))
    assert str(caught.value).startswith(f"{source}: row 2: {message}")


def test_spans_of_a_row_without_text_are_beyond_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 1: column 'names' holds \[0, 3\], which is beyond the text of its row; that has 0"):
        list(read_marked(jsonl(tmp_path / "a.jsonl", [{"text": None, "names": [[0, 3]]}]), units="names"))


def test_a_file_whose_rows_have_no_such_column_is_refused(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "a.jsonl", [{"text": "One.", "name": []}, {"text": "Two."}])
    with pytest.raises(
        DataError, match=r"a\.jsonl: no row has a column 'names'; row 1 has text, name; name one with --units; did you mean name"
    ):
        list(read_marked(source, units="names"))


@pytest.mark.parametrize("source", ["a.txt", "builtin:docs", "folder"])
def test_text_without_columns_is_refused(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("a.txt", "folder/b.txt"):
        (tmp_path / name).write_text("New York sees\n\nWall Street.")
    with pytest.raises(DataError, match=r"(a\.txt|builtin:docs|folder/b\.txt): has no columns, and --units names names one; JSONL, CSV"):
        list(read_marked(source, units="names"))


# Characters that move


pieces = (
    "a",
    "b",
    "\u5317",
    "\U0001f600",
    "e\u0301",
    ".",
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "\r",
    "\n\n",
    "\n \n",
    "\u3000",
    "\u00a0",
    "\x1f",
)
texts = st.lists(st.sampled_from(pieces), max_size=40).map("".join)


@given(text=texts, cuts=st.sets(st.integers(0, 60), max_size=8))
def test_each_span_keeps_its_characters(text: str, cuts: set[int]) -> None:
    """Whatever blanks became: all characters of a span that are no blanks, in order, and none besides."""
    bounds = sorted(cut for cut in cuts if cut <= len(text))
    spans = [[a, b] for a, b in list(pairwise(bounds))[::2] if text[a:b].strip()]
    paragraphs = marked_paragraphs(text, given_spans(spans, text))
    found = [one.text[a:b] for one in paragraphs for a, b in one.spans]
    assert "".join("".join(found).split()) == "".join("".join(text[a:b] for a, b in spans).split())
    assert all(part and part == part.strip() for part in found)
    assert len(spans) <= len(found) < len(spans) + max(1, len(paragraphs))
    assert all((np.diff(one.spans.reshape(-1)) >= 0).all() for one in paragraphs)


def test_spans_move_with_what_stands_before_them() -> None:
    text = "  \ufeffThe\t\tNew\r\nYork \r\n\r\n  Times \n\n\n of Paris\n\nFrance.  "
    spans = [
        [text.index(first), text.index(last) + len(last)] for first, last in (("New", "York"), (" Times", "Times "), ("Paris", "France"))
    ]
    found = marked_paragraphs(text, given_spans(spans, text))
    assert [one.text for one in found] == ["\ufeffThe New York", "Times", "of Paris", "France."]
    assert phrases([found]) == [[["New York"], ["Times"], ["Paris"], ["France"]]]  # over a blank line, a phrase is two


def test_a_paragraph_that_is_cut_for_its_length_cuts_a_phrase_too() -> None:
    text = "x" * 9000
    found = marked_paragraphs(text, given_spans([[0, 4], [8000, 9000]], text))
    assert [one.spans.tolist() for one in found] == [[[0, 4], [8000, LONGEST]], [[0, 9000 - LONGEST]]]
