"""Token files to rows: which rows an epoch has is decided once, as indices; text is gathered when a batch is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from petkit.errors import SettingsError
from petkit.objectives import Denoising, NextToken, PairPrediction, Permutation, SpanCorruption, Vocabulary, stream
from petkit.objectives.rows import BoolArray, IntArray
from petkit.pretraining.given import goes_by_segmenter, goes_by_units
from petkit.pretraining.streamed import ChunkedRows, PairedRows
from petkit.pretraining.tokenfiles import TokenFile
from petkit.pretraining.units import best_fit, ranges, unit_offsets, word_ids

__all__ = ["ChunkedRows", "PackedRows", "PairedRows", "RowSource", "row_source"]


class RowSource(Protocol):
    """Rows of a token file as an objective wants them."""

    @property
    def tokens(self) -> TokenFile:
        """The file."""

    def __len__(self) -> int:
        """Rows in one epoch."""

    def batch(self, chosen: IntArray, objective: Any, vocabulary: Vocabulary, rng: np.random.Generator, *, epoch: int = 0) -> Any:
        """The chosen (B,) int64 rows, each below ``len``, as the objective's batch."""


def row_source(tokens: TokenFile, objective: Any, vocabulary: Vocabulary, *, length: int, seed: int) -> RowSource:
    """The rows for an objective: pairs for NSP and SOP, a stream without padding for causal, XLNet, T5 and BART, else packed sentences.

    Args:
        length: T, tokens per row as the model reads it.

    Raises:
        SettingsError: the objective goes by units that the file lacks, or needs a token that the vocabulary lacks.
        DataError: there is too little text for a single row.
    """
    if goes_by_units(objective) and tokens.begins is None:
        by_words = goes_by_segmenter(objective)
        how = "a segmenter's words, and the text was tokenised without" if by_words else "units that must come with the text"
        where = "petkit.objectives.segmented" if by_words else "petkit.pretraining.tokens.tokenize_split"
        raise SettingsError(f"--objective {objective.name} goes by {how}; see {where}")
    if isinstance(objective, PairPrediction):
        return PairedRows(tokens, objective, length=length, seed=seed)
    if isinstance(objective, NextToken | Permutation | SpanCorruption | Denoising):
        end_id = vocabulary.need("eos_id", objective.name)
        return ChunkedRows(tokens, length=_raw_length(objective, length), end_id=end_id, pad_id=vocabulary.pad_id, seed=seed)
    return PackedRows(tokens, length=length, seed=seed)


def _raw_length(objective: Any, length: int) -> int:
    """Tokens of text of which the objective makes rows of ``length``."""
    if isinstance(objective, SpanCorruption):
        return objective.raw_length(length)
    return length - 2 if isinstance(objective, Denoising) else length


# Packed sentences


@dataclass(frozen=True)
class PackedRows:
    """Rows ``[CLS] unit [SEP] unit [SEP] ...``, the rest padding; units are paragraphs, joined while they fit (``unit_offsets``).

    Full sentences across documents, as in RoBERTa (Liu et al. 2019, section 4.2, arXiv 1907.11692), but units stay whole and are packed
    by ``best_fit``, so that little is padding.

    Args:
        length: T, tokens per row. seed: for the order in which units are packed, by ``stream(seed, "pretrain", "pack", length)``.
        order: (U,) int64, that order itself.
    """

    tokens: TokenFile
    length: int
    seed: int = 0
    order: IntArray | None = None
    units: IntArray = field(init=False, repr=False)
    members: IntArray = field(init=False, repr=False)
    bounds: IntArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        units = unit_offsets(self.tokens, self.length - 2)
        order = stream(self.seed, "pretrain", "pack", self.length).permutation(len(units) - 1) if self.order is None else self.order
        members, bounds = best_fit(order, np.diff(units) + 1, self.length - 1)
        for name, value in (("units", units), ("members", members), ("bounds", bounds), ("order", None)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def rows(self, chosen: IntArray, *, cls_id: int, sep_id: int, pad_id: int) -> tuple[IntArray, BoolArray, BoolArray | None]:
        """The chosen (B,) rows: ids (B, T) int64, valid (B, T) bool, and (B, T) bool which tokens begin a unit, or None."""
        counts = self.bounds[chosen + 1] - self.bounds[chosen]
        unit = self.members[ranges(self.bounds[chosen], counts)]
        start, size = self.units[unit], self.units[unit + 1] - self.units[unit]
        last = np.cumsum(counts) - 1
        first, behind = last + 1 - counts, np.cumsum(size + 1)
        before = behind[first] - size[first] - 1  # of all tokens up to here, those of earlier rows
        used = behind[last] - before + 1
        ends = behind + np.repeat(np.arange(len(chosen)) * self.length - before, counts)  # places of [SEP] in the flattened (B T)
        columns = size + 1  # of each unit; the row's [CLS] is taken with its first one, its padding with its last
        columns[first] += 1
        columns[last] += self.length - used
        source = np.arange(len(chosen) * self.length) + np.repeat(start + size - ends, columns)
        valid = np.arange(self.length)[None, :] < used[:, None]

        def laid(values: npt.NDArray[Any], kind: Any, cls: Any, sep: Any, pad: Any) -> npt.NDArray[Any]:
            flat = np.take(values, source, mode="clip").astype(kind)
            flat[:: self.length], flat[ends] = cls, sep
            rows: npt.NDArray[Any] = flat.reshape(valid.shape)
            np.putmask(rows, ~valid, pad)
            return rows

        begins = None if self.tokens.begins is None else laid(self.tokens.begins, bool, True, True, True)
        return laid(self.tokens.ids, np.int64, cls_id, sep_id, pad_id), valid, begins

    def batch(self, chosen: IntArray, objective: Any, vocabulary: Vocabulary, rng: np.random.Generator, *, epoch: int = 0) -> Any:
        """See ``RowSource``. The rows of all epochs are the same ones."""
        del epoch
        cls_id, sep_id = vocabulary.need("cls_id", objective.name), vocabulary.need("sep_id", objective.name)
        ids, valid, begins = self.rows(chosen, cls_id=cls_id, sep_id=sep_id, pad_id=vocabulary.pad_id)
        return objective.batch(ids, valid, vocabulary, rng, **word_ids(begins))
