"""DistilBERT's three losses: a student learns from a teacher that stays as it is."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from petkit.backbones import MaskedLM
from petkit.errors import SettingsError
from petkit.objectives import Distillation, MaskedBatch, Vocabulary
from petkit.pretraining.learners.base import Asked, Learner, evaluating, summed, token_batch
from petkit.pretraining.learners.masked import masked_tokens
from petkit.tensors import on

__all__ = ["DistillationLearner"]


class DistillationLearner(Learner):
    """Parts ``soft``, ``mlm`` and ``cosine`` (Sanh et al. 2019, section 3, arXiv 1910.01108), weights from the objective.

    ``soft``: the divergence of the student's from the teacher's distribution, both at the temperature, times its square, as in the training
    script. It counts the masked positions only, those with an ``mlm`` loss, as that script does with ``--restrict_ce_to_mask``; without
    the option, which is its default, it counts every token. ``cosine``: 1 - cosine of the two last states at every token.
    The teacher reads the same corrupted rows, in evaluation mode and without gradients; it is neither trained nor saved.
    """

    def __init__(self, objective: Distillation, model: MaskedLM, vocabulary: Vocabulary, teacher: MaskedLM) -> None:
        super().__init__(objective, model, vocabulary)
        for name, mine, theirs in (
            ("hidden size", model.hidden_size, teacher.hidden_size),
            ("vocabulary", model.vocab_size, teacher.vocab_size),
        ):
            if mine != theirs:
                raise SettingsError(f"student and teacher have a {name} of {mine} and {theirs}; --objective distilbert needs the same")
        self._teacher = (teacher.eval().requires_grad_(False),)  # in a tuple, so that it is no part of this module
        self.weights = {"soft": objective.soft_weight, "mlm": objective.masked_weight, "cosine": objective.cosine_weight}

    @property
    def teacher(self) -> MaskedLM:
        """The teacher, on the student's device."""
        (teacher,) = self._teacher
        return teacher if teacher.device == self.device else teacher.to(self.device)

    def counts(self, batch: MaskedBatch) -> dict[str, float]:
        """Selected positions, twice; valid tokens."""
        selected = float(len(batch.positions))
        return {"soft": selected, "mlm": selected, "cosine": float((batch.inputs != self.vocabulary.pad_id).sum())}

    def sums(self, batch: MaskedBatch) -> dict[str, Tensor]:
        """All three from one pass of each model."""
        mine, theirs = self._states(batch)
        places = on(batch.positions, mine.device)
        rows = (mine.index_select(0, places), theirs.index_select(0, places), on(batch.targets, mine.device))
        soft, mlm = summed(self._at_masks, *rows, width=2 * self.model.vocab_size).unbind()
        return {"soft": soft, "mlm": mlm, "cosine": self._cosine(batch, mine, theirs)}

    def asked(self, batch: MaskedBatch) -> dict[str, Asked]:
        """The hidden tokens."""
        tokens = token_batch(batch.inputs, batch.inputs != self.vocabulary.pad_id, self.device)
        return {"mlm": masked_tokens(self.model, self.model.hidden_at(tokens, batch.positions), batch)}

    @torch.no_grad()
    def score(self, batch: MaskedBatch) -> dict[str, tuple[float, float]]:
        """As every learner's, and the two losses that the teacher takes part in."""
        with evaluating(self):
            sums, counts = self.sums(batch), self.counts(batch)
        return super().score(batch) | {name: (float(sums[name]), counts[name]) for name in ("soft", "cosine")}

    def _states(self, batch: MaskedBatch) -> tuple[Tensor, Tensor]:
        """The last states of student and teacher: (B T, H) each."""
        tokens = token_batch(batch.inputs, batch.inputs != self.vocabulary.pad_id, self.device)
        with torch.no_grad():
            theirs = self.teacher.hidden(tokens)
        return self.model.hidden(tokens).flatten(0, 1), theirs.flatten(0, 1)

    def _at_masks(self, mine: Tensor, theirs: Tensor, targets: Tensor) -> Tensor:
        logits, heat = self.model.vocab_logits(mine), self.objective.temperature
        with torch.no_grad():
            wanted = functional.log_softmax(self.teacher.vocab_logits(theirs) / heat, dim=-1)
        divergence = functional.kl_div(functional.log_softmax(logits / heat, dim=-1), wanted, reduction="sum", log_target=True)
        return torch.stack([divergence * heat**2, functional.cross_entropy(logits, targets, reduction="sum")])

    def _cosine(self, batch: MaskedBatch, mine: Tensor, theirs: Tensor) -> Tensor:
        valid = on(np.flatnonzero(batch.inputs != self.vocabulary.pad_id), mine.device)
        alike = functional.cosine_similarity(mine.index_select(0, valid).float(), theirs.index_select(0, valid).float(), dim=-1)
        return (1 - alike).sum()
