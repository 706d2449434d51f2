"""Predictions as a ``datasets.Dataset``: the input's columns, then label, score and probabilities."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from petkit.data.arrow import dataset_records
from petkit.data.readers import records_of, source_name
from petkit.errors import DataError
from petkit.rows import Rows
from petkit.textcolumns import is_dataset, is_table, table_columns

if TYPE_CHECKING:
    from petkit.predicting import Predictor

__all__ = ["predict_dataset"]

_ADDED = ("label", "score", "probabilities")


def predict_dataset(predictor: Predictor, data: Any, *, columns: Mapping[str, str] | None = None) -> Any:
    """A data set with N rows as it is, and the predictor's answer beside each.

    Args:
        predictor: a Classifier or an Ensemble. data: a ``datasets.Dataset``, a frame or a dict of columns, or a source that
            ``petkit.data.read_rows`` reads.
        columns: field -> column, where the names differ.

    Returns a ``datasets.Dataset`` with the columns ``label`` (a ``ClassLabel``), ``score`` (float32, of that label) and
    ``probabilities`` (a list of C float32, in the order of the names of ``label``). Columns of such a name are kept as ``input_label``.

    Raises DataError as ``read_rows`` does.
    """
    import datasets

    source = data if is_dataset(data) else _loaded(data)
    probabilities = predictor.predict_proba(_rows(predictor, source, columns or {}))
    best = probabilities.argmax(axis=1)
    kept = source.rename_columns(_renamed(source.column_names))
    names = datasets.ClassLabel(names=list(predictor.labels))
    added = {
        "label": (best.tolist(), names),
        "score": (probabilities[np.arange(len(best)), best].tolist(), datasets.Value("float32")),
        "probabilities": (probabilities.tolist(), datasets.Sequence(datasets.Value("float32"))),
    }
    for name, (values, feature) in added.items():
        kept = kept.add_column(name, values, feature=feature)
    return kept


def _rows(predictor: Predictor, source: Any, columns: Mapping[str, str]) -> Rows:
    from petkit.data import rows_from_records  # here, since that package imports this module's neighbours

    records = (record.values for record in dataset_records(source))
    return rows_from_records(records, predictor.task, source="data set", columns=columns)


def _loaded(given: Any) -> Any:
    import datasets

    from petkit.data.problems import Problems

    if is_table(given):
        return datasets.Dataset.from_dict(table_columns(given))
    if not isinstance(given, (str, os.PathLike)):
        raise DataError(
            f"data is a {type(given).__name__}; legal are a datasets.Dataset, a frame, a dict of columns, and the path or name of a source"
        )
    source = os.fspath(given)
    problems = Problems(source_name(source))
    rows = [record.values for record in records_of(source, problems)]
    problems.stop()
    return datasets.Dataset.from_list(rows)


def _renamed(names: list[str]) -> dict[str, str]:
    """``input_`` before the names that are taken; again, if that is taken as well."""
    found: dict[str, str] = {}
    for name in (name for name in names if name in _ADDED):
        new = f"input_{name}"
        while new in names:
            new = f"input_{new}"
        found[name] = new
    return found
