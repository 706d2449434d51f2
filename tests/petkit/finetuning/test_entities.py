"""Entities and their scores: cases by hand, and seqeval on random tags."""

from __future__ import annotations

import numpy as np
import pytest

from petkit.finetuning.entities import Entity, entities, entity_scores, is_tag, tag_order


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O O", []),
        ("B-PER I-PER O", [("PER", 0, 2)]),
        ("B-PER B-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("O I-PER I-PER", [("PER", 1, 3)]),
        ("B-PER I-LOC", [("PER", 0, 1), ("LOC", 1, 2)]),
        ("I-PER B-PER I-PER", [("PER", 0, 1), ("PER", 1, 3)]),
        ("B-PER O I-PER", [("PER", 0, 1), ("PER", 2, 3)]),
        ("O B-a-b I-a-b", [("a-b", 1, 3)]),
    ],
)
def test_entities_begin_and_end_as_in_conlleval(tags: str, expected: list[tuple[str, int, int]]) -> None:
    assert entities(tags.split()) == [Entity(*one) for one in expected]


def test_an_entity_counts_only_if_both_ends_and_the_kind_are_right() -> None:
    truth = [["B-PER", "I-PER", "O", "B-LOC"], ["B-PER", "O"]]
    found = [["B-PER", "O", "O", "B-LOC"], ["B-LOC", "O"]]
    scores = entity_scores(truth, found)
    assert (scores["precision"], scores["recall"], scores["f1"]) == (1 / 3, 1 / 3, 1 / 3)
    assert scores["accuracy"] == 4 / 6
    assert scores["support"] == 3
    assert scores["per_kind"] == [
        {"kind": "LOC", "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1},
        {"kind": "PER", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 2},
    ]


def test_nothing_to_find_and_nothing_found_is_zero_as_in_conlleval() -> None:
    scores = entity_scores([["O", "O"]], [["O", "O"]])
    assert (scores["precision"], scores["recall"], scores["f1"], scores["accuracy"]) == (0.0, 0.0, 0.0, 1.0)
    assert scores["per_kind"] == []


def test_all_right_is_one() -> None:
    tags = [["B-PER", "I-PER", "O"], ["I-LOC"]]
    assert entity_scores(tags, tags)["f1"] == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_seqeval(seed: int) -> None:
    metrics = pytest.importorskip("seqeval.metrics", reason="seqeval is not installed")
    rng = np.random.default_rng(seed)
    names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    truth = [[names[i] for i in rng.integers(0, 5, size=size)] for size in rng.integers(1, 12, size=30)]
    found = [[tag if rng.random() < 0.7 else names[rng.integers(0, 5)] for tag in row] for row in truth]
    ours = entity_scores(truth, found)
    for name, theirs in (("precision", metrics.precision_score), ("recall", metrics.recall_score), ("f1", metrics.f1_score)):
        assert ours[name] == pytest.approx(theirs(truth, found))
    report = metrics.classification_report(truth, found, output_dict=True)
    for one in ours["per_kind"]:
        assert one["f1"] == pytest.approx(report[one["kind"]]["f1-score"])
        assert one["support"] == report[one["kind"]]["support"]


def test_tags_are_ordered_with_o_first_and_others_refused() -> None:
    assert tag_order(["I-PER", "B-LOC", "B-PER"]) == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert not any(is_tag(tag) for tag in ("", "o", "E-PER", "U-PER", "B", "I-", "PER"))
