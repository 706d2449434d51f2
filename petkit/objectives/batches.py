"""What objectives make of a batch of rows: the arrays that models and losses need. All of them can be split over ranks."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from petkit.objectives.corrupt import Boundaries
from petkit.objectives.rows import BoolArray, FloatArray, IntArray

__all__ = ["CausalBatch", "MaskedBatch", "PairBatch", "PermutationBatch", "ReplacedBatch", "TextToTextBatch", "share"]

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class MaskedBatch:
    """What a masked-language-modelling batch becomes.

    Attributes:
        inputs: (B, T) int64, corrupted ids.
        positions: (S,) int64 into the flattened (B T), the selected positions in order. targets: (S,) int64 original ids there.
        boundaries: what SpanBERT's boundary head needs; None in other objectives.
    """

    inputs: IntArray
    positions: IntArray
    targets: IntArray
    boundaries: Boundaries | None = None


@dataclass(frozen=True)
class ReplacedBatch:
    """ELECTRA's: the generator's masked batch, and the ``originals`` (B, T) int64 that the discriminator's labels compare with.

    ``valid`` (B, T) bool: the positions that the discriminator's loss counts. ``draws`` (S,) float64 in [0, 1): by which the generator's
    tokens are drawn at the selected positions, so that they depend on no device and no rank.
    """

    masked: MaskedBatch
    originals: IntArray
    valid: BoolArray
    draws: FloatArray


@dataclass(frozen=True)
class PairBatch:
    """Pairs of texts: a masked batch, ``types`` (B, T) int64 0 and 1 by text, ``valid`` (B, T) bool, ``labels`` (B,) int64.

    Labels: NSP 0 the real next text, 1 a random one; SOP 0 in order, 1 swapped.
    """

    masked: MaskedBatch
    types: IntArray
    valid: BoolArray
    labels: IntArray


@dataclass(frozen=True)
class TextToTextBatch:
    """For encoder-decoder models.

    Attributes:
        inputs: (B, S) int64. valid: (B, S) bool.
        decoder_inputs: (B, U) int64, the labels moved right behind the start token.
        labels: (B, U) int64, not moved, ``IGNORED`` at padding.
    """

    inputs: IntArray
    valid: BoolArray
    decoder_inputs: IntArray
    labels: IntArray


@dataclass(frozen=True)
class CausalBatch:
    """For left-to-right models: ``inputs`` (B, T) int64, ``valid`` (B, T) bool, ``labels`` (B, T) int64: inputs, ``IGNORED`` at padding.

    The shift by one is the model's. Padding goes by ``valid``, so a real end token keeps its label where it is the padding token too.
    """

    inputs: IntArray
    valid: BoolArray
    labels: IntArray


@dataclass(frozen=True)
class PermutationBatch:
    """XLNet's; ``petkit.objectives.permutation_masks`` makes the large masks of it on the device.

    Attributes:
        inputs: (B, T) int64, uncorrupted. valid: (B, T) bool.
        order: (B, T) int64, place in the order of prediction. selection: (B, T) bool, the targets.
        positions: (B, P) int64, columns of the targets, -1 where a row has fewer. labels: (B, P) int64, ``IGNORED`` there.
    """

    inputs: IntArray
    valid: BoolArray
    order: IntArray
    selection: BoolArray
    positions: IntArray
    labels: IntArray


def share(batch: Batch, *, rank: int, ranks: int) -> Batch:
    """A rank's rows of a global batch, as a batch. All ranks' shares together are the batch, so draws do not depend on ``ranks``."""
    count = _rows(batch)
    part: Batch = _part(batch, rank * count // ranks, (rank + 1) * count // ranks)
    return part


def _rows(batch: Any) -> int:
    masked = batch if isinstance(batch, MaskedBatch) else getattr(batch, "masked", batch)
    return len(masked.inputs)


def _part(batch: Any, start: int, stop: int) -> Any:
    if isinstance(batch, MaskedBatch):
        return _masked_part(batch, start, stop)
    if isinstance(batch, ReplacedBatch):
        here = _inside(batch.masked, start, stop)
        masked = _masked_part(batch.masked, start, stop)
        return ReplacedBatch(masked, batch.originals[start:stop], batch.valid[start:stop], batch.draws[here])
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return replace(batch, **{name: _part(value, start, stop) if name == "masked" else value[start:stop] for name, value in values.items()})


def _masked_part(batch: MaskedBatch, start: int, stop: int) -> MaskedBatch:
    length = batch.inputs.shape[1]
    low, high = start * length, stop * length
    here = _inside(batch, start, stop)
    inner = batch.boundaries
    if inner is not None:
        mine = (inner.left >= low) & (inner.left < high)
        inner = Boundaries(inner.left[mine] - low, inner.right[mine] - low, inner.offsets[mine], inner.targets[mine])
    return MaskedBatch(batch.inputs[start:stop], batch.positions[here] - low, batch.targets[here], inner)


def _inside(batch: MaskedBatch, start: int, stop: int) -> BoolArray:
    """(S,) bool: the selected positions that lie in these rows."""
    length = batch.inputs.shape[1]
    inside: BoolArray = (batch.positions >= start * length) & (batch.positions < stop * length)
    return inside


def padded_columns(selection: BoolArray) -> IntArray:
    """(B, P) int64: the selected columns of each row, then -1; P is the largest number of them."""
    columns = np.broadcast_to(np.arange(selection.shape[1]), selection.shape)
    counts = selection.sum(axis=1)
    there = np.arange(int(counts.max(initial=0)))[None, :] < counts[:, None]
    out = np.full(there.shape, -1, dtype=np.int64)
    out[there] = columns[selection]
    return out
