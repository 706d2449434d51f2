"""Where models of each family have what strategies freeze, fill and wrap: layers, ends of sublayers, queries and values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from petkit.errors import ModelError

__all__ = ["ANATOMY", "Anatomy", "anatomy", "depth", "encoder_norms", "ends", "head_parameters", "layers", "parts", "queries"]


@dataclass(frozen=True)
class Anatomy:
    """Names of the parts of an encoder."""

    layers: Callable[[Any], list[nn.Module]]
    """encoder -> its layers from the bottom to the top, shared ones once; of an encoder and a decoder those of the encoder first."""
    ends: tuple[str, ...]
    """Within a layer, as far as it has them: the linear layers that end attention and feed-forward, before the sum with the input."""
    queries: tuple[str, ...]
    """Within a layer, as far as it has them: the linear layers that make queries and values."""
    top: tuple[str, ...] = ()
    """Within the encoder: what stands above the last layer."""


def _stacked(encoder: Any) -> list[nn.Module]:
    return list(encoder.encoder.layer)


def _shared(encoder: Any) -> list[nn.Module]:
    return [layer for group in encoder.encoder.albert_layer_groups for layer in group.albert_layers]


def _layers(encoder: Any) -> list[nn.Module]:
    return list(encoder.layers)


_LLAMA = Anatomy(_layers, ("self_attn.o_proj", "mlp.down_proj"), ("self_attn.q_proj", "self_attn.v_proj"), top=("norm",))
_BERT = Anatomy(_stacked, ("attention.output.dense", "output.dense"), ("attention.self.query", "attention.self.value"))

ANATOMY: dict[str, Anatomy] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "camembert": _BERT,
    "electra": _BERT,
    "albert": Anatomy(_shared, ("attention.dense", "ffn_output"), ("attention.query", "attention.value")),
    "distilbert": Anatomy(
        lambda encoder: list(encoder.transformer.layer), ("attention.out_lin", "ffn.lin2"), ("attention.q_lin", "attention.v_lin")
    ),
    "deberta-v2": Anatomy(_stacked, ("attention.output.dense", "output.dense"), ("attention.self.query_proj", "attention.self.value_proj")),
    "modernbert": Anatomy(_layers, ("attn.Wo", "mlp.Wo"), ("attn.Wqkv",), top=("final_norm",)),
    "gpt2": Anatomy(lambda encoder: list(encoder.h), ("attn.c_proj", "mlp.c_proj"), ("attn.c_attn",), top=("ln_f",)),
    "llama": _LLAMA,
    "qwen2": _LLAMA,
    "t5": Anatomy(
        lambda both: [*both.encoder.block, *both.decoder.block],
        ("layer.0.SelfAttention.o", "layer.1.EncDecAttention.o", "layer.1.DenseReluDense.wo", "layer.2.DenseReluDense.wo"),
        tuple(f"layer.{part}.{one}" for part in ("0.SelfAttention", "1.EncDecAttention") for one in "qv"),
        top=("decoder.final_layer_norm",),
    ),
    "bart": Anatomy(
        lambda both: [*both.encoder.layers, *both.decoder.layers],
        ("self_attn.out_proj", "encoder_attn.out_proj", "fc2"),
        ("self_attn.q_proj", "self_attn.v_proj", "encoder_attn.q_proj", "encoder_attn.v_proj"),
    ),
}
"""config.model_type -> anatomy."""


def anatomy(model: Any) -> Anatomy:
    """That of a transformers model. Raises ModelError for a family that is not in the table."""
    kind = model.config.model_type
    if kind not in ANATOMY:
        raise ModelError(f"models of type {kind!r} can be trained in full only; other strategies know {', '.join(ANATOMY)}")
    return ANATOMY[kind]


def layers(model: Any) -> list[nn.Module]:
    """The encoder's layers from the bottom to the top; layers that ALBERT runs again and again once."""
    return anatomy(model).layers(model.base_model)


def depth(config: Any) -> int:
    """How many layers with weights of their own a model with this transformers config has."""
    if config.model_type == "albert":
        return int(config.num_hidden_groups * config.inner_group_num)
    above = {"t5": "num_decoder_layers", "bart": "decoder_layers"}.get(config.model_type)
    return int(config.num_hidden_layers) + (int(getattr(config, above)) if above else 0)


def ends(model: Any) -> list[nn.Module]:
    """The linear layers that end the sublayers of every layer."""
    return [layer.get_submodule(name) for layer in layers(model) for name in anatomy(model).ends if _has(layer, name)]


def queries(model: Any) -> list[nn.Module]:
    """The linear layers that make queries and values in every layer."""
    return [layer.get_submodule(name) for layer in layers(model) for name in anatomy(model).queries if _has(layer, name)]


def _has(layer: nn.Module, name: str) -> bool:
    try:
        layer.get_submodule(name)
    except AttributeError:
        return False
    return True


def head_parameters(model: Any) -> list[nn.Parameter]:
    """What is not the encoder's, and the encoder's pooler, which belongs to the head.

    A decoder that is tied to the word embeddings is the encoder's. A model that only writes may have no head of its own then.
    """
    inside = {id(p) for name, p in model.base_model.named_parameters() if not name.startswith(("pooler.", "lm_head."))}
    return [p for p in model.parameters() if id(p) not in inside]


def parts(model: Any) -> list[list[nn.Parameter]]:
    """A model's parameters from the top to the bottom, each once: head, last layer, ..., first layer, embeddings and all else."""
    how, encoder = anatomy(model), model.base_model
    above = [p for name in how.top for p in encoder.get_submodule(name).parameters()]
    found = [head_parameters(model), *([*layer.parameters()] for layer in reversed(layers(model)))]
    found[1] += above
    seen = {id(p) for part in found for p in part}
    return [*found, [p for p in model.parameters() if id(p) not in seen]]


def encoder_norms(model: Any) -> list[nn.Parameter]:
    """Scales and shifts of the encoder's layer norms, those of the embeddings included."""
    norms = (module for module in model.base_model.modules() if type(module).__name__.endswith("Norm"))
    return [p for norm in norms for p in norm.parameters(recurse=False)]
