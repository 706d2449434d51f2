"""The ensemble: members' label scores mixed by their weights (Schick & Schütze 2021a, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from petkit.losses import mix_scores
from petkit.metrics import evaluate
from petkit.rowfiles import load_scores, save_scores
from petkit.stages import Stage
from petkit.units import UnitContext

__all__ = ["agreement", "ensemble_unit", "member_weights"]


def member_weights(accuracies: Sequence[float | None], weighting: str) -> list[float]:
    """Weights by accuracy on the labelled rows before training, or all 1: ``uniform``, and where an accuracy is unknown.

    >>> member_weights([0.5, 0.25], "weighted"), member_weights([0.5, None], "weighted"), member_weights([0.5, 0.25], "uniform")
    ([0.5, 0.25], [1.0, 1.0], [1.0, 1.0])
    """
    if weighting == "uniform" or any(value is None for value in accuracies):
        return [1.0] * len(accuracies)
    return [float(value) for value in accuracies if value is not None]


def agreement(scores: Sequence[np.ndarray[Any, np.dtype[np.float32]]]) -> float:
    """The mean share of rows on which two members choose the same label; 1 for a single member."""
    votes = [member.argmax(axis=1) for member in scores]
    pairs = [(a == b).mean() for i, a in enumerate(votes) for b in votes[i + 1 :]]
    return float(np.mean(pairs)) if pairs else 1.0


def ensemble_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: mix the scores of ``spec["members"]`` with ``spec["weights"]`` on pool and test rows.

    Record: ``test`` scores, ``agreement`` of the members on the pool, and the shares of the labels that the pool gets.
    """
    stage = Stage.of(spec, context)
    record: dict[str, Any] = {}
    for part in ("pool", "test"):
        rows = stage.rows(part)
        members = [load_scores(context.need(name) / f"{part}.parquet") for name in spec["members"]]
        mixed = mix_scores(members, spec["weights"])
        save_scores(context.out / f"{part}.parquet", rows.ids, stage.task.labels, mixed)
        if part == "test":
            record["test"] = evaluate(rows.labels, mixed)
        elif len(rows):
            counts = np.bincount(mixed.argmax(axis=1), minlength=len(stage.task.labels))
            record["agreement"] = agreement(members)
            record["pool_labels"] = dict(zip(stage.task.labels, counts.tolist(), strict=True))
    return record
