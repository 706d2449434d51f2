"""CSV and TSV: a header, then rows with as many cells; strict about quotes."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from petkit.data.problems import Problems, Record, listed
from petkit.data.text import LONGEST

__all__ = ["csv_records"]

_SEPARATORS: Final = (",", ";", "\t")
_QUOTE_ADVICE: Final = 'close it, write a quote inside a quoted cell twice (""), or give --no-quotes if quotes mean nothing in this file'
_QUOTED: Final = re.compile(r'(?:^|(?<=[,;\t]))"(?:[^"]|"")*(?:"|$)')
"""A cell in quotes; one that does not close goes on to the end."""
_NAMED: Final = re.compile(r'"?sep=([^\w\s"]|[_\t])"?\s*', re.IGNORECASE)
"""A first line that names the separator, punctuation or a tab, and is no header: a convention of Excel."""
_MANY_LINES: Final = 5


def csv_records(lines: Iterator[str], problems: Problems, *, separator: str | None = None, quotes: bool = True) -> Iterator[Record]:
    """Records of a table whose first line names the columns. Blank lines are no rows unless there is one column only.

    A line ``sep=;`` before that, as Excel has it, names the separator instead.

    Args:
        lines: with their ends, as ``data_text.text_lines`` gives them.
        problems: takes rows with too many or too few cells, and quotes that do not close.
        separator: None takes the comma, or the semicolon or tab if the header has no comma outside quotes.
        quotes: whether ``"`` encloses cells.
    """
    opening = list(_opening(lines))
    named = _NAMED.fullmatch(opening[-1]) if opening else None
    if named:
        separator, opening = named[1], ["\n"] * len(opening) + list(_opening(lines))  # blank: the lines after it keep their numbers
    if not opening or not opening[-1].strip():
        problems.add_line("is empty; the first line must name the columns")
        return
    separator = separator or _separator(opening[-1], quotes)
    rows = _rows(chain(opening, lines), problems, separator, quotes)
    header = next((row for row in rows if row.cells), None)
    if header is not None and not _header_is_wrong(header.cells, problems):
        yield from _records(rows, header.cells, problems, separator)


def _opening(lines: Iterator[str]) -> Iterator[str]:
    """The lines up to the first that is not blank."""
    for line in lines:
        yield line
        if line.strip():
            return


def _separator(header: str, quotes: bool) -> str:
    bare = _QUOTED.sub("", header) if quotes else header
    return next((mark for mark in _SEPARATORS if mark in bare), ",")


def _header_is_wrong(names: list[str], problems: Problems) -> bool:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problems.add_line(f"the first line must name each column once, and names {listed(twice)} several times")
    return bool(twice)


@dataclass(frozen=True, slots=True)
class _Row:
    cells: list[str]
    first_line: int
    last_line: int


def _rows(lines: Iterator[str], problems: Problems, separator: str, quotes: bool) -> Iterator[_Row]:
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST))  # the default, 131,072, refuses long texts
    reader = csv.reader(lines, delimiter=separator, strict=True, quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE)
    number = 0
    while True:
        begin = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problems.add_line(f"{_broken(error, number, begin, reader.line_num)} (cells are separated by {separator!r} here)")
            return
        number += bool(cells)
        yield _Row(cells, begin, reader.line_num)


def _broken(error: csv.Error, row: int, begin: int, end: int) -> str:
    where = f"row {row} (line {begin})" if row else "the header"
    if "unexpected end of data" in str(error):
        return f"unbalanced quotes: {where} opens a quote that never closes and swallows {end - begin} further lines; {_QUOTE_ADVICE}"
    if "limit" in str(error):
        return f"{where} holds a cell of more than {LONGEST} characters, up to line {end}: a quote that does not close? {_QUOTE_ADVICE}"
    return f"unbalanced quotes: {where} has text after a closing quote at line {end} ({error}); {_QUOTE_ADVICE}"


def _records(rows: Iterator[_Row], names: list[str], problems: Problems, separator: str) -> Iterator[Record]:
    rule = f"rows must have the {len(names)} cells of the header"
    advice = f"a cell that holds {separator!r} must stand in double quotes"
    number, last_line, suspect, span = 0, 1, "", 0
    for row in rows:
        last_line = row.last_line
        if not row.cells and len(names) > 1:
            continue
        number += 1
        cells = row.cells or [""]
        record = Record(number, dict(zip(names, cells, strict=False)), row.first_line)
        if last_line - row.first_line > max(_MANY_LINES - 1, span) and _swallowed(cells, len(names), separator):
            suspect, span = record.where, last_line - row.first_line
        if len(cells) == len(names):
            yield record
        else:
            problems.add(rule, f"{record.where} has {len(cells)}", advice=advice)
    if number == 0 and not problems.lines():
        problems.add_line(f"has a header ({listed(names)}) and no row")
    if 2 * span > last_line:
        problems.add("one quoted cell holds most of the file, rows and all (unbalanced quotes)", suspect, advice=_QUOTE_ADVICE)


def _swallowed(cells: list[str], columns: int, separator: str) -> bool:
    """Whether a cell looks as if it held rows of the file: many lines, and each has the separators of a row."""
    inner = [cell.split("\n")[1:-1] for cell in cells]
    return columns > 1 and any(
        len(lines) >= _MANY_LINES - 1 and all(line.count(separator) >= columns - 1 for line in lines) for lines in inner
    )
