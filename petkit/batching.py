"""Batches under a token budget, and the tensors of a batch. Padding is a rounding error: rows are sorted by length first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from petkit.encoding.encoded import Encoded, flat_ranges
from petkit.errors import SettingsError
from petkit.tensors import on

__all__ = ["Batch", "Tally", "collate", "tallying", "token_budget_batches"]

_PADDING = 0.025


@dataclass
class Tally:
    """How many real tokens (no padding) were put into batches."""

    tokens: int = 0


_TALLY: ContextVar[Tally | None] = ContextVar("tally", default=None)


@contextmanager
def tallying() -> Iterator[Tally]:
    """Count the tokens of all batches that are made inside the block: the work of labelling, whatever the machine."""
    tally = Tally()
    token = _TALLY.set(tally)
    try:
        yield tally
    finally:
        _TALLY.reset(token)


@dataclass(frozen=True)
class Batch:
    """B rows padded on the right to the longest of them.

    Args:
        input_ids: (B, T) int64, the tokens; the padding id where ``attention_mask`` is 0.
        attention_mask: (B, T) int64, 1 on tokens, 0 on padding.
        token_type_ids: (B, T) int64, as the tokenizer gives them; 0 on padding.
        slots: (B, M) int64, positions of the mask slots in each row; M may be 0.
        full: the rows are known to hold no padding (False says nothing), which spares a look at the mask and the wait for it on a GPU.
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    slots: Tensor
    full: bool = False

    def __len__(self) -> int:
        return len(self.input_ids)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on ``device``; a copy to a GPU is queued and does not wait for it."""
        where = torch.device(device)
        tokens, mask, kinds, slots = (on(t, where) for t in (self.input_ids, self.attention_mask, self.token_type_ids, self.slots))
        return Batch(tokens, mask, kinds, slots, full=self.full)

    def above(self, other: Batch, *, pad_id: int) -> Batch:
        """The rows of this batch and below them those of another, padded to the longer of the two; without slots."""
        width = max(self.input_ids.shape[1], other.input_ids.shape[1])

        def joined(mine: Tensor, theirs: Tensor, fill: int = 0) -> Tensor:
            return torch.cat([functional.pad(t, (0, width - t.shape[1]), value=fill) for t in (mine, theirs)])

        return Batch(
            joined(self.input_ids, other.input_ids, pad_id),
            joined(self.attention_mask, other.attention_mask),
            joined(self.token_type_ids, other.token_type_ids),
            self.slots.new_zeros(len(self) + len(other), 0),
            full=self.full and other.full and self.input_ids.shape[1] == other.input_ids.shape[1],
        )


def token_budget_batches(lengths: Sequence[int] | NDArray[np.integer], *, tokens: int, rows: int | None = None) -> list[NDArray[np.int64]]:
    """Cut rows into batches of similar length whose size, padding counted, stays within a budget.

    Longest first, so that a batch too large for the memory shows at once. Ties keep their order. A batch is closed before
    it is full when more rows would bring its padding above 2.5 % of its tokens, but never below a quarter of the budget.

    Args:
        lengths: (N,) integers, the rows' lengths in tokens.
        tokens: at most so many positions per batch: (rows) x (longest row). A longer row gets a batch of its own.
        rows: at most so many rows per batch; None for no limit.

    Returns:
        For each batch the indices of its rows, int64; together every index from 0 to N - 1 exactly once.

    Raises:
        SettingsError: if ``tokens`` or ``rows`` is below 1.

    >>> [batch.tolist() for batch in token_budget_batches([3, 9, 2, 3], tokens=8)]
    [[1], [0, 3], [2]]
    """
    for name, value in (("tokens", tokens), ("rows", rows)):
        if value is not None and value < 1:
            raise SettingsError(f"a batch holds at least 1 of its {name}, not {value}")
    sizes = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-sizes, kind="stable").astype(np.int64)
    batches, start = [], 0
    while start < len(order):
        count = _fitting(sizes[order[start:]], tokens, rows)
        batches.append(order[start : start + count])
        start += count
    return batches


def _fitting(lengths: NDArray[np.int64], tokens: int, rows: int | None) -> int:
    """How many of the first of these descending lengths make the next batch."""
    longest = max(1, int(lengths[0]))
    full = max(1, tokens // longest)
    full = full if rows is None else min(full, rows)
    taken = np.cumsum(lengths[:full])
    tight = np.arange(1, len(taken) + 1) * longest <= (1 + _PADDING) * taken
    return max(int(tight.sum()), (full + 3) // 4)


def collate(
    encoded: Encoded, indices: Sequence[int] | NDArray[np.integer], *, pad_id: int, device: torch.device | str | None = None
) -> Batch:
    """The rows at ``indices`` (B,) as one padded batch, in that order, on ``device`` (None: the CPU).

    No loop over rows or tokens: one gather fills the batch.
    """
    chosen = np.asarray(indices, dtype=np.int64)
    lengths = encoded.lengths[chosen]
    if (tally := _TALLY.get()) is not None:
        tally.tokens += int(lengths.sum())
    inside = np.arange(int(lengths.max(initial=0))) < lengths[:, None]
    where = flat_ranges(encoded.offsets[chosen], lengths)
    ids, types = np.full(inside.shape, pad_id, dtype=np.int64), np.zeros(inside.shape, dtype=np.int64)
    ids[inside], types[inside] = encoded.ids[where], encoded.types[where]
    arrays = (ids, inside.astype(np.int64), types, encoded.slots[chosen].astype(np.int64))
    tokens, mask, kinds, slots = (torch.from_numpy(array) for array in arrays)
    batch = Batch(tokens, mask, kinds, slots, full=bool(inside.all()))
    return batch if device is None else batch.to(device)
