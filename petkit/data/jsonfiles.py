"""JSON lines, and JSON files that hold one array."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

from petkit.data.problems import Problems, Record

__all__ = ["json_array_records", "json_file_records", "json_line_records"]

_NAMES: Final = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}


def json_line_records(lines: Iterable[str], problems: Problems) -> Iterator[Record]:
    """One JSON object per line; blank lines are no rows. ``problems`` takes lines that are something else."""
    row = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row += 1
        record = Record(row, {}, number)
        try:
            value = json.loads(line.rstrip())
        except (ValueError, RecursionError) as error:
            problems.add("invalid JSON", f"{record.where}, {_reason(error)}", advice="each line must be one JSON object")
            continue
        if _is_object(value, record, problems):
            yield Record(row, value, number)


def json_file_records(lines: Iterator[str], problems: Problems) -> Iterator[Record]:
    """A ``.json`` file: one array of objects (read whole), or one object per line."""
    skipped: list[str] = []
    for line in lines:
        skipped.append(line)
        if line.strip():
            break
    array = bool(skipped) and skipped[-1].lstrip().startswith("[")
    whole = chain(skipped, lines)
    yield from json_array_records("".join(whole), problems) if array else json_line_records(whole, problems)


def json_array_records(text: str, problems: Problems) -> Iterator[Record]:
    """The objects of one JSON array."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = f"line {error.lineno}, " if isinstance(error, json.JSONDecodeError) else ""
        problems.add("invalid JSON", line + _reason(error), advice="the file must be one array of objects, or one object per line")
        return
    for row, value in enumerate(values, start=1):
        record = Record(row, value)
        if _is_object(value, record, problems):
            yield record


def _is_object(value: Any, record: Record, problems: Problems) -> bool:
    if not isinstance(value, dict):
        problems.add('each row must be a JSON object such as {"text": "..."}', f"{record.where} is {_NAMES.get(type(value), 'a number')}")
    return isinstance(value, dict)


def _reason(error: Exception) -> str:
    return f"column {error.colno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else f"{error}"
