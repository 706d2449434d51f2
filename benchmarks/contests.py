"""The measurements: for each piece of work, the ways to do it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import naive
from benchmarks.material import Material, bert
from benchmarks.timing import Way
from petkit.backbones import MaskedLM
from petkit.data import read_rows
from petkit.encoding.encoded import Encoded
from petkit.members import MemberData, train_member
from petkit.objectives import Vocabulary
from petkit.rowfiles import save_scores
from petkit.scoring import plan, score_encoded, score_rows
from petkit.settings import MemberSettings, Settings

__all__ = ["Contest", "Demand", "contests"]

_NAIVE_ROWS, _LONGEST_ROWS = 8, 32
_LABELLED, _UNLABELLED, _STEPS = 4, 12, 4


@dataclass(frozen=True)
class Demand:
    """``way`` must be at least ``times`` as fast as ``other``; without another, do ``times`` units a second at least."""

    way: str
    other: str | None
    times: float


@dataclass(frozen=True)
class Contest:
    """One piece of work in several ways. ``make`` prepares them (not timed); ``others`` are the ways that the rest is compared with."""

    name: str
    unit: str
    others: tuple[str, ...]
    make: Callable[[], list[Way]]
    demands: tuple[Demand, ...] = ()


def contests(material: Material, folder: Path) -> list[Contest]:
    """All measurements, on these rows; files that they write go to ``folder``."""
    labelling = partial(_labelling, material, folder)
    return [
        Contest("labelling 4 x 256", "texts", ("naive", "bare encoder"), partial(labelling, 4, 256), _labelling_demands(20)),
        Contest("labelling 6 x 384", "texts", ("naive", "bare encoder"), partial(labelling, 6, 384), _labelling_demands(9)),
        Contest("training 4 x 256", "steps", ("naive", "bare"), partial(_training, material, 4, 256), (Demand("ours", "naive", 9),)),
        Contest("tokenising 4 patterns", "texts", ("naive",), partial(_tokenising, material)),
    ]


def _labelling_demands(times: float) -> tuple[Demand, ...]:
    return (
        Demand("ours", "naive", times),
        Demand("ours", "bare encoder", 0.95),
        Demand("ours, file to file", "bare encoder", 0.85),
    )


def _labelling(material: Material, folder: Path, layers: int, hidden: int) -> list[Way]:
    model, rows = bert(layers, hidden), material.rows
    encoder, words, tokens = material.encoder(), material.word_ids(), Settings().token_budget
    scoring = plan(encoder, material.pvp, rows)
    encoded = encoder.clozes(rows, material.pvp.pattern, filler=material.pvp.verbalizer.words[0][0])
    features = naive.encode(material.tokenizer, rows.select(range(_LONGEST_ROWS)), material.pvp)

    def to_file() -> None:
        read = read_rows(str(material.file), material.task, labels="optional")
        scores = score_rows(model, material.encoder(), read, material.pvp, token_budget=tokens)
        save_scores(folder / "scores.parquet", read.ids, material.task.labels, scores)

    return [
        Way("naive", partial(naive.evaluate, model.model, features[:_NAIVE_ROWS], words), _NAIVE_ROWS),
        Way("naive, padded to longest", partial(naive.evaluate, model.model, features, words, to_longest=True), _LONGEST_ROWS),
        Way("bare encoder", partial(_bare_encoder, model, equal_lengths(encoded)), len(rows)),
        Way("ours", partial(score_encoded, model, encoded, scoring, pad_id=encoder.pad_id, token_budget=tokens), len(rows)),
        Way("ours, file to file", to_file, len(rows)),
    ]


def equal_lengths(encoded: Encoded) -> list[Tensor]:
    """All rows as batches (B, T) int64 of rows of the same length: every real token, no padding."""
    return [
        torch.from_numpy(np.stack([encoded.row(int(i)) for i in np.flatnonzero(encoded.lengths == length)]).astype(np.int64))
        for length in np.unique(encoded.lengths)
    ]


def _bare_encoder(model: MaskedLM, batches: Sequence[Tensor]) -> None:
    with torch.inference_mode():
        for ids in batches:
            model.model.bert(input_ids=ids)


def _training(material: Material, layers: int, hidden: int) -> list[Way]:
    encoder, rows, words = material.encoder(), material.rows, material.word_ids()
    labelled, unlabelled = rows.select(range(100)), rows.select(range(100, len(rows)))
    data = MemberData.of(encoder, material.pvp, labelled, unlabelled)
    settings = MemberSettings(steps=_STEPS, batch=_LABELLED, accumulate=1, unlabeled_batch=_UNLABELLED)
    vocabulary, model = Vocabulary.of(material.tokenizer), bert(layers, hidden)
    mean = round(float(encoder_lengths(data).mean()))
    ids = torch.from_numpy(np.random.default_rng(0).integers(5, len(material.tokenizer), (_LABELLED + _UNLABELLED, mean)))
    return [
        Way("naive", _naive_step(material, bert(layers, hidden).model, labelled, unlabelled, words), 1),
        Way("bare", partial(_bare_step, bert(layers, hidden).model.bert, ids), 1),
        Way("ours", lambda: train_member(model, data, settings, vocabulary, seed=0), _STEPS),
    ]


def encoder_lengths(data: MemberData) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The lengths of all rows of a member's data."""
    return np.concatenate([data.labeled.lengths, data.unlabeled.lengths])


def _naive_step(material: Material, model: Any, labelled: Any, unlabelled: Any, words: list[list[int]]) -> Callable[[], object]:
    few = naive.encode(material.tokenizer, labelled.select(range(_LABELLED)), material.pvp)
    many = naive.encode(material.tokenizer, unlabelled.select(range(_UNLABELLED)), material.pvp)
    labels, optimizer = torch.tensor(labelled.labels[:_LABELLED]), naive.make_optimizer(model)
    generator = torch.Generator().manual_seed(0)

    def step() -> object:
        model.train()
        inputs, targets = naive.mask_tokens(material.tokenizer, many.input_ids, generator)
        corrupted = naive.Features(inputs, many.attention_mask, many.token_type_ids, many.mlm_labels)
        return naive.train_step(model, optimizer, naive.losses(model, few, labels, words, corrupted, targets, 1e-4))

    return step


def _bare_step(encoder: Any, ids: Tensor) -> None:
    """Forward and backward of the encoder alone: no head, no clipping, no update."""
    encoder.train()
    encoder.zero_grad()
    encoder(input_ids=ids).last_hidden_state.sum().backward()


def _tokenising(material: Material) -> list[Way]:
    pvps, some, rows = material.task.pvps[:4], material.rows.select(range(100)), material.rows
    word = material.pvp.verbalizer.words[0][0]

    def parts() -> None:
        for pvp in pvps:
            naive.encode(material.tokenizer, some, pvp)

    def strings() -> None:
        for pvp in pvps:
            clozes = [str(pvp.pattern.source).format(mask=material.tokenizer.mask_token, text=text) for text in rows.fields["text"]]
            material.tokenizer(clozes, truncation=True, max_length=256, return_tensors="np", padding="max_length")

    def ours() -> None:
        encoder = material.encoder()
        for pvp in pvps:
            encoder.clozes(rows, pvp.pattern, filler=word)

    return [
        Way("naive", parts, len(some)),
        Way("whole strings, in one call per pattern", strings, len(rows)),
        Way("ours", ours, len(rows)),
    ]
