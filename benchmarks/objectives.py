"""Objectives: text to tokens, tokens to rows, rows to batches; tokens a second of each, and end to end beside transformers' collator."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain, count, islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import DataCollatorForLanguageModeling

from benchmarks.contests import Contest, Demand
from benchmarks.material import Material
from benchmarks.timing import Way
from petkit.objectives import PRESETS, Vocabulary, permutation_masks, preset, stream, unit_ids
from petkit.pretraining.packing import ChunkedRows, PackedRows, PairedRows
from petkit.pretraining.tokens import TokenFile, tokenize_split

__all__ = ["objective_contests"]

_ROWS, _LENGTH, _TIMES = 64, 512, 10
_LEAST = 1_000_000
"""Tokens a second that every objective has to make batches of, on one thread."""
_DOCUMENTS = 4000
_ONE_BY_ONE = 400


def objective_contests(material: Material) -> list[Contest]:
    """Measurements on a mapped token file of some thousand documents, in batches of 64 rows of 512 tokens."""
    demands = (Demand("ours, mlm", "stock collator", 20), Demand("ours, whole-word", "stock collator, whole words", 20))
    others = ("stock collator", "stock collator, whole words")
    return [
        Contest("text to tokens", "tokens", ("transformers, one text at a time",), partial(_text_to_tokens, material)),
        Contest("masking end to end", "tokens", others, partial(_end_to_end, material), demands),
        Contest(
            "objectives", "tokens", (), partial(_objectives, material), tuple(Demand(_way(row), None, _LEAST) for row in PRESETS.values())
        ),
        Contest("tokens to rows", "tokens", (), partial(_rows, material)),
    ]


@dataclass(frozen=True)
class _Text:
    """Real text as a mapped token file, its rows, and what is known of the tokenizer."""

    file: TokenFile
    packed: PackedRows
    vocabulary: Vocabulary
    tokenizer: Any

    @cached_property
    def order(self) -> Any:
        """(64, 64) which rows batches ask for, in turn."""
        return stream(0, "rows").integers(0, len(self.packed), (64, _ROWS))

    def gather(self, step: int) -> Any:
        """ids (64, 512), valid, and None."""
        words, chosen = self.vocabulary, self.order[step % 64]
        return self.packed.rows(chosen, cls_id=words.need("cls_id", ""), sep_id=words.need("sep_id", ""), pad_id=words.pad_id)


def _documents(material: Material) -> Iterator[list[str]]:
    texts = material.rows.fields["text"]
    return ([text] for text in islice(chain.from_iterable(repeat(texts)), _DOCUMENTS))


def _tokenised(material: Material, folder: Path) -> TokenFile:
    return tokenize_split(_documents(material), material.tokenizer, folder, held_out=0.01, seed=0).train


def _text(material: Material) -> _Text:
    file = _tokenised(material, material.file.parent / "tokens")
    words = Vocabulary.of(material.tokenizer)
    words = replace(words, sentinels=tuple(words.ordinary[-100:].tolist()))  # the tokenizer is BERT's: T5's rows borrow some of its pieces
    return _Text(file, PackedRows(file, _LENGTH), words, material.tokenizer)


def _times(action: Callable[[int], object]) -> Callable[[], None]:
    """The action several times, each with a step of its own."""
    steps = count()

    def run() -> None:
        for _ in range(_TIMES):
            action(next(steps))

    return run


def _text_to_tokens(material: Material) -> list[Way]:
    folder = material.file.parent / "again"

    def stock() -> None:
        for document in islice(_documents(material), _ONE_BY_ONE):
            material.tokenizer(document[0], add_special_tokens=False)

    texts = list(chain.from_iterable(_documents(material)))
    tokens = float(len(_tokenised(material, folder).ids) / 0.99)
    shutil.rmtree(folder)
    return [
        Way("transformers, one text at a time", stock, tokens * _ONE_BY_ONE / _DOCUMENTS),
        Way("the tokenizer alone, one call", partial(material.tokenizer.backend_tokenizer.encode_batch_fast, texts), tokens),
        Way("ours, into token files", partial(_tokenised, material, folder), tokens),
    ]


def _rows(material: Material) -> list[Way]:
    text = _text(material)
    tokens, words = float(_ROWS * _LENGTH * _TIMES), text.vocabulary
    chunks = ChunkedRows(text.file, _LENGTH, words.need("eos_id", ""), words.pad_id)
    return [
        Way("packing all rows anew", partial(PackedRows, text.file, _LENGTH), float(len(text.file.ids))),
        Way("gathering packed rows", _times(text.gather), tokens),
        Way("gathering chunks", _times(lambda step: chunks.rows(text.order[step % 64] % len(chunks))), tokens),
    ]


def _end_to_end(material: Material) -> list[Way]:
    text, tokens = _text(material), float(_ROWS * _LENGTH)
    ids, valid, _ = text.gather(0)
    plain = [{"input_ids": row, "attention_mask": there} for row, there in zip(ids.tolist(), valid.astype(int).tolist(), strict=True)]
    begins = np.diff(text.vocabulary.words(ids), prepend=0)  # offsets that show the same words: those that go on touch
    ends = np.cumsum(begins + 1, axis=1)
    offsets = np.stack([ends - 1, ends], axis=2).tolist()
    worded = [{**row, "offset_mapping": places} for row, places in zip(plain, offsets, strict=True)]
    stock = DataCollatorForLanguageModeling(text.tokenizer)
    whole = DataCollatorForLanguageModeling(text.tokenizer, whole_word_mask=True, mask_replace_prob=1.0, random_replace_prob=0.0)
    ways = [Way("stock collator", partial(stock, plain), tokens), Way("stock collator, whole words", partial(whole, worded), tokens)]
    for name in ("mlm", "mlm-independent", "whole-word"):
        ways.append(Way(f"ours, {name}", _times(partial(_ours, text, name)), tokens * _TIMES))
    return ways


def _ours(text: _Text, name: str, step: int) -> None:
    """From the mapped file to torch tensors."""
    ids, valid, _ = text.gather(step)
    batch = preset(name).batch(ids, valid, text.vocabulary, stream(0, "mask", step=step))
    for array in (batch.inputs, valid, batch.positions, batch.targets):
        torch.from_numpy(array)


def _objectives(material: Material) -> list[Way]:
    text, tokens = _text(material), float(_ROWS * _LENGTH * _TIMES)
    ids, valid, _ = text.gather(0)
    units = unit_ids(text.vocabulary.starts_word[ids])
    ways = []
    for row in PRESETS.values():
        given = {"words": units} if getattr(row, "given_units", False) else {}
        if hasattr(row, "build"):
            pairs = PairedRows(_sentences(text.file), row, length=_LENGTH, seed=0)
            ways.append(Way(_way(row), _times(partial(_pairs, pairs, row, text.vocabulary)), tokens))
        else:
            ways.append(Way(_way(row), _times(partial(_batch, row, ids, valid, text.vocabulary, given)), tokens))
    xlnet = preset("xlnet").batch(ids, valid, text.vocabulary, stream(0))
    arrays = [torch.from_numpy(array) for array in (xlnet.order, xlnet.selection, xlnet.positions)]
    ways.append(Way("xlnet's masks, on this device", partial(permutation_masks, *arrays), tokens / _TIMES))
    return ways


def _way(row: Any) -> str:
    return f"{row.name}, its rows too" if hasattr(row, "build") else str(row.name)


def _batch(row: Any, ids: Any, valid: Any, vocabulary: Vocabulary, given: Any, step: int) -> None:
    row.batch(ids, valid, vocabulary, stream(0, "mask", step=step), **given)


def _sentences(file: TokenFile) -> TokenFile:
    """The same tokens as sentences of 20, 50 to a document, of which there are enough for an epoch of as many rows."""
    sentences = np.append(np.arange(0, len(file.ids), 20), len(file.ids))
    return replace(file, sentences=sentences, documents=np.append(np.arange(0, len(sentences) - 1, 50), len(sentences) - 1))


def _pairs(pairs: PairedRows, row: Any, vocabulary: Vocabulary, step: int) -> None:
    """An epoch's pairs are drawn once for the rows that it has."""
    chosen = stream(0, "rows", step=step).integers(0, len(pairs), _ROWS)
    row_rng = stream(0, "mask", step=step)
    pairs.batch(chosen, row, vocabulary, row_rng, epoch=step * _ROWS // len(pairs))
