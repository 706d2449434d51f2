"""One text or a pair of texts, and one label of several.

Encoders answer from their first token, causal models from the last one that is no padding; both by transformers' own heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForSequenceClassification

from petkit.backbones.plain import inputs_of
from petkit.batching import Batch
from petkit.data.problems import Problems
from petkit.data.readers import source_stem
from petkit.data.text import ENCODING
from petkit.encoding import without_empty_second
from petkit.encoding.encoded import Encoded
from petkit.errors import DataError
from petkit.finetuning.kind import Chosen, Facts, Job, Kind, Lessons, Prediction
from petkit.finetuning.loop import batches
from petkit.finetuning.models import CAUSAL, ENCODERS, named_labels, open_model
from petkit.finetuning.rows import LabelledText
from petkit.finetuning.settings import FinetuneSettings
from petkit.finetuning.sources import complete_records, text_value, unseen
from petkit.finetuning.windows import encode_rows
from petkit.metrics import score as all_scores
from petkit.tensors import on

__all__ = ["CLASSIFY", "encode_texts", "label_order"]


def read(source: str, settings: FinetuneSettings, *, encoding: str = ENCODING, quotes: bool = True) -> list[LabelledText]:
    """Rows with the columns ``settings.fields`` and, where there is one, ``settings.label_column``. DataError names every problem."""
    columns, label = settings.fields or (), settings.label_column or ""
    problems, stem = Problems(source), source_stem(source)
    rows = []
    needed = dict.fromkeys(columns, "--text-column ")
    for record in complete_records(source, needed, problems, encoding=encoding, quotes=quotes):
        texts = [text_value(record, column, problems) for column in columns]
        known = record.values.get(label) is not None
        rows.append(LabelledText(f"{stem}:{record.row}", texts, text_value(record, label, problems, whole=True) if known else None))
    problems.stop()
    return rows


def label_order(labels: Sequence[str]) -> list[str]:
    """Labels once each: numbers by size, else by name.

    >>> label_order(["10", "2", "2"]), label_order(["no", "maybe"])
    (['2', '10'], ['maybe', 'no'])
    """
    found = set(labels)
    return sorted(found, key=lambda label: (int(label), label)) if all(label.isdecimal() for label in found) else sorted(found)


def facts(train: Sequence[LabelledText], test: Sequence[LabelledText], settings: FinetuneSettings) -> Facts:
    """``labels``, those of the training rows. DataError: rows without one, fewer than two labels, test labels that are not among them."""
    missing = [row.id for row in train if row.label is None]
    if missing:
        raise DataError(
            f"{len(missing)} training rows have no label in column {settings.label_column!r} (--label-column), first {missing[0]}"
        )
    labels = label_order([row.label for row in train if row.label is not None])
    if len(labels) < 2:
        raise DataError(f"the training rows have one label, {labels[0]!r}; at least 2 are needed")
    unseen({row.label: row.id for row in reversed(test) if row.label is not None}, labels, what="labels")
    return {"labels": labels}


def open_classifier(path: str, job: Job, seed: int) -> Any:
    """The checkpoint with a head for the labels, whose names are in its config."""
    config = named_labels(job.config, job.facts["labels"])
    config.problem_type = "single_label_classification"
    if config.model_type in CAUSAL:
        config.pad_token_id = job.tokenizer.pad_token_id  # by which the head finds the last token of each row
    return open_model(AutoModelForSequenceClassification, path, config, seed=seed).to(job.settings.device)


def encode_texts(rows: Sequence[LabelledText], job: Job) -> tuple[Encoded, list[bool]]:
    """Rows as ``tokenizer(text, text_pair, truncation=True)`` gives them one by one, and which of them were cut.

    Causal models have no token between two texts; they read a pair as one text with a line break in between.
    """
    max_length = job.settings.max_length or 0
    causal = job.config.model_type in CAUSAL
    texts = [("\n".join(row.texts),) if causal else without_empty_second(tuple(row.texts)) for row in rows]
    ids: list[list[int]] = [[]] * len(rows)
    types, cut = ids.copy(), [False] * len(rows)
    for size in {len(row) for row in texts}:
        places = [place for place, row in enumerate(texts) if len(row) == size]
        columns = [list(column) for column in zip(*(texts[place] for place in places), strict=True)]
        whole = job.tokenizer(*columns, return_attention_mask=False, verbose=False)["input_ids"]
        found = job.tokenizer(*columns, truncation=True, max_length=max_length, return_token_type_ids=True)
        for place, long, row, kinds in zip(places, whole, found["input_ids"], found["token_type_ids"], strict=True):
            ids[place], types[place], cut[place] = row, kinds, len(long) > max_length
    return encode_rows(ids, types), cut


def lessons(rows: Sequence[LabelledText], job: Job) -> Lessons:
    """Cross-entropy of the label, as transformers' ``labels=`` has it."""
    encoded, cut = encode_texts(rows, job)
    index = {label: place for place, label in enumerate(job.facts["labels"])}
    targets = torch.tensor([index[row.label or ""] for row in rows])

    def loss(model: Any, batch: Batch, chosen: Chosen) -> Tensor:
        wanted = on(targets[torch.from_numpy(chosen)], model.device)
        return functional.cross_entropy(model(**inputs_of(model, batch)).logits.float(), wanted)

    return Lessons(encoded, loss, {"rows cut to --max-length": sum(cut)})


def predict(model: Any, rows: Sequence[LabelledText], job: Job) -> list[Prediction]:
    """Per row ``label``, its ``score``, the ``probabilities`` of all labels, and whether the text was ``cut``."""
    labels = job.facts["labels"]
    encoded, cut = encode_texts(rows, job)
    logits = np.empty((len(rows), len(labels)))

    def forward(batch: Batch) -> Tensor:
        values: Tensor = model(**inputs_of(model, batch)).logits
        return values.float()

    for chosen, values in batches(model, encoded, forward, job):
        logits[chosen] = values.cpu().numpy()
    shares = softmax(logits, axis=1)
    return [
        {"label": labels[best], "score": float(row[best]), "probabilities": dict(zip(labels, row.tolist(), strict=True)), "cut": short}
        for row, best, short in zip(shares, shares.argmax(axis=1).tolist(), cut, strict=True)
    ]


def score(rows: Sequence[LabelledText], predictions: Sequence[Prediction], job: Job) -> dict[str, Any] | None:
    """All of ``petkit.metrics.score`` over the rows that have a label: accuracy, macro-F1, Matthews correlation, F1 per label, ..."""
    labels = job.facts["labels"]
    known = [(row.label, prediction) for row, prediction in zip(rows, predictions, strict=True) if row.label is not None]
    if not known:
        return None
    probabilities = np.array([[prediction["probabilities"][label] for label in labels] for _, prediction in known])
    return all_scores(probabilities, np.array([labels.index(label) for label, _ in known]), labels)


CLASSIFY: Final = Kind(
    name="classify",
    row=LabelledText,
    model_types=(*ENCODERS, *CAUSAL),
    pipeline="text-classification",
    read=read,
    facts=facts,
    open=open_classifier,
    lessons=lessons,
    predict=predict,
    score=score,
)
