"""Parts of an update: together they have the gradient of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from petkit.finetuning import FinetuneSettings, loop
from petkit.finetuning.answer import ANSWER
from petkit.finetuning.classify import CLASSIFY
from petkit.finetuning.generate import GENERATE
from petkit.finetuning.kind import Job, Kind
from petkit.finetuning.rows import LabelledText, Question, SourceText, TaggedSentence
from petkit.finetuning.tag import TAG
from petkit.training import TrainSettings
from tests.petkit.finetuning.tiny import TEXTS, encoder, job_for, writer

LABELS = ["O", "B-X", "I-X"]
FEW = FinetuneSettings(steps=1, batch=8, max_length=24)
TAGGED = [TaggedSentence(f"r:{i}", text.split(), [LABELS[k % 3] for k in range(len(text.split()))]) for i, text in enumerate(TEXTS)]
WRITTEN = [SourceText(f"r:{i}", text, [" ".join(text.split()[: 1 + i % 5])]) for i, text in enumerate(TEXTS)]
ASKED = [Question(f"r:{i}", text, "Who?", [text.split()[i % 2 - 1]], [text.index(text.split()[i % 2 - 1])]) for i, text in enumerate(TEXTS)]
LABELLED = [LabelledText(f"r:{i}", [text], LABELS[i % 2]) for i, text in enumerate(TEXTS)]


def gradient(kind: Kind[Any], rows: Sequence[Any], job: Job, model: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[float, torch.Tensor]:
    """Loss and gradient of the first update, without dropout."""
    losses_of_parts = []

    def update(model: Any, losses: Any, settings: TrainSettings, **_: Any) -> None:
        model.eval().zero_grad()
        for micro in range(settings.accumulate):
            loss = losses(0, micro)["loss"] / settings.accumulate
            loss.backward()
            losses_of_parts.append(loss.item())

    monkeypatch.setattr(loop, "train", update)
    loop.fit(model, kind.lessons(rows, job), job, seed=1, context=None)
    return sum(losses_of_parts), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize(
    ("kind", "rows", "family"),
    [(TAG, TAGGED, "bert"), (ANSWER, ASKED, "bert"), (GENERATE, WRITTEN, "t5"), (GENERATE, WRITTEN, "bart"), (CLASSIFY, LABELLED, "bert")],
)
def test_parts_have_the_gradient_of_one(
    kind: Kind[Any], rows: Sequence[Any], family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = encoder(family, tmp_path) if family == "bert" else writer(family, tmp_path)
    job = job_for(kind, folder, replace(FEW, stride=4) if kind in (TAG, ANSWER) else FEW, labels=LABELS)
    model = kind.open(str(folder), job, 0)
    loss, whole = gradient(kind, rows, job, model, monkeypatch)
    for parts in (2, 8):
        divided = replace(job, settings=replace(job.settings, accumulate=parts))
        found, summed = gradient(kind, rows, divided, model, monkeypatch)
        assert found == pytest.approx(loss, rel=1e-5)
        assert ((summed - whole).norm() / whole.norm()).item() < 1e-5


def test_a_part_without_terms_weighs_nothing(tmp_path: Path) -> None:
    job = job_for(TAG, encoder("bert", tmp_path), replace(FEW, max_length=8, stride=0), labels=LABELS)
    lessons = TAG.lessons([TaggedSentence("r:1", ["internationalization" * 3], ["B-X"])], job)
    every = np.arange(len(lessons.encoded))
    assert lessons.weight(every[:1], every) == 1.0
    assert lessons.weight(every[1:], every) == lessons.weight(every[1:], every[1:]) == 0.0
