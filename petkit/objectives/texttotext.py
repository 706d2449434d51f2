"""Objectives for encoder-decoder models: T5's, which are selection x inputs x targets, and BART's, which are noises one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from petkit.choices import legal_are
from petkit.errors import SettingsError, raise_problems
from petkit.objectives import noise
from petkit.objectives.batches import TextToTextBatch
from petkit.objectives.corrupt import IGNORED, collapse, drop, nameable, replace_bert, sentinels
from petkit.objectives.gather import gather_rows
from petkit.objectives.rows import BoolArray, IntArray, TokenRows, pack_left
from petkit.objectives.t5 import t5_lengths
from petkit.objectives.vocabulary import Vocabulary

__all__ = [
    "NOISES",
    "Denoising",
    "SpanCorruption",
    "collapsed",
    "dropped",
    "masked",
    "selected",
    "sentinel_inputs",
    "sentinel_targets",
    "shuffled",
    "whole",
]

Part = Callable[..., tuple[IntArray, BoolArray]]


def sentinel_inputs(text: TokenRows, selection: BoolArray, rng: np.random.Generator, vocabulary: Vocabulary) -> tuple[IntArray, BoolArray]:
    """Each selected run is one sentinel."""
    del rng
    return sentinels(text.ids, selection, text.maskable, vocabulary)


def sentinel_targets(text: TokenRows, selection: BoolArray, rng: np.random.Generator, vocabulary: Vocabulary) -> tuple[IntArray, BoolArray]:
    """The selected tokens, with a sentinel for each clean run: in a text that begins clean, each run of them behind its own sentinel."""
    del rng
    return sentinels(text.ids, text.maskable & ~selection, text.maskable, vocabulary)


def dropped(text: TokenRows, selection: BoolArray, rng: np.random.Generator, vocabulary: Vocabulary) -> tuple[IntArray, BoolArray]:
    """The text without the selected tokens."""
    del rng
    return drop(text.ids, selection, text.maskable, pad_id=vocabulary.pad_id)


def selected(text: TokenRows, selection: BoolArray, rng: np.random.Generator, vocabulary: Vocabulary) -> tuple[IntArray, BoolArray]:
    """The selected tokens only."""
    return dropped(text, ~selection, rng, vocabulary)


def masked(
    text: TokenRows, selection: BoolArray, rng: np.random.Generator, vocabulary: Vocabulary, *, random: float = 0.0
) -> tuple[IntArray, BoolArray]:
    """Each selected token is the mask, or with probability ``random`` a random token. Without a mask token it is the first sentinel."""
    mask_id = vocabulary.sentinels[0] if vocabulary.mask_id is None and vocabulary.sentinels else None
    ids, _ = replace_bert(text.ids, selection, rng, vocabulary, masked=1.0 - random, random=random, mask_id=mask_id)
    return ids, text.maskable


def collapsed(text: TokenRows, selection: BoolArray, rng: np.random.Generator, vocabulary: Vocabulary) -> tuple[IntArray, BoolArray]:
    """Each selected run is one mask."""
    ids, valid = masked(text, selection, rng, vocabulary)
    mask_id = vocabulary.sentinels[0] if vocabulary.mask_id is None else vocabulary.mask_id
    return collapse(ids, valid, mask_id=mask_id, pad_id=vocabulary.pad_id)


def shuffled(text: TokenRows, selection: BoolArray, rng: np.random.Generator, vocabulary: Vocabulary) -> tuple[IntArray, BoolArray]:
    """All tokens in random order."""
    del selection, vocabulary
    keys = np.where(text.maskable, rng.random(text.ids.shape), 2.0)
    return np.take_along_axis(text.ids, np.argsort(keys, axis=1), axis=1), text.maskable


def whole(text: TokenRows, selection: BoolArray, rng: np.random.Generator, vocabulary: Vocabulary) -> tuple[IntArray, BoolArray]:
    """The text as it is."""
    del selection, rng, vocabulary
    return text.ids, text.maskable


def _text(ids: IntArray, valid: BoolArray, vocabulary: Vocabulary, **given: IntArray | None) -> TokenRows:
    """Rows without the tokens around texts, flush left. An unknown token is text; ``maskable`` is all that is there."""
    keep = valid & ~vocabulary.frame[ids]
    packed, there = pack_left(ids, keep, vocabulary.pad_id)
    others: dict[str, Any] = {name: None if value is None else pack_left(value, keep, -1)[0] for name, value in given.items()}
    return TokenRows(packed.astype(np.int64), there, **others, valid=there)


def _framed(ids: IntArray, there: BoolArray, vocabulary: Vocabulary, before: int | None, after: int) -> tuple[IntArray, BoolArray]:
    lengths = there.sum(axis=1)
    starts = np.arange(len(ids)) * ids.shape[1]
    return gather_rows(ids.reshape(-1), starts, lengths, pad_id=vocabulary.pad_id, before=before, after=after)


def _batch(
    inputs: tuple[IntArray, BoolArray],
    targets: tuple[IntArray, BoolArray],
    vocabulary: Vocabulary,
    *,
    start: int,
    before: int | None,
    after: int,
) -> TextToTextBatch:
    """Both texts with their ends; the decoder's input is the target moved right behind ``start``."""
    source, valid = _framed(*inputs, vocabulary, before, after)
    target, there = _framed(*targets, vocabulary, before, after)
    moved = np.concatenate([np.full((len(target), 1), start), np.where(there, target, vocabulary.pad_id)[:, :-1]], axis=1)
    return TextToTextBatch(source, valid, moved, np.where(there, target, IGNORED))


@dataclass(frozen=True)
class SpanCorruption:
    """T5's objectives (Raffel et al. 2020, section 3.3, arXiv 1910.10683): which tokens, what becomes of them, what has to be said.

    Both texts end with the end token; the decoder starts with the padding token. Where parts write sentinels and a row has more spans than
    the tokenizer sentinels, the last spans stay as they are: how many are drawn differs from row to row, and none may end a run.

    Attributes:
        select: a selector, called with rows, a generator and ``rate``, and ``mean`` where it is not None; None selects nothing.
        inputs, targets: (text, selection, generator, vocabulary) -> ids and which are there.
        rate: share of tokens that are noise. mean: tokens per span.
    """

    name: str
    select: Callable[..., BoolArray] | None
    inputs: Part
    targets: Part
    source: str
    summary: str = ""
    rate: float | None = 0.15
    mean: float | None = None

    def batch(
        self, ids: IntArray, valid: BoolArray, vocabulary: Vocabulary, rng: np.random.Generator, **given: IntArray | None
    ) -> TextToTextBatch:
        """(B, T) ids and which are no padding -> inputs and targets; tokens around the texts are left out first."""
        text = _text(ids, valid, vocabulary, **given)
        options = {name: value for name, value in (("rate", self.rate), ("mean", self.mean)) if value is not None}
        selection = np.zeros(text.ids.shape, dtype=bool) if self.select is None else self.select(text, rng, **options)
        if self.names_spans:
            selection = nameable(selection, text.maskable, sentinels=len(vocabulary.sentinels))
        inputs, targets = (part(text, selection, rng, vocabulary) for part in (self.inputs, self.targets))
        return _batch(inputs, targets, vocabulary, start=vocabulary.pad_id, before=None, after=vocabulary.need("eos_id", self.name))

    @property
    def names_spans(self) -> bool:
        """Whether a part writes a sentinel of its own for each span."""
        parts = [getattr(part, "func", part) for part in (self.inputs, self.targets)]
        return sentinel_inputs in parts or sentinel_targets in parts

    def raw_length(self, length: int) -> int:
        """Of how many tokens of text inputs of ``length`` tokens are made. SettingsError where so much is noise that there is no end."""
        if self.mean is None or self.inputs is not sentinel_inputs:
            return length - 1
        try:
            return t5_lengths(length, rate=self.rate or 0.0, mean=self.mean)[0]
        except ValueError as error:
            raise SettingsError(
                f"--mask-rate is {self.rate}; with --objective {self.name} so much noise leaves no text long enough for rows of {length} "
                "tokens, and a rate well below 1, such as 0.5, is legal"
            ) from error


NOISES: Final[Mapping[str, Callable[..., TokenRows]]] = {
    "permute-sentences": noise.permute_sentences,
    "infill": noise.infill,
    "mask": noise.mask_tokens,
    "delete": noise.delete_tokens,
    "rotate": noise.rotate,
}
"""BART's five noises by name."""


@dataclass(frozen=True)
class Denoising:
    """BART (Lewis et al. 2020, section 2.2, arXiv 1910.13461): noises one after the other; the whole text has to be said.

    Differs from T5's objectives in that the decoder says all of it. Its input starts with the end token; labels are not moved.

    Attributes:
        noises: names out of ``NOISES``, in the order in which they come.
        rate: share of words (infill) or tokens (mask, delete). random: share of masks that are random tokens. mean: words per span.
    """

    name: str
    noises: tuple[str, ...]
    source: str
    summary: str = ""
    rate: float = 0.3
    random: float = 0.1
    mean: float = 3.5

    def __post_init__(self) -> None:
        problems = [f"noise {name!r} is unknown; {legal_are(name, NOISES)}" for name in self.noises if name not in NOISES]
        problems += [] if 0 <= self.rate <= 1 else [f"rate is {self.rate}; 0 to 1 is legal"]
        problems += [] if self.mean > 0 else [f"mean is {self.mean}; above 0 is legal"]
        raise_problems(SettingsError, f"objective {self.name!r}", problems)

    def batch(
        self,
        ids: IntArray,
        valid: BoolArray,
        vocabulary: Vocabulary,
        rng: np.random.Generator,
        *,
        words: IntArray | None = None,
        sentences: IntArray | None = None,
    ) -> TextToTextBatch:
        """(B, T) ids and which are no padding -> noisy inputs and the text.

        Args:
            words, sentences: (B, T) int64 ids; None for what the vocabulary shows.
        """
        words = vocabulary.words(ids) if words is None and "infill" in self.noises else words
        sentences = vocabulary.sentences(ids) if sentences is None and "permute-sentences" in self.noises else sentences
        text = noisy = _text(ids, valid, vocabulary, words=words, sentences=sentences)
        for name in self.noises:
            noisy = NOISES[name](noisy, rng, vocabulary, **self.numbers_of(name))
        bos_id, eos_id = vocabulary.need("bos_id", self.name), vocabulary.need("eos_id", self.name)
        inputs, targets = ((rows.ids, noise.valid_of(rows)) for rows in (noisy, text))
        return _batch(inputs, targets, vocabulary, start=eos_id, before=bos_id, after=eos_id)

    def numbers_of(self, noise_name: str) -> dict[str, float]:
        """The numbers that a noise takes."""
        masks = {"rate": self.rate, "random": self.random}
        return {"infill": {**masks, "mean": self.mean}, "mask": masks, "delete": {"rate": self.rate}}.get(noise_name, {})
