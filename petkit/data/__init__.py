"""Rows of a task from files, folders and the hub; draws; and the wall between test rows and all others.

The parts: ``readers`` (sources to records), ``rows`` (records to rows), ``draws``, ``overlap``.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, count
from typing import Any

from petkit.data.draws import draw_rows, draw_shots
from petkit.data.overlap import Separated, normalise, separate
from petkit.data.problems import Problems, Record, listed
from petkit.data.readers import iter_records, records_of, source_identity, source_name, source_stem
from petkit.data.rows import COLUMN_FLAG, Columns, Gatherer, Labels, Reading, choose_columns
from petkit.data.tables import table_records
from petkit.data.text import ENCODING
from petkit.errors import DataError, SettingsError
from petkit.pvp import Task
from petkit.rows import Rows
from petkit.textcolumns import is_table
from petkit.wording import shortened

Source = Any
"""A path or a name as ``str`` or ``Path``, a table in memory (see ``petkit.textcolumns.is_table``), or a sequence of these."""

__all__ = [
    "Labels",
    "Reading",
    "Separated",
    "check_classes",
    "draw_rows",
    "draw_shots",
    "iter_records",
    "normalise",
    "read_rows",
    "rows_from_records",
    "separate",
]


def read_rows(
    source: Source,
    task: Task,
    *,
    labels: Labels,
    columns: Mapping[str, str] | None = None,
    id_column: str | None = None,
    drop_blank: bool = False,
    keep_blank: bool = False,
    encoding: str = ENCODING,
    quotes: bool = True,
    called: str | None = None,
    report: Callable[[Reading], None] | None = None,
) -> Rows:
    """Read the rows of a task from one source, or from several, one after the other.

    Args:
        source: a file, folder, ``hub:NAME[@CONFIG][:SPLIT]`` or ``-`` (see ``readers``), a frame, a ``datasets.Dataset``, a dict of
            columns, or a list of them.
        task: whose fields and labels to read.
        labels: "required" in every row; "optional": a row, or all, may lack one; "ignored": not read.
        columns: field (or ``label``) -> the column that holds it, where the names differ.
        id_column: column of unique row ids; None makes ids of file name and row number (``train:17``).
        drop_blank, keep_blank: leave out, or take, rows with a missing, empty or blank text; neither: an error.
        encoding, quotes: see ``readers.iter_records``.
        called: what ids and messages call a table in memory; None: data set 1, data set 2 ...
        report: is given a Reading per source.

    All sources are read before DataError is raised: it has every problem of the first few that have any, and how many more there are.
    Raises SettingsError for options that contradict each other.
    """
    if drop_blank and keep_blank:
        raise SettingsError("--drop-blank and --keep-blank exclude each other")
    chosen = choose_columns(task, labels=labels, columns=columns or {}, id_column=id_column)
    held = [source] if isinstance(source, (str, os.PathLike)) or is_table(source) else list(source)
    sources = [_called(called, place, len(held)) if is_table(one) else os.fspath(one) for place, one in enumerate(held, start=1)]
    _check_sources(sources)
    parts: list[Rows] = []
    failures: list[str] = []
    for given, name, stem in zip(held, sources, _stems(sources), strict=True):
        problems = Problems(source_name(name))
        gatherer = Gatherer(task, chosen, problems, labels=labels, stem=stem, drop_blank=drop_blank, keep_blank=keep_blank)
        try:
            if is_table(given):
                records = table_records(given, problems, wanted=chosen.names)
            else:
                records = records_of(name, problems, encoding=encoding, quotes=quotes)
            parts.append(_gather(records, gatherer, problems))
        except DataError as error:
            failures.append(str(error))
            continue
        if report is not None:
            report(gatherer.reading)
    if failures:
        raise DataError("\n".join(shortened(failures, what="more sources")))
    _check_ids(parts, sources, chosen)
    return Rows.concat(parts)


def rows_from_records(
    records: Iterable[Mapping[str, Any]],
    task: Task,
    *,
    source: str,
    first_row: int = 1,
    labels: Labels = "ignored",
    columns: Mapping[str, str] | None = None,
    report: Callable[[Reading], None] | None = None,
    flag: str = COLUMN_FLAG,
) -> Rows:
    """Rows of records in memory, such as a chunk of ``iter_records``; blank texts are kept and counted in ``report``.

    ``source``, ``first_row`` (the number of the first record in its source) and ``flag`` (see ``Gatherer``) serve ids and messages.
    Raises DataError as ``read_rows`` does.
    """
    problems = Problems(source)
    chosen = choose_columns(task, labels=labels, columns=columns or {}, id_column=None)
    gatherer = Gatherer(task, chosen, problems, labels=labels, stem=source_stem(source), keep_blank=True, flag=flag)
    rows = _gather((Record(row, dict(values)) for row, values in enumerate(records, start=first_row)), gatherer, problems)
    if report is not None:
        report(gatherer.reading)
    return rows


def check_classes(rows: Rows, task: Task) -> None:
    """Raise DataError that names every label of the task which no row has."""
    counts = Counter(rows.labels)
    missing = [label for index, label in enumerate(task.labels) if not counts[index]]
    if missing:
        have = ", ".join(f"{label!r} {counts[index]}" for index, label in enumerate(task.labels) if counts[index])
        raise DataError(f"the labelled rows (--train) must hold every label, and lack {listed(missing)}; they have {have or 'none'}")


def _gather(records: Iterable[Record], gatherer: Gatherer, problems: Problems) -> Rows:
    try:
        for record in records:
            gatherer.add(record)
    except DataError as error:  # unreadable from here on: told together with what was wrong before
        earlier = problems.lines()
        raise DataError("\n  - ".join([str(error), *earlier])) from error
    gatherer.finish()
    problems.stop()
    return gatherer.rows


def _called(name: str | None, place: int, of: int) -> str:
    return name if name and of == 1 else f"{name or 'data set'} {place}"


def _check_sources(sources: Sequence[str]) -> None:
    if not sources:
        raise DataError("no source of rows is given")
    first: dict[str, str] = {}
    for source in sources:
        known = first.get(source_identity(source))
        if known is not None:
            what = f"{source} is given twice" if known == source else f"{known} and {source} are the same file"
            raise DataError(f"each source can be read once, and {what}")
        first[source_identity(source)] = source


def _stems(sources: Sequence[str]) -> list[str]:
    """File names without endings, made unique: a second ``train`` becomes ``train~2``."""
    stems: list[str] = []
    for stem in map(source_stem, sources):
        names = chain([stem], (f"{stem}~{number}" for number in count(2)))
        stems.append(next(name for name in names if name not in stems))
    return stems


def _check_ids(parts: Sequence[Rows], sources: Sequence[str], columns: Columns) -> None:
    if columns.id is None or len(parts) < 2:
        return
    owner: dict[str, str] = {}
    problems = Problems(", ".join(sources))
    for part, source in zip(parts, sources, strict=True):
        for name in part.ids:
            if owner.setdefault(name, source) != source:
                problems.add("ids must be unique over all files", f"{name!r} is in {owner[name]} and {source}")
    problems.stop()
