"""What is written: source texts, numbers as strings, and how they are judged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import f1_score

from petkit.finetuning.rouge import rouge_is_there, rouge_scores
from petkit.finetuning.written import as_number, label_scores, similarity_scores, similarity_string, source_text


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.57, "2.6"), (5, "5.0"), (0, "0.0"), (3.8, "3.8"), (1.0999, "1.0"), (1.11, "1.2"), (4.95, "5.0"), (0.3, "0.4"), (0.1, "0.0")],
)
def test_similarities_are_written_at_the_nearest_fifth(value: float, text: str) -> None:
    assert similarity_string(value) == text
    assert abs(float(text) - value) <= 0.1 + 1e-9
    assert text == f"{np.round(value * 5) / 5:.1f}"


@pytest.mark.parametrize(
    ("text", "number"), [("2.6", 2.6), (" 3 ", 3.0), ("-1.5", -1.5), (".5", 0.5), ("2.6.", None), ("two", None), ("", None)]
)
def test_numbers_are_plain_decimals(text: str, number: float | None) -> None:
    assert as_number(text) == number


def test_strings_that_are_no_number_count_as_wrong_and_are_said() -> None:
    golds = [0.0, 1.0, 2.5, 4.0, 5.0]
    texts = ["0.2", "1.0", "2.4", "4.0", "five"]
    scores = similarity_scores(texts, golds)
    assert scores["not_numbers"] == 1
    assert scores["pearson"] == pytest.approx(np.corrcoef([0.2, 1.0, 2.4, 4.0, -1.0], golds)[0, 1])
    assert scores["spearman"] == pytest.approx(np.corrcoef([1, 2, 3, 4, 0], [0, 1, 2, 3, 4])[0, 1])
    right = similarity_scores(["0.0", "1.0", "2.4", "4.0", "5.0"], golds)
    assert right["pearson"] > 0.99 > 0.5 > scores["pearson"]


def test_a_correlation_without_spread_is_undefined() -> None:
    for texts, golds in ((["1.0", "1.0"], [1.0, 2.0]), (["1.0", "2.0"], [1.0, 1.0]), (["1.0"], [1.0])):
        scores = similarity_scores(texts, golds)
        assert (scores["pearson"], scores["spearman"]) == (None, None)
        assert not any(isinstance(value, float) and math.isnan(value) for value in scores.values())


def test_texts_that_are_no_label_are_wrong() -> None:
    scores = label_scores(["good", " bad ", "goodish", ""], ["good", "bad", "good", "bad"], ["bad", "good"])
    assert (scores["accuracy"], scores["outside"], scores["rows"]) == (0.5, 2, 4)
    theirs = f1_score(["good", "bad", "good", "bad"], ["good", "bad", "?", "?"], labels=["bad", "good"], average="macro")
    assert scores["macro_f1"] == pytest.approx(theirs)


def test_source_texts_are_as_t5_has_them() -> None:
    stsb = [("sentence1", "A plane is taking off."), ("sentence2", "An air plane is taking off.")]
    assert source_text(stsb, "stsb") == "stsb sentence1: A plane is taking off. sentence2: An air plane is taking off."
    assert source_text([("text", "it confirms fincher")], "sst2 sentence:") == "sst2 sentence: it confirms fincher"
    squad = [("question", "What does increased oxygen do?"), ("context", "Hyperbaric medicine")]
    assert source_text(squad, "") == "question: What does increased oxygen do? context: Hyperbaric medicine"


def test_rouge_is_that_of_the_package_by_hand() -> None:
    if not rouge_is_there():
        pytest.skip("rouge-score is not installed")
    found = rouge_scores(["the cat sat", "dog"], [["the cat sat on the mat", "a cat"], ["dog"]])
    assert found["rouge1"] == pytest.approx(100 * (2 * 1 * 0.5 / 1.5 + 1) / 2)
    assert found["rouge2"] == pytest.approx(100 * (2 * 1 * (2 / 5) / (1 + 2 / 5) + 0) / 2)
    assert found["rougeL"] == pytest.approx(100 * (2 * 1 * 0.5 / 1.5 + 1) / 2)
