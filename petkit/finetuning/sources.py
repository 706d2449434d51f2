"""What all readers share: records with the columns that are needed, values as texts, and everything wrong in one message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from petkit.choices import did_you_mean
from petkit.data.hints import no_column
from petkit.data.problems import Places, Problems, Record, listed
from petkit.data.readers import records_of
from petkit.data.text import ENCODING
from petkit.data.values import as_text, is_blank
from petkit.errors import DataError

__all__ = ["complete_records", "text_list", "text_value", "unseen"]

_LISTED = 1000
"""From how many first rows a message lists the columns."""


def complete_records(
    source: str, needed: Mapping[str, str | None], problems: Problems, *, encoding: str = ENCODING, quotes: bool = True
) -> Iterator[Record]:
    """The records with every column of ``needed`` (column -> the flag that names another, if one does); ``problems`` takes the others.

    ``encoding``, ``quotes``: see ``petkit.data.readers.iter_records``.
    """
    absent: dict[str, Places] = {}
    seen: dict[str, None] = {}
    count = 0
    for record in records_of(source, problems, encoding=encoding, quotes=quotes):
        count += 1
        if count <= _LISTED:
            seen.update(dict.fromkeys(record.values))
        lacking = [column for column in needed if column not in record.values]
        for column in lacking:
            absent.setdefault(column, Places()).add(record.where)
        if not lacking:
            yield record
    for column, places in absent.items():
        if places.count == count:
            flag = needed[column]
            problems.add_line(
                no_column(column, list(seen), flag) if flag else f"no column {column!r}; the columns are {listed(list(seen))}"
            )
        else:
            problems.add_all(f"no column {column!r}", places, advice="each row needs one")


def text_value(record: Record, column: str, problems: Problems, *, whole: bool = False) -> str:
    """The text of a column that must have one; "?" with a problem noted where it has none. ``whole`` writes 5.0 as 5."""
    try:
        text = as_text(record.values[column], whole=whole)
    except ValueError as error:
        problems.add(f"column {column!r} must hold text or numbers", f"{record.where} holds {error}")
        return "?"
    if text is None or is_blank(text):
        problems.add(f"empty or blank text in column {column!r}", record.where, advice="each row needs one")
        return "?"
    return text


def text_list(record: Record, column: str, problems: Problems) -> list[str]:
    """The texts of a column that holds a list of words; [] with a problem noted where it does not."""
    value = record.values[column]
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        problems.add(f"column {column!r} must hold a list of words, and not an empty one", record.where)
        return []
    words = [_word(item) for item in value]
    if any(word is None for word in words):
        problems.add(f"column {column!r} must hold a list of words without blanks in them", record.where)
        return []
    return [word for word in words if word is not None]


def _word(value: Any) -> str | None:
    """A text without blanks, else None."""
    try:
        text = as_text(value, whole=True)
    except ValueError:
        return None
    return text if text is not None and len(text.split()) == 1 and text == text.strip() else None


def unseen(found: Mapping[str, str], legal: Sequence[str], *, what: str) -> None:
    """Raise DataError if other rows (test, development) hold labels that no training row has.

    Args:
        found: label of those rows -> id of the first row that has it. legal: those of the training rows. what: their name.
    """
    strange = {label: name for label, name in found.items() if label not in set(legal)}
    if strange:
        named = ", ".join(f"{label!r} (first in {name})" for label, name in list(strange.items())[:5])
        more = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
        known = f"the training rows have {listed(legal)}{did_you_mean(list(strange), legal)}"
        raise DataError(f"{what} that no training row has: {named}{more}; {known}")
