"""Text in, text out: T5 and BART write labels, numbers, answers or summaries, by beam search of transformers."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from torch import Tensor
from transformers import AutoModelForSeq2SeqLM, GenerationConfig

from petkit.backbones.modelfiles import quiet
from petkit.batching import Batch
from petkit.data.problems import Problems, Record
from petkit.data.readers import source_stem
from petkit.data.text import ENCODING
from petkit.encoding.encoded import Encoded
from petkit.errors import DataError
from petkit.finetuning.classify import label_order
from petkit.finetuning.exactmatch import answer_scores, best_exact
from petkit.finetuning.kind import Chosen, Facts, Job, Kind, Lessons, Prediction
from petkit.finetuning.loop import batches
from petkit.finetuning.models import TEXT_TO_TEXT, open_model
from petkit.finetuning.rouge import rouge_is_there, rouge_scores
from petkit.finetuning.rows import SourceText
from petkit.finetuning.settings import FinetuneSettings
from petkit.finetuning.sources import complete_records, text_value, unseen
from petkit.finetuning.squad import read_questions
from petkit.finetuning.windows import encode_rows, padded
from petkit.finetuning.written import as_number, label_scores, similarity_scores, similarity_string, source_text
from petkit.tensors import on

__all__ = ["GENERATE", "search"]

IGNORED: Final = -100

_IDLE: Final = (
    *("temperature", "top_k", "top_p", "top_h", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"),
    *("min_new_tokens", "return_dict_in_generate", "output_scores", "output_logits", "output_attentions", "output_hidden_states"),
)
"""What a checkpoint's configuration may have of sampling, least lengths and further output: transformers warns of it at every search, and
saves no such configuration."""


def read(source: str, settings: FinetuneSettings, *, encoding: str = ENCODING, quotes: bool = True) -> list[SourceText]:
    """Rows as a source text and what may be written. Answers come from SQuAD's form, all else from the columns that are named.

    Raises DataError with every problem.
    """
    rows_of = _read_answers if settings.target == "answer" else _read_columns
    return rows_of(source, settings, encoding=encoding, quotes=quotes)


def _read_answers(source: str, settings: FinetuneSettings, **reading: Any) -> list[SourceText]:
    rows = read_questions(source, replace(settings, no_answer=True), **reading)  # without an answer there is nothing to write: see facts
    prefix = settings.prefix or ""
    return [
        SourceText(row.id, source_text([("question", row.question), ("context", row.context)], prefix), row.answers or None) for row in rows
    ]


def _read_columns(source: str, settings: FinetuneSettings, **reading: Any) -> list[SourceText]:
    columns, target = settings.fields or (), settings.label_column or ""
    problems, stem = Problems(source), source_stem(source)
    rows = []
    for record in complete_records(source, dict.fromkeys(columns, "--text-column "), problems, **reading):
        texts = [(column, text_value(record, column, problems)) for column in columns]
        rows.append(
            SourceText(f"{stem}:{record.row}", source_text(texts, settings.prefix or ""), _targets(record, target, settings, problems))
        )
    problems.stop()
    return rows


def _targets(record: Record, column: str, settings: FinetuneSettings, problems: Problems) -> list[str] | None:
    """The texts to write; of a similarity the number as it was given. None if the row does not say."""
    if record.values.get(column) is None:
        return None
    text = text_value(record, column, problems, whole=settings.target == "label")
    if settings.target == "similarity" and as_number(text) is None:
        problems.add(f"column {column!r} must hold numbers", f"{text!r} in {record.where}")
    return [text]


def facts(train: Sequence[SourceText], test: Sequence[SourceText], settings: FinetuneSettings) -> Facts:
    """``labels`` where labels are written. DataError: rows without a target, one label only, test labels that are not among them."""
    missing = [row.id for row in train if not row.targets]
    if missing:
        where = "answers" if settings.target == "answer" else f"column {settings.label_column!r} (--label-column)"
        raise DataError(f"{len(missing)} training rows have nothing to write in {where}, first {missing[0]}")
    if settings.target != "label":
        return {}
    labels = label_order([row.targets[0] for row in train if row.targets])
    if len(labels) < 2:
        raise DataError(f"the training rows have one label, {labels[0]!r}; at least 2 are needed")
    unseen({row.targets[0]: row.id for row in reversed(test) if row.targets}, labels, what="labels")
    return {"labels": labels}


def open_writer(path: str, job: Job, seed: int) -> Any:
    """The checkpoint with its own output layer; it searches as the settings say, here and where plain transformers opens it."""
    model = open_model(AutoModelForSeq2SeqLM, path, job.config, seed=seed).to(job.settings.device)
    model.generation_config = search(model.generation_config, beams=job.settings.beams or 1, longest=job.settings.longest_target or 1)
    return model


def search(given: GenerationConfig, *, beams: int, longest: int) -> GenerationConfig:
    """A checkpoint's configuration (start, end, padding) with beam search over ``beams`` and at most ``longest`` new tokens.

    What plays no part in that is left out: transformers has nothing to say of it when it searches.
    """
    found = copy.deepcopy(given)
    idle = dict.fromkeys(_IDLE if beams > 1 else (*_IDLE, "length_penalty"))
    how = {"num_beams": beams, "max_new_tokens": longest, "max_length": None, "min_length": 0, "early_stopping": beams > 1}
    with quiet():
        found.update(**idle, **how, do_sample=False)
    return found


def lessons(rows: Sequence[SourceText], job: Job) -> Lessons:
    """Mean cross-entropy of the target's tokens, the end included: transformers' own ``labels=``."""
    encoded, cut = _sources(rows, job)
    wanted = [_target(row, job.settings) for row in rows]
    written, too_long = _encoded(job.tokenizer, wanted, job.settings.longest_target or 1)

    def loss(model: Any, batch: Batch, chosen: Chosen) -> Tensor:
        labels = on(padded(written, chosen, fill=IGNORED), model.device)
        value: Tensor = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=labels).loss
        return value

    read_back = _texts(job.tokenizer, [written.row(i) for i in range(len(written))])
    lost = sum(not short and " ".join(a.split()) != " ".join(b.split()) for a, b, short in zip(wanted, read_back, too_long, strict=True))
    counts = {
        "source texts cut to --max-length": sum(cut),
        "targets cut to --longest-target": sum(too_long),
        "targets that the tokenizer cannot write as they are": lost,
    }
    return Lessons(encoded, loss, counts, terms=written.lengths.astype(np.int64))


def _texts(tokenizer: Any, ids: Any) -> list[str]:
    """Rows of ids as texts, blanks where the tokens have them."""
    found: list[str] = tokenizer.batch_decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return [text.strip() for text in found]


def _target(row: SourceText, settings: FinetuneSettings) -> str:
    text = (row.targets or ("",))[0]
    return similarity_string(as_number(text) or 0.0) if settings.target == "similarity" else text


def _sources(rows: Sequence[SourceText], job: Job) -> tuple[Encoded, list[bool]]:
    return _encoded(job.tokenizer, [row.source for row in rows], job.settings.max_length or 1)


def _encoded(tokenizer: Any, texts: list[str], longest: int) -> tuple[Encoded, list[bool]]:
    """Texts with the model's special tokens, cut to ``longest``, and which of them were cut."""
    whole = tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"]
    ids = tokenizer(texts, truncation=True, max_length=longest, return_attention_mask=False)["input_ids"]
    return encode_rows(ids), [len(row) > longest for row in whole]


def predict(model: Any, rows: Sequence[SourceText], job: Job) -> list[Prediction]:
    """Per row the ``text`` that was written, and whether the source text was ``cut``."""
    encoded, cut = _sources(rows, job)
    texts = [""] * len(rows)

    def forward(batch: Batch) -> Any:
        return model.generate(input_ids=batch.input_ids, attention_mask=batch.attention_mask, generation_config=model.generation_config)

    for chosen, ids in batches(model, encoded, forward, job):
        for row, text in zip(chosen.tolist(), _texts(job.tokenizer, ids), strict=True):
            texts[row] = text
    return [{"text": text, "cut": short} for text, short in zip(texts, cut, strict=True)]


def score(rows: Sequence[SourceText], predictions: Sequence[Prediction], job: Job) -> dict[str, Any] | None:
    """Scores by the target, over the rows that say what is right: see ``written``, ``exactmatch`` and ``rouge``."""
    known = [(prediction["text"], row.targets) for row, prediction in zip(rows, predictions, strict=True) if row.targets]
    if not known:
        return None
    texts, golds = [text for text, _ in known], [list(targets) for _, targets in known]
    first = [right[0] for right in golds]
    match job.settings.target:
        case "label":
            return label_scores(texts, first, job.facts["labels"])
        case "similarity":
            return similarity_scores(texts, [as_number(text) or 0.0 for text in first])
        case "answer":
            return answer_scores(texts, golds)
        case _:
            return _text_scores(texts, golds)


def _text_scores(texts: Sequence[str], golds: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Share of texts that equal a right one when normalised, and ROUGE; None where rouge-score is not installed."""
    rouge: Mapping[str, float | None] = rouge_scores(texts, golds) if rouge_is_there() else dict.fromkeys(("rouge1", "rouge2", "rougeL"))
    same = [best_exact(text, right) for text, right in zip(texts, golds, strict=True)]
    return {**rouge, "exact_match": 100 * sum(same) / len(same), "rows": len(texts)}


GENERATE: Final = Kind(
    name="generate",
    row=SourceText,
    model_types=TEXT_TO_TEXT,
    pipeline=None,
    read=read,
    facts=facts,
    open=open_writer,
    lessons=lessons,
    predict=predict,
    score=score,
)
