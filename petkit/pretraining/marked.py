"""Phrases and entities that rows give as spans of characters: read, checked, and brought to the paragraphs that a text becomes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from petkit.choices import did_you_mean
from petkit.data.text import ENCODING
from petkit.errors import DataError
from petkit.objectives.rows import IntArray
from petkit.pretraining.corpus import row_texts, source_parts, text_paragraphs

__all__ = ["Marked", "given_spans", "marked_paragraphs", "read_marked"]

_NONE: Final = np.zeros((0, 2), dtype=np.int64)
_BLANKS: Final = np.array([code for code in range(2**16) if chr(code).isspace()], dtype=np.uint32)
_NEEDED: Final = "a list of [start, end] is needed, whole numbers that count characters"


@dataclass(frozen=True)
class Marked:
    """A paragraph of text in which phrases or entities are marked.

    Attributes:
        text: the paragraph.
        spans: (K, 2) int64, the first character of each phrase and the one behind its last; rising, none over another, none empty.
    """

    text: str
    spans: IntArray

    def __len__(self) -> int:
        return len(self.text)


def read_marked(source: str, *, units: str, column: str = "text", encoding: str = ENCODING, quotes: bool = True) -> Iterator[list[Marked]]:
    """The documents of a source of rows, as ``read_documents`` gives them, with the spans of each row's column ``units``.

    Rows without that column, or with nothing in it, have no spans. See ``given_spans`` and ``marked_paragraphs``.

    Raises DataError, naming file and row, as ``read_documents``, at text without columns, at a file of which no row has the column, and
    at spans that cannot be.
    """
    for part, in_columns in source_parts(source):
        if not in_columns:
            raise DataError(f"{part}: has no columns, and --units {units} names one; JSONL, CSV, parquet and saved data sets have some")
        yield from _marked_rows(part, units, column=column, encoding=encoding, quotes=quotes)


def _marked_rows(source: str, units: str, **reading: Any) -> Iterator[list[Marked]]:
    found, first = False, list[str]()
    for row, record, text in row_texts(source, **reading):
        first, found = first or list(record), found or units in record
        try:
            spans = given_spans(record.get(units), text)
        except ValueError as error:
            raise DataError(f"{source}: row {row}: column {units!r} holds {error}") from error
        if text:
            yield marked_paragraphs(text, spans)
    if not found:
        there = f"row 1 has {', '.join(first)}; name one with --units{did_you_mean(units, first)}"
        raise DataError(f"{source}: no row has a column {units!r}; {there}")


def given_spans(cell: Any, text: str) -> IntArray:
    """(K, 2) int64, the spans of a cell in rising order: a list of [start, end), in characters of ``text``, or JSON of one (CSV).

    None, NaN and an empty text hold no spans. Raises ValueError, saying why, at all else, at spans that are empty, blank or beyond the
    text, and at two that overlap.

    >>> given_spans([[9, 13], [0, 8]], "New York sees").tolist(), given_spans("[[0, 3]]", "New").tolist(), len(given_spans(None, ""))
    ([[0, 8], [9, 13]], [[0, 3]], 0)
    """
    values = _parsed(cell) if isinstance(cell, str) else cell
    if values is None or (isinstance(values, str) and not values) or (isinstance(values, float) and values != values):
        return _NONE
    if not isinstance(values, list | tuple):
        raise ValueError(f"{_short(values)}; {_NEEDED}")
    for span in values:
        _check_span(span, text)
    ordered = sorted(map(list, values))
    for before, after in pairwise(ordered):
        if after[0] < before[1]:
            raise ValueError(f"{before} and {after}, which overlap; each character belongs to one unit at most")
    return np.array(ordered, dtype=np.int64).reshape(-1, 2)


def _parsed(cell: str) -> Any:
    """What a cell of text says in JSON; the text itself where that is none."""
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell.strip()


def _check_span(span: Any, text: str) -> None:
    pair = isinstance(span, list | tuple) and len(span) == 2 and all(type(end) is int for end in span)
    if not pair:
        raise ValueError(f"{_short(span)} among its spans; {_NEEDED}")
    start, end = span
    if start < 0 or end > len(text):
        raise ValueError(f"[{start}, {end}], which is beyond the text of its row; that has {len(text)} characters, the first is 0")
    if start >= end:
        raise ValueError(f"[{start}, {end}], which is empty; the end is the character behind the last one")
    if text[start:end].isspace():
        raise ValueError(f"[{start}, {end}], where the text has nothing but blanks")


def _short(value: Any, *, limit: int = 60) -> str:
    shown = repr(value)
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def marked_paragraphs(text: str, spans: IntArray) -> list[Marked]:
    """The paragraphs of a text (``text_paragraphs``) with its (K, 2) spans where their characters now are.

    Blanks alone differ between a text and its paragraphs, so each other character is found again by its number. A span begins and ends at
    such a one; one that reaches over several paragraphs is a span in each of them.

    >>> [(one.text, one.spans.tolist()) for one in marked_paragraphs("In  New\\tYork.\\n\\nBig", np.array([[4, 12]]))]
    [('In New York.', [[3, 11]]), ('Big', [])]
    """
    paragraphs = list(text_paragraphs(text))
    if not len(spans):
        return [Marked(paragraph, _NONE) for paragraph in paragraphs]
    places = [_solid(paragraph) for paragraph in paragraphs]
    bounds = np.cumsum([0, *map(len, places)])
    numbers = np.searchsorted(_solid(text), spans)
    low, high = np.searchsorted(numbers[:, 1], bounds[:-1], side="right"), np.searchsorted(numbers[:, 0], bounds[1:])
    found = []
    for i, (paragraph, place) in enumerate(zip(paragraphs, places, strict=True)):
        inside = np.clip(numbers[low[i] : high[i]] - bounds[i], 0, len(place))
        found.append(Marked(paragraph, np.stack([place[inside[:, 0]], place[inside[:, 1] - 1] + 1], axis=1)))
    return found


def _solid(text: str) -> IntArray:
    """(N,) int64, where the characters are that are no blanks."""
    return np.flatnonzero(~np.isin(np.frombuffer(text.encode("utf-32-le"), dtype="<u4"), _BLANKS))
