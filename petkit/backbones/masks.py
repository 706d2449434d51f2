"""Attention masks in the form in which transformers looks at no value of them: on a GPU each look would wait for all work before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

if TYPE_CHECKING:
    from petkit.batching import Batch

__all__ = ["attention_mask_for", "ready_mask"]

_PLAIN: Final = ("albert", "bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta")
"""Families whose layers all take one mask."""


def attention_mask_for(model: Any, batch: Batch) -> Any:
    """``batch``'s mask as a transformers model is to get it: as it is on the CPU, where nobody has to wait."""
    if batch.attention_mask.device.type == "cpu":
        return batch.attention_mask
    return ready_mask(model, batch.attention_mask, full=batch.full)


def ready_mask(model: Any, attention_mask: Tensor, *, full: bool) -> Any:
    """None for a batch without padding, else (B, 1, 1, T) bool, or what the family takes; as it is for models that compute without sdpa
    (they do not look), and where nothing better is known.

    Args:
        attention_mask: (B, T) int64. full: it is known to hold no 0.
    """
    config = model.config
    if config._attn_implementation != "sdpa":
        return attention_mask
    if full:
        return None
    tokens = attention_mask.bool()[:, None, None, :]
    if config.model_type in _PLAIN:
        return tokens
    if config.model_type == "modernbert" and not _pools_by_mask(model):
        places = torch.arange(attention_mask.shape[1], device=attention_mask.device)
        near = (places[:, None] - places).abs() <= config.sliding_window
        return {"full_attention": tokens, "sliding_attention": tokens & near}
    return attention_mask


def _pools_by_mask(model: Any) -> bool:
    """Whether the head of this classifier reads the mask too."""
    return model.config.classifier_pooling == "mean" and type(model).__name__.endswith("ForSequenceClassification")
