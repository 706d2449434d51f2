"""Patterns filled in with rows, and the rows on which a pattern function fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from petkit.encoding import Encoder
from petkit.errors import TaskError
from petkit.filling import filled, refuse_failing
from petkit.pvp import MASK, PVP, Part, Pattern, Text, Verbalizer
from petkit.rows import Rows
from petkit.scoring import plan
from tests.builders import tokenizer

WORDS = Verbalizer({"n": "file", "p": "number"})


def rows_of(*texts: str) -> Rows:
    return Rows(tuple(f"train:{i}" for i in range(1, len(texts) + 1)), {"text": texts})


def ask(row: Mapping[str, str]) -> Sequence[Part]:
    if row["text"].startswith("odd"):
        raise ValueError("no")
    return [MASK, *([MASK] if row["text"] == "two" else []), ": ", Text(row["text"])]


def message(run: Any, *given: Any, **options: Any) -> str:
    with pytest.raises(TaskError) as caught:
        run(*given, **options)
    return str(caught.value)


def test_rows_keep_their_order() -> None:
    pattern, rows = Pattern("{text}: {mask}"), rows_of("a", "b")
    assert list(filled(pattern, rows)) == [pattern.parts(rows.row(0)), pattern.parts(rows.row(1))]


def test_all_rows_on_which_a_function_fails_are_named_by_id() -> None:
    where = f"at {__file__}, line {ask.__code__.co_firstlineno + 2}"
    assert message(refuse_failing, Pattern(ask), rows_of("a", "odd", "b")) == (
        f"pattern function 'ask': raised ValueError: no, {where} (row 'train:2')"
    )
    said = message(refuse_failing, Pattern(ask), rows_of("a", *["odd"] * 7, "two"))
    assert said == (
        "pattern function 'ask': 2 problems\n"
        f"  - raised ValueError: no, {where} (rows 'train:2', 'train:3', 'train:4', 'train:5', 'train:6' and 2 more)\n"
        "  - the returned list has 2 masks; it needs exactly one (row 'train:9')"
    )


def test_the_first_few_of_many_failures_are_told() -> None:
    said = message(refuse_failing, Pattern(lambda row: [row[row["text"]]]), rows_of(*"abcdefgh"))
    assert said.count("raised KeyError") == 5
    assert said.endswith("\n  - and 3 more")


@pytest.mark.parametrize("joining", ["string", "parts"])
def test_plans_and_clozes_name_the_rows(joining: Any) -> None:
    encoder, rows = Encoder(tokenizer("wordpiece"), joining=joining), rows_of("a", "b", "c", "odd", "d", "e", "f")
    assert "raised ValueError: no" in (said := message(plan, encoder, PVP(Pattern(ask), WORDS), rows))
    assert said.endswith("(row 'train:4')")
    assert message(encoder.clozes, rows, Pattern(ask), filler="file") == said
