"""Masked-language-model heads and layer stacks, taken apart: what ``backbones.FAMILIES`` names.

A head is a transform (H -> E) and a decoder (E -> V). Kept apart, the decoder can run for a few words and
for a few positions only. A stack is embeddings and a list of layers; kept apart, the last layer can run
at the mask slots only: it needs keys and values of all positions, but queries and feed-forward of few.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "Head",
    "Stack",
    "albert_head",
    "albert_stack",
    "bert_head",
    "bert_stack",
    "deberta_head",
    "distilbert_head",
    "distilbert_stack",
    "electra_head",
    "gather_slots",
    "modernbert_head",
    "roberta_head",
    "run_layers",
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


@dataclass(frozen=True)
class Stack:
    """An encoder in parts, for families whose layers all take the same mask."""

    embed: Callable[[Any, dict[str, Tensor]], Tensor]
    """(encoder, its keyword arguments) -> (B, T, H), what the first layer sees."""
    layers: Callable[[Any], list[nn.Module]]
    """encoder -> its layers in the order they run."""
    at_slots: Callable[[Any, Tensor, Tensor, Tensor | None], Tensor]
    """(layer, states (B, T, H), states at the slots (B, M, H), mask) -> (B, M, H), the layer's output there."""


def gather_slots(states: Tensor, slots: Tensor) -> Tensor:
    """The states (B, T, H) at the positions ``slots`` (B, M): (B, M, H)."""
    return states.gather(1, slots.unsqueeze(-1).expand(-1, -1, states.shape[-1]))


def _attend(attention: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """Scaled dot-product attention of projected (B, M, H) over projected (B, T, H), all heads: (B, M, H)."""
    size = attention.attention_head_size
    query, key, value = (x.unflatten(-1, (-1, size)).transpose(1, 2) for x in (query, key, value))
    found = functional.scaled_dot_product_attention(query, key, value, mask, dropout if attention.training else 0.0)
    return found.transpose(1, 2).flatten(2)


def _bert_embed(encoder: Any, inputs: dict[str, Tensor]) -> Tensor:
    embedded: Tensor = encoder.embeddings(**inputs)
    project = getattr(encoder, "embeddings_project", None)  # ELECTRA, where E differs from H
    return embedded if project is None else project(embedded)


def _bert_at_slots(layer: Any, states: Tensor, there: Tensor, mask: Tensor | None) -> Tensor:
    own = layer.attention.self
    context = _attend(own, own.query(there), own.key(states), own.value(states), mask, own.dropout.p)
    found: Tensor = layer.feed_forward_chunk(layer.attention.output(context, there))
    return found


def _distilbert_at_slots(layer: Any, states: Tensor, there: Tensor, mask: Tensor | None) -> Tensor:
    own = layer.attention
    context = _attend(own, own.q_lin(there), own.k_lin(states), own.v_lin(states), mask, own.dropout.p)
    attended = layer.sa_layer_norm(own.out_lin(context) + there)
    found: Tensor = layer.output_layer_norm(layer.ffn(attended) + attended)
    return found


def _albert_embed(encoder: Any, inputs: dict[str, Tensor]) -> Tensor:
    embedded: Tensor = encoder.encoder.embedding_hidden_mapping_in(encoder.embeddings(**inputs))
    return embedded


def _albert_layers(encoder: Any) -> list[nn.Module]:
    """ALBERT runs the same few layers again and again (Lan et al. 2020, section 3.1, arXiv 1909.11942)."""
    config, groups = encoder.config, encoder.encoder.albert_layer_groups
    order = [int(i / (config.num_hidden_layers / config.num_hidden_groups)) for i in range(config.num_hidden_layers)]
    return [layer for group in order for layer in groups[group].albert_layers]


def _albert_at_slots(layer: Any, states: Tensor, there: Tensor, mask: Tensor | None) -> Tensor:
    own = layer.attention
    context = _attend(own, own.query(there), own.key(states), own.value(states), mask, own.attention_dropout.p)
    attended = own.LayerNorm(there + own.output_dropout(own.dense(context)))
    found: Tensor = layer.full_layer_layer_norm(layer.ff_chunk(attended) + attended)
    return found


bert_stack = Stack(_bert_embed, lambda encoder: list(encoder.encoder.layer), _bert_at_slots)
"""BERT, RoBERTa, XLM-R, CamemBERT, ELECTRA."""
distilbert_stack = Stack(_bert_embed, lambda encoder: list(encoder.transformer.layer), _distilbert_at_slots)
albert_stack = Stack(_albert_embed, _albert_layers, _albert_at_slots)


def run_layers(layers: list[nn.Module], states: Tensor, mask: Tensor | None) -> Tensor:
    """All ``layers`` over ``states`` (B, T, H); some releases of transformers return tuples."""
    for layer in layers:
        out = layer(states, mask)
        states = out if isinstance(out, torch.Tensor) else out[0]
    return states
