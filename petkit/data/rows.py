"""Records to rows: values to texts, labels to indices, and everything that is wrong with them at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from petkit.choices import did_you_mean
from petkit.data.hints import labels_outside, no_column
from petkit.data.problems import Places, Problems, Record, listed
from petkit.data.values import as_text, is_blank, without_point
from petkit.errors import SettingsError, raise_problems
from petkit.pvp import Task
from petkit.rows import UNLABELED, Rows

__all__ = ["COLUMN_FLAG", "Columns", "Gatherer", "Labels", "Reading", "choose_columns"]

Labels = Literal["required", "optional", "ignored"]
_BLANK_ADVICE: Final = "--drop-blank leaves such rows out and reports how many, --keep-blank takes them as they are"
COLUMN_FLAG: Final = "--column {}="
"""How commands that take a task are told of the column that holds a field."""
_NAMED_COLUMNS: Final = 1000
"""From how many first rows a message lists the columns (every row of JSON lines may have others)."""


@dataclass(frozen=True)
class Reading:
    """What became of one source: rows kept, rows with a label, blank rows dropped (``--drop-blank``) or kept (``--keep-blank``)."""

    source: str
    rows: int
    labelled: int
    blank_dropped: int
    blank_kept: int


@dataclass(frozen=True)
class Columns:
    """Where a task's values stand: field -> column, and the columns of label and id (None: not read)."""

    fields: Mapping[str, str]
    label: str | None
    id: str | None

    @property
    def names(self) -> list[str]:
        """All columns that are read."""
        return [name for name in (*self.fields.values(), self.label, self.id) if name is not None]


def choose_columns(task: Task, *, labels: Labels, columns: Mapping[str, str], id_column: str | None) -> Columns:
    """The columns to read: those mapped by the user, else fields by their own name and ``task.label_column``.

    Raises SettingsError if ``columns`` maps something that is neither a field nor ``label``, and if two are read from one column.

    >>> task = Task(name="t", fields=("text",), patterns="{mask}: {text}", verbalizer={"n": "bad", "p": "good"})
    >>> choose_columns(task, labels="required", columns={"text": "review"}, id_column=None)
    Columns(fields={'text': 'review'}, label='label', id=None)
    """
    legal = [*task.fields, "label"]
    odd = [
        f"--column {name}={column}: {name!r} is no field of the task{did_you_mean(name, legal)}"
        for name, column in columns.items()
        if name not in legal
    ]
    raise_problems(SettingsError, f"task {task.name!r} has {listed(legal)}", odd)
    label = None if labels == "ignored" else columns.get("label", task.label_column)
    chosen = {field: columns.get(field, field) for field in task.fields}
    _check_apart(chosen | ({} if label is None else {"label": label}))
    return Columns(chosen, label, id_column)


def _check_apart(chosen: Mapping[str, str]) -> None:
    """Raise SettingsError if a column would be read as two things."""
    readers: dict[str, list[str]] = {}
    for name, column in chosen.items():
        readers.setdefault(column, []).append(name)
    shared = [f"{listed(names)} are read from the same column {column!r}" for column, names in readers.items() if len(names) > 1]
    raise_problems(SettingsError, "each needs a column of its own (--column NAME=COLUMN)", shared)


class Gatherer:
    """Takes the records of one source one by one; ``rows`` and ``reading`` tell the outcome.

    Args:
        task: gives fields and labels. columns: where they stand. labels: whether a row must have one.
        problems: takes what is wrong; the caller stops with it after ``finish``.
        stem: first half of the ids, if no id column is read.
        drop_blank, keep_blank: what becomes of rows that lack a text or have a blank one; neither: a problem.
        flag: names another column for a field (``{}``), in messages.
    """

    def __init__(
        self,
        task: Task,
        columns: Columns,
        problems: Problems,
        *,
        labels: Labels,
        stem: str,
        drop_blank: bool = False,
        keep_blank: bool = False,
        flag: str = COLUMN_FLAG,
    ) -> None:
        self._task, self._columns, self._problems, self._labels, self._stem = task, columns, problems, labels, stem
        self._drop, self._keep, self._flag = drop_blank, keep_blank, flag
        self._texts: dict[str, list[str]] = {field: [] for field in task.fields}
        self._ids: list[str] = []
        self._indices: list[int] = []
        self._known = {label: index for index, label in enumerate(task.labels)}
        self._bad_labels: dict[str, Places] = {}
        self._absent: dict[str, Places] = {}
        self._seen: dict[str, None] = {}
        self._where: dict[str, str] = {}
        self._count = self._dropped = self._kept = 0

    def add(self, record: Record) -> None:
        """Take one record: a row, or a note of what is wrong with it."""
        self._count += 1
        if self._count <= _NAMED_COLUMNS:
            self._seen.update(dict.fromkeys(record.values))
        texts = {field: self._text(record, column) for field, column in self._columns.fields.items()}
        if any(map(is_blank, texts.values())):
            if self._drop:
                self._dropped += 1
                return
            self._kept += 1
        for field, text in texts.items():
            self._texts[field].append(text)
        self._ids.append(self._id(record))
        if self._columns.label is not None:
            self._indices.append(self._label(record, self._columns.label))

    def finish(self) -> None:
        """Note what only the whole source shows: columns that no row has, labels outside the verbalizer, nothing left."""
        for column, places in self._absent.items():
            self._note_absent(column, places)
        if self._bad_labels:
            self._problems.add_line(labels_outside(self._bad_labels, self._task.labels))
        if self._count and self._dropped == self._count and not self._absent:
            self._problems.add_line(f"all {self._count} rows are blank, and --drop-blank leaves none")

    def _note_absent(self, column: str, places: Places) -> None:
        fields = [field for field, place in self._columns.fields.items() if place == column]
        if places.count == (self._count if fields else len(self._ids)):
            if not self._may_be_absent(column):
                flag = "--id-column " if column == self._columns.id else self._flag.format((fields or ["label"])[0])
                self._problems.add_line(no_column(column, list(self._seen), flag))
        elif fields and not self._drop and not self._keep:
            self._problems.add_all(f"no column {column!r}", places, advice=_BLANK_ADVICE)
        elif column == self._columns.id or (column == self._columns.label and self._labels == "required"):
            self._problems.add_all(f"no column {column!r}", places, advice="each row needs one")

    def _may_be_absent(self, column: str) -> bool:
        """Optional labels need no column, unless the user named it."""
        return column == self._columns.label == self._task.label_column and self._labels == "optional"

    @property
    def rows(self) -> Rows:
        """The rows taken so far."""
        labelled = any(index != UNLABELED for index in self._indices)
        texts = {field: tuple(column) for field, column in self._texts.items()}
        return Rows(tuple(self._ids), texts, tuple(self._indices) if labelled else ())

    @property
    def reading(self) -> Reading:
        """The counts so far."""
        labelled = sum(index != UNLABELED for index in self._indices)
        return Reading(self._problems.source, len(self._ids), labelled, self._dropped, self._kept)

    def _text(self, record: Record, column: str) -> str:
        if column not in record.values:
            self._absent.setdefault(column, Places()).add(record.where)
            return ""
        text = self._value(record, column)
        if text is None or is_blank(text):
            if not self._drop and not self._keep:
                what = "no text (null)" if text is None else "empty or blank text"
                self._problems.add(f"{what} in column {column!r}", record.where, advice=_BLANK_ADVICE)
            return text or ""
        return text

    def _value(self, record: Record, column: str, *, whole: bool = False) -> str | None:
        try:
            return as_text(record.values.get(column), whole=whole)
        except ValueError as error:
            self._problems.add(f"column {column!r} must hold text or numbers", f"{record.where} holds {error}")
            return "?"

    def _id(self, record: Record) -> str:
        column = self._columns.id
        if column is None:
            return f"{self._stem}:{record.row}"
        if column not in record.values:
            self._absent.setdefault(column, Places()).add(record.where)
            return ""
        name = self._value(record, column, whole=True) or ""
        if not name.strip():
            self._problems.add(f"no id in column {column!r}", record.where)
        elif name in self._where:
            self._problems.add("ids must be unique", f"{name!r} of {record.where} is that of {self._where[name]} too")
        self._where.setdefault(name, record.where)
        return name

    def _label(self, record: Record, column: str) -> int:
        if column not in record.values:
            self._absent.setdefault(column, Places()).add(record.where)
            return UNLABELED
        label = self._value(record, column, whole=True) or ""
        if not label.strip():
            if self._labels == "required":
                self._problems.add(f"no label in column {column!r}", record.where, advice="each row needs one")
            return UNLABELED
        if isinstance(record.values[column], bool) and label not in self._known:
            label = label.title()
        elif label not in self._known and without_point(label) in self._known:  # CSV of pandas: a null made the numbers 1.0
            label = without_point(label)
        if label not in self._known:
            self._bad_labels.setdefault(label, Places()).add(record.where)
        return self._known.get(label, UNLABELED)
