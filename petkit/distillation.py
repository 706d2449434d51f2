"""The final classifier: an ordinary sequence classifier learns the ensemble's soft labels (Schick & Schütze 2021a, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from petkit.backbones import load_classifier, longest_input
from petkit.classifier import divide_logits, predict_logits, save_classifier, train_classifier
from petkit.compute import computing
from petkit.losses import distillation_loss, fit_temperature, label_loss, soft_labels
from petkit.members import loop_settings
from petkit.metrics import evaluate
from petkit.modelcard import model_card
from petkit.objectives.streams import seed_for
from petkit.rowfiles import load_scores, save_scores
from petkit.rows import Rows
from petkit.settings import ClassifierSettings
from petkit.stages import Stage
from petkit.units import UnitContext

__all__ = ["distill_unit", "supervised_unit"]

Loss = Callable[[Tensor, Tensor], Tensor]


def distill_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: train the classifier on the pool's soft labels from the unit ``spec["teacher"]``, no labelled row among them.

    Then a temperature is fitted so that its confidence on the pool matches the soft labels, and divided into its last layer.
    Writes ``model/``; record: ``test`` scores, ``temperature``, ``losses``.
    """
    stage = Stage.of(spec, context)
    pool = stage.rows("pool")
    temperature = stage.settings.temperature
    targets = soft_labels(load_scores(context.need(spec["teacher"]) / "pool.parquet"), temperature=temperature)

    def loss(logits: Tensor, wanted: Tensor) -> Tensor:
        return distillation_loss(logits, wanted, temperature=temperature)

    return _fit(stage, pool, targets, loss, stage.settings.classifier, calibrate=True)


def supervised_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: the same checkpoint with a plain classification head on the labelled rows only: the baseline and ``--method supervised``."""
    stage = Stage.of(spec, context)
    train = stage.rows("train")
    return _fit(stage, train, np.asarray(train.labels, dtype=np.int64), label_loss, stage.settings.supervised, calibrate=False)


def _fit(
    stage: Stage, rows: Rows, targets: npt.NDArray[Any], loss: Loss, settings: ClassifierSettings, *, calibrate: bool
) -> dict[str, Any]:
    context, task, test = stage.context, stage.task, stage.rows("test")
    with computing(stage.settings):
        seed = context.seed_for(context.name)
        head_seed = seed_for(seed, "head")
        model = load_classifier(stage.checkpoint, task.labels, seed=head_seed, trust_remote_code=stage.trust_remote_code).to(stage.device)
        tokenizer = stage.tokenizer()
        encoder = stage.encoder(tokenizer, longest=longest_input(model.config))
        encoded = encoder.plain(rows, task)
        loop = loop_settings(settings, stage.settings.precision)
        trained = train_classifier(
            model, encoded, targets, loss, loop, batch=settings.batch, pad_id=encoder.pad_id, seed=seed, context=context
        )
        options: dict[str, Any] = {
            "pad_id": encoder.pad_id,
            "token_budget": stage.settings.token_budget,
            "precision": stage.settings.precision,
        }
        temperature = None
        if calibrate:
            temperature = fit_temperature(predict_logits(model, encoded, **options), targets)
            divide_logits(model, temperature)
        logits = predict_logits(model, encoder.plain(test, task), **options)
    scores = evaluate(test.labels, logits)
    save_scores(context.out / "test.parquet", test.ids, task.labels, logits)
    counts = {part: len(stage.rows(part)) for part in ("train", "pool", "test")}
    card = model_card(task, origin=stage.origin, rows=counts, settings=stage.settings.as_dict(), temperature=temperature, scores=scores)
    save_classifier(model, tokenizer, context.out / "model", task=task, max_length=encoder.max_length, card=card)
    return {"test": scores, "temperature": temperature, "losses": trained.losses}
