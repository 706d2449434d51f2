"""What the model sees at the selected positions, and what it has to say there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petkit.errors import SettingsError
from petkit.objectives.rows import BoolArray, IntArray, pack_left
from petkit.objectives.vocabulary import Vocabulary

__all__ = ["IGNORED", "Boundaries", "boundaries", "collapse", "drop", "nameable", "replace_at", "replace_bert", "run_starts", "sentinels"]

IGNORED = -100
"""The target of positions without a loss."""


def replace_bert(
    ids: IntArray,
    selection: BoolArray,
    rng: np.random.Generator,
    vocabulary: Vocabulary,
    *,
    masked: float = 0.8,
    random: float = 0.1,
    by_run: bool = False,
    mask_id: int | None = None,
) -> tuple[IntArray, IntArray]:
    """BERT's replacement (Devlin et al. 2019, section 3.1): per selected token the mask, an ordinary random token, or itself.

    Args:
        ids: (B, T) int64. selection: (B, T) bool.
        masked, random: shares; the rest stays as it is. Random tokens are never special ones.
        by_run: one decision for all tokens of an unbroken run, as in SpanBERT (Joshi et al. 2020, section 3.1, arXiv 1907.10529).
        mask_id: what stands for the mask; None for the vocabulary's mask token.

    Returns:
        inputs (B, T) int64 and targets (B, T) int64, the latter ``IGNORED`` off the selection.
    """
    places = np.flatnonzero(selection)
    mask = vocabulary.need("mask_id", "mlm") if mask_id is None else mask_id
    inputs = replace_at(ids, places, rng, vocabulary, masked=masked, random=random, by_run=by_run, mask_id=mask)
    return inputs, np.where(selection, ids, IGNORED)


def replace_at(
    ids: IntArray,
    places: IntArray,
    rng: np.random.Generator,
    vocabulary: Vocabulary,
    *,
    masked: float,
    random: float,
    by_run: bool,
    mask_id: int,
) -> IntArray:
    """``replace_bert``'s inputs, for selected places (S,) int64 in the flattened (B T), ascending."""
    inputs = ids.copy()
    draw = rng.random(ids.shape, dtype=np.float32).reshape(-1)[places]
    if by_run and len(places):
        starts = np.ones(len(places), dtype=bool)
        starts[1:] = (np.diff(places) > 1) | (places[1:] % ids.shape[1] == 0)
        draw = draw[starts][np.cumsum(starts) - 1]
    flat = inputs.reshape(-1)
    flat[places[draw < masked]] = mask_id
    swap = places[(draw >= masked) & (draw < masked + random)]
    flat[swap] = rng.choice(vocabulary.ordinary, size=len(swap))
    return inputs


def run_starts(selection: BoolArray) -> BoolArray:
    """(B, T) bool: the first positions of unbroken runs of the selection."""
    starts = selection.copy()
    starts[:, 1:] &= ~selection[:, :-1]
    return starts


@dataclass(frozen=True)
class Boundaries:
    """What SpanBERT's boundary head predicts from (Joshi et al. 2020, section 3.2, arXiv 1907.10529), for each of S' tokens.

    Attributes:
        left, right: (S',) int64 into the flattened (B T), the tokens just outside the span. offsets: (S',) int64, place in the span
            from 0. targets: (S',) int64 original ids.
    """

    left: IntArray
    right: IntArray
    offsets: IntArray
    targets: IntArray


def boundaries(ids: IntArray, selection: BoolArray, valid: BoolArray, *, longest: int = 20) -> Boundaries:
    """The boundaries of every run of the selection that has a valid token on both sides, and its first ``longest`` tokens.

    Runs that touch are one span, as in the reference implementation, which also looks no further than 20 tokens.
    """
    starts = np.flatnonzero(run_starts(selection))
    sizes = np.flatnonzero(run_starts(selection[:, ::-1])[:, ::-1]) - starts + 1
    width = max(ids.shape[1], 1)
    column, after = starts % width, starts % width + sizes
    inside = (column > 0) & (after < width)
    flat = np.append(valid.reshape(-1), False)
    inside &= flat[starts - 1] & flat[np.where(inside, starts + sizes, -1)]
    starts, sizes = starts[inside], sizes[inside]
    kept = np.minimum(sizes, longest)
    offsets = np.arange(int(kept.sum())) - np.repeat(np.cumsum(kept) - kept, kept)
    places = np.repeat(starts, kept) + offsets
    return Boundaries(np.repeat(starts - 1, kept), np.repeat(starts + sizes, kept), offsets, ids.reshape(-1)[places])


def sentinels(ids: IntArray, selection: BoolArray, valid: BoolArray, vocabulary: Vocabulary) -> tuple[IntArray, BoolArray]:
    """Every run of the selection becomes one sentinel, the first of a row ``<extra_id_0>`` and so on (Raffel et al. 2020, section 3.1.4).

    With the complement of the selection it gives the targets: there the clean runs become the sentinels.

    Returns:
        (B, U) int64 ids, padded, and (B, U) bool which are there.
    """
    starts = run_starts(selection & valid)
    number = np.cumsum(starts, axis=1)
    if (most := int(number.max(initial=0))) > len(vocabulary.sentinels):
        raise SettingsError(
            f"a row has {most} spans, and the tokenizer {len(vocabulary.sentinels)} sentinels (<extra_id_0>, ...); "
            "shorter rows, a lower rate or longer spans need fewer"
        )
    names = np.array([vocabulary.pad_id, *vocabulary.sentinels], dtype=np.int64)
    return _packed(np.where(starts, names[number], ids), valid & (starts | ~selection), vocabulary.pad_id)


def nameable(selection: BoolArray, valid: BoolArray, *, sentinels: int) -> BoolArray:
    """(B, T) bool: the selection without the last runs of rows that have more runs, or more clean ones, than there are ``sentinels``."""
    number = np.cumsum(run_starts(selection), axis=1)
    kept = selection & (number <= sentinels)
    clean = run_starts(valid & ~kept).sum(axis=1, keepdims=True)  # one more than runs, where a row begins and ends with one
    named: BoolArray = kept & (number <= sentinels - (clean > sentinels))
    return named


def drop(ids: IntArray, selection: BoolArray, valid: BoolArray, *, pad_id: int) -> tuple[IntArray, BoolArray]:
    """(B, U) ids without the selected ones, and which are there: T5's dropped tokens, BART's deletion."""
    return _packed(ids, valid & ~selection, pad_id)


def collapse(ids: IntArray, valid: BoolArray, *, mask_id: int, pad_id: int) -> tuple[IntArray, BoolArray]:
    """(B, U) ids in which every run of masks is a single mask, and which are there.

    Differs from ``sentinels`` in that all spans look alike.
    """
    masks = (ids == mask_id) & valid
    return _packed(ids, valid & (run_starts(masks) | ~masks), pad_id)


def _packed(ids: IntArray, keep: BoolArray, pad_id: int) -> tuple[IntArray, BoolArray]:
    packed, there = pack_left(ids, keep, pad_id)
    return packed.astype(np.int64, copy=False), there
