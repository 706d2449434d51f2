"""The final classifier: an ordinary sequence classifier learns the ensemble's soft labels (Schick & Schütze 2021a, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from petkit.backbones import load_classifier, longest_input
from petkit.batching import tallying
from petkit.classifier import divide_logits, predict_logits, save_classifier, train_classifier
from petkit.compute import computing
from petkit.encoding import Encoder
from petkit.encoding.encoded import Encoded
from petkit.losses import distillation_loss, fit_temperature, label_loss, soft_labels
from petkit.members import loop_settings
from petkit.metrics import evaluate
from petkit.modelcard import model_card
from petkit.objectives.streams import seed_for
from petkit.rowfiles import load_scores, save_scores
from petkit.rows import Rows
from petkit.sampling import epoch_total
from petkit.settings import ClassifierSettings
from petkit.stages import Stage
from petkit.strategies import strategy
from petkit.training import Trained
from petkit.units import UnitContext

__all__ = ["Fitted", "distill_unit", "fit_classifier", "supervised_unit"]

Loss = Callable[[Tensor, Tensor], Tensor]


def distill_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: train the classifier on the pool's soft labels from the unit ``spec["teacher"]``, no labelled row among them.

    Then a temperature is fitted so that its confidence on the pool matches the soft labels, and divided into its last layer.
    Writes ``model/``; record: ``test`` scores, ``temperature``, ``losses``, ``counts``, and how much was trained, as a member's.
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


@dataclass(frozen=True)
class Fitted:
    """A trained sequence classifier, and what it was trained with."""

    model: Any
    tokenizer: Any
    encoder: Encoder
    encoded: Encoded
    trained: Trained
    tokens: int
    """Real tokens that were trained on."""

    def logits(self, stage: Stage, rows: Rows | None = None) -> npt.NDArray[np.float32]:
        """(N, C) float32 logits of rows, or of those that it learned from."""
        encoded = self.encoded if rows is None else self.encoder.plain(rows, stage.task)
        budget, precision = stage.settings.token_budget, stage.settings.precision
        return predict_logits(self.model, encoded, pad_id=self.encoder.pad_id, token_budget=budget, precision=precision)


def fit_classifier(
    stage: Stage, rows: Rows, targets: npt.NDArray[Any], loss: Loss, settings: ClassifierSettings, *, seed: int, context: UnitContext | None
) -> Fitted:
    """The stage's checkpoint with a new classification head, trained on rows; ``context`` keeps its checkpoints, None for none."""
    head_seed = seed_for(seed, "head")
    model = load_classifier(stage.checkpoint, stage.task.labels, seed=head_seed, trust_remote_code=stage.trust_remote_code).to(stage.device)
    tokenizer = stage.tokenizer()
    encoder = stage.encoder(tokenizer, longest=longest_input(model.config))
    encoded = encoder.plain(rows, stage.task)
    loop = loop_settings(settings, stage.settings.precision)
    trained = train_classifier(
        model,
        encoded,
        targets,
        loss,
        loop,
        batch=settings.batch,
        pad_id=encoder.pad_id,
        seed=seed,
        how=strategy(settings.strategy),
        context=context,
    )
    draws = settings.steps * settings.accumulate * settings.batch
    tokens = epoch_total(seed, "classifier", lengths=encoded.lengths, draws=draws)
    return Fitted(model, tokenizer, encoder, encoded, trained, tokens)


def _fit(
    stage: Stage, rows: Rows, targets: npt.NDArray[Any], loss: Loss, settings: ClassifierSettings, *, calibrate: bool
) -> dict[str, Any]:
    context, task, test = stage.context, stage.task, stage.rows("test")
    with computing(stage.settings):
        fitted = fit_classifier(stage, rows, targets, loss, settings, seed=context.seed_for(context.name), context=context)
        with tallying() as tally:
            temperature = None
            if calibrate:
                temperature = fit_temperature(fitted.logits(stage), targets)
                divide_logits(fitted.model, temperature)
            logits = fitted.logits(stage, test)
    scores = evaluate(test.labels, logits)
    save_scores(context.out / "test.parquet", test.ids, task.labels, logits)
    counts = {"train": len(stage.rows("train")), "pool": len(stage.rows("pool")), "test": test.labeled}
    card = model_card(task, origin=stage.origin, rows=counts, settings=stage.settings.as_dict(), temperature=temperature, scores=scores)
    length = fitted.encoder.max_length
    save_classifier(fitted.model, fitted.tokenizer, context.out / "model", task=task, max_length=length, card=card)
    work = {"trained_steps": fitted.trained.steps, "trained_tokens": fitted.tokens, "forward_tokens": tally.tokens}
    trained = {"losses": fitted.trained.losses, **fitted.trained.extent()}
    return {"test": scores, "temperature": temperature, **trained, "counts": work}
