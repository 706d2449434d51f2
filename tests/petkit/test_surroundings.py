"""Which rows surround a pattern's gap in a way of their own."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from petkit.pvp import MASK, SEGMENT_BREAK, Part, Pattern, Text
from petkit.rows import Rows
from petkit.surroundings import beside_gap, differing_rows


def rows_of(*texts: str) -> Rows:
    return Rows(ids=tuple(f"r{i}" for i in range(len(texts))), fields={"text": texts})


@pytest.mark.parametrize(
    ("source", "text", "touching"),
    [
        ("{mask}{text}", "ness of it", ("", "ness")),
        ("{mask}{text}", "", ("", "")),
        ("{mask}{text}", " ness", ("", " ")),
        ("{mask}{text}", "\nness", ("", "\n")),
        ("{mask}{text}", "3.14 or so", ("", "3.")),
        ("{mask}{text}", "'s own", ("", "'")),
        ("{text}{mask}", "It was un", ("nu", "")),
        ("{text}{mask}", "It was: (", ("(", "")),
        ("{text} ({mask}).", "It was", ("(", ").")),
        ("{text}, {mask}, {text}", "It was", (" ", ",")),
        ("{mask}\u65b0\u95fb\uff1a{text}", "\u4e2d\u56fd", ("", "\u65b0\u95fb\uff1a")),
        ("{mask}{text}", "\u0928\u092e\u0938\u094d\u0924\u0947 x", ("", "\u0928\u092e\u0938\u094d\u0924\u0947")),
        ("{text}{mask} || {text}", "ab", ("ba", "")),
        ("{text} || {mask}{text}", "ab", ("", "ab")),
    ],
)
def test_what_touches_the_gap(source: str, text: str, touching: tuple[str, str]) -> None:
    assert beside_gap(Pattern(source).parts({"text": text})) == touching


def test_long_words_are_cut_off() -> None:
    left, right = beside_gap((Text("x" * 10**6), MASK, Text("y" * 10**6)))
    assert (left, right) == ("x" * 64, "y" * 64)


@pytest.mark.parametrize(
    "source", ["{mask}: {text}", "{text} {mask}", "{text} || {mask}!", "({mask}) {text}", "{mask}\u65b0\u95fb\uff1a\u300c{text}"]
)
def test_literals_that_close_the_gap_spare_the_look_at_the_rows(source: str) -> None:
    """Where they do not, signs of the texts may go on with those of the pattern."""
    texts = rows_of("a", "b", "ness", "\u4e2d\u56fd")
    assert differing_rows(Pattern(source), texts) == [0]


def test_signs_of_a_text_go_on_with_those_of_the_pattern() -> None:
    assert differing_rows(Pattern("{mask}:{text}"), rows_of("a", "b", ") c", "(d", ") e")) == [0, 2, 3]


def test_functions_are_asked_row_by_row() -> None:
    def pattern(row: Mapping[str, str]) -> list[Part]:
        return [MASK, SEGMENT_BREAK, row["text"]] if row["text"].islower() else [row["text"], MASK]

    assert differing_rows(Pattern(pattern), rows_of("a", "B", "c", "D", "B")) == [0, 1, 3]


def test_no_rows() -> None:
    assert differing_rows(Pattern("{mask}{text}"), rows_of()) == []
