"""How messages and reports count things, name places and write flags: the standard library only."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["NAMED_PLACES", "Places", "flag_for", "many", "plural", "quoted", "shortened", "spelt_as", "verb"]

NAMED_PLACES: Final = 5
"""How many places a message names; all are counted."""

_IRREGULAR: Final = {"are": "is", "have": "has", "were": "was"}


def many(number: int, what: str) -> str:
    """A number of things.

    >>> many(1, "split"), many(2, "test row"), many(0, "cell")
    ('1 split', '2 test rows', '0 cells')
    """
    return f"{number} {plural(number, what)}"


def plural(number: int, what: str) -> str:
    """The word for so many things, without their number.

    >>> plural(1, "row"), plural(2, "row")
    ('row', 'rows')
    """
    return what if number == 1 else f"{what}s"


def verb(number: int, plural: str) -> str:
    """What so many things do, from the form for several.

    >>> verb(1, "repeat"), verb(2, "repeat"), verb(1, "have"), verb(1, "were")
    ('repeats', 'repeat', 'has', 'was')
    """
    return plural if number != 1 else _IRREGULAR.get(plural, f"{plural}s")


def quoted(name: str) -> str:
    """A name for a list whose parts commas set apart: in quotes if it holds a comma itself.

    >>> ", ".join(map(quoted, ["food", "Food, drink"]))
    "food, 'Food, drink'"
    """
    return repr(name) if "," in name else name


def shortened(lines: Sequence[str], *, most: int = NAMED_PLACES, what: str = "more") -> list[str]:
    """The first lines of a list, and how many others there are.

    >>> shortened(["a", "b", "c"], most=2, what="more rows"), shortened(["a"])
    (['a', 'b', 'and 1 more rows'], ['a'])
    """
    left = len(lines) - most
    return [*lines[:most], *([f"and {left} {what}"] if left > 0 else [])]


def spelt_as(folder: Path, path: Path) -> Path:
    """A path in a folder, spelt as the user spelt the folder.

    >>> spelt_as(Path("run"), Path("run").absolute() / "model").as_posix()
    'run/model'
    """
    whole = folder.absolute()
    return folder / path.relative_to(whole) if path.is_relative_to(whole) else path


def flag_for(flag: str, value: str) -> str:
    """A flag with its value, to be pasted into a shell. A value that does not fit on a line is spelt as bash and zsh read it.

    >>> print(flag_for("--column", "Review_Text=Review Text"), flag_for("--column", "a=two\\nlines"))
    --column 'Review_Text=Review Text' --column $'a=two\\nlines'
    """
    if value.isprintable():
        return f"{flag} {shlex.quote(value)}"
    return f"{flag} $'{''.join(map(_escaped, value))}'"


def _escaped(sign: str) -> str:
    if sign.isprintable():
        return f"\\{sign}" if sign in "\\'" else sign
    return sign.encode("unicode_escape").decode() if sign.isascii() else f"\\U{ord(sign):08x}"


@dataclass
class Places:
    """Where one rule is broken: the first few places, and how many there are.

    >>> places = Places()
    >>> for number in range(1, 8):
    ...     places.add(f"row {number}")
    >>> str(places)
    'row 1, row 2, row 3, row 4, row 5 and 2 more'
    """

    first: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, place: str) -> None:
        """Count a place, and name it if it is among the first."""
        self.count += 1
        if len(self.first) < NAMED_PLACES:
            self.first.append(place)

    def __str__(self) -> str:
        more = self.count - len(self.first)
        return ", ".join(self.first) + (f" and {more} more" if more else "")
