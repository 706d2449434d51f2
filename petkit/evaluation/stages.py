"""Stages of a study. Those of a training run are used as they are: within a unit of the study, under the names they know.

A unit's specification holds ``inner``: the stage's ``function``, the ``name`` it has in a run, and ``names``: those of the units
that it needs, in a run and in the study.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold

from petkit.compute import computing
from petkit.distillation import fit_classifier
from petkit.evaluation.latency import calibrating, latency
from petkit.losses import fit_temperature, label_loss, mix_scores
from petkit.members import scores_of
from petkit.metrics import accuracy, evaluate
from petkit.objectives.streams import seed_for
from petkit.predicting import Classifier
from petkit.rowfiles import load_scores, save_scores
from petkit.rows import Rows
from petkit.stages import Stage
from petkit.units import UnitContext

__all__ = ["as_in_a_run", "classifier_unit", "inner_unit", "supervised_unit", "weights_unit", "zero_shot_unit"]

Function = Callable[[dict[str, Any], UnitContext], Mapping[str, Any]]


def as_in_a_run(spec: Mapping[str, Any], context: UnitContext) -> UnitContext:
    """The unit's context with the names that a stage of a training run knows."""
    inner = spec["inner"]
    return replace(context, name=inner["name"], needed={local: context.need(name) for local, name in inner["names"].items()})


def inner_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: a stage of a training run, on rows and models of the study."""
    module, _, name = spec["inner"]["function"].partition(":")
    function: Function = getattr(importlib.import_module(module), name)
    return dict(function(spec, as_in_a_run(spec, context)))


def classifier_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: ``inner_unit`` for a stage that leaves a classifier in ``model/``, which is measured and then removed.

    Record: also ``size_bytes`` and ``parameters``. With ``spec["development"]``: ``development.parquet``, scores of those rows.
    """
    record = inner_unit(spec, context)
    stage, folder = Stage.of(spec, as_in_a_run(spec, context)), context.out / "model"
    with computing(stage.settings):
        classifier = Classifier.load(folder, device=stage.device)
        context.measured["latency_ms"] = latency(classifier.predict_proba, stage.rows("test"))
        if spec["development"]:
            rows = stage.rows("development")
            save_scores(context.out / "development.parquet", rows.ids, stage.task.labels, np.log(classifier.predict_proba(rows) + 1e-30))
    record |= {"size_bytes": _size(folder), "parameters": sum(p.numel() for p in classifier.model.parameters())}
    shutil.rmtree(folder)
    return record


def _size(folder: Path) -> int:
    """Bytes of what is needed to classify: weights, configuration, tokenizer."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != "README.md")


def supervised_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: plain fine-tuning as ``classifier_unit``, and a temperature from ``spec["folds"]``-fold cross-validation (0: none)."""
    record = classifier_unit(spec, context)
    stage = Stage.of(spec, as_in_a_run(spec, context))
    train = stage.rows("train")
    with computing(stage.settings), calibrating(context.measured):
        held_out = _held_out_logits(stage, train, spec["folds"]) if spec["folds"] else None
    if held_out is None:
        return record
    return record | {"temperature": fit_temperature(held_out, np.eye(len(stage.task.labels))[list(train.labels)])}


def _held_out_logits(stage: Stage, train: Rows, folds: int) -> np.ndarray[Any, np.dtype[np.float32]] | None:
    """Logits (N, C) of the labelled rows, each by a model that has not learned from it; None where a label has fewer rows than folds."""
    truth = np.asarray(train.labels, dtype=np.int64)
    counts = np.bincount(truth)
    if counts[counts > 0].min() < folds:
        return None
    seed = stage.context.seed_for("calibration")
    logits = np.empty((len(train), len(stage.task.labels)), dtype=np.float32)
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed % 2**32)
    for number, (learned, held) in enumerate(parts.split(truth, truth)):
        rows, settings = train.select(learned), stage.settings.supervised
        fitted = fit_classifier(stage, rows, truth[learned], label_loss, settings, seed=seed_for(seed, number), context=None)
        logits[held] = fitted.logits(stage, train.select(held))
    return logits


def weights_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: the accuracy of every untrained pattern of ``spec["patterns"]`` on a split's labelled rows, which weighs its members."""
    stage = Stage.of(spec, as_in_a_run(spec, context))
    train, found = stage.rows("train"), {}
    with computing(stage.settings):
        model = stage.masked_lm()
        encoder = stage.encoder(stage.tokenizer(), longest=model.max_length)
        for pattern in spec["patterns"]:
            scores = scores_of(model, encoder, train, stage.task.pvps[pattern], stage.settings)
            found[str(pattern)] = accuracy(train.labels, scores)
    return {"weights": found}


def zero_shot_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: the untrained patterns of the units ``spec["members"]`` mixed alike; no label is used."""
    inner = as_in_a_run(spec, context)
    stage = Stage.of(spec, inner)
    test = stage.rows("test")
    mixed = mix_scores([load_scores(inner.need(name) / "test.parquet") for name in spec["members"]], [1.0] * len(spec["members"]))
    save_scores(context.out / "test.parquet", test.ids, stage.task.labels, mixed)
    with computing(stage.settings):
        model = stage.masked_lm()
        encoder = stage.encoder(stage.tokenizer(), longest=model.max_length)

        def predict(row: Rows) -> None:
            for pattern in spec["patterns"]:
                scores_of(model, encoder, row, stage.task.pvps[pattern], stage.settings)

        context.measured["latency_ms"] = latency(predict, test)
    parameters = sum(p.numel() for p in model.parameters())
    return {"test": evaluate(test.labels, mixed), "parameters": parameters, "size_bytes": 4 * parameters, "temperature": None}
