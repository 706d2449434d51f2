"""What the configs of new models say, by architecture: one function each, from a shape to transformers' own names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from petkit.objectives import Vocabulary

__all__ = ["Shape", "albert", "bart", "bert", "deberta", "distilbert", "electra", "gpt2", "modernbert", "roberta", "t5", "xlnet"]


@dataclass(frozen=True)
class Shape:
    """The numbers of a new model.

    Attributes:
        size: V. words: says which ids the config names. layers: of encoder and decoder each, where there are two. hidden: H.
        heads, intermediate: of each layer. positions: the most tokens of a row.
    """

    size: int
    words: Vocabulary
    layers: int
    hidden: int
    heads: int
    intermediate: int
    positions: int

    @property
    def usual(self) -> dict[str, Any]:
        """What most configs call them."""
        return {
            "vocab_size": self.size,
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "intermediate_size": self.intermediate,
            "max_position_embeddings": self.positions,
            "pad_token_id": self.words.pad_id,
        }

    @property
    def ids(self) -> dict[str, Any]:
        """Vocabulary, padding, and what stands before and after a text."""
        words = self.words
        return {"vocab_size": self.size, "pad_token_id": words.pad_id, "bos_token_id": words.bos_id, "eos_token_id": words.eos_id}


def bert(shape: Shape) -> dict[str, Any]:
    """Devlin et al. 2019, arXiv 1810.04805."""
    return shape.usual


def roberta(shape: Shape) -> dict[str, Any]:
    """Liu et al. 2019, arXiv 1907.11692. Positions are counted from the padding id on."""
    more = {"max_position_embeddings": shape.positions + shape.words.pad_id + 1, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
    return {**shape.usual, **shape.ids, **more}


def albert(shape: Shape) -> dict[str, Any]:
    """Lan et al. 2020, arXiv 1909.11942: word embeddings of 128 at most, one layer for all."""
    return {**shape.usual, **shape.ids, "embedding_size": min(128, shape.hidden)}


def distilbert(shape: Shape) -> dict[str, Any]:
    """Sanh et al. 2019, arXiv 1910.01108."""
    sizes = {"dim": shape.hidden, "n_layers": shape.layers, "n_heads": shape.heads, "hidden_dim": shape.intermediate}
    return {"vocab_size": shape.size, "max_position_embeddings": shape.positions, "pad_token_id": shape.words.pad_id, **sizes}


def deberta(shape: Shape) -> dict[str, Any]:
    """He et al. 2021, arXiv 2006.03654, with the numbers of v3: relative positions in buckets, shared projections, no absolute ones."""
    relative = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False, "share_att_key": True}
    more = {"position_buckets": 256, "norm_rel_ebd": "layer_norm", "type_vocab_size": 0, "layer_norm_eps": 1e-7}
    return {**shape.usual, **relative, **more}


def electra(shape: Shape) -> dict[str, Any]:
    """Clark et al. 2020, arXiv 2003.10555: word embeddings of 128 below the base size."""
    return {**shape.usual, "embedding_size": shape.hidden if shape.hidden >= 768 else min(128, shape.hidden)}


def modernbert(shape: Shape) -> dict[str, Any]:
    """Warner et al. 2024, arXiv 2412.13663."""
    return {**shape.usual, **shape.ids, "cls_token_id": shape.words.cls_id, "sep_token_id": shape.words.sep_id}


def t5(shape: Shape) -> dict[str, Any]:
    """Raffel et al. 2020, arXiv 1910.10683."""
    words, counts = shape.words, {"num_layers": shape.layers, "num_decoder_layers": shape.layers, "num_heads": shape.heads}
    sizes = {"d_model": shape.hidden, "d_kv": shape.hidden // shape.heads, "d_ff": shape.intermediate}
    ids = {"vocab_size": shape.size, "pad_token_id": words.pad_id, "eos_token_id": words.eos_id, "decoder_start_token_id": words.pad_id}
    return {**counts, **sizes, **ids}


def bart(shape: Shape) -> dict[str, Any]:
    """Lewis et al. 2020, arXiv 1910.13461."""
    sizes = {"layers": shape.layers, "attention_heads": shape.heads, "ffn_dim": shape.intermediate}
    sides = {f"{side}_{part}": value for side in ("encoder", "decoder") for part, value in sizes.items()}
    ends = {"decoder_start_token_id": shape.words.eos_id, "forced_eos_token_id": shape.words.eos_id}
    return {"d_model": shape.hidden, "max_position_embeddings": shape.positions, **sides, **shape.ids, **ends}


def gpt2(shape: Shape) -> dict[str, Any]:
    """Radford et al. 2019."""
    sizes = {"n_embd": shape.hidden, "n_layer": shape.layers, "n_head": shape.heads, "n_inner": shape.intermediate}
    return {"n_positions": shape.positions, **sizes, **shape.ids}


def xlnet(shape: Shape) -> dict[str, Any]:
    """Yang et al. 2019, arXiv 1906.08237."""
    return {"d_model": shape.hidden, "n_layer": shape.layers, "n_head": shape.heads, "d_inner": shape.intermediate, **shape.ids}
