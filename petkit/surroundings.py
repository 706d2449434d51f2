"""What touches the gap of a pattern, row by row: tokenizers may join it to a word that stands there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Final

from petkit.filling import filled
from petkit.pvp import MASK, SEGMENT_BREAK, Part, Pattern, Text
from petkit.rows import Rows

__all__ = ["beside_gap", "differing_rows"]

_NEAR: Final = 64
"""So many characters on either side are looked at."""

_SIGNS: Final = (
    r"!-/:-@\[-^`{-~\u00a1-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf"  # those of ASCII (not _) and Latin-1
    r"\u2010-\u205e\u3001-\u303f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff65"  # quotes and dashes, CJK punctuation, its wide forms
)
_TOUCHING: Final = re.compile(rf"\s|[^\s{_SIGNS}]*[{_SIGNS}]*")
"""A blank, or else letters up to the end of the first punctuation: tokenizers split there."""


def differing_rows(pattern: Pattern, rows: Rows) -> list[int]:
    """The first row of each way in which the gap is surrounded, ascending. Most pattern strings have one way, whatever the texts.

    Raises TaskError for a pattern function, naming the rows on which it fails.

    >>> rows = Rows(ids=("1", "2", "3"), fields={"text": ("ness", "ly made", "ness")})
    >>> differing_rows(Pattern("{mask}{text}"), rows), differing_rows(Pattern("{mask}: {text}"), rows)
    ([0, 1], [0])
    """
    if len(rows) and isinstance(pattern.source, str) and _is_fixed(pattern.parts(rows.row(0))):
        return [0]
    firsts: dict[tuple[str, str], int] = {}
    for i, parts in enumerate(filled(pattern, rows)):
        firsts.setdefault(beside_gap(parts), i)
    return list(firsts.values())


def beside_gap(parts: Sequence[Part]) -> tuple[str, str]:
    """What touches the gap on either side, the left one backwards.

    >>> beside_gap(Pattern("{text}{mask}{text}").parts({"text": "An x-ray's"}))
    ("s'", 'An')
    """
    left, right = (_touching(_string(side)) for side in _sides(parts))
    return left, right


def _sides(parts: Sequence[Part]) -> Iterator[list[str | Text]]:
    """The parts of the gap's segment on its left, backwards, and on its right. Strings on the left are backwards too."""
    place = parts.index(MASK)
    for near, step in ((reversed(parts[:place]), -1), (parts[place + 1 :], 1)):
        yield [_turned(part, step) for part in takewhile(lambda part: part is not SEGMENT_BREAK, near)]


def _turned(part: Part, step: int) -> str | Text:
    """The characters of a part that may be near the gap, those nearest to it first."""
    if isinstance(part, Text):
        return Text((part.text[-_NEAR:] if step < 0 else part.text[:_NEAR])[::step])
    return str(part)[::step]


def _string(side: Iterable[str | Text]) -> str:
    return "".join(part.text if isinstance(part, Text) else part for part in side)


def _touching(text: str) -> str:
    found = _TOUCHING.match(text[:_NEAR])
    return found[0] if found else ""


def _is_fixed(parts: Sequence[Part]) -> bool:
    """Whether the literals alone decide what touches the gap."""
    return all(_is_closed(side) for side in _sides(parts))


def _is_closed(side: Sequence[str | Text]) -> bool:
    literal = _string(takewhile(lambda part: isinstance(part, str), side))
    alone = all(isinstance(part, str) for part in side)
    return alone or literal[:1].isspace() or len(_touching(literal)) < len(literal)
