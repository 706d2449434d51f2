"""What the tests of learners share: a tokenizer of whole words that suits every architecture, rows, tiny models, batches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from petkit.objectives import Documents, Vocabulary, pair_rows, preset, stream
from petkit.pretraining.architectures import kind_of, new_model

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

WORDS = 80
OF_ARCHITECTURE = {
    "bert": ("mlm", "spanbert", "nsp", "sop"),
    "roberta": ("mlm", "spanbert"),
    "albert": ("mlm", "spanbert", "nsp", "sop"),
    "distilbert": ("mlm",),
    "deberta-v2": ("mlm", "spanbert"),
    "electra": ("mlm", "spanbert"),
    "modernbert": ("mlm", "spanbert"),
    "t5": ("t5", "t5-prefix-lm", "bart"),
    "bart": ("bart", "t5"),
    "gpt2": ("causal",),
    "xlnet": ("xlnet",),
}
"""Objectives that need nothing beside the model."""
CASES = [(arch, name) for arch, names in OF_ARCHITECTURE.items() for name in names]


@cache
def words() -> Any:
    """A tokenizer whose vocabulary has the special tokens of all architectures, T5's sentinels and 80 words. Not to be changed."""
    specials = ["<pad>", "<s>", "</s>", "<unk>", "<mask>", *(f"<extra_id_{i}>" for i in range(40))]
    pieces = {piece: i for i, piece in enumerate([*specials, *(f"w{i}" for i in range(WORDS - 1)), "."])}
    backend = Tokenizer(models.WordLevel(pieces, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    named = {"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
    ends = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **named, **ends)


@cache
def vocabulary() -> Vocabulary:
    return Vocabulary.of(words())


def framed(lengths: Sequence[int], width: int, *, seed: int = 0) -> tuple[Ints, Bools]:
    """Rows ``<s> text </s>`` with texts of these lengths of random words, padded: ids and valid."""
    ids = np.full((len(lengths), width), vocabulary().pad_id, dtype=np.int64)
    for row, length in enumerate(lengths):
        text = stream(seed, "text", row).choice(vocabulary().ordinary, size=length)
        ids[row, : length + 2] = [vocabulary().bos_id, *text, vocabulary().eos_id]
    return ids, np.arange(width)[None, :] < np.array(lengths)[:, None] + 2


def batch_of(name: str, *, lengths: Sequence[int] = (20, 9, 16, 5), seed: int = 0, **changes: Any) -> Any:
    """A batch of an objective: random rows padded to 24 tokens, or pairs."""
    objective = preset(name, **changes)
    rng = stream(seed, "test", name)
    if kind_of(objective) == "pairs":
        sentences = np.arange(0, 241, 6)
        ids = rng.choice(vocabulary().ordinary, size=240)
        documents = Documents(ids, sentences, np.arange(0, 41, 10))
        pairs = objective.build(documents, rng, tokens=21, short=0.3)
        chosen = np.arange(len(lengths), dtype=np.int64)
        return objective.batch(pair_rows(documents, pairs, chosen, rng, vocabulary(), length=24), vocabulary(), rng)
    ids, valid = framed(lengths, 24, seed=seed)
    return objective.batch(ids, valid, vocabulary(), rng)


def tiny(arch: str, *names: str, seed: int = 0, dropout: float = 0.0, spread: float = 0.2, **options: Any) -> Any:
    """A new model for these objectives, all weights (biases too) moved by ``spread``, so that no two outputs agree by chance."""
    sizes = {"layers": 2, "hidden": 32, "heads": 2, "intermediate": 48, "max_positions": 64, **options}
    objectives = [preset(name) for name in names or OF_ARCHITECTURE[arch][:1]]
    model = new_model(arch, words(), dropout=dropout, seed=seed, objectives=objectives, **sizes)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn(parameter.shape, generator=generator))
    return model


def teacher_of(*, seed: int = 5, **options: Any) -> Any:
    """A BERT as a teacher, for students as wide as ``tiny`` makes them."""
    return tiny("bert", "mlm", seed=seed, **{"layers": 4, **options}).eval().requires_grad_(False)
