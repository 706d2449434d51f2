"""Exact match and F1 by hand, and of the gold answers of a published set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from petkit.finetuning.exactmatch import answer_scores, best_exact, best_f1, normal_answer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Cat", "cat"),
        ("a an the", ""),
        ("An  apple,\tthe\npear!", "apple pear"),
        ("U.S.A.", "usa"),
        ("a-b", "ab"),
        ("Theatre", "theatre"),
        ("the-end", "theend"),
        ("«Été»", "«été»"),
        ("$5.00", "500"),
    ],
)
def test_answers_are_normalised_in_the_published_order(text: str, expected: str) -> None:
    assert normal_answer(text) == expected


@pytest.mark.parametrize(
    ("answer", "golds", "exact", "f1"),
    [
        ("The cat.", ["cat"], 1, 1),
        ("a black cat", ["black cat", "dog"], 1, 1),
        ("black cat sleeps", ["the cat"], 0, 2 * (1 / 3) * 1 / (1 / 3 + 1)),
        ("cat cat", ["cat"], 0, 2 * (1 / 2) * 1 / (1 / 2 + 1)),
        ("dog", ["cat", "old dog"], 0, 2 * 1 * (1 / 2) / (1 + 1 / 2)),
        ("", ["cat"], 0, 0),
        ("", [], 1, 1),
        ("cat", [], 0, 0),
        ("the", [], 1, 1),
        ("the", ["a"], 1, 1),
    ],
)
def test_scores_by_hand(answer: str, golds: list[str], exact: float, f1: float) -> None:
    assert (best_exact(answer, golds), best_f1(answer, golds)) == (exact, pytest.approx(f1))


def test_means_are_in_percent_and_apart_for_questions_without_answer() -> None:
    answers, golds = ["cat", "dog here", "", "x"], [["the cat"], ["dog"], [], []]
    scores = answer_scores(answers, golds)
    assert scores["exact_match"] == 50
    assert scores["f1"] == pytest.approx(100 * (1 + 2 / 3 + 1 + 0) / 4)
    assert (scores["exact_match_answerable"], scores["exact_match_unanswerable"]) == (50, 50)
    assert scores["f1_answerable"] == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert "f1_answerable" not in answer_scores(["cat"], [["cat"]])


def test_gold_answers_of_xquad_score_full_marks(data_dir: Path) -> None:
    rows = [json.loads(line) for line in (data_dir / "xquad_en" / "all.jsonl").read_text("utf-8").splitlines()]
    golds = [[answer["text"] for answer in row["answers"]] for row in rows]
    scores = answer_scores([right[0] for right in golds], golds)
    assert scores == {"exact_match": 100.0, "f1": 100.0, "questions": 1190}
