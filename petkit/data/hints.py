"""Messages about columns and labels that do not fit the task, with a guess at what was meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from petkit.choices import nearest
from petkit.data.problems import listed
from petkit.wording import Places, flag_for, many

__all__ = ["NO_HEADER", "labels_outside", "like_data", "no_column"]

NO_HEADER: Final = "is the first line a row? Then add a line with column names before it"

_NAMED_LABELS = 20


def labels_outside(bad: Mapping[str, Places], legal: Sequence[str]) -> str:
    """All labels that the verbalizer lacks, the most frequent first, with their number and first row."""
    ranked = sorted(bad.items(), key=lambda item: -item[1].count)
    named = [_bad_label(label, places, legal) for label, places in ranked[:_NAMED_LABELS]]
    more = f" and {len(bad) - _NAMED_LABELS} more" if len(bad) > _NAMED_LABELS else ""
    return f"labels outside the verbalizer: {', '.join(named)}{more}; legal are {listed(legal)}"


def no_column(column: str, seen: Sequence[str], flag: str) -> str:
    """That no row has ``column``, which ones there are, and the ``flag`` (ending in ``=`` or a blank) that names another."""
    guess = next(iter(nearest(column, seen, most=1)), "NAME")
    name, _, value = flag.rpartition(" ")
    line = f"no column {column!r}; the columns are {listed(seen)}; say which one holds it with {flag_for(name, value + guess)}"
    return line + (f"; {NO_HEADER}" if like_data(seen) else "")


def _bad_label(label: str, places: Places, legal: Sequence[str]) -> str:
    guess = nearest(label, legal, most=1, alike=0.8)
    hint = f"; {guess[0]!r}?" if guess else ""
    return f"{listed([label])} ({many(places.count, 'row')}, first {places.first[0]}{hint})"


def like_data(names: Sequence[str]) -> bool:
    """Whether column names look like a row: one is long, a sentence, or a number.

    >>> like_data(["text", "Label of it"]), like_data(["5.0", "text"]), like_data(["I did not like it."])
    (False, True, True)
    """
    return any(len(name) > 40 or name.count(" ") > 2 or name.replace(".", "", 1).isdigit() for name in names)
