"""Next-sentence and sentence-order prediction beside masked language modelling: the first position says which kind of pair it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
from torch import Tensor
from transformers import AlbertForPreTraining, BertForPreTraining

from petkit.backbones import MaskedLM
from petkit.errors import SettingsError
from petkit.objectives import PairBatch, PairPrediction, Vocabulary
from petkit.pretraining.learners.base import Asked, Learner, states_at, token_batch
from petkit.pretraining.learners.masked import masked_tokens
from petkit.tensors import on

__all__ = ["PAIR_HEADS", "PairLearner"]


def _bert(model: Any, states: Tensor) -> Tensor:
    pooler = model.bert.pooler
    logits: Tensor = model.cls.seq_relationship(pooler.activation(pooler.dense(states)))
    return logits


def _albert(model: Any, states: Tensor) -> Tensor:
    logits: Tensor = model.sop_classifier(model.albert.pooler_activation(model.albert.pooler(states)))
    return logits


PAIR_HEADS: Final[dict[str, Callable[[Any, Tensor], Tensor]]] = {"bert": _bert, "albert": _albert}
"""config.model_type -> (a ``*ForPreTraining`` model, last states (B, H) at the first position) -> logits (B, 2)."""


class PairLearner(Learner):
    """Parts ``mlm`` and, by the objective's name, ``nsp`` or ``sop``, both of weight 1. Label 1 is the random or the swapped pair.

    The model is a ``BertForPreTraining`` or ``AlbertForPreTraining`` inside ``MaskedLM``; saved, it opens as a ``*ForMaskedLM`` too.
    """

    def __init__(self, objective: PairPrediction, model: MaskedLM, vocabulary: Vocabulary) -> None:
        super().__init__(objective, model, vocabulary)
        if not isinstance(model.model, BertForPreTraining | AlbertForPreTraining):
            raise SettingsError(f"--objective {objective.name} needs a model with a head for pairs, which this one was not made with")

    def counts(self, batch: PairBatch) -> dict[str, float]:
        """Selected positions; pairs."""
        return {"mlm": float(len(batch.masked.positions)), self.objective.name: float(len(batch.labels))}

    def asked(self, batch: PairBatch) -> dict[str, Asked]:
        """The hidden tokens; the pairs' kinds."""
        rows, length = batch.masked.inputs.shape
        tokens = token_batch(batch.masked.inputs, batch.valid, self.device, types=batch.types)
        hidden, first = states_at(self.model, tokens, batch.masked.positions, np.arange(rows, dtype=np.int64) * length)
        head = partial(PAIR_HEADS[self.model.model.config.model_type], self.model.model)
        pairs = Asked(first, on(batch.labels, first.device), head, 2)
        return {"mlm": masked_tokens(self.model, hidden, batch.masked), self.objective.name: pairs}
