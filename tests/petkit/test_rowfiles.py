"""Rows and scores come back from parquet as they were."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from petkit.rowfiles import load_rows, load_scores, save_rows, save_scores
from petkit.rows import UNLABELED, Rows

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=25)
@given(st.lists(st.tuples(TEXT, TEXT, TEXT, st.integers(-1, 5)), max_size=6), st.booleans())
def test_rows_come_back(found: list[tuple[str, str, str, int]], labelled: bool) -> None:
    ids, a, b, labels = zip(*found, strict=True) if found else ((), (), (), ())
    rows = Rows(tuple(ids), {"a": tuple(a), "label": tuple(b)}, tuple(labels) if labelled else ())
    with TemporaryDirectory() as folder:
        save_rows(Path(folder) / "rows.parquet", rows)
        again = load_rows(Path(folder) / "rows.parquet")
    assert again == rows
    assert again.fingerprint() == rows.fingerprint()


def test_columns_have_names_that_cannot_collide(tmp_path: Path) -> None:
    """Fields may be called id and label."""
    rows = Rows(("1", "2"), {"id": ("x", "y"), "label": ("p", "q")}, (0, UNLABELED))
    save_rows(tmp_path / "rows.parquet", rows)
    table = pq.read_table(tmp_path / "rows.parquet")
    assert table.column_names == ["id", "label", "field:id", "field:label"]
    assert [str(table.schema.field(name).type) for name in table.column_names] == ["string", "int32", "string", "string"]
    assert load_rows(tmp_path / "rows.parquet") == rows


def test_no_labels_no_column(tmp_path: Path) -> None:
    save_rows(tmp_path / "rows.parquet", Rows(("1",), {"text": ("x",)}))
    assert pq.read_table(tmp_path / "rows.parquet").column_names == ["id", "field:text"]


def test_scores_are_float32_with_ids_and_labels(tmp_path: Path) -> None:
    scores = np.array([[0.1, -1e30], [np.float64(1) / 3, 5.0]])
    save_scores(tmp_path / "s.parquet", ("a", "b"), ("no", "score:yes"), scores)
    table = pq.read_table(tmp_path / "s.parquet")
    assert table.column_names == ["id", "score:no", "score:score:yes"]
    assert table["id"].to_pylist() == ["a", "b"]
    found = load_scores(tmp_path / "s.parquet")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, scores.astype(np.float32))


def test_no_rows(tmp_path: Path) -> None:
    save_scores(tmp_path / "s.parquet", (), ("a", "b", "c"), np.empty((0, 3), np.float32))
    assert load_scores(tmp_path / "s.parquet").shape == (0, 3)
