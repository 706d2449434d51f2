"""Objectives that change nothing in the text but who sees what: left to right, and XLNet's permutations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petkit.objectives.batches import CausalBatch, PermutationBatch, padded_columns
from petkit.objectives.corrupt import IGNORED
from petkit.objectives.permutation import factorization_order, select_in_contexts
from petkit.objectives.rows import BoolArray, IntArray, TokenRows
from petkit.objectives.spans import Lengths
from petkit.objectives.vocabulary import Vocabulary

__all__ = ["NextToken", "Permutation"]

_SPANS = Lengths("reciprocal", 5)


@dataclass(frozen=True)
class NextToken:
    """Causal language modelling: every token from those before it. Draws nothing."""

    name: str
    source: str
    summary: str = ""

    def batch(
        self, ids: IntArray, valid: BoolArray, vocabulary: Vocabulary, rng: np.random.Generator, **given: IntArray | None
    ) -> CausalBatch:
        """(B, T) ids and which are no padding -> inputs and labels; the shift is the model's."""
        del vocabulary, rng, given
        return CausalBatch(ids, valid, np.where(valid, ids, IGNORED))


@dataclass(frozen=True)
class Permutation:
    """XLNet: selected spans are predicted in a random order, from the context and from those before them in it.

    Differs from MLM in that no token is replaced, and that targets depend on one another.

    Attributes:
        lengths: of spans, in words. alpha, beta: beta words are predicted in a context of alpha tokens.
        blocks: into how many blocks, each with an order of its own, a row is cut.
    """

    name: str
    source: str
    summary: str = ""
    lengths: Lengths = _SPANS
    alpha: int = 6
    beta: int = 1
    blocks: int = 2

    def batch(
        self,
        ids: IntArray,
        valid: BoolArray,
        vocabulary: Vocabulary,
        rng: np.random.Generator,
        *,
        words: IntArray | None = None,
        sentences: IntArray | None = None,
    ) -> PermutationBatch:
        """(B, T) ids and which are no padding -> order, targets and labels; ``permutation_masks`` makes the masks of them."""
        del sentences
        rows = TokenRows(ids, valid & ~vocabulary.special[ids], vocabulary.words(ids) if words is None else words)
        selection = select_in_contexts(rows, rng, lengths=self.lengths.chances(), alpha=self.alpha, beta=self.beta)
        order = factorization_order((len(ids), ids.shape[1]), rng, block=max(1, -(-ids.shape[1] // self.blocks)))
        positions = padded_columns(selection)
        labels = np.where(positions >= 0, np.take_along_axis(ids, np.maximum(positions, 0), axis=1), IGNORED)
        return PermutationBatch(ids, valid, order, selection, positions, labels)
