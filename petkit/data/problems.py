"""What is wrong with a source of rows, gathered so that one message tells all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from petkit.errors import DataError, raise_problems
from petkit.wording import Places

__all__ = ["Places", "Problems", "Record", "listed"]


@dataclass(frozen=True, slots=True)
class Record:
    """One row as it stands in its source. ``row`` counts from 1, the header not included; ``line`` where lines exist."""

    row: int
    values: dict[str, Any]
    line: int | None = None

    @property
    def where(self) -> str:
        """How messages name the row.

        >>> Record(3, {}, line=4).where, Record(3, {}, line=3).where
        ('row 3 (line 4)', 'row 3')
        """
        return f"row {self.row}" if self.line in (None, self.row) else f"row {self.row} (line {self.line})"


@dataclass
class Problems:
    """The broken rules of one source, each with its places; memory does not grow with their number.

    >>> problems = Problems("a.csv")
    >>> problems.add("blank text in column 'text'", "row 3", advice="mend it")
    >>> problems.add("blank text in column 'text'", "row 9", advice="mend it")
    >>> problems.lines()
    ["blank text in column 'text': row 3, row 9; mend it"]
    """

    source: str
    _rules: dict[tuple[str, str], Places] = field(default_factory=dict)

    def add(self, rule: str, place: str, *, advice: str = "") -> None:
        """Note that ``rule`` is broken at ``place``."""
        self._rules.setdefault((rule, advice), Places()).add(place)

    def add_all(self, rule: str, places: Places, *, advice: str = "") -> None:
        """Note a rule with all its places."""
        if places.count:
            self._rules[rule, advice] = places

    def add_line(self, line: str) -> None:
        """Note a problem of the source as a whole."""
        self._rules.setdefault((line, ""), Places())

    def lines(self) -> list[str]:
        """One line per broken rule, in the order of their first place."""
        lines = []
        for (rule, advice), places in self._rules.items():
            line = f"{rule}: {places}" if places.count else rule
            lines.append(f"{line}; {advice}" if advice else line)
        return lines

    def stop(self) -> None:
        """Raise DataError with everything noted so far; do nothing if that is nothing."""
        raise_problems(DataError, self.source, self.lines())


def listed(names: Sequence[str], *, limit: int = 20) -> str:
    """Names in quotes, the first ``limit`` of them.

    >>> listed(["a", "b", "c"], limit=2)
    "'a', 'b' and 1 more"
    """
    more = len(names) - limit
    return ", ".join(_short(name) for name in names[:limit]) + (f" and {more} more" if more > 0 else "")


def _short(name: str, *, limit: int = 60) -> str:
    return repr(name if len(name) <= limit else name[: limit - 3] + "...")
