"""What `check_task` tells of patterns, words and rows, against the encoder's own answers."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from petkit import checking
from petkit.backbones import MaskedLM, load_masked_lm
from petkit.checking import check_task, spread
from petkit.encoding import Encoder
from petkit.errors import TaskError
from petkit.metrics import evaluate
from petkit.pvp import MASK, Pattern, Task, Text
from petkit.rows import UNLABELED, Rows
from petkit.scoring import plan, score_rows
from petkit.unknowns import REMEDY
from tests.builders import sentences, tiny_masked_lm, tokenizer
from tests.tiny_runs import TOPICS

ROWS = Rows(tuple(f"r{i}" for i in range(12)), {"text": sentences()[:12]}, tuple(i % 3 if i else UNLABELED for i in range(12)))
WORDS = tokenizer("wordpiece")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> MaskedLM:
    return load_masked_lm(str(tiny_masked_lm("bert", tmp_path_factory.mktemp("model"))))


def task(*patterns: Any, verbalizer: dict[str, Any] | None = None) -> Task:
    return Task(name="t", fields=("text",), patterns=patterns, verbalizer=verbalizer or {"World": "World", "Sports": "Sports"})


def test_clozes_show_the_rows_with_the_masks_where_the_model_gets_them() -> None:
    report = check_task(TOPICS, WORDS, rows=ROWS, shown=3)
    for check, pvp in zip(report.patterns, TOPICS.pvps, strict=True):
        encoded = Encoder(WORDS).clozes(ROWS, pvp.pattern, filler="World")
        assert [view.row for view in check.clozes] == ["r0", "r1", "r2"]
        for index, view in enumerate(check.clozes):
            ids = encoded.row(index)
            assert (view.tokens, view.dropped) == (len(ids), 0)
            assert [int(i) for i in np.flatnonzero(ids == WORDS.mask_token_id)] == list(view.slots)
    assert report.patterns[0].clozes[0].text == f"[MASK]: {sentences()[0]}"
    assert report.patterns[1].clozes[0].text == f"{sentences()[0]} ( [MASK] )"
    assert (report.rows, report.labelled, report.head, report.problems) == (12, 11, None, ())


def test_segments_and_several_masks_are_shown() -> None:
    found = check_task(task("{text} || {mask}!", verbalizer={"a": "Sports", "b": "sports world"}), WORDS, rows=ROWS).patterns[0]
    assert found.masks == len(found.clozes[0].slots) == 2
    assert found.clozes[0].text == f"{sentences()[0]} || [MASK][MASK]!"


def test_words_are_told_token_by_token() -> None:
    verbalizer = {"World": "World", "Both": ("Sports", "sportsworld")}
    words = check_task(task("{mask}: {text}", verbalizer=verbalizer), WORDS, rows=ROWS).patterns[0].words
    assert [(word.label, word.word) for word in words] == [("World", "World"), ("Both", "Sports"), ("Both", "sportsworld")]
    assert [word.tokens for word in words][:2] == [("world",), ("sports",)]
    assert words[2].tokens == tuple(WORDS.tokenize("sportsworld"))
    assert all(tuple(WORDS.convert_tokens_to_ids(list(word.tokens))) == word.ids for word in words)


def test_without_rows_a_made_up_one_is_shown() -> None:
    report = check_task(TOPICS, WORDS)
    assert (report.rows, report.labelled) == (0, 0)
    assert report.patterns[0].clozes[0].text == "[MASK]: text"
    assert report.problems == ()


def test_shortening_is_counted() -> None:
    found = check_task(TOPICS, WORDS, rows=ROWS, max_length=16, shown=12).patterns[0]
    lengths = [len(WORDS(f"{WORDS.mask_token}: {text}")["input_ids"]) for text in ROWS.fields["text"]]
    lost = [max(0, length - 16) for length in lengths]
    for view, text, exact in zip(found.clozes, ROWS.fields["text"], lost, strict=True):
        assert view.at_least == bool(re.search(r"\w \w", text[159:]))
        assert 0 < view.dropped <= exact if view.at_least else view.dropped == exact
    assert (found.shortened, found.dropped) == (sum(n > 0 for n in lost), sum(view.dropped for view in found.clozes))
    assert found.at_least
    assert all(view.tokens <= 16 for view in found.clozes)


def test_every_problem_is_named_at_once() -> None:
    def broken(row: dict[str, str]) -> list[Any]:
        return [Text(row["text"])]

    verbalizer = {"World": "World", "Sports": "sports", "Same": "Sports", "Chinese": "\u4e2d"}
    report = check_task(
        task("{mask}: {text}", "x " * 400 + "{text} {mask}", broken, verbalizer=verbalizer), WORDS, rows=ROWS, max_length=32
    )
    first, second, third = (check.problems for check in report.patterns)
    assert first == (
        "the word '\u4e2d' is unknown to the tokenizer; take another",
        "'sports' of 'Sports' and 'Sports' of 'Same' are the same to the tokenizer",
    )
    assert any("does not fit into --max-length 32" in problem and "row 'r0'" in problem for problem in second)
    assert len(third) == 1
    assert third[0] == "the returned list has 0 masks; it needs exactly one (rows 'r0', 'r1', 'r2', 'r3', 'r4' and 7 more)"
    assert len(report.problems) == len(first) + len(second) + len(third)
    assert report.problems[0].startswith("pattern '{mask}: {text}': the word")


def test_a_word_that_merges_with_its_neighbour_is_a_problem() -> None:
    words = tokenizer("bytelevel")
    report = check_task(task("{text} {mask}te", verbalizer={"a": "No", "b": "Yes"}), words, rows=ROWS)
    assert any("'No' shares a token" in problem for problem in report.problems)
    assert check_task(task("{text} {mask}"), words, rows=ROWS).problems == ()


def test_rows_with_a_problem_are_named_wherever_they_are_as_in_a_run() -> None:
    texts = [": one", ": two", "s of it", "name of it", *(f": {i}" for i in range(8))]
    rows = Rows(tuple(f"r{i}" for i in range(12)), {"text": tuple(texts)})
    found = task("{mask}{text}", verbalizer={"a": "number", "b": "file", "same": "Number"})
    with pytest.raises(TaskError) as caught:
        plan(Encoder(WORDS), found.pvps[0], rows)
    (check,) = check_task(found, WORDS, rows=rows).patterns
    assert check.problems == caught.value.problems
    merged = "shares a token with what stands beside {mask}; put blanks around {mask}"
    assert f"the word 'file' {merged} (rows 'r2', 'r3')" in check.problems
    assert check.problems[-1] == "'number' of 'a' and 'Number' of 'same' are the same to the tokenizer"
    assert len(check.words) == 3


def test_accuracy_before_training_counts_labelled_rows_only(model: MaskedLM) -> None:
    report = check_task(TOPICS, WORDS, model=model, rows=ROWS)
    known = ROWS.select(range(1, 12))
    for check, pvp in zip(report.patterns, TOPICS.pvps, strict=True):
        assert check.scores == evaluate(known.labels, score_rows(model, Encoder(WORDS), known, pvp, token_budget=500))
    assert report.head is not None
    assert report.head.status == "unclear"


def test_no_labels_no_accuracy(model: MaskedLM) -> None:
    report = check_task(TOPICS, WORDS, model=model, rows=ROWS.with_labels(()))
    assert [check.scores for check in report.patterns] == [None, None]
    assert (report.labelled, report.head is None) == (0, False)


def test_a_broken_pattern_does_not_hide_the_others(model: MaskedLM) -> None:
    report = check_task(task(Pattern(lambda row: [MASK, MASK]), "{mask}: {text}"), WORDS, model=model, rows=ROWS.with_labels((0, 1) * 6))
    assert [bool(check.problems) for check in report.patterns] == [True, False]
    assert report.patterns[0].clozes == ()
    assert report.patterns[1].scores is not None


def test_progress_is_told(model: MaskedLM) -> None:
    told: list[tuple[int, int]] = []
    check_task(TOPICS, WORDS, rows=ROWS, on_pattern=lambda done, of: told.append((done, of)))
    assert told == [(1, 2), (2, 2)]


def test_rows_are_spread_over_sorted_files() -> None:
    rows = Rows(tuple(map(str, range(100))), {"text": ("x",) * 100}, (0,) * 50 + (1,) * 50)
    assert spread(rows, 10).labels == (0,) * 5 + (1,) * 5
    assert spread(rows, 100) is rows
    assert len(spread(rows, 99)) == 99 == len(set(spread(rows, 99).ids))
    assert list(spread(rows, 37).ids) == sorted(spread(rows, 37).ids, key=int)


@pytest.mark.parametrize("period", [2, 3, 4, 5])
def test_rows_that_alternate_are_all_among_those_spread(period: int) -> None:
    rows = Rows(tuple(map(str, range(2400))), {"text": ("x",) * 2400}, tuple(i % period for i in range(2400)))
    found = spread(rows, 200).labels
    assert all(0.7 < period * found.count(kind) / 200 < 1.3 for kind in range(period))


CHINESE = "\u8fd9\u91cc\u5f88\u597d"


def of_texts(*texts: str) -> Rows:
    return Rows(tuple(f"r{i}" for i in range(len(texts))), {"text": texts}, tuple(i % 2 for i in range(len(texts))))


def test_a_tokenizer_that_knows_no_token_is_one_problem_among_the_others(model: MaskedLM) -> None:
    found = task("{mask}: {text}", verbalizer={"World": "World", "Chinese": "\u4e2d"})
    report = check_task(found, WORDS, model=model, rows=of_texts(CHINESE, CHINESE))
    assert report.unknown == 1
    assert report.head is not None
    assert report.head.status == "unclear"
    assert report.problems == (
        f"the tokenizer knows no token of the rows; {REMEDY}",
        "pattern '{mask}: {text}': the word '\u4e2d' is unknown to the tokenizer; take another",
    )
    assert report.patterns[0].clozes[0].text == f"[MASK]: {CHINESE}"
    assert check_task(found, WORDS, rows=of_texts(CHINESE)).problems == report.problems, "without a model"
    assert not check_task(TOPICS, tokenizer("bytelevel"), rows=of_texts(CHINESE)).problems


def test_a_tokenizer_that_knows_a_token_of_a_later_row_is_no_problem(model: MaskedLM) -> None:
    for given in ({"model": model}, {}):
        report = check_task(TOPICS, WORDS, rows=of_texts(*[CHINESE] * 250, "world"), **given)
        assert (report.unknown, report.of_rows) == (1000 / 1001, ())
    assert check_task(TOPICS, WORDS, rows=of_texts(*[CHINESE] * 251)).of_rows


def test_unknown_tokens_are_counted_once(model: MaskedLM, monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(*_: object) -> float:
        raise AssertionError("the head's report has the share")

    monkeypatch.setattr(checking, "unknown_share", twice)
    assert check_task(TOPICS, WORDS, model=model, rows=of_texts(f"{CHINESE} world", "sports world")).unknown == 4 / 7


def test_unknown_tokens_are_counted_in_real_rows_only(model: MaskedLM) -> None:
    report = check_task(TOPICS, WORDS, model=model, rows=of_texts(f"{CHINESE} world", "sports world"))
    assert (report.unknown, report.problems) == (4 / 7, ())
    assert check_task(TOPICS, WORDS).unknown is None
