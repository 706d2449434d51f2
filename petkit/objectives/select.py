"""Which positions carry a loss. Vectorised over the batch; no loop over tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["TokenRows", "select_exact", "select_independent", "select_whole_words"]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TokenRows:
    """A batch of token rows.

    Attributes:
        ids: (B, T) int64 token ids, padded.
        maskable: (B, T) bool, positions that may be selected: no padding, no special token, no pattern's mask slot.
        words: (B, T) int64 word ids, rising within a row; needed by whole-word selection only.
    """

    ids: IntArray
    maskable: BoolArray
    words: IntArray | None = None


def budgets(rows: TokenRows, *, rate: float, cap: int | None = None) -> IntArray:
    """(B,) how many positions of each row to select: min(cap, max(1, round(rate n))), and 0 where n is 0 or rate is 0.

    The rule of BERT's reference implementation (Devlin et al. 2019, section 3.1, arXiv 1810.04805); n counts maskable positions.
    """
    n: IntArray = rows.maskable.sum(axis=1, dtype=np.int64)
    wanted = np.maximum(1, np.floor(rate * n + 0.5).astype(np.int64)) if rate > 0 else np.zeros_like(n)
    wanted = np.minimum(wanted, n)
    capped: IntArray = wanted if cap is None else np.minimum(wanted, cap)
    return capped


def select_independent(rows: TokenRows, rng: np.random.Generator, *, rate: float) -> BoolArray:
    """(B, T) bool: each maskable position on its own with probability ``rate``; a row may get none."""
    return (rng.random(rows.ids.shape, dtype=np.float32) < rate) & rows.maskable


def select_exact(rows: TokenRows, rng: np.random.Generator, *, rate: float, cap: int | None = None) -> BoolArray:
    """(B, T) bool: exactly the budget of each row, without replacement (see ``budgets``).

    Differs from ``select_independent`` in that every row has a target and the count has no variance.
    """
    keys = rng.random(rows.ids.shape, dtype=np.float32)
    keys[~rows.maskable] = 2.0
    ranks = np.empty(keys.shape, dtype=np.int64)
    np.put_along_axis(ranks, np.argsort(keys, axis=1, kind="stable"), np.arange(keys.shape[1])[None, :], axis=1)
    return ranks < budgets(rows, rate=rate, cap=cap)[:, None]


def select_whole_words(rows: TokenRows, rng: np.random.Generator, *, rate: float, cap: int | None = None) -> BoolArray:
    """(B, T) bool: whole words in random order while they fit the budget; words that do not fit are skipped.

    Differs from ``select_exact`` in its units. A row whose every word is over the budget gets one of its shortest.
    """
    if rows.words is None:
        raise ValueError("whole-word selection needs word ids")
    words = np.where(rows.maskable, rows.words - rows.words.min(axis=1, keepdims=True), 0)
    count = int(words.max(initial=0)) + 1
    n_rows = len(words)
    flat = words + np.arange(n_rows)[:, None] * count
    sizes = np.bincount(flat[rows.maskable], minlength=n_rows * count).reshape(n_rows, count)
    chosen = _fill(sizes, budgets(rows, rate=rate, cap=cap), rng)
    return chosen.reshape(-1)[flat] & rows.maskable


def _fill(sizes: IntArray, budget: IntArray, rng: np.random.Generator) -> BoolArray:
    """(B, W) bool: units taken in random order while they fit.

    Each round takes, in all rows at once, the units up to the first that does not fit, and drops all that no longer can: the largest
    size left shrinks every time, so there are as many rounds as sizes, not as units.
    """
    keys = np.where(sizes > 0, rng.random(sizes.shape), 2.0)
    order = np.argsort(keys, axis=1, kind="stable")
    in_order = np.take_along_axis(sizes, order, axis=1)
    left, taken = budget[:, None].copy(), np.zeros(sizes.shape, dtype=bool)
    while (fits := (in_order > 0) & (in_order <= left) & ~taken).any():
        fits &= np.cumsum(in_order * fits, axis=1) <= left
        taken |= fits
        left -= (in_order * fits).sum(axis=1, keepdims=True)
    empty = (budget > 0) & ~taken.any(axis=1)
    smallest = np.where(in_order > 0, in_order, np.iinfo(np.int64).max).argmin(axis=1)
    taken[empty, smallest[empty]] = True
    chosen = np.zeros(sizes.shape, dtype=bool)
    np.put_along_axis(chosen, order, taken, axis=1)
    return chosen
