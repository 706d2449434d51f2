"""Phrases of the text as units of tokens: exactly those that its spans reach, kept apart in the cache, masked whole."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from petkit.errors import DataError, SettingsError
from petkit.objectives import Vocabulary, preset, stream
from petkit.pretraining import PretrainSettings, run_pretraining
from petkit.pretraining.given import goes_by_segmenter, goes_by_units
from petkit.pretraining.marked import Marked, given_spans, marked_paragraphs
from petkit.pretraining.packing import PackedRows, row_source
from petkit.pretraining.tasks import make_tasks
from petkit.pretraining.texts import InMemory
from petkit.pretraining.tokens import SplitTokens, TokenFile, split_tokens, tokenize_split
from petkit.pretraining.unitflags import marked_encoder, set_marked_apart
from tests.builders import docstrings, tokenizer
from tests.petkit.pretraining.test_run import SMALL, documents

NAME = re.compile(r"[A-Z]\w+(?: [a-z]\w+)?")
"""A word with a capital and the one behind it: what the tests call a phrase."""


def names(text: str) -> list[list[int]]:
    return [list(match.span()) for match in NAME.finditer(text)]


def rows(count: int = 60) -> list[dict[str, Any]]:
    """Texts with line ends, indents and blank lines as they stand, and two columns of spans."""
    return [{"text": text, "names": names(text), "first": names(text)[:1]} for text in docstrings()[:count]]


def source(folder: Path, given: list[dict[str, Any]] | None = None) -> str:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in given or rows()))
    return str(path)


def kept(path: str, cache: Path, words: Any, units: str | None = "names") -> SplitTokens:
    return split_tokens([path], column="text", tokenizer=words, cache=cache, held_out=0.2, seed=1, units=units)


def flags(tokens: SplitTokens) -> dict[tuple[int, ...], list[bool]]:
    """By the ids of each document, which of them begin a unit."""
    found: dict[tuple[int, ...], list[bool]] = {}
    for part in (tokens.train, tokens.held):
        assert part.begins is not None
        found |= {tuple(part.ids[a:b].tolist()): part.begins[a:b].tolist() for a, b in pairwise(part.starts)}
    return found


def by_offsets(words: Any, text: str, spans: list[list[int]]) -> tuple[tuple[int, ...], list[bool]]:
    """The ids of a text and which begin a unit, by a loop over the tokenizer's own offsets into the text as it stands in its row."""
    found = words(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    word = Vocabulary.of(words).words(np.array([found["input_ids"]]))[0].tolist()
    begins, before, end = [], None, 0
    for number, (start, stop) in zip(word, found["offset_mapping"], strict=True):
        start += len(text[start:]) - len(text[start:].lstrip())  # a blank before a word is no part of it, though some tokenizers say so
        span = next((i for i, (a, b) in enumerate(spans) if start < b and a < max(stop, start + 1)), None)
        new_paragraph = re.search(r"\n\s*\n", text[end:start]) is not None
        begins.append(not begins or new_paragraph or span != before[1] or (span is None and number != before[0]))
        before, end = (number, span), stop
    return tuple(found["input_ids"]), begins


# Exactly the tokens that a span reaches


def test_units_of_wordpiece_are_those_of_the_offsets_into_the_row(tmp_path: Path) -> None:
    words = tokenizer("wordpiece")
    found = flags(kept(source(tmp_path), tmp_path / "cache", words))
    expected = dict(by_offsets(words, row["text"], row["names"]) for row in rows())
    assert found == expected
    assert sum(len(row["names"]) for row in rows()) > 200


@pytest.mark.parametrize("name", ["wordpiece", "bytelevel", "modernbert", "unigram"])
def test_units_of_texts_without_line_ends_are_those_of_the_offsets_for_every_tokenizer(name: str, tmp_path: Path) -> None:
    """Spans end anywhere, inside of words and of pieces too."""
    words, rng = tokenizer(name), stream(3)
    given = []
    for text in (
        "Caf\u00e9 \u00dcnderland na\u00efve \u5317\u4eac\u5927\u5b66 end",
        *(" ".join(text.split()) for text in docstrings()[:12]),
    ):
        bounds = np.unique(rng.integers(0, len(text) + 1, size=2 * (len(text) // 30)))
        spans = [[int(a), int(b)] for a, b in list(pairwise(bounds))[:: 2 if len(given) % 2 else 1] if text[a:b].strip()]
        spans = [[b - len(text[a:b].lstrip()), a + len(text[a:b].rstrip())] for a, b in spans]
        given.append({"text": text, "names": spans})
    found = flags(kept(source(tmp_path, given), tmp_path / "cache", words))
    assert found == dict(by_offsets(words, row["text"], row["names"]) for row in given)


@pytest.mark.parametrize("name", ["wordpiece", "bytelevel", "unigram"])
def test_phrases_of_later_paragraphs_are_whole_units(name: str) -> None:
    text = "It was\tNew  York,\nof course.\n\nThe Wall\r\nStreet number\n\n  graph of tables "
    spans = [
        [text.index(first), text.index(last) + len(last)] for first, last in (("New", "York"), ("Wall", "Street"), ("graph", "tables"))
    ]
    words = tokenizer(name)
    (document,) = (
        set_marked_apart([marked_paragraphs(text, given_spans(spans, text))])
        if name == "bytelevel"
        else [marked_paragraphs(text, given_spans(spans, text))]
    )
    units = []
    for ids, begins in marked_encoder(words, np.dtype("<u2"))(document):
        assert (ids.dtype, begins is not None and begins.dtype) == (np.uint16, np.bool_)
        starts = np.flatnonzero(begins)
        units += [words.decode(ids[a:b]).strip() for a, b in pairwise([*starts, len(ids)])]
    folded = [unit.lower() for unit in units]
    assert folded == ["it", "was", "new york", ",", "of", "course", ".", "the", "wall street", "number", "graph of tables"]


def test_phrases_of_characters_without_blanks_between_them() -> None:
    from petkit.pretraining.wordpiece import train_wordpiece

    text = "\u6211\u6765\u5230\u5317\u4eac\u6e05\u534e\u5927\u5b66"  # 我来到 北京 清华大学
    words = train_wordpiece([text], size=50)
    ((_, begins),) = marked_encoder(words, np.dtype("<u2"))(marked_paragraphs(text, given_spans([[3, 5], [5, 9]], text)))
    assert begins is not None
    assert np.flatnonzero(begins).tolist() == [0, 1, 2, 3, 5]


def test_paragraphs_apart_keep_their_phrases() -> None:
    given = [Marked("", np.zeros((0, 2), np.int64)), Marked("a b", np.array([[2, 3]])), Marked("c d", np.array([[0, 1]]))]
    ((nothing, first, second),) = set_marked_apart([given])
    assert (nothing.text, first.text, second.text) == ("", "a b", " c d")
    assert (first.spans.tolist(), second.spans.tolist()) == ([[2, 3]], [[1, 2]])


# The cache


def test_tokens_of_two_columns_are_not_confused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words, path = tokenizer("wordpiece"), source(tmp_path)
    found = {units: kept(path, tmp_path / "cache", words, units) for units in (None, "names", "first")}
    assert len([folder for folder in (tmp_path / "cache").iterdir() if folder.is_dir()]) == 3
    assert found[None].train.begins is None
    assert flags(found["names"]).keys() == flags(found["first"]).keys()
    assert flags(found["names"]) != flags(found["first"])
    monkeypatch.setattr("petkit.pretraining.tokens.tokenize_split", None)
    for units in ("names", "first"):
        assert flags(kept(path, tmp_path / "cache", words, units)) == flags(found[units])
    assert np.array_equal(found["names"].train.ids, found[None].train.ids)  # only the flags are another


def test_spans_that_cannot_be_leave_no_tokens(tmp_path: Path) -> None:
    path = source(tmp_path, [*rows(20), {"text": "One.", "names": [[0, 9]]}])
    with pytest.raises(DataError, match=r"rows\.jsonl: row 21: column 'names' holds \[0, 9\], which is beyond the text"):
        kept(path, tmp_path / "cache", tokenizer("wordpiece"))
    assert [folder for folder in (tmp_path / "cache").iterdir() if folder.is_dir()] == []


# Masks


def test_masks_come_in_whole_units(tmp_path: Path) -> None:
    words = tokenizer("bytelevel")
    vocabulary, ernie = Vocabulary.of(words), preset("ernie")
    part = kept(source(tmp_path), tmp_path / "cache", words).train
    rows_ = row_source(part, ernie, vocabulary, length=64, seed=0)
    assert isinstance(rows_, PackedRows)
    chosen = np.arange(len(rows_))
    ids, valid, begins = rows_.rows(chosen, cls_id=words.cls_token_id, sep_id=words.sep_token_id, pad_id=words.pad_token_id)
    assert begins is not None
    maskable = valid & ~vocabulary.special[ids]
    phrases_masked = 0
    for step in range(3):
        batch = rows_.batch(chosen, ernie, vocabulary, stream(1, step=step))
        selected = np.zeros(ids.shape, dtype=bool)
        selected.reshape(-1)[batch.positions] = True
        for row in range(len(ids)):
            unit = np.cumsum(begins[row])
            for number in np.unique(unit[selected[row]]):
                mine = (unit == number) & maskable[row]
                assert selected[row][mine].all()
                phrases_masked += len(np.unique(vocabulary.words(ids[row][mine][None]))) > 1
    assert phrases_masked > 20  # several words at once, which whole words would not give


def test_other_objectives_of_a_mix_go_by_their_own_words(tmp_path: Path) -> None:
    words = tokenizer("wordpiece")
    plain, marked = (kept(source(tmp_path), tmp_path / "cache", words, units) for units in (None, "names"))
    settings = PretrainSettings(steps=1, objectives=("whole-word", "mlm", "ernie"), units="names")
    tasks = make_tasks({"text": marked}, settings, Vocabulary.of(words))
    assert [task.train.tokens.begins is not None for task in tasks] == [False, False, True]
    alone = row_source(plain.train, preset("whole-word"), Vocabulary.of(words), length=128, seed=settings.seed)
    arguments = (np.arange(4), preset("whole-word"), Vocabulary.of(words))
    one, other = (rows_.batch(*arguments, stream(1)) for rows_ in (alone, tasks[0].train))
    assert np.array_equal(one.positions, other.positions)


def test_objectives_around_a_masked_one_go_by_its_units() -> None:
    found = {name: (goes_by_units(preset(name)), goes_by_segmenter(preset(name))) for name in ("mlm", "electra", "ernie", "chinese-words")}
    assert found == {"mlm": (False, False), "electra": (False, False), "ernie": (True, False), "chinese-words": (True, True)}
    assert goes_by_units(replace(preset("electra"), masked=preset("ernie")))


# Settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objectives": ("ernie",)}, "--objective ernie goes by units that must come with the text; --units names the column"),
        ({"objectives": ("mlm",), "units": "names"}, "units is 'names'; --units is legal with --objective ernie"),
        ({"objectives": ("chinese-words",), "units": "names"}, "units is 'names'; --units is legal with --objective ernie"),
        ({"objectives": ("chinese-words", "ernie"), "units": "names"}, "ernie goes by a column's units and chinese-words by a segmenter's"),
    ],
)
def test_units_without_their_objective_and_the_other_way_round_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        PretrainSettings(steps=1, **changes)
    assert PretrainSettings(steps=1, objectives=("mlm", "ernie"), units="names").units == "names"


def test_documents_in_memory_have_no_column(tmp_path: Path) -> None:
    settings = PretrainSettings(steps=1, objectives=("ernie",), units="names")
    with pytest.raises(SettingsError, match="units is 'names', a column, and documents in memory have none"):
        InMemory([["One."]]).tokens(tokenizer("wordpiece"), settings, tmp_path, None)


def test_marked_paragraphs_of_ones_own_are_tokenised(tmp_path: Path) -> None:
    documents_ = [marked_paragraphs("The Wall Street number", np.array([[4, 15]])) for _ in range(10)]
    part: TokenFile = tokenize_split(documents_, tokenizer("wordpiece"), tmp_path / "a", held_out=0.2, seed=0, marked=True).train
    assert part.begins is not None
    first = part.begins[: part.starts[1]]
    assert np.flatnonzero(first).tolist() == [0, 1, len(first) - 1]


# A run


def sentences_with_places(folder: Path) -> str:
    """Sentences that all have a place, of two words and marked."""
    place = re.compile(r"(garden|kitchen|harbour) because")
    given = [{"text": text, "names": [list(match.span()) for match in place.finditer(text)]} for (text,) in documents()]
    return source(folder, given)


@pytest.mark.slow
def test_a_run_learns_and_is_the_same_with_workers_and_after_a_stop(tmp_path: Path) -> None:
    path = sentences_with_places(tmp_path)
    settings = PretrainSettings(**{**SMALL, "steps": 60, "objectives": ("mlm", "ernie"), "units": "names", "measure_every": 20})  # type: ignore[arg-type]
    found = run_pretraining([path], settings, str(tmp_path / "a"))
    points = map(json.loads, (tmp_path / "a" / "curves.jsonl").read_text().splitlines())
    losses = [point["held out/ernie/mlm"] for point in points if "held out/ernie/mlm" in point]
    assert losses[-1] == found["held_out"]["ernie/mlm"] < 0.6 * losses[0]

    class Stopped(Exception):
        pass

    def stop(event: Any) -> None:
        if event.kind == "progress" and event.done >= 30:
            raise Stopped

    with pytest.raises(Stopped):
        run_pretraining([path], settings, str(tmp_path / "b"), on_event=stop)
    again = run_pretraining([path], settings, str(tmp_path / "b"))
    beside = run_pretraining([path], replace(settings, workers=2), str(tmp_path / "c"))
    for other in (again, beside):
        assert {**other, "model": ""} == {**found, "model": ""}
