"""Plans for scoring: the tokens of the label words, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from petkit.encoding import Encoder
from petkit.errors import TaskError
from petkit.pvp import PVP, Pattern
from petkit.scoring import plan
from tests.builders import tokenizer
from tests.petkit.scoring_toys import MANY, UNK, NumberEncoder, pvp_of, rows_of, some_rows


def test_a_plan_needs_a_row() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        plan(NumberEncoder(), pvp_of(a="10", b="11"), rows_of())


def test_a_plan_holds_the_words_in_the_order_of_the_labels() -> None:
    found = plan(NumberEncoder(), pvp_of(**MANY), some_rows(5))
    assert found.words == (((10,), (11, 12)), ((13, 14, 15), (13, 16, 15), (20,)), ((11, 17),), ((0, 10, 11, 12),))
    assert (found.kind, found.masks, found.labels, found.owner) == ("multi", 4, 4, (0, 0, 1, 1, 1, 2, 3))
    assert hash(found) == hash(replace(found)), "kept per device by value"


def test_every_problem_of_a_plan_is_named_at_once() -> None:
    with pytest.raises(TaskError) as caught:
        plan(NumberEncoder(), pvp_of(a=("10", str(UNK)), b=("", "12"), c="12"), some_rows(5))
    message = str(caught.value)
    assert "does not know the word '6' of the label 'a'" in message
    assert "does not know the word '' of the label 'b'" in message
    assert "'12' of 'b' and '12' of 'c' are the same to the tokenizer" in message


def test_a_word_that_tokenises_differently_from_row_to_row_is_refused() -> None:
    rows = rows_of("8 9", "9 9", "10 9", "11 9", "12 9")
    for late in ("10 9", "12 9"):
        encoder: Any = NumberEncoder(lambda word, row, late=late: "30+31" if (word, row["text"]) == ("10", late) else word)
        with pytest.raises(TaskError, match=r"'10' gives the tokens \[10\] in one row and \[30, 31\] in another"):
            plan(encoder, pvp_of(a="10", b="11"), rows)


GLUED = {"a": "number", "b": "file", "c": "World"}


def test_every_row_is_looked_at_and_those_with_a_problem_are_named() -> None:
    encoder, words = Encoder(tokenizer("wordpiece")), pvp_of(**GLUED).verbalizer
    texts = (": one", ": two", "s of it", "name of it", "s again", ": six", ": seven", ": eight", ": nine", ": ten", ": eleven", ": twelve")
    plan(encoder, PVP(Pattern("{mask} {text}"), words), rows_of(*texts))
    plan(encoder, PVP(Pattern("{mask}{text}"), words), rows_of(*(text for text in texts if text.startswith(":"))))
    with pytest.raises(TaskError) as caught:
        plan(encoder, PVP(Pattern("{mask}{text}"), words), rows_of(*texts))
    merged = "shares a token with what stands beside {mask}; put blanks around {mask}"
    assert caught.value.problems[:2] == (f"the word 'number' {merged} (row 'r2')", f"the word 'file' {merged} (rows 'r2', 'r3')")


def test_a_problem_of_every_row_names_none() -> None:
    encoder = Encoder(tokenizer("wordpiece"))
    with pytest.raises(TaskError, match=r"put blanks around \{mask\}$"):
        plan(encoder, PVP(Pattern("{text} a{mask}"), pvp_of(a="great", b="bad").verbalizer), rows_of("x", "y", "z"))


def test_many_rows_with_a_problem_are_counted() -> None:
    encoder: Any = NumberEncoder(lambda word, row: "30+31" if (word, row["text"] != "8 9") == ("10", True) else word)
    glued = PVP(Pattern("{mask}{text}"), pvp_of(a="10", b="11").verbalizer)
    with pytest.raises(TaskError, match=r"\(rows 'r1', 'r2', 'r3', 'r4', 'r5' and 4 more\)$"):
        plan(encoder, glued, rows_of("8 9", *(f"{i} 9" for i in range(9, 18))))


def test_rows_that_surround_the_gap_alike_are_looked_at_once() -> None:
    asked = list[str]()

    def noted(word: str, row: Mapping[str, str]) -> str:
        asked.append(row["text"])
        return word

    encoder: Any = NumberEncoder(noted)
    words = pvp_of(a="10", b="11").verbalizer
    texts = [f"{7 + i % 3} {i}" for i in range(300)]
    for source, looks in (("{mask}: {text}", 3), ("{text} {mask}", 3), ("{mask}{text}", 5), ("{mask}-{text}", 3)):
        asked.clear()
        plan(encoder, PVP(Pattern(source), words), rows_of(*texts))
        assert len(asked) == 2 * looks, source


@pytest.mark.parametrize("name", ["wordpiece", "bytelevel", "unigram", "albert", "deberta", "modernbert"])
@pytest.mark.parametrize("source", ["{text} {mask}", "{mask} {text}", "{mask}: {text}", "{text} ( {mask} )", "{text} || {mask}"])
def test_blanks_around_the_gap_are_enough_whatever_the_texts(name: str, source: str) -> None:
    odd = ("x y", "", " ", "\n", " x", "x ", "x\n", "\t\nx", "\u00a0x\u00a0", "...", "\u4e2d\u56fd", "\u0301x", "x" * 300, "z")
    plan(Encoder(tokenizer(name)), PVP(Pattern(source), pvp_of(**GLUED).verbalizer), rows_of(*odd))


def test_words_unknown_everywhere_and_rows_with_a_problem_are_told_together() -> None:
    encoder = Encoder(tokenizer("wordpiece"))
    words = pvp_of(a="number", b="\u4e2d", c="Number").verbalizer
    with pytest.raises(TaskError) as caught:
        plan(encoder, PVP(Pattern("{mask}{text}"), words), rows_of(": one", ": two", "s of it"))
    told = str(caught.value)
    assert "the word '\u4e2d' is unknown to the tokenizer; take another\n" in told
    assert "'number' shares a token with what stands beside {mask}; put blanks around {mask} (row 'r2')" in told
    assert "'number' of 'a' and 'Number' of 'c' are the same to the tokenizer" in told
