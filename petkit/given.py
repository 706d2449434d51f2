"""What Python callers give as data: files, rows and tables in memory, told apart, and checked before anything is written."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, Final, Protocol

from petkit.choices import did_you_mean
from petkit.data import Labels, Reading, read_rows
from petkit.data.problems import Places, Problems
from petkit.data.values import as_text, is_blank
from petkit.errors import DataError, SettingsError
from petkit.pvp import Task
from petkit.rows import UNLABELED, Rows
from petkit.textcolumns import is_table
from petkit.wording import many

__all__ = ["Given", "by_name", "check_rows", "items_of", "path_of", "paths_of", "read_given", "told_apart", "whole_number"]


class Frame(Protocol):
    """A table in memory: a pandas or polars frame, an Arrow table, a ``datasets.Dataset``."""

    def __getitem__(self, key: Any, /) -> Any: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


Source = str | os.PathLike[str] | Frame
Given = Source | Iterable[Source] | Mapping[str, Iterable[Any]] | Rows
"""Files and other sources (see ``petkit.data.readers``), one or several; rows; a frame; a ``datasets.Dataset``; a mapping of columns."""

_LEGAL: Final = (
    "legal are the path of a file or several, petkit.Rows, a data frame, a datasets.Dataset, and a mapping of columns such as "
    "{'text': [...], 'label': [...]}"
)
_LONGEST_NAME: Final = 255
"""Characters that the name of a file can have on common file systems."""
_ENDINGS: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt", ".gz", ".parquet")


def told_apart(name: str, given: Any, task: Task) -> Any:
    """What is given under ``name``: Rows, a table, or a tuple of sources (empty where nothing is given). It is not read.

    A string is the name of a source, and a list of strings a list of them. Texts alone are taken, as unlabelled ones, from what cannot
    be names of files: a series or an array.

    Raises DataError for everything else, and for a list of texts.
    """
    if given is None:
        return ()
    if isinstance(given, (str, os.PathLike)):
        return (_spelt(name, given),)
    if isinstance(given, Rows) or is_table(given):
        return given
    if isinstance(given, (bytes, bytearray, set, frozenset)) or not isinstance(given, Iterable):  # sets have no order to keep
        raise DataError(f"{name} is {_shown(given)}; {_LEGAL}")
    if not isinstance(given, (list, tuple)) and _holds_values(given):
        return _texts(name, given, task)
    items = tuple(given)
    for place, item in enumerate(items, start=1):
        if isinstance(item, Mapping) or not (isinstance(item, (str, os.PathLike)) or is_table(item)):
            raise DataError(f"{name} is a {type(given).__name__} whose item {place} is {_shown(item)}; {_LEGAL}")
    _refuse_texts(name, items, task)
    return tuple(item if is_table(item) else _spelt(name, item) for item in items)


def read_given(
    name: str, given: Any, task: Task, *, labels: Labels, reading: Mapping[str, Any], report: Callable[[Reading], None] | None = None
) -> Rows:
    """The rows of what ``told_apart`` told apart, with the task's fields in their order; ids of a table are ``NAME:1`` and on.

    ``labels`` and ``reading`` are those of ``petkit.data.read_rows``. Raises DataError that names every problem.
    """
    if isinstance(given, Rows):
        blank = {flag: bool(reading.get(flag)) for flag in ("drop_blank", "keep_blank")}
        return check_rows(name, given, task, labels=labels, report=report, **blank)
    if isinstance(given, tuple) and not given:
        return Rows((), {field: () for field in task.fields})
    return read_rows(given, task, labels=labels, called=name, report=report, **reading)


def check_rows(
    name: str,
    rows: Rows,
    task: Task,
    *,
    labels: Labels,
    drop_blank: bool = False,
    keep_blank: bool = False,
    report: Callable[[Reading], None] | None = None,
) -> Rows:
    """Rows made by the user as the rows of a file would be: with the task's fields only, without blank ones where those are dropped.

    Raises DataError that names every problem: fields that are not there, ids that are not unique, texts that are blank or cannot be
    stored, labels that the task does not have or that lack.
    """
    if drop_blank and keep_blank:
        raise SettingsError("--drop-blank and --keep-blank exclude each other")
    problems = Problems(name)
    there = ", ".join(map(repr, rows.fields)) or "none"
    for field in (field for field in task.fields if field not in rows.fields):
        problems.add_line(f"the rows have no field {field!r}; they have {there}{did_you_mean(field, list(rows.fields))}")
    problems.stop()
    known = replace(rows, fields={field: rows.fields[field] for field in task.fields})
    blank = _note_texts(known, problems, free=drop_blank or keep_blank)
    _note_ids(known, problems)
    if labels != "ignored":
        _note_labels(known, task, problems, required=labels == "required")
    problems.stop()
    kept = known.select(index for index in range(len(known)) if index not in blank) if drop_blank and blank else known
    if len(known) and not len(kept):
        raise DataError(f"{name}: all {len(known)} rows are blank, and drop_blank leaves none")
    if report is not None:
        report(Reading(name, len(kept), kept.labeled, len(known) - len(kept), len(blank) if keep_blank else 0))
    return kept


def path_of(name: str, given: Any) -> str:
    """A path or a name as a string. Raises SettingsError for anything else."""
    if not isinstance(given, (str, os.PathLike)) or not isinstance(os.fspath(given), str):
        raise SettingsError(f"{name} is {_shown(given)}; a path is legal, as a string or a pathlib.Path")
    return os.fspath(given)


def paths_of(name: str, given: Any) -> list[str]:
    """One path or several as strings. Raises SettingsError for anything else."""
    items = items_of(given)
    return [path_of(name, one) for one in ([given] if items is None else items)]


def items_of(given: Any) -> list[Any] | None:
    """The items of a list or of any other iterable, those of a set sorted, so that they come alike in every process.

    None for one thing: a string, a path, a number, a mapping.
    """
    if isinstance(given, (str, bytes, bytearray, os.PathLike, Mapping)) or not isinstance(given, Iterable):
        return None
    if not getattr(given, "ndim", 1):  # an array of a single number
        return None
    if isinstance(given, (set, frozenset)):
        return sorted(given, key=None if all(map(whole_number, given)) else str)
    return list(given)


def by_name(name: str, given: Any) -> Mapping[str, Any]:
    """Values by name; none for None. Raises SettingsError for anything but a mapping."""
    if given is not None and not isinstance(given, Mapping):
        raise SettingsError(f"{name} is {_shown(given)}; a mapping is legal, such as a dict")
    return given or {}


def whole_number(value: object) -> bool:
    """Whether this is a whole number, numpy's ones too, and no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _spelt(name: str, path: str | os.PathLike[str]) -> str:
    text = os.fspath(path)
    if not isinstance(text, str):
        raise DataError(f"{name} is {_shown(path)}, a path of bytes; {_LEGAL}")
    return text


def _holds_values(given: Any) -> bool:
    """Whether this is a series, an array or a column of a data set: things that hold data, not names of files."""
    return any(hasattr(given, way) for way in ("tolist", "to_list", "to_pylist")) or type(given).__module__.startswith("datasets.")


def _texts(name: str, given: Any, task: Task) -> dict[str, Any]:
    what = f"{name} is {_article(type(given).__name__)}, that is texts without the name of their field"
    if name != "unlabeled":
        raise DataError(f"{what} and without labels; {_LEGAL}")
    if len(task.fields) > 1 or getattr(given, "ndim", 1) != 1:
        raise DataError(f"{what}, and the task has {many(len(task.fields), 'field')}; give columns, such as {_columns(task)}")
    return {task.fields[0]: given}


def _refuse_texts(name: str, items: Sequence[Any], task: Task) -> None:
    """Raise DataError for a list of strings that must be texts: none is a source, and some have what names of files have not."""
    names = [item for item in items if isinstance(item, str)]
    if len(names) < len(items) or any(one == "-" or one.startswith("hub:") for one in names):
        return
    odd = [one for one in names if len(one) > _LONGEST_NAME or (any(map(str.isspace, one.strip())) and not one.endswith(_ENDINGS))]
    if (len(odd) > 1 or any(len(one) > _LONGEST_NAME for one in odd)) and not any(map(os.path.exists, names)):
        raise DataError(
            f"{name}: a list of strings is a list of files, and none of its {many(len(names), 'string')} is one; the first is "
            f"{reprlib.repr(names[0])}. Give texts as columns: {_columns(task, labels=name != 'unlabeled')}"
        )


def _columns(task: Task, *, labels: bool = False) -> str:
    names = [*task.fields, *([task.label_column] if labels else [])]
    return "{" + ", ".join(f"{field!r}: [...]" for field in names) + "}"


def _note_texts(rows: Rows, problems: Problems, *, free: bool) -> set[int]:
    """The places of rows with a blank text, which are no problem where ``free``."""
    blank: set[int] = set()
    for field, column in rows.fields.items():
        for index, text in enumerate(column):
            try:
                as_text(text)
            except ValueError as error:
                problems.add(f"field {field!r} must hold text", f"row {index + 1} holds {error}")
            if is_blank(text):
                blank.add(index)
                if not free:
                    advice = "drop_blank=True leaves such rows out and counts them, keep_blank=True takes them as they are"
                    problems.add(f"empty or blank text in field {field!r}", f"row {index + 1}", advice=advice)
    return blank


def _note_ids(rows: Rows, problems: Problems) -> None:
    seen: set[str] = set()
    for index, name in enumerate(rows.ids, start=1):
        if name in seen:
            problems.add("ids must be unique", f"row {index} has {name!r} again")
        seen.add(name)


def _note_labels(rows: Rows, task: Task, problems: Problems, *, required: bool) -> None:
    beyond, without = Places(), Places()
    for index, label in enumerate(rows.labels or (UNLABELED,) * len(rows), start=1):
        if label >= len(task.labels):
            beyond.add(f"row {index} has {label}")
        elif label == UNLABELED:
            without.add(f"row {index}")
    legal = ", ".join(f"{index} ({label})" for index, label in list(enumerate(task.labels))[:20])
    problems.add_all("labels that the task does not have", beyond, advice=f"legal are {legal}")
    if required:
        problems.add_all("no label", without, advice="each row needs one, and rows without one are given as unlabeled")


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def _shown(value: object) -> str:
    kind, text = _article(type(value).__name__), reprlib.repr(value)
    return kind if "\n" in text else f"{text}, {kind}"
