"""The training loop and the forward pass as all kinds use them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from petkit.batching import Batch, collate, token_budget_batches
from petkit.checkpoints import CHECKPOINT_FILE
from petkit.encoding.encoded import Encoded
from petkit.finetuning.kind import Job, Lessons
from petkit.sampling import epoch_batch
from petkit.strategies import strategy
from petkit.strategies.preparing import prepared
from petkit.training import Trained, autocast, train
from petkit.units import UnitContext

__all__ = ["batches", "fit"]

STAGE = "finetune"


def fit(model: Any, lessons: Lessons, job: Job, *, seed: int, context: UnitContext | None) -> Trained:
    """Train ``model`` in place: every row once per epoch, in an order drawn anew for each. ``context`` keeps checkpoints, None for none.

    Parts of an update have the gradient of one: each counts by its terms.
    """
    settings, size = job.settings, len(lessons.encoded)
    parts = settings.accumulate

    def losses(step: int, micro: int) -> dict[str, Tensor]:
        among = epoch_batch(seed, STAGE, index=step, batch=settings.batch or 1, size=size)
        chosen = among.reshape(parts, -1)[micro]
        batch = collate(lessons.encoded, chosen, pad_id=job.tokenizer.pad_token_id, device=model.device)
        weight = parts * lessons.weight(chosen, among)  # the loop takes the mean of the parts
        return {"loss": weight * lessons.loss(model, batch, chosen)}

    with prepared(model, strategy(settings.strategy), seed=seed) as before_step:
        return train(
            model,
            losses,
            settings.training(size),
            seed=seed,
            stage=STAGE,
            checkpoint=context.work / CHECKPOINT_FILE if context else None,
            before_step=before_step,
            on_step=(lambda step, steps, means: context.progress(step, steps, **(means or {}))) if context else None,
        )


@torch.inference_mode()
def batches(model: Any, encoded: Encoded, forward: Callable[[Batch], Any], job: Job) -> Iterator[tuple[NDArray[np.int64], Any]]:
    """What ``forward`` gives for all rows, batched by length under the token budget: (row numbers, result) per batch."""
    model.eval()
    for chosen in token_budget_batches(encoded.lengths, tokens=job.settings.token_budget):
        with autocast(model.device, job.settings.precision):
            found = forward(collate(encoded, chosen, pad_id=job.tokenizer.pad_token_id, device=model.device))
        yield chosen, found
