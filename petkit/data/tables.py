"""Tables in memory: frames, data sets and mappings of columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from petkit.data.arrow import dataset_records
from petkit.data.problems import Problems, Record
from petkit.errors import DataError
from petkit.textcolumns import is_dataset, table_columns

__all__ = ["table_records"]

_NULLS: Final = ("NAType", "NaTType")
"""What pandas puts where there is no value, beside None and NaN."""


def table_records(table: Any, problems: Problems) -> Iterator[Record]:
    """The rows of a table; ``problems`` takes a table without any. Raises DataError for what has no columns of one length.

    >>> [record.values for record in table_records({"text": ["a", "b"], "label": [1, 0]}, Problems("train"))]
    [{'text': 'a', 'label': 1}, {'text': 'b', 'label': 0}]
    """
    found = False
    try:
        for record in dataset_records(table) if is_dataset(table) and table.features is not None else _records(table):
            found = True
            yield record
    except DataError as error:
        raise DataError(f"{problems.source}: {error}") from error
    if not found:
        problems.add_line("holds no row")


def _records(table: Any) -> Iterator[Record]:
    columns = table_columns(table)
    for row, cells in enumerate(zip(*columns.values(), strict=True), start=1):
        values = (None if type(value).__name__ in _NULLS else value for value in cells)
        yield Record(row, dict(zip(columns, values, strict=True)))
