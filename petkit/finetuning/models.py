"""Checkpoints of every kind that is fine-tuned here: opened from safetensors only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from transformers import AutoConfig

from petkit.backbones import FAMILIES, load_tokenizer
from petkit.backbones import longest_input as longest_of_family
from petkit.backbones.modelfiles import (
    check_folder,
    check_model_type,
    open_pretrained,
    refuse_model_type,
    resolve,
)
from petkit.errors import ModelError

__all__ = [
    "CAUSAL",
    "ENCODERS",
    "TEXT_TO_TEXT",
    "longest_input",
    "named_labels",
    "open_config",
    "open_model",
    "open_tokenizer",
]

ENCODERS: Final = tuple(FAMILIES)
CAUSAL: Final = ("gpt2", "llama", "qwen2")
TEXT_TO_TEXT: Final = ("t5", "bart")
"""Model types (``config.model_type``) that are tried in the tests."""


def open_config(path: str, legal: Sequence[str]) -> Any:
    """A checkpoint's config; ModelError if it is no checkpoint of a legal type, or has pickle weights only."""
    path = resolve(path)
    check_folder(path)
    check_model_type(path, list(legal))
    config = open_pretrained(AutoConfig, path)
    refuse_model_type(path, config.model_type, list(legal))
    return config


def open_tokenizer(path: str) -> Any:
    """A checkpoint's tokenizer, which pads on the right and takes special tokens that a text spells for text.

    See ``petkit.backbones.load_tokenizer`` for its errors.
    """
    tokenizer = load_tokenizer(path, masked=False)
    tokenizer.padding_side = "right"
    tokenizer.split_special_tokens = True
    return tokenizer


def open_model(auto: Any, path: str, config: Any, *, seed: int) -> Any:
    """A checkpoint as ``auto`` (one of transformers' classes), in float32; a head that it lacks is drawn by ``seed``.

    Raises ModelError if it lacks weights below the head.
    """
    path = resolve(path)
    options: dict[str, Any] = {"config": config, "dtype": torch.float32, "use_safetensors": True}
    family = FAMILIES.get(config.model_type)
    if family is not None:
        options["attn_implementation"] = family.attention
    model, found = open_pretrained(auto, path, seed=seed, ignore_mismatched_sizes=True, output_loading_info=True, **options)
    body = f"{model.base_model_prefix}." if hasattr(model, model.base_model_prefix) else ""
    lost = sorted(key for key in found["missing_keys"] if key.startswith(body) and ".pooler." not in key)
    if lost:
        raise ModelError(f"model {path!r} lacks {len(lost)} of its weights ({', '.join(lost[:3])}, ...)")
    return model


def named_labels(config: Any, labels: Sequence[str]) -> Any:
    """The config with label names, which pipelines show."""
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    return config


def longest_input(config: Any) -> int | None:
    """The most tokens a row may have, special tokens counted; None where positions have no end (T5; XLNet, whose config says -1)."""
    if config.model_type in FAMILIES:
        return longest_of_family(config)
    found = getattr(config, "max_position_embeddings", None)
    return None if found is None or found < 1 else int(found)
