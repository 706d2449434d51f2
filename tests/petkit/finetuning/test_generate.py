"""Text to text: targets, loss and beam search against plain transformers; rows by target."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig
from transformers.utils import logging as transformers_logging

from petkit.backbones.plain import save_for_pipelines
from petkit.batching import collate
from petkit.errors import DataError
from petkit.finetuning import FinetuneSettings, generate
from petkit.finetuning.generate import GENERATE
from petkit.finetuning.kind import Job
from petkit.finetuning.models import TEXT_TO_TEXT
from petkit.finetuning.rows import SourceText
from tests.petkit.finetuning.tiny import TEXTS, job_for, jsonl, writer

ROWS = [SourceText(f"r:{i}", text, [" ".join(text.split()[: 1 + i % 3])]) for i, text in enumerate(TEXTS[:7])]


def job(folder: Path, family: str = "t5", *, facts: dict[str, Any] | None = None, **settings: Any) -> Job:
    values = {"max_length": 40, "longest_target": 12, **settings}
    return job_for(GENERATE, writer(family, folder), FinetuneSettings(**values), **(facts or {}))


@pytest.mark.parametrize("family", TEXT_TO_TEXT)
def test_the_loss_is_that_of_the_tokenizers_own_targets(family: str, tmp_path: Path) -> None:
    chosen = job(tmp_path, family)
    model, lessons = GENERATE.open(str(tmp_path), chosen, 0).eval(), GENERATE.lessons(ROWS, chosen)
    rows = np.array([5, 1, 0])
    words = chosen.tokenizer
    inputs = words([ROWS[i].source for i in rows], padding=True, truncation=True, max_length=40, return_tensors="pt")
    labels = words(text_target=[(ROWS[i].targets or [""])[0] for i in rows], padding=True, return_tensors="pt")["input_ids"]
    labels[labels == words.pad_token_id] = -100
    theirs = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], labels=labels).loss
    batch = collate(lessons.encoded, rows, pad_id=words.pad_token_id)
    assert torch.equal(batch.input_ids, inputs["input_ids"])
    torch.testing.assert_close(lessons.loss(model, batch, rows), theirs)


@pytest.mark.parametrize("family", TEXT_TO_TEXT)
@pytest.mark.parametrize("beams", [1, 3])
def test_beam_search_is_that_of_plain_transformers_on_the_saved_model(family: str, beams: int, tmp_path: Path) -> None:
    chosen = job(tmp_path / "m", family, beams=beams)
    model, noise = GENERATE.open(str(tmp_path / "m"), chosen, 0).eval(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=noise) if parameter.ndim > 1 else 0.0)
    found = [one["text"] for one in GENERATE.predict(model, ROWS, chosen)]
    save_for_pipelines(model, chosen.tokenizer, tmp_path / "saved", max_length=40)
    again, words = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "saved").eval(), AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again.generation_config.num_beams == beams
    for row, text in zip(ROWS, found, strict=True):
        inputs = words([row.source], return_tensors="pt", truncation=True, return_token_type_ids=False)
        ids = again.generate(**inputs)
        assert ids.shape[1] <= 12 + 2
        assert words.batch_decode(ids, skip_special_tokens=True)[0].strip() == text
    assert len(set(found)) > 1


NOISY = {
    "do_sample": True,
    "temperature": 0.7,
    "top_p": 0.9,
    "top_k": 10,
    "length_penalty": 2.0,
    "early_stopping": True,
    "num_beams": 4,
    "max_length": 142,
    "min_length": 3,
    "min_new_tokens": 2,
    "output_scores": True,
    "return_dict_in_generate": True,
}


@contextmanager
def loudly() -> Iterator[list[str]]:
    """What transformers logs inside the block, what it logs only once a process included."""
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    before = transformers_logging.get_verbosity()
    transformers_logging.warning_once.cache_clear()
    transformers_logging.set_verbosity_warning()
    logger = logging.getLogger("transformers")  # not transformers' own functions: those of 5.4 cannot take a handler away
    logger.addHandler(handler)
    try:
        yield told
    finally:
        logger.removeHandler(handler)
        transformers_logging.set_verbosity(before)


@pytest.mark.parametrize("family", TEXT_TO_TEXT)
@pytest.mark.parametrize("beams", [1, 3])
def test_nothing_is_said_while_it_writes_whatever_the_checkpoint_says_of_writing(
    family: str, beams: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chosen = job(tmp_path / "m", family, beams=beams)
    config = tmp_path / "m" / "generation_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text("utf-8")), **NOISY}), "utf-8")
    capfd.readouterr()
    with loudly() as told:
        model = GENERATE.open(str(tmp_path / "m"), chosen, 0).eval()
        GENERATE.predict(model, ROWS, chosen)
        save_for_pipelines(model, chosen.tokenizer, tmp_path / "saved", max_length=40)  # transformers refuses what it would warn of
    assert told == []
    assert capfd.readouterr() == ("", "")
    kept = GenerationConfig.from_pretrained(tmp_path / "saved")
    assert (kept.num_beams, kept.length_penalty) == (beams, 2.0 if beams > 1 else None)


def test_threads_write_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = job(tmp_path)
    model, together = GENERATE.open(str(tmp_path), chosen, 0).eval(), threading.Barrier(2, timeout=20)
    alone, written = GENERATE.predict(model, ROWS, chosen), model.generate

    def meeting(**given: Any) -> Any:
        together.wait()
        return written(**given)

    monkeypatch.setattr(model, "generate", meeting)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: GENERATE.predict(model, ROWS, chosen), range(2)))
    assert found == [alone, alone]


def test_what_is_cut_is_counted(tmp_path: Path) -> None:
    chosen = job(tmp_path, max_length=12, longest_target=3)
    counts = GENERATE.lessons(ROWS, chosen).counts
    sources = sum(len(chosen.tokenizer(row.source)["input_ids"]) > 12 for row in ROWS)
    targets = sum(len(chosen.tokenizer((row.targets or [""])[0])["input_ids"]) > 3 for row in ROWS)
    assert sources > 0 < targets
    assert counts["source texts cut to --max-length"] == sources
    assert counts["targets cut to --longest-target"] == targets


def test_targets_that_the_tokenizer_has_no_tokens_for_are_counted(tmp_path: Path) -> None:
    rows = [SourceText("r:1", "a", ["the \u4e2d\u6587"]), SourceText("r:2", "b", ["the  array"])]
    assert GENERATE.lessons(rows, job(tmp_path)).counts["targets that the tokenizer cannot write as they are"] == 1


def test_similarities_are_learned_as_strings_and_judged_by_the_given_numbers(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "t.jsonl", [{"text": "a b", "label": 2.57}, {"text": "c", "label": "4"}])
    chosen = job(tmp_path / "m", target="similarity")
    rows = GENERATE.read(source, chosen.settings)
    assert [row.targets for row in rows] == [["2.57"], ["4"]]
    written, _ = generate._encoded(chosen.tokenizer, [generate._target(row, chosen.settings) for row in rows], 12)
    assert [chosen.tokenizer.decode(written.row(i), skip_special_tokens=True) for i in range(2)] == ["2.6", "4.0"]
    scores = GENERATE.score(rows, [{"text": "2.6"}, {"text": "4.0"}], chosen)
    assert scores == {"pearson": pytest.approx(1.0), "spearman": pytest.approx(1.0), "not_numbers": 0, "rows": 2}
    with pytest.raises(DataError, match="column 'label' must hold numbers: 'much' in row 1"):
        GENERATE.read(jsonl(tmp_path / "u.jsonl", [{"text": "a", "label": "much"}]), chosen.settings)


def test_labels_come_from_the_training_rows(tmp_path: Path) -> None:
    settings = FinetuneSettings(target="label", fields=("a", "b"), label_column="y", prefix="rte").resolved("generate")
    rows = GENERATE.read(jsonl(tmp_path / "t.jsonl", [{"a": "x", "b": "z", "y": 1.0}, {"a": "u", "b": "v", "y": "no"}]), settings)
    assert rows == [SourceText("t:1", "rte a: x b: z", ["1"]), SourceText("t:2", "rte a: u b: v", ["no"])]
    assert GENERATE.facts(rows, [], settings) == {"labels": ["1", "no"]}
    with pytest.raises(DataError, match=r"labels that no training row has: 'x' \(first in t:1\)"):
        GENERATE.facts(rows, [SourceText("t:1", "a", ["x"])], settings)
    with pytest.raises(DataError, match="one label, 'no'"):
        GENERATE.facts(rows[1:], [], settings)
    with pytest.raises(DataError, match=r"1 training rows have nothing to write in column 'y' \(--label-column\), first t:3"):
        GENERATE.facts([*rows, SourceText("t:3", "a", None)], [], settings)


def test_answers_are_written_from_question_and_context_and_all_of_them_count(tmp_path: Path) -> None:
    answers = [{"text": "Anna", "answer_start": 0}, {"text": "cat", "answer_start": 11}]
    source = jsonl(tmp_path / "t.jsonl", [{"id": "q", "context": "Anna has a cat", "question": "Who?", "answers": answers}])
    chosen = job(tmp_path / "m", target="answer")
    rows = GENERATE.read(source, chosen.settings)
    assert rows == [SourceText("q", "question: Who? context: Anna has a cat", ["Anna", "cat"])]
    assert GENERATE.facts(rows, [], chosen.settings) == {}
    none = jsonl(tmp_path / "u.jsonl", [{"context": "Anna", "question": "Who?", "answers": []}])
    with pytest.raises(DataError, match="1 training rows have nothing to write in answers, first u:1"):
        GENERATE.facts(GENERATE.read(none, chosen.settings), [], chosen.settings)
    assert GENERATE.score(rows, [{"text": "the Cat."}], chosen) == {"exact_match": 100.0, "f1": 100.0, "questions": 1}


@pytest.mark.parametrize("there", [True, False])
def test_summaries_are_judged_by_rouge_where_it_is_there(there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "rouge_is_there", lambda: there)
    monkeypatch.setattr(generate, "rouge_scores", lambda texts, golds: {"rouge1": 1.0, "rouge2": 2.0, "rougeL": 3.0})
    chosen = job(tmp_path)
    scores = GENERATE.score(ROWS[:2], [{"text": (row.targets or [""])[0]} for row in ROWS[:2]], chosen)
    rouge: Any = (1.0, 2.0, 3.0) if there else (None, None, None)
    assert scores == {**dict(zip(("rouge1", "rouge2", "rougeL"), rouge, strict=True)), "exact_match": 100.0, "rows": 2}
    assert GENERATE.score([SourceText("x", "y", None)], [{"text": ""}], chosen) is None
