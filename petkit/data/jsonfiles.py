"""JSON lines, and JSON files that hold one array."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

from petkit.data.problems import Problems, Record, listed

__all__ = ["json_array_records", "json_file_records", "json_line_records"]

_SHAPES: Final = "the file must be one array of objects, [{...}, {...}], or one object per line"
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
    opening = list(_up_to_text(lines))
    if opening and opening[-1].lstrip().startswith("["):
        yield from json_array_records("".join(chain(opening, lines)), problems)
        return
    following = list(_up_to_text(lines))
    wrong = _one_object(opening[-1], following[-1] if following else "") if opening else ""
    if wrong:
        problems.add_line(wrong)
        return
    yield from json_line_records(chain(opening, following, lines), problems)


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


def _up_to_text(lines: Iterator[str]) -> Iterator[str]:
    """The lines up to the first that is not blank."""
    for line in lines:
        yield line
        if line.strip():
            return


def _one_object(first: str, second: str) -> str:
    """What is wrong with a file that is a single object around its rows, by its first two lines that are not blank; "" if it is none."""
    found, breaks_off = _parsed(first)
    if breaks_off and second.strip() and first.lstrip().startswith("{") and not isinstance(_parsed(second)[0], dict):
        return f"is one JSON object over several lines; {_SHAPES}"
    if not isinstance(found, dict) or second.strip():
        return ""
    tables = [name for name, value in found.items() if isinstance(value, list) and value and all(isinstance(one, dict) for one in value)]
    if tables and all(isinstance(value, (list, dict)) for value in found.values()):
        return f"is one JSON object, with rows under {listed(tables)}; {_SHAPES}"
    return f"is one JSON object of objects; {_SHAPES}" if found and all(isinstance(value, dict) for value in found.values()) else ""


def _parsed(line: str) -> tuple[Any, bool]:
    """A line as JSON (None if it is none), and whether it is none only because it breaks off."""
    text = line.strip()
    try:
        return json.loads(text), False
    except json.JSONDecodeError as error:
        return None, error.pos >= len(text)
    except (ValueError, RecursionError):
        return None, False


def _is_object(value: Any, record: Record, problems: Problems) -> bool:
    if not isinstance(value, dict):
        problems.add('each row must be a JSON object such as {"text": "..."}', f"{record.where} is {_NAMES.get(type(value), 'a number')}")
    return isinstance(value, dict)


def _reason(error: Exception) -> str:
    return f"column {error.colno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else f"{error}"
