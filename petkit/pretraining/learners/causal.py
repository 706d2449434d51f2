"""Causal language modelling: every token from those before it."""

from __future__ import annotations

import numpy as np
import torch

from petkit.objectives import IGNORED, CausalBatch
from petkit.pretraining.learners.base import Asked, Learner
from petkit.tensors import on

__all__ = ["CausalLearner"]


class CausalLearner(Learner):
    """Part ``causal``: mean cross-entropy of each token that has one before it, as ``GPT2LMHeadModel`` has it with ``labels=``.

    The head sees places whose next token counts, in pieces: no array of all places and words exists.
    """

    def counts(self, batch: CausalBatch) -> dict[str, float]:
        """Tokens with one before them."""
        return {"causal": float((batch.labels[:, 1:] != IGNORED).sum())}

    def asked(self, batch: CausalBatch) -> dict[str, Asked]:
        """The next token of each place."""
        counted = np.zeros(batch.labels.shape, dtype=bool)
        counted[:, :-1] = batch.labels[:, 1:] != IGNORED
        places = np.flatnonzero(counted)
        inputs = on(batch.inputs, self.device)
        everywhere = torch.ones_like(inputs)  # padding comes last, so no token looks at it anyway
        found = self.model.transformer(input_ids=inputs, attention_mask=everywhere, use_cache=False)
        hidden = found.last_hidden_state.flatten(0, 1).index_select(0, on(places, self.device))
        targets = on(batch.labels.reshape(-1)[places + 1], self.device)
        return {"causal": Asked(hidden, targets, self.model.lm_head, self.model.lm_head.weight.shape[0])}
