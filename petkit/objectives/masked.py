"""Objectives that hide tokens and ask for them: rows of the table, and what they make of a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from petkit.errors import SettingsError
from petkit.objectives.batches import MaskedBatch, PairBatch, ReplacedBatch
from petkit.objectives.corrupt import boundaries, replace_at
from petkit.objectives.pairs import PairRows
from petkit.objectives.rows import BoolArray, IntArray, TokenRows
from petkit.objectives.spans import Lengths
from petkit.objectives.vocabulary import Vocabulary

__all__ = ["Distillation", "MaskedLanguageModeling", "PairPrediction", "ReplacedTokenDetection"]

Select = Callable[..., BoolArray]


@dataclass(frozen=True)
class MaskedLanguageModeling:
    """A selector with BERT's replacement. ``batch`` is pure; the loss is mean cross-entropy at the selected positions.

    Attributes:
        name, summary, source: how it is called, what it does, who says so.
        select: a selector, called with rows, a generator, ``rate``, and ``cap`` and ``lengths`` where they are not None.
        rate: share of tokens to predict. cap: the most of a row; None for no limit.
        masked, random: shares of the selected tokens that become the mask or a random token.
        lengths: of spans, in words.
        by_run: one replacement for all tokens of a span. boundary: also what the boundary head needs.
        needs_words: it goes by words. given_units: by units (segmented words, phrases, entities) that come with the batch.
    """

    name: str
    select: Select
    source: str
    rate: float = 0.15
    cap: int | None = None
    masked: float = 0.8
    random: float = 0.1
    needs_words: bool = False
    summary: str = ""
    lengths: Lengths | None = None
    by_run: bool = False
    boundary: bool = False
    given_units: bool = False

    @property
    def plain(self) -> bool:
        """Whether a masked language model and text are all it needs."""
        return not self.boundary and not self.given_units

    def batch(
        self,
        ids: IntArray,
        valid: BoolArray,
        vocabulary: Vocabulary,
        rng: np.random.Generator,
        *,
        words: IntArray | None = None,
        sentences: IntArray | None = None,
    ) -> MaskedBatch:
        """(B, T) ids and which are no padding -> inputs, selected positions and their targets.

        Args:
            words: (B, T) int64 unit ids; None for the words that the vocabulary shows. sentences: not used.
        """
        del sentences
        rows = TokenRows(ids, valid & ~vocabulary.special[ids], self._units(ids, vocabulary, words))
        options: dict[str, Any] = {} if self.cap is None else {"cap": self.cap}
        if self.lengths is not None:
            options["lengths"] = self.lengths.chances()
        selection = self.select(rows, rng, rate=self.rate, **options)
        positions, mask_id = np.flatnonzero(selection), vocabulary.need("mask_id", self.name)
        shares: dict[str, Any] = {"masked": self.masked, "random": self.random, "by_run": self.by_run}
        inputs = replace_at(ids, positions, rng, vocabulary, mask_id=mask_id, **shares)
        around = boundaries(ids, selection, valid) if self.boundary else None
        return MaskedBatch(inputs, positions, ids.reshape(-1)[positions], around)

    def _units(self, ids: IntArray, vocabulary: Vocabulary, words: IntArray | None) -> IntArray | None:
        if self.given_units and words is None:
            raise SettingsError(f"--objective {self.name} goes by units that come with the text; see petkit.objectives.segmented")
        return vocabulary.words(ids) if words is None and self.needs_words else words


@dataclass(frozen=True)
class ReplacedTokenDetection:
    """ELECTRA: a generator learns ``masked`` and fills the masks, a discriminator tells replaced tokens from original ones.

    Differs from distillation and MLM in that the loss counts every token. ``replaced_tokens`` makes the discriminator's batch.

    Attributes:
        generator_weight, discriminator_weight: of the two losses. generator_width: of the discriminator's width.
    """

    name: str
    masked: MaskedLanguageModeling
    source: str
    summary: str = ""
    generator_weight: float = 1.0
    discriminator_weight: float = 50.0
    generator_width: float = 0.25

    def batch(
        self, ids: IntArray, valid: BoolArray, vocabulary: Vocabulary, rng: np.random.Generator, **given: IntArray | None
    ) -> ReplacedBatch:
        """(B, T) ids -> the generator's batch, the original ids, and the draws by which the generator's tokens are chosen."""
        masked = self.masked.batch(ids, valid, vocabulary, rng, **given)
        return ReplacedBatch(masked, ids, valid, rng.random(len(masked.positions)))


@dataclass(frozen=True)
class Distillation:
    """DistilBERT: the batch of ``masked``; a student learns a teacher's soft targets, the MLM itself, and the teacher's last hidden states.

    Attributes:
        temperature: of the soft targets. soft_weight, masked_weight, cosine_weight: of the three losses.
        teacher_layers: those the student starts from.
    """

    name: str
    masked: MaskedLanguageModeling
    source: str
    summary: str = ""
    temperature: float = 2.0
    soft_weight: float = 5.0
    masked_weight: float = 2.0
    cosine_weight: float = 1.0
    teacher_layers: tuple[int, ...] = (0, 2, 4, 7, 9, 11)

    def batch(
        self, ids: IntArray, valid: BoolArray, vocabulary: Vocabulary, rng: np.random.Generator, **given: IntArray | None
    ) -> MaskedBatch:
        """(B, T) ids -> the masked batch that student and teacher read."""
        return self.masked.batch(ids, valid, vocabulary, rng, **given)


@dataclass(frozen=True)
class PairPrediction:
    """NSP or SOP beside ``masked``: rows are pairs of texts, and the first position says which kind.

    Attributes:
        build: ``nsp_pairs`` or ``sop_pairs``: documents -> pairs. short: the share of pairs drawn shorter than the rows.
    """

    name: str
    masked: MaskedLanguageModeling
    build: Callable[..., Any]
    source: str
    summary: str = ""
    short: float = 0.1

    def batch(self, rows: PairRows, vocabulary: Vocabulary, rng: np.random.Generator, *, words: IntArray | None = None) -> PairBatch:
        """Pairs (from ``build`` and ``pair_rows``) -> their masked batch, types and labels."""
        masked = self.masked.batch(rows.ids, rows.valid, vocabulary, rng, words=words)
        return PairBatch(masked, rows.types, rows.valid, rows.labels)
