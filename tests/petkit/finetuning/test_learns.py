"""Each kind learns a small made task, on rows that it has not seen, far above what guessing gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from petkit.finetuning import FinetuneSettings, finetune
from petkit.objectives import stream
from tests.petkit.finetuning.tiny import conll, jsonl, reader, writer

pytestmark = pytest.mark.slow

FILLERS = [
    "the",
    "array",
    "of",
    "all",
    "values",
    "is",
    "here",
    "and",
    "was",
    "not",
    "what",
    "we",
    "had",
    "when",
    "it",
    "ran",
    "with",
    "some",
]
NAMES = [
    "index",
    "shape",
    "axis",
    "order",
    "output",
    "input",
    "type",
    "size",
    "value",
    "list",
    "file",
    "line",
    "text",
    "data",
    "key",
    "item",
]
UNSEEN = ["range", "copy", "count", "mean", "string"]


def drawn(rng: Any, words: Sequence[str], count: int) -> list[str]:
    return [words[i] for i in rng.integers(0, len(words), size=count)]


def topics(name: str, count: int) -> list[dict[str, Any]]:
    """The label is told by one word, wherever it stands."""
    rng, rows = stream(1, name), []
    for i in range(count):
        words = drawn(rng, FILLERS, int(rng.integers(4, 14)))
        words.insert(int(rng.integers(0, len(words) + 1)), ("numpy", "python", "class")[i % 3])
        rows.append({"text": " ".join([*words, str(i)]), "label": ("first", "second", "third")[i % 3], "score": (i % 3) * 2.5})
    return rows


@pytest.mark.parametrize(("family", "rate"), [("builtin", 5e-4), ("gpt2", 3e-3)])
def test_classifiers_learn_which_word_tells_the_label(family: str, rate: float, tmp_path: Path) -> None:
    model = "builtin" if family == "builtin" else str(reader("gpt2", tmp_path / "m"))
    files = {name: jsonl(tmp_path / f"{name}.jsonl", topics(name, count)) for name, count in (("train", 400), ("test", 120))}
    settings = FinetuneSettings(steps=100, batch=16, learning_rate=rate, max_length=40)
    scores = finetune("classify", model=model, **files, out=tmp_path / "run", settings=settings).report["test"]
    assert scores["accuracy"] > 0.9, "guessing gives 0.33"
    assert scores["macro_f1"] > 0.9
    assert scores["mcc"] > 0.85


def sentences_with_names(name: str, count: int, words: Sequence[str]) -> list[tuple[list[str], list[str]]]:
    """A name follows "named", a place of two words follows "near"."""
    rng, rows = stream(2, name), []
    for _ in range(count):
        tokens, tags = [], []
        for _ in range(int(rng.integers(1, 4))):
            filler = drawn(rng, FILLERS, int(rng.integers(2, 6)))
            tokens += filler
            tags += ["O"] * len(filler)
            kind = int(rng.integers(0, 2))
            tokens += ["named", *drawn(rng, words, 1)] if kind else ["near", *drawn(rng, words, 2)]
            tags += ["O", "B-NAME"] if kind else ["O", "B-PLACE", "I-PLACE"]
        rows.append((tokens, tags))
    return rows


def test_a_tagger_finds_names_that_it_has_not_seen(tmp_path: Path) -> None:
    train = conll(tmp_path / "train.conll", sentences_with_names("train", 400, NAMES))
    test = conll(tmp_path / "test.conll", sentences_with_names("test", 100, [*NAMES, *UNSEEN]))
    settings = FinetuneSettings(steps=100, batch=16, learning_rate=5e-4, max_length=16, stride=6)
    found = finetune("tag", model="builtin", train=train, test=test, out=tmp_path / "run", settings=settings).report
    assert found["trained"]["counts"]["sentences longer than --max-length, read in windows"] > 20
    assert found["test"]["f1"] > 0.9, "all O gives 0"
    assert {one["kind"] for one in found["test"]["per_kind"] if one["f1"] > 0.85} == {"NAME", "PLACE"}


def questions(name: str, count: int, *, none: bool = False) -> list[dict[str, Any]]:
    """Long contexts with a colour and a number in them; the question says which one is asked for. ``none``: a third has neither."""
    rng, rows = stream(3, name), []
    for i in range(count):
        facts = {"colour": drawn(rng, ["red", "blue", "green", "black"], 1)[0], "number": str(int(rng.integers(10, 99)))}
        parts = [f"its colour: {facts['colour']} .", f"its number: {facts['number']} ."]
        asked = ("colour", "number")[i % 2]
        if none and i % 3 == 0:
            parts = []
        pieces = [" ".join(drawn(rng, FILLERS, int(rng.integers(3, 12)))) for _ in range(len(parts) + 1)]
        order = rng.permutation(len(parts))
        context = " ".join([pieces[0], *(f"{parts[k]} {pieces[n + 1]}" for n, k in enumerate(order))])
        place = context.find(f"its {asked}: ")
        answers = [] if place < 0 else [{"text": facts[asked], "answer_start": place + len(f"its {asked}: ")}]
        rows.append({"id": f"{name}{i}", "context": context, "question": f"which {asked} ?", "answers": answers})
    return rows


@pytest.mark.parametrize("none", [False, True])
def test_answers_are_found_in_long_contexts_or_said_to_be_missing(none: bool, tmp_path: Path) -> None:
    files = {name: jsonl(tmp_path / f"{name}.jsonl", questions(name, count, none=none)) for name, count in (("train", 500), ("test", 150))}
    settings = FinetuneSettings(steps=300, batch=16, learning_rate=5e-4, max_length=32, stride=12, no_answer=none or None)
    found = finetune("answer", model="builtin", **files, out=tmp_path / "run", settings=settings).report
    assert found["trained"]["windows"] > 1.3 * found["rows"]["train"], "or no context is long"
    assert found["test"]["exact_match"] > (65 if none else 75), "either of the two gives 50, and 33 where a third has neither"
    assert found["test"]["f1"] >= found["test"]["exact_match"]
    if none:
        assert found["test"]["exact_match_unanswerable"] > 80


@pytest.mark.parametrize("target", ["label", "similarity", "text"])
def test_texts_are_written(target: str, tmp_path: Path) -> None:
    files = {name: jsonl(tmp_path / f"{name}.jsonl", topics(name, count)) for name, count in (("train", 400), ("test", 60))}
    column = "score" if target == "similarity" else "label"
    settings = FinetuneSettings(
        steps=250, batch=32, learning_rate=5e-3, target=target, label_column=column, prefix="say:", longest_target=8, beams=2
    )
    model = writer("t5", tmp_path / "m")
    scores = finetune("generate", model=str(model), **files, out=tmp_path / "run", settings=settings).report["test"]
    if target == "label":
        assert scores["accuracy"] > 0.85, "guessing gives 0.33"
        assert scores["outside"] < 5
    elif target == "similarity":
        assert scores["pearson"] > 0.85, "guessing gives 0"
        assert scores["not_numbers"] < 5
    else:
        assert scores["exact_match"] > 85, "guessing gives 33"
