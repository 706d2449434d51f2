"""Rows: what every stage reads. Columns of strings with ids and, where known, labels."""

from __future__ import annotations

import hashlib
import operator
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from petkit.wording import many

__all__ = ["UNLABELED", "Rows"]

UNLABELED = -1
"""The label index of a row without a label."""


@dataclass(frozen=True)
class Rows:
    """N rows of a task: the texts by field name, an id each, and label indices.

    ``labels`` holds an index into the task's labels per row, or ``UNLABELED``; ``()`` means that no row has one, and so does
    None. Lists and arrays are taken for tuples.

    Raises ValueError for columns of different lengths, for ids and texts that are no strings, and for labels that are no such indices.
    That ids are unique is asked where they must be: the rows of several files may share some.

    >>> rows = Rows(ids=("a", "b"), fields={"text": ("good", "bad")}, labels=(1, 0))
    >>> len(rows), rows.row(1)
    (2, {'text': 'bad'})
    >>> rows.select([1]).ids
    ('b',)
    """

    ids: tuple[str, ...]
    fields: Mapping[str, tuple[str, ...]]
    labels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        ids = _strings("ids", self.ids)
        fields = {name: _strings(f"field {name!r}", self.fields[name]) for name in self.fields}
        labels = _indices(self.labels)
        sizes = {len(column) for column in (ids, *fields.values())} | ({len(labels)} if labels else set())
        if len(sizes) > 1:
            raise ValueError(f"columns of different lengths: {sorted(sizes)}")
        self._set(ids, fields, labels)

    def _set(self, ids: tuple[str, ...], fields: Mapping[str, tuple[str, ...]], labels: tuple[int, ...]) -> None:
        for name, value in (("ids", ids), ("fields", fields), ("labels", labels)):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """In short, however many rows there are."""
        return f"<Rows: {many(len(self), 'row')}, {self.labeled} labelled, fields {', '.join(self.fields) or 'none'}>"

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labeled(self) -> int:
        """How many rows have a label."""
        return sum(label != UNLABELED for label in self.labels)

    def row(self, index: int) -> dict[str, str]:
        """The texts of one row by field name."""
        return {name: column[index] for name, column in self.fields.items()}

    def select(self, indices: Iterable[int]) -> Rows:
        """The rows at ``indices``, in that order."""
        chosen = list(indices)
        return _made(
            tuple(self.ids[i] for i in chosen),
            {name: tuple(column[i] for i in chosen) for name, column in self.fields.items()},
            tuple(self.labels[i] for i in chosen) if self.labels else (),
        )

    def with_labels(self, labels: Sequence[int]) -> Rows:
        """The same rows under other labels (``()`` for none)."""
        return Rows(self.ids, self.fields, tuple(labels))

    def fingerprint(self) -> str:
        """SHA-256 (hex) over ids, field names, texts and labels: equal rows, equal fingerprint."""
        digest = hashlib.sha256()
        for name, column in [("", self.ids), *sorted(self.fields.items())]:
            digest.update(f"\x00{name}\x00{len(column)}\x00".encode())
            for text in column:
                raw = text.encode("utf-8", "surrogatepass")
                digest.update(len(raw).to_bytes(8, "little") + raw)
        digest.update(repr(self.labels).encode())
        return digest.hexdigest()

    @staticmethod
    def concat(parts: Sequence[Rows]) -> Rows:
        """All rows of ``parts`` in order. If any part has labels, rows of the others are ``UNLABELED``."""
        names = list(parts[0].fields)
        labelled = any(part.labels for part in parts)
        labels = [label for part in parts for label in (part.labels or (UNLABELED,) * len(part))]
        return _made(
            tuple(i for part in parts for i in part.ids),
            {name: tuple(t for part in parts for t in part.fields[name]) for name in names},
            tuple(labels) if labelled else (),
        )


def _made(ids: tuple[str, ...], fields: Mapping[str, tuple[str, ...]], labels: tuple[int, ...]) -> Rows:
    """Rows of rows that were checked."""
    rows = object.__new__(Rows)
    rows._set(ids, fields, labels)
    return rows


def _strings(name: str, values: Any) -> tuple[str, ...]:
    """A column as a tuple; ValueError, naming it, for what is no column of strings."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise ValueError(f"{name}: a sequence of strings is needed, not {_shown(values)}")
    column = tuple(values)
    for place, value in enumerate(column, start=1):
        if not isinstance(value, str):
            raise ValueError(f"{name}: each must be a string, and number {place} is {_shown(value)}")
    return column


def _indices(values: Any) -> tuple[int, ...]:
    """Label indices as a tuple of int; ValueError for labels by name, for numbers that are no index, and for a label alone."""
    if values is None:
        return ()
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise ValueError(f"labels: a sequence of label indices is needed, not {_shown(values)}")
    found = []
    for place, value in enumerate(values, start=1):
        try:
            index = operator.index(value)
        except TypeError:
            index = UNLABELED - 1
        if index < UNLABELED:
            legal = f"the place of a label among the task's, from 0 on, or {UNLABELED} for none"
            raise ValueError(f"labels: legal is {legal}; number {place} is {_shown(value)}")
        found.append(int(index))
    return tuple(found)


def _shown(value: object) -> str:
    return f"{reprlib.repr(value)} ({type(value).__name__})"
