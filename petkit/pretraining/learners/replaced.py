"""Replaced-token detection: a generator learns to fill masks, a discriminator to tell its tokens from the original ones."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from petkit.objectives import ReplacedBatch, ReplacedTokenDetection, Vocabulary, replaced_tokens
from petkit.pretraining.electra import DISCRIMINATOR, Electra
from petkit.pretraining.learners.base import Asked, Learner, save_pretrained, token_batch
from petkit.pretraining.learners.masked import masked_tokens
from petkit.tensors import on

__all__ = ["ReplacedLearner", "sample"]


def sample(logits: Tensor, draws: Tensor) -> Tensor:
    """One token for each row of ``logits`` (S, V) out of its softmax, by inverse distribution function: (S,) int64.

    Token i is drawn where the chances of those before it sum to the draw or less, and with its own to more.

    Args:
        draws: (S,) floating point in [0, 1), each row's place in its distribution; the same draws give the same tokens.
    """
    below = functional.softmax(logits.float(), dim=-1).cumsum(-1)
    draws = draws.to(below.dtype).clamp(max=1 - torch.finfo(below.dtype).eps)  # a draw may round up to 1
    return torch.searchsorted(below, draws[:, None] * below[:, -1:], right=True)[:, 0].clamp(max=logits.shape[-1] - 1)


class ReplacedLearner(Learner):
    """Parts ``generator`` and ``discriminator`` (Clark et al. 2020, section 3.1, arXiv 2003.10555), weights from the objective.

    The generator's loss is that of masked language modelling; its samples pass no gradient. The discriminator judges every valid token;
    one that the generator guessed right is an original.
    """

    model: Electra

    def __init__(self, objective: ReplacedTokenDetection, model: Electra, vocabulary: Vocabulary) -> None:
        super().__init__(objective, model, vocabulary)
        self.weights = {"generator": objective.generator_weight, "discriminator": objective.discriminator_weight}

    def counts(self, batch: ReplacedBatch) -> dict[str, float]:
        """Selected positions; valid tokens."""
        return {"generator": float(len(batch.masked.positions)), "discriminator": float(batch.valid.sum())}

    def asked(self, batch: ReplacedBatch) -> dict[str, Asked]:
        """The hidden tokens, of the generator; of all tokens, whether they are replaced."""
        masked, device = batch.masked, self.device
        tokens = token_batch(masked.inputs, batch.valid, device)
        hidden = self.model.generator.hidden_at(tokens, masked.positions)
        inputs, replaced = self._replaced(batch, hidden)
        read = replace(tokens, input_ids=inputs)
        places = on(np.flatnonzero(batch.valid), device)
        states = self.model.discriminator.hidden(read).flatten(0, 1).index_select(0, places)
        targets = replaced.flatten().index_select(0, places).long()
        judged = Asked(states, targets, partial(_two_columns, self.model.discriminator.model), 2)
        return {"generator": masked_tokens(self.model.generator, hidden, masked), "discriminator": judged}

    @torch.no_grad()
    def _replaced(self, batch: ReplacedBatch, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """What the discriminator reads, and where it differs from the originals: (B, T) int64 and bool."""
        draws, device = on(batch.draws.astype(np.float32), hidden.device), hidden.device.type
        rows = max(1, 2**26 // self.model.generator.vocab_size)
        pieces = zip(hidden.split(rows), draws.split(rows), strict=True)
        # Without autocast's cache: the head's weights that it casts here know no gradient, and the loss would read them from it.
        with torch.autocast(device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device), cache_enabled=False):
            sampled = torch.cat([sample(self.model.generator.vocab_logits(states), part) for states, part in pieces])
        return replaced_tokens(on(batch.originals, hidden.device), on(batch.masked.positions, hidden.device), sampled)

    def save(self, folder: Path, *, half: bool = False) -> None:
        """The generator, an ``ElectraForMaskedLM``, into ``folder``; the discriminator, an ``ElectraForPreTraining``, into
        ``folder/discriminator``: that is the one to fine-tune as an ordinary classifier."""
        save_pretrained(self.model.generator.model, folder, half=half)
        save_pretrained(self.model.discriminator.model, folder / DISCRIMINATOR, half=half)


def _two_columns(model: Any, states: Tensor) -> Tensor:
    """The discriminator's logit as the second of two, (N, 2): its cross-entropy is the binary one."""
    logit: Tensor = model.discriminator_predictions(states).float()
    return torch.stack([torch.zeros_like(logit), logit], dim=-1)
