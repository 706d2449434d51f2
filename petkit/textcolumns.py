"""Texts in memory, however they are held, as columns of strings: lists, arrays, series, frames, dicts, data sets."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from petkit.choices import did_you_mean
from petkit.errors import DataError, raise_problems

__all__ = ["column_values", "is_dataset", "is_table", "table_columns", "text_columns"]

_SHOWN: Final = 5


def is_dataset(source: object) -> bool:
    """Whether this is a ``datasets.Dataset``, told without importing datasets."""
    return hasattr(source, "features") and hasattr(source, "column_names") and hasattr(source, "iter")


def is_table(source: object) -> bool:
    """Whether this holds columns by name: a mapping, a frame (pandas, polars), a table of Arrow, a ``datasets.Dataset``."""
    return isinstance(source, Mapping) or hasattr(source, "columns") or hasattr(source, "column_names")


def table_columns(source: Any) -> dict[str, list[Any]]:
    """The columns of a table by name, as plain Python values. Raises DataError for what has no columns of one length.

    >>> table_columns({"text": ("a", "b"), "label": [1, 0]})
    {'text': ['a', 'b'], 'label': [1, 0]}
    """
    if isinstance(source, Mapping) and any(map(is_table, source.values())):
        names = ", ".join(map(repr, source))
        raise DataError(f"several tables are given at once ({type(source).__name__} of {names}); give one of them")
    if is_dataset(source) and not hasattr(source, "__len__"):  # a stream, which has no columns to ask for
        rows = list(source)
        columns = {name: [row.get(name) for row in rows] for name in dict.fromkeys(key for row in rows for key in row)}
    else:
        held: Iterable[Any] = source if isinstance(source, Mapping) else getattr(source, "column_names", None) or list(source.columns)
        columns = {str(name): _values(str(name), source[name]) for name in held}
    if len({len(column) for column in columns.values()}) > 1:
        raise DataError(f"columns of different lengths: {', '.join(f'{name} {len(column)}' for name, column in columns.items())}")
    return columns


def text_columns(texts: Any, names: Sequence[str] | None = None, *, label: str | None = None) -> dict[str, tuple[str, ...]]:
    """The N texts by column.

    Args:
        texts: strings; tuples of strings; dicts; a two-dimensional array, a row each; a frame (pandas, polars); a ``datasets.Dataset``;
            a dict of columns.
        names: the columns to take, or names for the places of a tuple; None takes every column of text but ``label``, and calls places
            ``text``, or ``text_1``, ``text_2`` ...
        label: the column that is no text.

    Raises DataError for columns that are not there, for rows of different shapes, and for values that are no strings.
    """
    if isinstance(texts, str):
        raise DataError("one string is given where a list of texts is needed; write [text]")
    columns = table_columns(texts) if is_table(texts) else _listed(texts, names)
    if names is None:
        chosen = [name for name in columns if name != label and all(isinstance(v, str) for v in islice(columns[name], 1))]
    else:
        chosen = list(names)
    missing = [f"there is no column {name!r}; {_there(columns)}{did_you_mean(name, columns)}" for name in chosen if name not in columns]
    raise_problems(DataError, "texts", missing or ([] if chosen else [f"no column holds text; {_there(columns)}"]))
    found = {name: tuple(columns[name]) for name in chosen}
    raise_problems(DataError, "texts", _odd_values(found))
    return {name: tuple(str(value) for value in column) for name, column in found.items()}


def column_values(source: Any, name: str) -> list[Any]:
    """One column of a frame or data set; label indices that ``datasets`` named become the names. Raises DataError if there is none."""
    columns = table_columns(source)
    if name not in columns:
        raise DataError(f"there is no column {name!r} with the labels; {_there(columns)}{did_you_mean(name, columns)}")
    known = getattr(getattr(source, "features", {}).get(name), "names", None) if is_dataset(source) else None
    return list(columns[name]) if known is None else [known[index] if index >= 0 else None for index in columns[name]]


def _there(columns: Mapping[str, Any]) -> str:
    return f"there are {', '.join(map(str, columns))}"


def _values(name: str, column: Any) -> list[Any]:
    if isinstance(column, (str, bytes)) or not isinstance(column, Iterable) or is_table(column):
        what = f"is {reprlib.repr(column)}, a {type(column).__name__}" if not is_table(column) else "is there more than once"
        raise DataError(f"column {name!r} {what}; a column is a sequence of values, one for each row")
    for convert in ("to_pylist", "tolist", "to_list"):  # Arrow; numpy and pandas; polars
        if hasattr(column, convert):
            return list(getattr(column, convert)())
    return list(column)


def _listed(texts: Any, names: Sequence[str] | None) -> dict[str, Any]:
    rows = texts.tolist() if hasattr(texts, "tolist") else list(texts)
    if not rows:
        return {name: () for name in names or ("text",)}
    first = rows[0]
    if isinstance(first, Mapping):
        _alike(rows, lambda row: isinstance(row, Mapping) and list(row) == list(first), f"the keys {', '.join(map(str, first))}")
        return {name: [row[name] for row in rows] for name in first}
    if not isinstance(first, list | tuple):
        return {(names or ("text",))[0]: rows}
    _alike(rows, lambda row: isinstance(row, list | tuple) and len(row) == len(first), f"{len(first)} texts")
    places = names or (["text"] if len(first) == 1 else [f"text_{place}" for place in range(1, len(first) + 1)])
    if len(places) != len(first):
        raise DataError(f"a row has {len(first)} texts where {len(places)} are needed: {', '.join(places)}")
    return dict(zip(places, zip(*rows, strict=True), strict=True))


def _alike(rows: Sequence[Any], fits: Any, wanted: str) -> None:
    odd = [f"row {place} has not {wanted}, as the first row has" for place, row in enumerate(rows, start=1) if not fits(row)]
    raise_problems(DataError, "texts", odd[:_SHOWN])


def _odd_values(columns: Mapping[str, Sequence[Any]]) -> list[str]:
    odd = (
        f"row {place} of {name!r} is {value!r}, a {type(value).__name__}; a text is a string"
        for name, column in columns.items()
        for place, value in enumerate(column, start=1)
        if not isinstance(value, str)
    )
    return list(islice(odd, _SHOWN))
