"""Stages: baselines that train no language model: TF-IDF, a linear probe, the nearest label name, the majority class."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import log_softmax

from petkit.backbones import MaskedLM
from petkit.baselines import TfidfFeatures, fit_logistic, held_out_scores, logistic_scores
from petkit.batching import collate, tallying, token_budget_batches
from petkit.compute import autocast_dtype, computing
from petkit.encoding import Encoder
from petkit.evaluation.latency import calibrating, latency
from petkit.evaluation.stages import as_in_a_run
from petkit.files import read_tensors_checked, write_tensors
from petkit.losses import fit_temperature
from petkit.pvp import Task
from petkit.rowfiles import save_scores
from petkit.rows import Rows
from petkit.scoring import inference
from petkit.stages import Stage
from petkit.units import UnitContext

__all__ = ["embed", "embeddings_unit", "label_embedding_unit", "label_names", "linear_probe_unit", "majority_unit", "tfidf_unit"]

Float = npt.NDArray[np.float32]
EMBEDDINGS = "embeddings"
SHARPNESS = 10.0
"""By which similarities to label names are multiplied before the softmax. It moves probabilities, never the label."""


def tfidf_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: TF-IDF and logistic regression with cross-validated C on the split's labelled rows; idf from pool and labelled rows."""
    stage = Stage.of(spec, as_in_a_run(spec, context))
    train, test, task = stage.rows("train"), stage.rows("test"), stage.task
    features = TfidfFeatures.fitted(task, [train, stage.rows("pool")])
    known, seed = features(train), context.seed_for("tfidf")
    model = fit_logistic(known, train.labels, seed=seed)
    with calibrating(context.measured):
        held_out = held_out_scores(known, train.labels, labels=len(task.labels), seed=seed)
    _save(stage, spec, lambda rows: logistic_scores(model, features(rows), labels=len(task.labels)))
    context.measured["latency_ms"] = latency(lambda row: model.predict_proba(features(row)), test)
    words = sum(len(word.encode()) for word in features.vectorizer.vocabulary_)
    weights = known.shape[1] * (1 + _rows_of_weights(len(task.labels)))
    return {**_temperature(held_out, train, task), "size_bytes": 8 * weights + words, "parameters": weights, "counts": _counts(0)}


def linear_probe_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: logistic regression with cross-validated C on the frozen checkpoint's mean-pooled states, standardised by the pool."""
    stage = Stage.of(spec, as_in_a_run(spec, context))
    train, task = stage.rows("train"), stage.task
    known_of = read_tensors_checked(stage.context.need(EMBEDDINGS) / "embeddings.safetensors")
    mean, spread = known_of["mean"].numpy(), np.maximum(known_of["spread"].numpy(), 1e-6)
    with computing(stage.settings):
        model = stage.masked_lm()
        encoder = stage.encoder(stage.tokenizer(), longest=model.max_length)

        def features(rows: Rows) -> Float:
            return np.asarray((embed(model, encoder, rows, task, stage=stage) - mean) / spread, dtype=np.float32)

        with tallying() as tally:
            known, seed = features(train), context.seed_for("linear-probe")
        probe = fit_logistic(known, train.labels, seed=seed)
        with calibrating(context.measured):
            held_out = held_out_scores(known, train.labels, labels=len(task.labels), seed=seed)
        tested = (known_of["test"].numpy() - mean) / spread
        save_scores(
            context.out / "test.parquet", stage.rows("test").ids, task.labels, logistic_scores(probe, tested, labels=len(task.labels))
        )
        if spec["development"]:
            _save_development(stage, logistic_scores(probe, features(stage.rows("development")), labels=len(task.labels)))
        context.measured["latency_ms"] = latency(lambda row: probe.predict_proba(features(row)), stage.rows("test"))
    size = sum(p.numel() for p in model.parameters()) + (known.shape[1] + 1) * _rows_of_weights(len(task.labels))
    return {**_temperature(held_out, train, task), "size_bytes": 4 * size, "parameters": size, "counts": _counts(tally.tokens)}


def embeddings_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: the test rows' embeddings, and mean and spread of the pool's. Record: ``counts``, what both took."""
    stage = Stage.of(spec, as_in_a_run(spec, context))
    with computing(stage.settings), tallying() as tally:
        model = stage.masked_lm()
        encoder = stage.encoder(stage.tokenizer(), longest=model.max_length)
        test, pool = (embed(model, encoder, stage.rows(part), stage.task, stage=stage) for part in ("test", "pool"))
    known = pool if len(pool) else np.zeros((1, model.hidden_size), dtype=np.float32)
    tensors = {
        "test": test,
        "mean": known.mean(0, dtype=np.float64),
        "spread": known.std(0, dtype=np.float64) if len(pool) else known[0] + 1,
    }
    arrays = {name: torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)) for name, array in tensors.items()}
    write_tensors(context.out / "embeddings.safetensors", arrays)
    return {"counts": _counts(tally.tokens)}


@torch.inference_mode()
def embed(model: MaskedLM, encoder: Encoder, rows: Rows, task: Task, *, stage: Stage) -> Float:
    """(N, H) float32: the mean over a text's tokens, special ones included, of the last layer's states."""
    encoded = encoder.plain(rows, task)
    found = np.empty((len(encoded), model.hidden_size), dtype=np.float32)
    with inference(model, autocast_dtype(stage.settings.precision)):
        for chosen in token_budget_batches(encoded.lengths, tokens=stage.settings.token_budget):
            batch = collate(encoded, chosen, pad_id=encoder.pad_id, device=model.device)
            mask = batch.attention_mask[:, :, None].float()
            found[chosen] = ((model.hidden(batch).float() * mask).sum(1) / mask.sum(1)).cpu().numpy()
    return found


def label_embedding_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: the label whose name lies nearest by cosine, embeddings centred by the pool's mean. No label is used."""
    stage = Stage.of(spec, as_in_a_run(spec, context))
    task, test = stage.task, stage.rows("test")
    known = read_tensors_checked(stage.context.need(EMBEDDINGS) / "embeddings.safetensors")
    names = label_names(task)
    with computing(stage.settings):
        model = stage.masked_lm()
        encoder = stage.encoder(stage.tokenizer(), longest=model.max_length)
        first, *others = task.fields
        as_rows = Rows(names, {first: names, **{name: ("",) * len(names) for name in others}})
        targets = embed(model, encoder, as_rows, _first_field_only(task), stage=stage) - known["mean"].numpy()

        def scores(embedded: Float) -> Float:
            centred = embedded - known["mean"].numpy()
            return np.asarray(log_softmax(SHARPNESS * _unit(centred) @ _unit(targets).T, axis=1), dtype=np.float32)

        found = scores(known["test"].numpy())
        context.measured["latency_ms"] = latency(lambda row: scores(embed(model, encoder, row, task, stage=stage)), test)
    save_scores(context.out / "test.parquet", test.ids, task.labels, found)
    size = sum(p.numel() for p in model.parameters())
    return {"temperature": None, "size_bytes": 4 * size, "parameters": size, "counts": _counts(0), "names": list(names)}


def label_names(task: Task) -> tuple[str, ...]:
    """The labels' names as words: ``sci/tech`` is ``sci tech``; for labels that are mere numbers, the first pattern's words."""
    if all(re.search(r"[^\W\d_]{2}", label) for label in task.labels):
        return tuple(" ".join(re.split(r"[\W_]+", label)).strip() for label in task.labels)
    return tuple(" ".join(words) for words in task.pvps[0].verbalizer.words)


def _first_field_only(task: Task) -> Task:
    """A task that sees one text, so that a name of a label is no pair."""
    words = {label: f"word{index}" for index, label in enumerate(task.labels)}
    return Task(name="names", fields=task.fields[:1], patterns=f"{{mask}} {{{task.fields[0]}}}", verbalizer=words)


def _unit(vectors: Float) -> Float:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def majority_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: the most frequent label of the labelled rows (the first of several), with shares smoothed by one row per label."""
    stage = Stage.of(spec, as_in_a_run(spec, context))
    test, labels = stage.rows("test"), stage.task.labels
    counts = np.bincount(np.asarray(stage.rows("train").labels, dtype=np.int64), minlength=len(labels)) + 1.0
    save_scores(context.out / "test.parquet", test.ids, labels, np.tile(np.log(counts / counts.sum()), (len(test), 1)))
    return {"temperature": None, "size_bytes": 8 * len(labels), "parameters": len(labels), "counts": _counts(0)}


def _save(stage: Stage, spec: dict[str, Any], scores: Any) -> None:
    test = stage.rows("test")
    save_scores(stage.context.out / "test.parquet", test.ids, stage.task.labels, scores(test))
    if spec["development"]:
        _save_development(stage, scores(stage.rows("development")))


def _save_development(stage: Stage, scores: Float) -> None:
    rows = stage.rows("development")
    save_scores(stage.context.out / "development.parquet", rows.ids, stage.task.labels, scores)


def _temperature(held_out: Float | None, train: Rows, task: Task) -> dict[str, float | None]:
    if held_out is None:
        return {"temperature": None}
    return {"temperature": fit_temperature(held_out, np.eye(len(task.labels))[list(train.labels)])}


def _rows_of_weights(labels: int) -> int:
    """How many rows of weights logistic regression has: one for two labels."""
    return 1 if labels == 2 else labels


def _counts(forward: int) -> dict[str, int]:
    return {"trained_steps": 0, "trained_tokens": 0, "forward_tokens": forward}
