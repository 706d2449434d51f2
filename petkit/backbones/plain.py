"""Models under heads of plain transformers: what they are fed, and how they are saved so that a pipeline feeds them the same."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import Any

from petkit.backbones.masks import attention_mask_for
from petkit.backbones.modelfiles import quiet
from petkit.batching import Batch

__all__ = ["inputs_of", "save_for_pipelines"]


def inputs_of(model: Any, batch: Batch) -> dict[str, Any]:
    """A batch as the model's keyword arguments."""
    inputs = {"input_ids": batch.input_ids, "attention_mask": attention_mask_for(model, batch)}
    return inputs | ({"token_type_ids": batch.token_type_ids} if _takes_types(model) else {})


def save_for_pipelines(model: Any, tokenizer: Any, folder: Path, *, max_length: int) -> None:
    """Write model (safetensors) and tokenizer, so that a plain pipeline cuts texts as the model learned them, takes special tokens that
    a text spells for text, and tells a pair's two apart where the model does: transformers 5 leaves token types out for ALBERT.

    The model is on the CPU afterwards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    changed = copy.deepcopy(tokenizer)
    changed.model_max_length = max_length
    changed.split_special_tokens = changed.init_kwargs["split_special_tokens"] = True
    if _takes_types(model) and "token_type_ids" not in tokenizer.model_input_names:
        changed.model_input_names = [*tokenizer.model_input_names, "token_type_ids"]
        changed.init_kwargs["model_input_names"] = changed.model_input_names
    with quiet():
        model.to("cpu").save_pretrained(str(folder))
        changed.save_pretrained(str(folder))


def _takes_types(model: Any) -> bool:
    """Whether the model tells first and second segments apart by token types; XLNet does, and has no number of them."""
    several = getattr(model.config, "type_vocab_size", 0) > 1 or model.config.model_type == "xlnet"
    return several and "token_type_ids" in inspect.signature(model.forward).parameters
