"""What objectives and checkpoints need of a tokenizer: special tokens, and embeddings for all of its tokens."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import transformers

from petkit.backbones import load_tokenizer
from petkit.backbones.modelfiles import open_pretrained, resolve
from petkit.errors import ModelError, SettingsError, raise_problems
from petkit.objectives import (
    Denoising,
    Distillation,
    MaskedLanguageModeling,
    NextToken,
    PairPrediction,
    Permutation,
    ReplacedTokenDetection,
    SpanCorruption,
    Vocabulary,
    select_independent,
    select_t5_spans,
    span_counts,
)
from petkit.objectives import texttotext as t2t
from petkit.pretraining.settings import PretrainSettings

__all__ = ["check_tokenizer", "missing_tokens", "needed_tokens", "other_vocabulary"]

_BLANKS: Final = (t2t.masked, t2t.collapsed)
"""Parts that write masks, or the first sentinel where there is no mask token."""
_MASKED: Final = (MaskedLanguageModeling, PairPrediction, ReplacedTokenDetection, Distillation)


def needed_tokens(objective: Any) -> frozenset[str]:
    """The special tokens without which an objective makes no batches: ``mask``, ``cls``, ``sep``, ``bos``, ``eos``, ``sentinels``, and
    ``blank`` for a mask or a sentinel. Of a row of a class of one's own only ``cls`` and ``sep``, which stand around the text of its rows.

    >>> from petkit.objectives import preset
    >>> [sorted(needed_tokens(preset(name))) for name in ("mlm", "causal", "t5", "t5-mass", "bart")]
    [['cls', 'mask', 'sep'], ['eos'], ['eos', 'sentinels'], ['blank', 'eos'], ['bos', 'eos', 'mask']]
    """
    if isinstance(objective, NextToken | Permutation):
        return frozenset({"eos"})
    if isinstance(objective, Denoising):
        return frozenset({"bos", "eos"} | ({"mask"} if {"infill", "mask"} & set(objective.noises) else set()))
    if isinstance(objective, SpanCorruption):
        parts = [getattr(part, "func", part) for part in (objective.inputs, objective.targets)]
        sentinels = {"sentinels"} if objective.names_spans else set()
        return frozenset({"eos"} | sentinels | ({"blank"} if any(part in _BLANKS for part in parts) else set()))
    masks = {"mask"} if isinstance(objective, _MASKED) else set()
    return frozenset({"cls", "sep"} | masks)


def missing_tokens(objective: Any, vocabulary: Vocabulary, *, length: int) -> list[str]:
    """In words, the special tokens that an objective needs and a tokenizer lacks.

    Args:
        length: the longest row's tokens, which decide how many sentinels T5's spans take; for tokens drawn one by one as many as rows have
            spans on average, since those beyond the last sentinel stay as they are.
    """
    found = len(vocabulary.sentinels)
    lacking = []
    for name in sorted(needed_tokens(objective)):
        if name == "blank":
            lacking += [] if found or vocabulary.mask_id is not None else ["a mask token or sentinels (<extra_id_0>, ...)"]
        elif name == "sentinels":
            least = _spans(objective, length)
            lacking += [] if found >= least else [f"{least} or more sentinels (<extra_id_0>, ...; it has {found})"]
        elif getattr(vocabulary, f"{name}_id") is None:
            lacking.append(f"a {name} token")
    return lacking


def _spans(objective: SpanCorruption, length: int) -> int:
    """Sentinels of a row of ``length`` tokens of inputs; 1 where nobody knows."""
    if objective.rate is None:
        return 1
    raw = objective.raw_length(length)
    if objective.select is select_independent:
        return max(1, round(raw * objective.rate * (1 - objective.rate)))
    if objective.select is not select_t5_spans or objective.mean is None:
        return 1
    return int(span_counts(np.array([raw]), rate=objective.rate, mean=objective.mean)[1][0])


def check_tokenizer(tokenizer: Any, settings: PretrainSettings) -> None:
    """Raise SettingsError unless the tokenizer has what the objectives need, and the checkpoint ``init`` an embedding for each token."""
    vocabulary = Vocabulary.of(tokenizer)
    lacking = ((row.name, missing_tokens(row, vocabulary, length=settings.longest)) for row in settings.rows_of_table())
    problems = [f"--objective {name} needs {' and '.join(tokens)}" for name, tokens in lacking if tokens]
    if settings.init is not None:
        config = open_pretrained(transformers.AutoConfig, resolve(settings.init), trust_remote_code=settings.trust_remote_code)
        if len(tokenizer) > config.vocab_size:
            problems.append(f"it has {len(tokenizer)} tokens, and {settings.init} embeddings for {config.vocab_size}")
    given = settings.tokenizer or settings.init or settings.teacher
    name = "a new tokenizer" if given is None else f"the tokenizer of {given}"
    raise_problems(SettingsError, f"{name} does not do (--tokenizer names another)", problems)


def other_vocabulary(settings: PretrainSettings) -> str | None:
    """What to tell where a checkpoint goes on with a tokenizer that gives its tokens other numbers than its own did."""
    if settings.init is None or settings.tokenizer is None:
        return None
    try:
        own = load_tokenizer(settings.init, trust_remote_code=settings.trust_remote_code, masked=False).get_vocab()
    except ModelError:
        return None  # it has none
    given = load_tokenizer(settings.tokenizer, trust_remote_code=settings.trust_remote_code, masked=False).get_vocab()
    others = sum(own.get(token) != number for token, number in given.items())
    if not others:
        return None
    return (
        f"{others:,} of {len(given):,} tokens of --tokenizer {settings.tokenizer} are other ones in {settings.init} or unknown there, so "
        "their embeddings start from those of other tokens"
    )
