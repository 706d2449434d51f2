"""Encoders taken apart into embeddings and layers, so that each computes only what is asked and only where a token is.

Everything in a layer but the attention treats each token by itself. So the states of a batch are kept as one list of its S real
tokens, (S, H), where padding would be much of the batch: only attention lays queries, keys and values out as rows. And where few
positions are asked for, the last layer runs there only: it needs keys and values of all tokens, but queries and feed-forward of few.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

__all__ = ["COMPILED", "Layout", "Stack", "albert_stack", "bert_stack", "distilbert_stack", "gather_slots", "hidden_states", "slot_states"]

COMPILED = "petkit_compiled"
"""Attribute of a layer that is to run through torch.compile."""

_WORTH_IT = 0.9
"""Padding is taken out where less than this share of a batch is tokens; below that, moving tokens about costs more."""


class Attend(Protocol):
    """Attention of projected queries over projected keys and values, all heads: as many contexts as queries, same shape."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *, size: int, dropout: float) -> Tensor: ...


@dataclass(frozen=True)
class Stack:
    """An encoder in parts, for families whose layers all take the same mask."""

    embed: Callable[[Any, dict[str, Tensor]], Tensor]
    """(encoder, its keyword arguments) -> (B, T, H), what the first layer sees."""
    layers: Callable[[Any], list[nn.Module]]
    """encoder -> its layers in the order they run."""
    layer: Callable[[Any, Tensor, Tensor, Attend], Tensor]
    """(layer, states that ask (..., H), states that answer (..., H), attention) -> the layer's output for those that ask.

    The two states are the same but in the last layer."""


@dataclass(frozen=True)
class Layout:
    """Where the S tokens of a batch (B, T) lie, and attention over them.

    Args:
        shape: B and T.
        mask: (B, 1, 1, T) bool, true on tokens; None where nothing is padded.
        tokens: (S,) int64 positions of the tokens in the flattened (B T), ascending; None where states stay (B, T, H).
    """

    shape: tuple[int, int]
    mask: Tensor | None
    tokens: Tensor | None

    @classmethod
    def of(cls, attention_mask: Tensor, *, full: bool = False) -> Layout:
        """From (B, T) int64, which holds no 0 if it is ``full``. Elsewhere than on the CPU padding stays: counting tokens would wait."""
        shape = (attention_mask.shape[0], attention_mask.shape[1])
        if full:
            return cls(shape, None, None)
        mask = attention_mask.bool()
        if mask.device.type != "cpu":
            return cls(shape, mask[:, None, None, :], None)
        tokens = mask.flatten().nonzero()[:, 0]
        if len(tokens) == mask.numel():
            return cls(shape, None, None)
        return cls(shape, mask[:, None, None, :], tokens if len(tokens) < _WORTH_IT * mask.numel() else None)

    def pack(self, states: Tensor) -> Tensor:
        """(B, T, H) to the tokens' states (S, H), or as they are."""
        return states if self.tokens is None else _take(states.flatten(0, 1), self.tokens)

    def unpack(self, states: Tensor) -> Tensor:
        """Packed states to (B, T, H), zeros at padding, or as they are."""
        return states if self.tokens is None else _put(states, self.tokens, self.shape[0] * self.shape[1]).unflatten(0, self.shape)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, *, size: int, dropout: float) -> Tensor:
        """Every token asks: packed states in, packed states out."""
        return self.pack(self._attended(self.unpack(query), key, value, size, dropout))

    def attend_slots(self, query: Tensor, key: Tensor, value: Tensor, *, size: int, dropout: float) -> Tensor:
        """A few positions ask: queries (B, M, H), contexts (B, M, H)."""
        return self._attended(query, key, value, size, dropout)

    def _attended(self, query: Tensor, key: Tensor, value: Tensor, size: int, dropout: float) -> Tensor:
        query, key, value = (x.unflatten(-1, (-1, size)).transpose(1, 2) for x in (query, self.unpack(key), self.unpack(value)))
        return functional.scaled_dot_product_attention(query, key, value, self.mask, dropout).transpose(1, 2).flatten(2)


class _Take(torch.autograd.Function):
    """Rows of a matrix at distinct places; the gradient is put back there. (Torch's own adds row by row, since places may repeat.)"""

    @staticmethod
    def forward(ctx: Any, states: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.size = len(states)
        return states.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        return _spread(gradients[0], places, ctx.size), None


class _Put(torch.autograd.Function):
    """Rows put at distinct places of a matrix of zeros; the gradient is taken from there."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, places: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(places)
        return _spread(states, places, size)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        return gradients[0].index_select(0, places), None, None


def _take(states: Tensor, places: Tensor) -> Tensor:
    taken: Tensor = _Take.apply(states, places)  # type: ignore[no-untyped-call]
    return taken


def _put(states: Tensor, places: Tensor, size: int) -> Tensor:
    found: Tensor = _Put.apply(states, places, size)  # type: ignore[no-untyped-call]
    return found


def _spread(rows: Tensor, places: Tensor, size: int) -> Tensor:
    return rows.new_zeros(size, rows.shape[1]).index_put_((places,), rows)


def gather_slots(states: Tensor, slots: Tensor) -> Tensor:
    """The states (B, T, H) at the positions ``slots`` (B, M): (B, M, H)."""
    return states.gather(1, slots.unsqueeze(-1).expand(-1, -1, states.shape[-1]))


def hidden_states(stack: Stack, encoder: Any, inputs: dict[str, Tensor], layout: Layout) -> Tensor:
    """The last layer's states at all positions: (B, T, H). What stands at padding means nothing."""
    return layout.unpack(_run(stack, stack.layers(encoder), layout.pack(stack.embed(encoder, inputs)), layout))


def slot_states(stack: Stack, encoder: Any, inputs: dict[str, Tensor], layout: Layout, slots: Tensor) -> Tensor:
    """The last layer's states at ``slots`` (B, M) int64, where alone it runs: (B, M, H)."""
    *layers, last = stack.layers(encoder)
    states = _run(stack, layers, layout.pack(stack.embed(encoder, inputs)), layout)
    return _run_layer(stack, last, gather_slots(layout.unpack(states), slots), states, layout.attend_slots)


def _run(stack: Stack, layers: list[nn.Module], states: Tensor, layout: Layout) -> Tensor:
    for layer in layers:
        states = _run_layer(stack, layer, states, states, layout.attend)
    return states


def _run_layer(stack: Stack, layer: nn.Module, there: Tensor, states: Tensor, attend: Attend) -> Tensor:
    """A layer, compiled where that is asked for (``COMPILED``).

    What is inside it is computed again in the backward pass where transformers' gradient checkpointing is on.
    """
    run = _compiled(stack.layer) if getattr(layer, COMPILED, False) else stack.layer
    if layer.training and torch.is_grad_enabled() and getattr(layer, "gradient_checkpointing", False):
        found: Tensor = checkpoint(run, layer, there, states, attend, use_reentrant=False)
        return found
    return run(layer, there, states, attend)


@cache
def _compiled(run: Callable[..., Tensor]) -> Callable[..., Tensor]:
    compiled: Callable[..., Tensor] = torch.compile(run, dynamic=True)
    return compiled


def _bert_embed(encoder: Any, inputs: dict[str, Tensor]) -> Tensor:
    embedded: Tensor = encoder.embeddings(**inputs)
    project = getattr(encoder, "embeddings_project", None)  # ELECTRA, where E differs from H
    return embedded if project is None else project(embedded)


def _dropout(layer: Any, rate: nn.Dropout) -> float:
    return float(rate.p) if layer.training else 0.0


def _bert_layer(layer: Any, there: Tensor, states: Tensor, attend: Attend) -> Tensor:
    own = layer.attention.self
    query, key, value = own.query(there), own.key(states), own.value(states)
    context = attend(query, key, value, size=own.attention_head_size, dropout=_dropout(layer, own.dropout))
    found: Tensor = layer.feed_forward_chunk(layer.attention.output(context, there))
    return found


def _distilbert_layer(layer: Any, there: Tensor, states: Tensor, attend: Attend) -> Tensor:
    own = layer.attention
    query, key, value = own.q_lin(there), own.k_lin(states), own.v_lin(states)
    context = attend(query, key, value, size=own.attention_head_size, dropout=_dropout(layer, own.dropout))
    attended = layer.sa_layer_norm(own.out_lin(context) + there)
    found: Tensor = layer.output_layer_norm(layer.ffn.ff_chunk(attended) + attended)
    return found


def _albert_embed(encoder: Any, inputs: dict[str, Tensor]) -> Tensor:
    embedded: Tensor = encoder.encoder.embedding_hidden_mapping_in(encoder.embeddings(**inputs))
    return embedded


def _albert_layers(encoder: Any) -> list[nn.Module]:
    """ALBERT runs the same few layers again and again (Lan et al. 2020, section 3.1, arXiv 1909.11942)."""
    config, groups = encoder.config, encoder.encoder.albert_layer_groups
    order = [int(i / (config.num_hidden_layers / config.num_hidden_groups)) for i in range(config.num_hidden_layers)]
    return [layer for group in order for layer in groups[group].albert_layers]


def _albert_layer(layer: Any, there: Tensor, states: Tensor, attend: Attend) -> Tensor:
    own = layer.attention
    query, key, value = own.query(there), own.key(states), own.value(states)
    context = attend(query, key, value, size=own.attention_head_size, dropout=_dropout(layer, own.attention_dropout))
    attended = own.LayerNorm(there + own.output_dropout(own.dense(context)))
    found: Tensor = layer.full_layer_layer_norm(layer.ff_chunk(attended) + attended)
    return found


bert_stack = Stack(_bert_embed, lambda encoder: list(encoder.encoder.layer), _bert_layer)
"""BERT, RoBERTa, XLM-R, CamemBERT, ELECTRA."""
distilbert_stack = Stack(_bert_embed, lambda encoder: list(encoder.transformer.layer), _distilbert_layer)
albert_stack = Stack(_albert_embed, _albert_layers, _albert_layer)
