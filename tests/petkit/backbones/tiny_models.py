"""Random models of every family and variant, batches for them, and transformers' own logits."""

from __future__ import annotations

from typing import Any

import torch
import transformers

from petkit.backbones import MaskedLM
from petkit.batching import Batch
from tests import builders

NEAR = {"atol": 1e-5, "rtol": 1e-5}
OTHERS: dict[str, tuple[Any, Any]] = {
    "xlm-roberta": (transformers.XLMRobertaForMaskedLM, transformers.XLMRobertaConfig),
    "camembert": (transformers.CamembertForMaskedLM, transformers.CamembertConfig),
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in builders.FAMILIES},
    "deberta-v3 head": ("deberta-v2", {"legacy": False}),
    "deberta with types": ("deberta-v2", {"type_vocab_size": 2, "position_biased_input": True}),
    "albert, four layers, two groups": ("albert", {"num_hidden_layers": 4, "num_hidden_groups": 2, "inner_group_num": 2}),
    "electra, one width": ("electra", {"embedding_size": 32}),
    "bert, one layer": ("bert", {"num_hidden_layers": 1}),
    "modernbert without biases": ("modernbert", {"decoder_bias": False}),
}


def model_of(name: str, **config: Any) -> MaskedLM:
    """A random model of a family or variant, with all parameters (biases too) far from zero."""
    if name in OTHERS:
        kind, settings = OTHERS[name]
        values = builders.random_masked_lm("roberta").config.to_dict()
        taken = ("vocab_size", "type_vocab_size", "pad_token_id", "max_position_embeddings", "hidden_size")
        taken += ("num_hidden_layers", "num_attention_heads", "intermediate_size")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = kind(settings(**{key: values[key] for key in taken}, **config)).eval()
    else:
        family, extra = VARIANTS[name]
        model = builders.random_masked_lm(family, **{**extra, **config})
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return MaskedLM(model)


def batch_of(model: MaskedLM, lengths: tuple[int, ...] = (23, 9, 16, 4), slots: int = 2, seed: int = 0) -> Batch:
    """Random tokens in rows of these lengths; random slots inside each row."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, model.vocab_size, (len(lengths), max(lengths)), generator=generator)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    pad = model.model.config.pad_token_id
    types = (torch.arange(max(lengths)) >= torch.tensor(lengths)[:, None] // 2) & mask
    places = torch.stack([torch.randperm(length, generator=generator)[:slots] for length in lengths])
    return Batch(ids.masked_fill(~mask, pad), mask.long(), types.long(), places)


def reference(model: MaskedLM, batch: Batch) -> torch.Tensor:
    """transformers' own logits (B, T, V), asked in its own way."""
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    if model.model.config.model_type in ("bert", "albert", "electra") or getattr(model.model.config, "type_vocab_size", 0) == 2:
        inputs["token_type_ids"] = batch.token_type_ids
    logits: torch.Tensor = model.model(**inputs).logits
    return logits
