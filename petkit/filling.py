"""Patterns filled in with rows. Pattern functions are a user's code and may fail on any row: one message names all of these rows."""

from __future__ import annotations

from collections.abc import Iterator

from petkit.errors import TaskError, raise_problems
from petkit.pvp import Part, Pattern
from petkit.rows import Rows
from petkit.wording import Places, plural, shortened

__all__ = ["filled", "refuse_failing"]


def filled(pattern: Pattern, rows: Rows) -> Iterator[tuple[Part, ...]]:
    """The cloze of each of N rows, in order (see ``Pattern.parts``).

    Raises TaskError after the last row if a pattern function fails on some, naming what is wrong and the rows by their ids.

    >>> list(filled(Pattern("{mask}: {text}"), Rows(ids=("r1",), fields={"text": ("Rain.",)})))
    [(MASK, ': ', Text(text='Rain.', shorten=True))]
    """
    failures: dict[str, Places] = {}
    for i in range(len(rows)):
        try:
            yield pattern.parts(rows.row(i))
        except TaskError as error:
            for problem in error.problems:
                failures.setdefault(problem, Places()).add(repr(rows.ids[i]))
    told = [f"{problem} ({plural(places.count, 'row')} {places})" for problem, places in failures.items()]
    raise_problems(TaskError, f"pattern function {pattern.name!r}", shortened(told))


def refuse_failing(pattern: Pattern, rows: Rows) -> None:
    """Raise TaskError as ``filled`` does. A pattern string fails on no row, and is not filled in."""
    if callable(pattern.source):
        for _ in filled(pattern, rows):
            pass
