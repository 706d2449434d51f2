"""Tables in memory: frames, data sets and mappings of columns."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from petkit.data.arrow import dataset_records
from petkit.data.problems import Problems, Record
from petkit.errors import DataError
from petkit.textcolumns import Table, is_dataset, is_null

__all__ = ["table_records"]


def table_records(table: Any, problems: Problems, *, wanted: Collection[str] | None = None) -> Iterator[Record]:
    """The rows of a table, names of columns as strings; ``problems`` takes a table without any.

    ``wanted`` are the columns that are read; of others, which may be no columns at all, a record has the name alone, and None for a value.
    None: all are read. A table without any of them has one record, of the names. Raises DataError for columns of different lengths.

    >>> [record.values for record in table_records({"text": ["a", "b"], "label": [1, 0]}, Problems("train"))]
    [{'text': 'a', 'label': 1}, {'text': 'b', 'label': 0}]
    """
    found = False
    try:
        for record in dataset_records(table) if is_dataset(table) and table.features is not None else _records(table, wanted):
            found = True
            yield record
    except DataError as error:
        raise DataError(f"{problems.source}: {error}") from error
    if not found:
        problems.add_line("holds no row")


def _records(table: Any, wanted: Collection[str] | None) -> Iterator[Record]:
    held = Table(table, spelled=True)
    columns = held.columns(wanted)
    names: dict[str, Any] = dict.fromkeys(held.names)
    if names and not columns:  # how many rows there are is not known, and one is enough to tell what is there
        yield Record(1, names)
    for row, cells in enumerate(zip(*columns.values(), strict=True), start=1):
        values = (None if is_null(value) else value for value in cells)
        yield Record(row, names | dict(zip(columns, values, strict=True)))
