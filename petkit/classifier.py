"""Ordinary sequence classifiers: forward, training, calibration, and the folder that plain transformers loads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from petkit.backbones.plain import inputs_of, save_for_pipelines
from petkit.batching import Batch, collate, token_budget_batches
from petkit.checkpoints import CHECKPOINT_FILE
from petkit.encoding.encoded import Encoded
from petkit.errors import ModelError
from petkit.files import write_json
from petkit.pvp import Task
from petkit.sampling import epoch_batch
from petkit.strategies import FULL, Strategy
from petkit.strategies.preparing import prepared
from petkit.taskspec import task_spec
from petkit.tensors import on
from petkit.training import Trained, TrainSettings, autocast, train
from petkit.units import UnitContext

__all__ = ["classifier_logits", "divide_logits", "predict_logits", "save_classifier", "train_classifier"]


def classifier_logits(model: Any, batch: Batch) -> Tensor:
    """(B, C) float32 logits of a transformers sequence classifier for one or two segments."""
    logits: Tensor = model(**inputs_of(model, batch)).logits
    return logits.float()


def train_classifier(
    model: Any,
    encoded: Encoded,
    targets: npt.NDArray[Any],
    loss: Callable[[Tensor, Tensor], Tensor],
    settings: TrainSettings,
    *,
    batch: int,
    pad_id: int,
    seed: int,
    how: Strategy = FULL,
    context: UnitContext | None = None,
) -> Trained:
    """Train in place on ``encoded`` (N rows) with ``targets``: (N, C) soft labels or (N,) label indices, as ``loss`` wants them.

    ``how`` says which weights change.
    """
    goal = torch.from_numpy(np.ascontiguousarray(targets))

    def losses(step: int, micro: int) -> dict[str, Tensor]:
        index = step * settings.accumulate + micro
        chosen = epoch_batch(seed, "classifier", index=index, batch=batch, size=len(encoded))
        rows = collate(encoded, chosen, pad_id=pad_id, device=model.device)
        wanted = on(goal[torch.from_numpy(chosen)], model.device)
        return {"loss": loss(classifier_logits(model, rows), wanted)}

    with prepared(model, how, seed=seed) as before_step:
        return train(
            model,
            losses,
            settings,
            seed=seed,
            stage="classifier",
            checkpoint=context.work / CHECKPOINT_FILE if context else None,
            before_step=before_step,
            on_step=(lambda step, steps, means: context.progress(step, steps, **(means or {}))) if context else None,
        )


@torch.inference_mode()
def predict_logits(model: Any, encoded: Encoded, *, pad_id: int, token_budget: int, precision: str = "float32") -> npt.NDArray[np.float32]:
    """(N, C) float32 logits in row order, batched by length under a token budget."""
    logits = np.empty((len(encoded), model.config.num_labels), dtype=np.float32)
    model.eval()
    done = []
    for chosen in token_budget_batches(encoded.lengths, tokens=token_budget):
        with autocast(model.device, precision):
            done.append((chosen, classifier_logits(model, collate(encoded, chosen, pad_id=pad_id, device=model.device))))
    for chosen, found in done:
        logits[chosen] = found.cpu().numpy()
    return logits


@torch.no_grad()
def divide_logits(model: Any, temperature: float) -> None:
    """Divide the last linear layer by a temperature, so that a plain softmax of the logits is calibrated."""
    last = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == model.config.num_labels]
    if not last:
        raise ModelError(f"{type(model).__name__} has no linear layer with {model.config.num_labels} outputs")
    last[-1].weight.div_(temperature)
    if last[-1].bias is not None:
        last[-1].bias.div_(temperature)


def save_classifier(model: Any, tokenizer: Any, folder: Path, *, task: Task, max_length: int, card: str) -> None:
    """Write model (safetensors, label names in the config), tokenizer, card, and ``petkit.json`` with the task into ``folder``."""
    save_for_pipelines(model, tokenizer, folder, max_length=max_length)
    write_json(folder / "petkit.json", {"schema": 1, "task": task_spec(task), "labels": list(task.labels), "max_length": max_length})
    (folder / "README.md").write_text(card, encoding="utf-8")
