"""Texts in memory, however they are held, as columns of strings: lists, arrays, series, frames, dicts, data sets."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from petkit.choices import did_you_mean
from petkit.errors import DataError, raise_problems

__all__ = ["Table", "column_values", "is_dataset", "is_null", "is_table", "table_columns", "text_columns"]

_SHOWN: Final = 5
_NULLS: Final = ("NAType", "NaTType")


def is_dataset(source: object) -> bool:
    """Whether this is a ``datasets.Dataset``, told without importing datasets."""
    return hasattr(source, "features") and hasattr(source, "column_names") and hasattr(source, "iter")


def is_table(source: object) -> bool:
    """Whether this holds columns by name: a mapping, a frame (pandas, polars), a table of Arrow, a ``datasets.Dataset``."""
    return isinstance(source, Mapping) or hasattr(source, "columns") or hasattr(source, "column_names")


def is_null(value: object) -> bool:
    """Whether this is what pandas puts where there is no value, beside None and NaN; told without importing pandas."""
    return type(value).__name__ in _NULLS


class Table:
    """A table in memory: the names of its columns, and the values of those that are asked for; others may hold anything.

    Args:
        source: what ``is_table`` takes for a table. spelled: names as strings, as files have them; False: as the table has them.

    Raises DataError for several tables at once.

    >>> table = Table({"text": ("a", "b"), "note": 7})
    >>> table.names, table.columns(["text"])
    (['text', 'note'], {'text': ['a', 'b']})
    """

    def __init__(self, source: Any, *, spelled: bool = False) -> None:
        if isinstance(source, Mapping) and source and all(map(is_table, source.values())):
            names = ", ".join(map(repr, source))
            raise DataError(f"several tables are given at once ({type(source).__name__} of {names}); give one of them")
        if is_dataset(source) and not hasattr(source, "__len__"):  # a stream, which has no columns to ask for
            rows = list(source)
            source = {name: [row.get(name) for row in rows] for name in dict.fromkeys(key for row in rows for key in row)}
        keys = list(source) if isinstance(source, Mapping) else getattr(source, "column_names", None) or list(source.columns)
        self._source, self._keys = source, keys
        self.names: list[Any] = [str(key) for key in keys] if spelled else list(keys)

    def columns(self, wanted: Collection[Hashable] | None = None) -> dict[Any, list[Any]]:
        """The columns called so, of those that are there, as plain Python values; None: all.

        Raises DataError for one that is there twice or is no column, and for columns of different lengths.
        """
        found: dict[Any, list[Any]] = {}
        for name, key in zip(self.names, self._keys, strict=True):
            if wanted is not None and name not in wanted:
                continue
            if name in found:  # a frame would give both of them for it, and Arrow refuses the name
                raise DataError(f"column {str(name)!r} is there more than once; give each column that is read a name of its own")
            found[name] = _values(str(name), self._source[key]) if self._keys.count(key) == 1 else []
        if len({len(column) for column in found.values()}) > 1:
            raise DataError(f"columns of different lengths: {', '.join(f'{name} {len(column)}' for name, column in found.items())}")
        return found


def table_columns(source: Any) -> dict[str, list[Any]]:
    """All columns of a table by name. Raises DataError as ``Table`` does.

    >>> table_columns({"text": ("a", "b"), "label": [1, 0]})
    {'text': ['a', 'b'], 'label': [1, 0]}
    """
    return Table(source, spelled=True).columns()


def text_columns(texts: Any, names: Sequence[Any] | None = None, *, label: Hashable = None) -> dict[Any, tuple[str, ...]]:
    """The N texts by column.

    Args:
        texts: strings; tuples of strings; dicts; a two-dimensional array, a row each; a frame (pandas, polars); a ``datasets.Dataset``;
            a dict of columns.
        names: the columns to take, as the frame calls them, or names for the places of a tuple; no other is read. None takes every
            column of text but ``label``, and calls places ``text``, or ``text_1``, ``text_2`` ...
        label: the column that is no text.

    Raises DataError for columns that are not there, for rows of different shapes, and for values that are no strings.
    """
    if isinstance(texts, str):
        raise DataError("one string is given where a list of texts is needed; write [text]")
    if is_table(texts):
        table = Table(texts)
        there = table.names
        columns = table.columns([name for name in there if name != label] if names is None else names)
    else:
        columns = _listed(texts, names)
        there = list(columns)
    if names is None:
        chosen = [name for name in columns if name != label and all(isinstance(v, str) for v in islice(columns[name], 1))]
    else:
        chosen = list(names)
    missing = [f"there is no column {name!r}; {_there(there)}{did_you_mean(name, there)}" for name in chosen if name not in columns]
    raise_problems(DataError, "texts", missing or ([] if chosen else [f"no column holds text; {_there(there)}"]))
    found = {name: tuple(columns[name]) for name in chosen}
    raise_problems(DataError, "texts", _odd_values(found))
    return {name: tuple(str(value) for value in column) for name, column in found.items()}


def column_values(source: Any, name: Hashable) -> list[Any]:
    """One column of a frame or data set; label indices that ``datasets`` named become the names. Raises DataError if there is none."""
    table = Table(source)
    columns = table.columns([name])
    if name not in columns:
        raise DataError(f"there is no column {name!r} with the labels; {_there(table.names)}{did_you_mean(name, table.names)}")
    known = getattr(getattr(source, "features", {}).get(name), "names", None) if is_dataset(source) else None
    return list(columns[name]) if known is None else [known[index] if index >= 0 else None for index in columns[name]]


def _there(names: Iterable[Any]) -> str:
    return f"there are {', '.join(map(str, names))}"


def _values(name: str, column: Any) -> list[Any]:
    if isinstance(column, (str, bytes)) or not isinstance(column, Iterable) or is_table(column) or not getattr(column, "ndim", 1):
        kind = f"a {type(column).__name__}"
        what = kind if is_table(column) else f"{reprlib.repr(column)}, {kind}"
        raise DataError(f"column {name!r} is {what}; a column is a sequence of values, one for each row")
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
