"""Masked language modelling: the model's own head at the selected positions, and SpanBERT's second head."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import functional

from petkit.backbones import MaskedLM
from petkit.backbones.modelfiles import resolve
from petkit.batching import Batch
from petkit.objectives import MaskedBatch, MaskedLanguageModeling, Vocabulary
from petkit.pretraining.learners.base import Asked, Learner, states_at, token_batch
from petkit.pretraining.learners.boundary import BoundaryHead
from petkit.tensors import on

__all__ = ["MaskedLearner", "masked_lm_loss"]


def masked_lm_loss(model: MaskedLM, batch: Batch, masked: MaskedBatch) -> Tensor:
    """Mean cross-entropy at the selected positions; 0 where nothing is selected. Last layer and head see those positions only.

    Args:
        batch: (B, T) with ``input_ids`` already corrupted. masked: positions (S,) into the flattened (B T), targets (S,).
    """
    asked = masked_tokens(model, model.hidden_at(batch, masked.positions), masked)
    return asked.loss() / max(1, len(masked.positions))


def masked_tokens(model: MaskedLM, hidden: Tensor, masked: MaskedBatch) -> Asked:
    """What a masked language model is asked, given its last states (S, H) at the selected positions."""
    return Asked(hidden, on(masked.targets, hidden.device), model.vocab_logits, model.vocab_size)


class MaskedLearner(Learner):
    """Part ``mlm``; with a boundary head also ``sbo``, both of weight 1 (Joshi et al. 2020, section 3.2, arXiv 1907.10529).

    Args:
        init: the checkpoint that ``model`` came from: the boundary head beside it is taken, if there is one.
    """

    def __init__(
        self, objective: MaskedLanguageModeling, model: MaskedLM, vocabulary: Vocabulary, *, seed: int = 0, init: str | None = None
    ) -> None:
        super().__init__(objective, model, vocabulary)
        self.boundary: BoundaryHead | None = None
        if objective.boundary:
            rows, width = model.model.get_input_embeddings().weight.shape
            self.boundary = BoundaryHead(model.hidden_size, width, rows, seed=seed)
            if init is not None:
                self.boundary.load(Path(resolve(init)))

    def counts(self, batch: MaskedBatch) -> dict[str, float]:
        """Selected positions; tokens of spans with a token on both sides."""
        found = {"mlm": float(len(batch.positions))}
        if self.boundary is not None:
            found["sbo"] = float(len(_around(batch).targets))
        return found

    def asked(self, batch: MaskedBatch) -> dict[str, Asked]:
        """The hidden tokens, from themselves and from their span's boundaries."""
        tokens = token_batch(batch.inputs, batch.inputs != self.vocabulary.pad_id, self.device)
        if self.boundary is None:
            return {"mlm": masked_tokens(self.model, self.model.hidden_at(tokens, batch.positions), batch)}
        around = _around(batch)
        hidden, left, right = states_at(self.model, tokens, batch.positions, around.left, around.right)
        features = self.boundary(left, right, on(around.offsets, left.device))
        words = self.model.model.get_input_embeddings().weight
        decode = partial(functional.linear, weight=words, bias=self.boundary.bias)
        targets = on(around.targets, left.device)
        return {"mlm": masked_tokens(self.model, hidden, batch), "sbo": Asked(features, targets, decode, len(words))}

    def save(self, folder: Path, *, half: bool = False) -> None:
        """The model for plain transformers, and boundary_head.safetensors beside it."""
        super().save(folder, half=half)
        if self.boundary is not None:
            self.boundary.save(folder, half=half)


def _around(batch: MaskedBatch) -> Any:
    if batch.boundaries is None:
        raise ValueError("this batch comes from an objective without a boundary head")
    return batch.boundaries
