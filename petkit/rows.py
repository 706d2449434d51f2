"""Rows: what every stage reads. Columns of strings with ids and, where known, labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["UNLABELED", "Rows"]

UNLABELED = -1
"""The label index of a row without a label."""


@dataclass(frozen=True)
class Rows:
    """N rows of a task: the texts by field name, an id each, and label indices.

    ``labels`` holds an index into the task's labels per row, or ``UNLABELED``; ``()`` means that no row has one.

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
        sizes = {len(self.ids), *(len(column) for column in self.fields.values())}
        sizes |= {len(self.labels)} if self.labels else set()
        if len(sizes) > 1:
            raise ValueError(f"columns of different lengths: {sorted(sizes)}")

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
        return Rows(
            ids=tuple(self.ids[i] for i in chosen),
            fields={name: tuple(column[i] for i in chosen) for name, column in self.fields.items()},
            labels=tuple(self.labels[i] for i in chosen) if self.labels else (),
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
        return Rows(
            ids=tuple(i for part in parts for i in part.ids),
            fields={name: tuple(t for part in parts for t in part.fields[name]) for name in names},
            labels=tuple(labels) if labelled else (),
        )
