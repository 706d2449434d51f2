"""Answers: windows, positions and loss against transformers' own; decoding over windows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForQuestionAnswering

from petkit.backbones.plain import save_for_pipelines
from petkit.batching import collate
from petkit.errors import DataError, SettingsError
from petkit.finetuning import FinetuneSettings
from petkit.finetuning.answer import ANSWER, LONGEST_QUESTION, ask, targets
from petkit.finetuning.kind import Job
from petkit.finetuning.rows import Question
from petkit.finetuning.squad import read_questions
from tests.builders import FAMILIES, tokenizer
from tests.petkit.finetuning.tiny import TEXTS, encoder, job_for


def question(number: int, *, at: int = 4) -> Question:
    """A question whose answer is some words of a long context."""
    context = " ".join([*TEXTS, *TEXTS][2 * number : 2 * number + 5])
    words = context.split(" ")
    start = len(" ".join(words[:at])) + 1
    return Question(f"q{number}", context, f"Which words are number {number}?", [" ".join(words[at : at + 2])], [start])


ROWS = [question(i, at=4 + 3 * i) for i in range(6)]


def job(folder: Path, family: str = "bert", **settings: Any) -> Job:
    return job_for(ANSWER, encoder(family, folder), FinetuneSettings(**{"max_length": 48, "stride": 8, **settings}))


def answerer(folder: Path, chosen: Job) -> Any:
    model = ANSWER.open(str(folder), chosen, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0 if parameter.ndim > 1 else 1.0)
    return model.eval()


@pytest.mark.parametrize("family", list(FAMILIES))
def test_windows_are_those_of_the_tokenizer(family: str) -> None:
    words = tokenizer(FAMILIES[family][0])
    asked = ask(words, ROWS, max_length=40, stride=6)
    theirs = words(
        [row.question for row in ROWS],
        [row.context for row in ROWS],
        truncation="only_second",
        max_length=40,
        stride=6,
        return_overflowing_tokens=True,
        return_token_type_ids=True,
    )
    assert [asked.encoded.row(w).tolist() for w in range(len(asked.encoded))] == theirs["input_ids"]
    assert asked.owner.tolist() == theirs["overflow_to_sample_mapping"]
    for window, types in enumerate(theirs["token_type_ids"]):
        assert asked.encoded.types[asked.encoded.offsets[window] : asked.encoded.offsets[window + 1]].tolist() == types
        inside = [k for k, owner in enumerate(theirs.sequence_ids(window)) if owner == 1]
        assert asked.leads[window] == inside[0]
        assert np.diff(asked.parts[window]).tolist() == [len(inside)]


@pytest.mark.parametrize("family", list(FAMILIES))
def test_positions_hold_the_answer_where_it_is_whole_and_else_the_first_token(family: str) -> None:
    words = tokenizer(FAMILIES[family][0])
    asked = ask(words, ROWS, max_length=40, stride=6)
    found, short = targets(asked, ROWS), set()
    assert len(found) == len(asked.encoded)
    for window, (first, last) in enumerate(found.tolist()):
        row, context = ROWS[int(asked.owner[window])], asked.contexts[int(asked.owner[window])]
        answer, start = (row.answers or [""])[0], row.starts[0]
        shown = set(range(*asked.parts[window].tolist()))
        touching = {k for k, (a, b) in enumerate(zip(context.starts, context.ends, strict=True)) if a < start + len(answer) and b > start}
        if len(touching) <= 6:  # neighbouring windows share as many
            short.add(int(asked.owner[window]))
        if (first, last) == (0, 0):
            assert not touching <= shown
            continue
        held = [k - int(asked.leads[window]) + int(asked.parts[window][0]) for k in (first, last)]
        assert held == [min(touching), max(touching)]
        assert row.context[context.starts[held[0]] : context.ends[held[1]]].strip().startswith(answer[:1])
    assert short <= set(asked.owner[found.any(axis=1)].tolist())
    assert len(short) >= 3, "or little is tried"


def test_the_loss_is_that_of_transformers_positions(tmp_path: Path) -> None:
    chosen = job(tmp_path)
    model, lessons = answerer(tmp_path, chosen), ANSWER.lessons(ROWS, chosen)
    every = np.arange(len(lessons.encoded))
    batch, wanted = (
        collate(lessons.encoded, every, pad_id=0),
        torch.from_numpy(targets(ask(chosen.tokenizer, ROWS, max_length=48, stride=8), ROWS)),
    )
    assert (batch.attention_mask == 0).any(), "or padding is not tried"
    theirs = []
    for row, (start, end) in zip(every, wanted, strict=True):
        alone = collate(lessons.encoded, [row], pad_id=0)
        inputs = {"input_ids": alone.input_ids, "attention_mask": alone.attention_mask, "token_type_ids": alone.token_type_ids}
        theirs.append(model(**inputs, start_positions=start[None], end_positions=end[None]).loss)
    torch.testing.assert_close(lessons.loss(model, batch, every), torch.stack(theirs).mean())


def test_answers_are_the_best_span_of_all_windows(tmp_path: Path) -> None:
    chosen = job(tmp_path, longest_answer=5, n_best=3)
    model = answerer(tmp_path, chosen)
    found = ANSWER.predict(model, ROWS, chosen)
    for row, prediction in zip(ROWS, found, strict=True):
        best = _looked_at_each(model, chosen, row)
        assert prediction["answer"] == row.context[best[1] : best[2]].strip()
        assert prediction["n_best"][0]["score"] == pytest.approx(best[0], abs=1e-3)
        assert row.context[prediction["start"] :].startswith(prediction["answer"])
        scores = [one["score"] for one in prediction["n_best"]]
        assert scores == sorted(scores, reverse=True)
        assert len({(one["start"], one["answer"]) for one in prediction["n_best"]}) == 3


def _looked_at_each(model: Any, chosen: Job, row: Question) -> tuple[float, int, int]:
    """The best span by the tokenizer's own windows, offsets and sequence numbers, one pair after the other."""
    theirs = chosen.tokenizer(
        row.question,
        row.context,
        truncation="only_second",
        max_length=48,
        stride=8,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    best = (-np.inf, 0, 0)
    for window, (ids, types) in enumerate(zip(theirs["input_ids"], theirs["token_type_ids"], strict=True)):
        with torch.no_grad():
            out = model(torch.tensor([ids]), token_type_ids=torch.tensor([types]))
        inside = [k for k, owner in enumerate(theirs.sequence_ids(window)) if owner == 1]
        for i in inside:
            for j in inside:
                if i <= j < i + 5:
                    score = float(out.start_logits[0, i] + out.end_logits[0, j])
                    offsets = theirs["offset_mapping"][window]
                    best = max(best, (score, offsets[i][0], offsets[j][1]))
    return best


def test_there_is_no_answer_above_the_threshold_only(tmp_path: Path) -> None:
    chosen = job(tmp_path, no_answer=True)
    model = answerer(tmp_path, chosen)
    difference = [one["null_difference"] for one in ANSWER.predict(model, ROWS, chosen)]
    for threshold in (min(difference) - 1, float(np.median(difference)), max(difference) + 1):
        settings = replace(chosen.settings, null_threshold=threshold)
        found = ANSWER.predict(model, ROWS, replace(chosen, settings=settings))
        assert [one["answer"] == "" for one in found] == [value > threshold for value in difference]
        assert [one["start"] is None for one in found] == [one["answer"] == "" for one in found]
        assert all(sum(n["probability"] for n in one["n_best"]) < 1 for one in found)
    always = job(tmp_path)
    open_only = ANSWER.predict(model, ROWS, replace(always, settings=replace(always.settings, null_threshold=-1e6)))
    assert all(one["answer"] for one in open_only), "without --no-answer there always is one"


def test_the_null_score_is_the_smallest_over_the_windows(tmp_path: Path) -> None:
    chosen = job(tmp_path, no_answer=True)
    model, row = answerer(tmp_path, chosen), ROWS[0]
    asked, nulls = ask(chosen.tokenizer, [row], max_length=48, stride=8), []
    for window in range(len(asked.encoded)):
        batch = collate(asked.encoded, [window], pad_id=0)
        out = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, token_type_ids=batch.token_type_ids)
        nulls.append((out.start_logits[0, 0] + out.end_logits[0, 0]).item())
    found = ANSWER.predict(model, [row], chosen)[0]
    assert len(nulls) > 1
    assert found["null_difference"] == pytest.approx(min(nulls) - found["n_best"][0]["score"], abs=1e-3)


def test_long_questions_are_cut_and_counted(tmp_path: Path) -> None:
    chosen = job(tmp_path, max_length=128)
    row = replace(ROWS[0], question="why " * 100)
    assert ANSWER.lessons([row], chosen).counts[f"questions cut to {LONGEST_QUESTION} tokens"] == 1
    with pytest.raises(SettingsError, match=r"question 'q0' of 64 tokens leaves 0 of --max-length 48"):
        ANSWER.lessons([row], job(tmp_path))


def test_unanswerable_questions_learn_the_first_token_and_answers_without_tokens_are_counted(tmp_path: Path) -> None:
    chosen = job(tmp_path)
    none, lost = replace(ROWS[0], answers=[], starts=[]), Question("q", "a \u200b b", "what?", ["\u200b"], [2])
    assert targets(ask(chosen.tokenizer, [none, lost], max_length=48, stride=8), [none, lost]).any() == np.False_
    assert ANSWER.lessons([none, lost], chosen).counts["answers of which the tokenizer leaves nothing"] == 1


def test_training_questions_need_answers() -> None:
    with pytest.raises(DataError, match="1 training questions have no answers, first 'q0'"):
        ANSWER.facts([replace(ROWS[0], answers=None)], [], FinetuneSettings().resolved("answer"))


def test_plain_transformers_opens_what_is_saved(tmp_path: Path) -> None:
    chosen = job(tmp_path / "m")
    model = answerer(tmp_path / "m", chosen)
    save_for_pipelines(model, chosen.tokenizer, tmp_path / "saved", max_length=48)
    again = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "saved").eval()
    inputs = chosen.tokenizer(ROWS[0].question, ROWS[0].context, return_tensors="pt", truncation=True, max_length=48)
    with torch.no_grad():
        torch.testing.assert_close(again(**inputs).start_logits, model(**inputs).start_logits)


def test_gold_spans_of_xquad_come_back_from_their_tokens(data_dir: Path) -> None:
    rows = read_questions(str(data_dir / "xquad_en" / "test.jsonl"), FinetuneSettings().resolved("answer"))[:150]
    asked = ask(tokenizer("wordpiece"), rows, max_length=384, stride=128)
    places = targets(asked, rows)
    found: dict[int, str] = {}
    for window in np.flatnonzero(places.any(axis=1)).tolist():
        owner = int(asked.owner[window])
        first, last = (places[window] - asked.leads[window] + asked.parts[window, 0]).tolist()
        context = asked.contexts[owner]
        found[owner] = rows[owner].context[context.starts[first] : context.ends[last]]
    whole = [found.get(i) == (row.answers or [""])[0] for i, row in enumerate(rows)]
    assert len(found) == len(rows)
    assert sum(whole) > 0.97 * len(rows), "but for answers that end inside a token"
