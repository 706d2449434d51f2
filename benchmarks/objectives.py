"""Objectives: tokens a second of every row of the table, and of the way from a flat buffer to a batch beside transformers' collator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import DataCollatorForLanguageModeling

from benchmarks.contests import Contest, Demand
from benchmarks.material import Material
from benchmarks.timing import Way
from petkit.objectives import (
    PRESETS,
    Documents,
    Vocabulary,
    gather_rows,
    pair_rows,
    permutation_masks,
    preset,
    stream,
    unit_ids,
)
from petkit.pretraining.corpus import tokenize_units

__all__ = ["objective_contests"]

_ROWS, _LENGTH, _TIMES = 64, 512, 10


def objective_contests(material: Material) -> list[Contest]:
    """Measurements on batches of 64 rows of 512 tokens."""
    demands = (Demand("ours, mlm", "stock collator", 20), Demand("ours, whole-word", "stock collator, whole words", 20))
    others = ("stock collator", "stock collator, whole words")
    return [
        Contest("masking end to end", "tokens", others, partial(_end_to_end, material), demands),
        Contest("objectives", "tokens", (), partial(_objectives, material)),
    ]


@dataclass(frozen=True)
class _Buffer:
    """Real text in one flat array, repeated until it fills the rows, and where each row starts."""

    flat: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    vocabulary: Vocabulary
    tokenizer: Any

    def gather(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """ids and valid (64, 512), framed."""
        words, lengths = self.vocabulary, np.full(_ROWS, _LENGTH - 2)
        return gather_rows(self.flat, self.starts, lengths, pad_id=words.pad_id, before=words.bos_id, after=words.eos_id)


def _buffer(material: Material) -> _Buffer:
    units = tokenize_units([[text] for text in material.rows.fields["text"]], material.tokenizer, longest=_LENGTH)
    flat = np.resize(units.ids, _ROWS * _LENGTH)
    words = Vocabulary.of(material.tokenizer)
    words = replace(words, sentinels=tuple(words.ordinary[-100:].tolist()))  # the tokenizer is BERT's: T5's rows borrow some of its pieces
    return _Buffer(flat, np.arange(_ROWS) * (_LENGTH - 2), words, material.tokenizer)


def _times(action: Callable[[int], object]) -> Callable[[], None]:
    """The action several times, each with a step of its own."""
    steps = count()

    def run() -> None:
        for _ in range(_TIMES):
            action(next(steps))

    return run


def _end_to_end(material: Material) -> list[Way]:
    buffer, tokens = _buffer(material), float(_ROWS * _LENGTH)
    ids, _ = buffer.gather()
    plain = [{"input_ids": row, "attention_mask": [1] * len(row)} for row in ids.tolist()]
    begins = np.diff(buffer.vocabulary.words(ids), prepend=0)  # offsets that show the same words: those that go on touch
    ends = np.cumsum(begins + 1, axis=1)
    offsets = np.stack([ends - 1, ends], axis=2).tolist()
    worded = [{**row, "offset_mapping": places} for row, places in zip(plain, offsets, strict=True)]
    stock = DataCollatorForLanguageModeling(buffer.tokenizer)
    whole = DataCollatorForLanguageModeling(buffer.tokenizer, whole_word_mask=True, mask_replace_prob=1.0, random_replace_prob=0.0)
    ways = [Way("stock collator", partial(stock, plain), tokens), Way("stock collator, whole words", partial(whole, worded), tokens)]
    for name in ("mlm", "mlm-independent", "whole-word"):
        ways.append(Way(f"ours, {name}", _times(partial(_ours, buffer, name)), tokens * _TIMES))
    return ways


def _ours(buffer: _Buffer, name: str, step: int) -> None:
    """From the flat buffer to torch tensors."""
    ids, valid = buffer.gather()
    batch = preset(name).batch(ids, valid, buffer.vocabulary, stream(0, "mask", step=step))
    for array in (batch.inputs, valid, batch.positions, batch.targets):
        torch.from_numpy(array)


def _objectives(material: Material) -> list[Way]:
    buffer, tokens = _buffer(material), float(_ROWS * _LENGTH * _TIMES)
    ids, valid = buffer.gather()
    units = unit_ids(buffer.vocabulary.starts_word[ids])
    ways = [Way("gathering rows", _times(lambda _step: buffer.gather()), tokens)]
    for name, row in PRESETS.items():
        given = {"words": units} if getattr(row, "given_units", False) else {}
        if not hasattr(row, "build"):
            ways.append(Way(name, _times(partial(_batch, row, ids, valid, buffer.vocabulary, given)), tokens))
        else:
            ways.append(Way(f"{name}, its rows too", _times(partial(_pairs, row, buffer, _documents(buffer))), tokens))
    xlnet = preset("xlnet").batch(ids, valid, buffer.vocabulary, stream(0))
    arrays = [torch.from_numpy(array) for array in (xlnet.order, xlnet.selection, xlnet.positions)]
    ways.append(Way("xlnet's masks, on this device", partial(permutation_masks, *arrays), tokens / _TIMES))
    return ways


def _batch(row: Any, ids: Any, valid: Any, vocabulary: Vocabulary, given: Any, step: int) -> None:
    row.batch(ids, valid, vocabulary, stream(0, "mask", step=step), **given)


def _documents(buffer: _Buffer) -> Documents:
    """Sentences of 20 tokens, 50 to a document."""
    sentences = np.append(np.arange(0, len(buffer.flat), 20), len(buffer.flat))
    return Documents(buffer.flat, sentences, np.append(np.arange(0, len(sentences) - 1, 50), len(sentences) - 1))


def _pairs(row: Any, buffer: _Buffer, documents: Documents, step: int) -> None:
    pairs = row.build(documents, stream(0, "pairs", step=step), tokens=_LENGTH - 3, short=row.short)
    chosen = np.arange(_ROWS) % len(pairs.labels)
    rows = pair_rows(documents, pairs, chosen, stream(0, "cut", step=step), buffer.vocabulary, length=_LENGTH)
    row.batch(rows, buffer.vocabulary, stream(0, "mask", step=step))
