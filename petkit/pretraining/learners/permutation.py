"""XLNet's permutation language modelling: two streams, masks made on the device."""

from __future__ import annotations

from typing import Any

import numpy as np

from petkit.objectives import IGNORED, Permutation, PermutationBatch, Vocabulary, permutation_masks
from petkit.pretraining.learners.base import Asked, Learner
from petkit.tensors import on

__all__ = ["PermutationLearner"]


class PermutationLearner(Learner):
    """Part ``permutation``: mean cross-entropy of the targets (Yang et al. 2019, sections 2.2 and 2.3, arXiv 1906.08237).

    Rows are one segment, in which segment embeddings cancel out of the attention (section 2.5); they are left out and stay as they were.
    """

    def __init__(self, objective: Permutation, model: Any, vocabulary: Vocabulary) -> None:
        super().__init__(objective, model, vocabulary)
        for layer in model.transformer.layer:
            layer.rel_attn.seg_embed.requires_grad_(False)
            layer.rel_attn.r_s_bias.requires_grad_(False)

    def counts(self, batch: PermutationBatch) -> dict[str, float]:
        """Targets."""
        return {"permutation": float((batch.labels != IGNORED).sum())}

    def asked(self, batch: PermutationBatch) -> dict[str, Asked]:
        """The targets, each from what it may see."""
        positions, labels = batch.positions, batch.labels
        if positions.shape[1] == 0:  # a stream of questions that nothing counts, so that the graph is whole
            positions, labels = (np.full((len(positions), 1), fill, dtype=np.int64) for fill in (-1, IGNORED))
        order, selection = on(batch.order, self.device), on(batch.selection, self.device)
        hidden_from, asked_at = permutation_masks(order, selection, on(positions, self.device))
        mask = None if batch.valid.all() else on(batch.valid.astype(np.float32), self.device)
        options = {"perm_mask": hidden_from, "target_mapping": asked_at, "attention_mask": mask, "use_mems": False}
        states = self.model.transformer(input_ids=on(batch.inputs, self.device), **options).last_hidden_state
        places = np.flatnonzero(labels != IGNORED)
        targets = on(labels.reshape(-1)[places], self.device)
        hidden = states.flatten(0, 1).index_select(0, on(places, self.device))
        return {"permutation": Asked(hidden, targets, self.model.lm_loss, self.model.lm_loss.weight.shape[0])}
