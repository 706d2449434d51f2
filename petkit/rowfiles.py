"""Rows and score tables on disk: parquet with row ids, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from petkit.files import write_parquet
from petkit.rows import Rows

__all__ = ["load_rows", "load_scores", "save_rows", "save_scores"]

_ID, _LABEL = "id", "label"


def save_rows(path: Path, rows: Rows) -> None:
    """Columns ``id``, ``label`` (int32, only if there are labels), and ``field:NAME`` for each field."""
    columns = {_ID: pa.array(rows.ids, pa.string())}
    if rows.labels:
        columns[_LABEL] = pa.array(rows.labels, pa.int32())
    columns |= {f"field:{name}": pa.array(column, pa.string()) for name, column in rows.fields.items()}
    write_parquet(path, pa.table(columns))


def load_rows(path: Path) -> Rows:
    """What ``save_rows`` wrote."""
    table = pq.read_table(path)
    fields = {n.removeprefix("field:"): tuple(table[n].to_pylist()) for n in table.column_names if n.startswith("field:")}
    labels = tuple(table[_LABEL].to_pylist()) if _LABEL in table.column_names else ()
    return Rows(tuple(table[_ID].to_pylist()), fields, labels)


def save_scores(path: Path, ids: tuple[str, ...], labels: tuple[str, ...], scores: npt.NDArray[np.floating]) -> None:
    """Scores (N, C) as float32: columns ``id`` and ``score:LABEL``."""
    columns = {_ID: pa.array(ids, pa.string())}
    columns |= {f"score:{label}": pa.array(scores[:, c].astype(np.float32)) for c, label in enumerate(labels)}
    write_parquet(path, pa.table(columns))


def load_scores(path: Path) -> npt.NDArray[np.float32]:
    """(N, C) float32, in the order written."""
    table = pq.read_table(path)
    columns = [table[name].to_numpy() for name in table.column_names if name.startswith("score:")]
    return np.stack(columns, axis=1).astype(np.float32)
