"""Masked-language-model heads, taken apart: what ``backbones.FAMILIES`` names.

A head is a transform (H -> E) and a decoder (E -> V). Kept apart, the decoder can run for a few words and
for a few positions only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional

__all__ = [
    "Head",
    "albert_head",
    "bert_head",
    "deberta_head",
    "distilbert_head",
    "electra_head",
    "modernbert_head",
    "roberta_head",
]


@dataclass(frozen=True)
class Head:
    """A model's head in parts: modules in the order they run, and the decoder's rows."""

    transform: tuple[Callable[[Tensor], Tensor], ...]
    """Applied to hidden states one after the other: (N, H) -> (N, E)."""
    weight: Tensor
    """(V, E)"""
    bias: Tensor | None
    """(V,)"""


def bert_head(model: Any) -> Head:
    """BERT, and DeBERTa's legacy head, which copies it."""
    head = model.cls.predictions
    return Head((head.transform,), head.decoder.weight, head.decoder.bias)


def roberta_head(model: Any) -> Head:
    """RoBERTa, XLM-R, CamemBERT: the activation is a fixed GELU."""
    head = model.lm_head
    return Head((head.dense, functional.gelu, head.layer_norm), head.decoder.weight, head.decoder.bias)


def albert_head(model: Any) -> Head:
    """ALBERT: E is smaller than H."""
    head = model.predictions
    return Head((head.dense, head.activation, head.LayerNorm), head.decoder.weight, head.decoder.bias)


def distilbert_head(model: Any) -> Head:
    """DistilBERT: the parts lie in the model itself."""
    projector = model.vocab_projector
    return Head((model.vocab_transform, model.activation, model.vocab_layer_norm), projector.weight, projector.bias)


def deberta_head(model: Any) -> Head:
    """DeBERTa-v2 and v3. The non-legacy head borrows the word embeddings as its decoder."""
    if model.config.legacy:
        return bert_head(model)
    head = model.lm_predictions.lm_head
    return Head((head.dense, head.transform_act_fn, head.LayerNorm), model.deberta.embeddings.word_embeddings.weight, head.bias)


def electra_head(model: Any) -> Head:
    """ELECTRA's generator."""
    return Head((model.generator_predictions,), model.generator_lm_head.weight, model.generator_lm_head.bias)


def modernbert_head(model: Any) -> Head:
    """ModernBERT."""
    return Head((model.head,), model.decoder.weight, model.decoder.bias)
