"""Paragraphs that are tokenised one by one and joined are the text that they were: no two words run together."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from petkit.objectives import Vocabulary, preset
from petkit.pretraining.architectures import ARCHITECTURES
from petkit.pretraining.packing import row_source
from petkit.pretraining.sections import set_apart, wants_blanks
from petkit.pretraining.settings import PretrainSettings
from petkit.pretraining.texts import InMemory, read_texts
from petkit.pretraining.tokenizers import new_tokenizer
from petkit.pretraining.tokens import SplitTokens, tokenize_split

PARAGRAPHS = ["CHAPTER ONE", "Down the rabbit hole went Alice", "Nobody saw her. Not once. She went there again"]
DOCUMENTS = [PARAGRAPHS * 3 for _ in range(12)]
WORDS = {word for paragraph in PARAGRAPHS for word in paragraph.replace(".", " .").split()}
BYTELEVEL = ("roberta", "gpt2", "bart", "modernbert")


@cache
def tokenizer_of(architecture: str) -> Any:
    kind = ARCHITECTURES[architecture].tokenizer
    return new_tokenizer(kind, lambda: (p for d in set_apart(DOCUMENTS) for p in d), size=400, architecture=architecture)


def tokens_of(architecture: str, folder: Path, **more: Any) -> SplitTokens:
    return tokenize_split(DOCUMENTS, tokenizer_of(architecture), folder, held_out=0.1, seed=0, **more)


def test_which_tokenizers_tell_a_word_after_a_blank_from_one_at_the_start() -> None:
    assert {name for name in ARCHITECTURES if wants_blanks(tokenizer_of(name))} == set(BYTELEVEL)


def test_a_blank_comes_before_all_but_the_first_and_none_is_doubled() -> None:
    given = [["", "one", "two", " three", ""], [], ["four"]]
    assert list(set_apart(given)) == [["", "one", " two", " three", ""], [], ["four"]]


@pytest.mark.parametrize("architecture", [*BYTELEVEL, "bert", "t5"])
def test_a_document_has_the_tokens_of_its_whole_text(architecture: str, tmp_path: Path) -> None:
    """The sections of a short text are the documents of the file: they begin with the blank, but for the first of each document."""
    tokenizer, train = tokenizer_of(architecture), tokens_of(architecture, tmp_path / "t").train
    whole = " ".join(PARAGRAPHS * 3)
    begins = {tuple(tokenizer(lead + whole[at:], add_special_tokens=False)["input_ids"]) for lead, at in starts(whole)}
    for start, stop in zip(train.starts[:-1], train.starts[1:], strict=True):
        found = tuple(train.ids[start:stop].tolist())
        assert any(ids[: len(found)] == found for ids in begins)


def starts(whole: str) -> list[tuple[str, int]]:
    """Where a section can begin in the text of a document, and what stands before it."""
    places = {whole.index(paragraph, at) for paragraph in PARAGRAPHS for at in range(len(whole)) if paragraph in whole[at:]}
    return [(" " if at else "", at) for at in sorted(places)]


def read_back(tokenizer: Any, ids: Any) -> list[str]:
    """The words of a row as text, without special tokens."""
    return str(tokenizer.decode([i for i in ids if i not in tokenizer.all_special_ids])).replace(".", " .").split()


OBJECTIVES = {"roberta": "whole-word", "gpt2": "causal", "bart": "bart", "modernbert": "ngram"}


@pytest.mark.parametrize("architecture", BYTELEVEL)
def test_rows_hold_no_words_that_run_together(architecture: str, tmp_path: Path) -> None:
    tokenizer, objective = tokenizer_of(architecture), preset(OBJECTIVES[architecture])
    words, rows = (
        Vocabulary.of(tokenizer),
        row_source(tokens_of(architecture, tmp_path / "t").train, objective, vocabulary_of(architecture), length=48, seed=0),
    )
    chosen = np.arange(len(rows))
    frame = {"cls_id": words.cls_id, "sep_id": words.sep_id, "pad_id": words.pad_id} if words.cls_id is not None else {}
    ids = rows.rows(chosen, **(frame if objective.name in ("whole-word", "ngram") else {}))[0]  # type: ignore[attr-defined]
    seen = [word for row in ids for word in read_back(tokenizer, row)]
    edges = 2 * len(ids) if objective.name in ("causal", "bart") else 0  # rows of a stream may cut the words at their ends
    assert sum(word not in WORDS for word in seen) <= edges
    assert len(seen) > 20 * len(ids) // 4


def vocabulary_of(architecture: str) -> Vocabulary:
    return Vocabulary.of(tokenizer_of(architecture))


@pytest.mark.parametrize("architecture", BYTELEVEL)
def test_words_are_those_of_the_text(architecture: str, tmp_path: Path) -> None:
    """Word ids, by which whole words, n-grams, SpanBERT and BART's infilling go."""
    tokenizer, train = tokenizer_of(architecture), tokens_of(architecture, tmp_path / "t").train
    for start, stop in zip(train.starts[:-1], train.starts[1:], strict=True):
        ids = train.ids[start:stop].astype(np.int64)
        begins = np.flatnonzero(np.diff(vocabulary_of(architecture).words(ids[None, :])[0], prepend=-1))
        assert {tokenizer.decode(part).strip() for part in np.split(ids, begins[1:])} <= WORDS
        inside = train.paragraphs[(train.paragraphs >= start) & (train.paragraphs < stop)] - start
        assert set(inside) <= set(begins)


def test_pairs_hold_no_words_that_run_together(tmp_path: Path) -> None:
    tokenizer, objective = tokenizer_of("roberta"), preset("nsp")
    words, rows = (
        vocabulary_of("roberta"),
        row_source(tokens_of("roberta", tmp_path / "t").train, objective, vocabulary_of("roberta"), length=64, seed=0),
    )
    batch = rows.batch(np.arange(len(rows)), objective, words, np.random.default_rng(0))
    ids = batch.masked.inputs.copy()
    ids.reshape(-1)[batch.masked.positions] = batch.masked.targets
    for row in ids:
        text = read_back(tokenizer, row)
        assert sum(word not in WORDS for word in text) <= 4  # a pair that is too long is cut at both ends of its texts
        assert not {"againCHAPTER", "ONEDown", "AliceNobody"} & set(text)


def test_a_segmenters_words_begin_behind_the_blank(tmp_path: Path) -> None:
    train = tokens_of("roberta", tmp_path / "t", segment=lambda text: [text[:1], text[1:]] if text[:1] == " " else [text]).train
    assert train.begins is not None
    assert np.array_equal(np.flatnonzero(train.begins), train.paragraphs[:-1])


def test_a_new_tokenizer_learns_from_the_text_as_it_is_read(tmp_path: Path) -> None:
    settings = PretrainSettings(steps=1, arch="gpt2", objectives=("causal",), vocabulary=500, hidden=64, held_out=0.1)
    tokenizer, _ = read_texts(
        {"text": InMemory([["start", *["Zebra stripes"] * 30] for _ in range(4)])}, settings, tmp_path, tmp_path / "t"
    )
    assert tokenizer.tokenize(" Zebra") == ["\u0120Zebra"]
    assert len(tokenizer.tokenize("Zebra")) > 1  # it never came without a blank
