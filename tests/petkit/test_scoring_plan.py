"""Plans for scoring: the tokens of the label words, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from petkit.errors import TaskError
from petkit.scoring import plan
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
