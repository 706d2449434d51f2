"""Which positions carry a loss. Vectorised over the batch; no loop over tokens."""

from __future__ import annotations

import numpy as np

from petkit.objectives.rows import BoolArray, FloatArray, IntArray, TokenRows, lowest

__all__ = [
    "BoolArray",
    "IntArray",
    "TokenRows",
    "budgets",
    "ceiling_budgets",
    "random_budgets",
    "select_counts",
    "select_dynamic",
    "select_exact",
    "select_independent",
    "select_suffix",
    "select_whole_words",
]


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
    return select_counts(rows, rng, budgets(rows, rate=rate, cap=cap))


def select_counts(rows: TokenRows, rng: np.random.Generator, counts: IntArray) -> BoolArray:
    """(B, T) bool: ``counts`` of the maskable positions of each row, without replacement."""
    keys = rng.random(rows.ids.shape, dtype=np.float32)
    keys[~rows.maskable] = 2.0
    return lowest(keys, counts)


def random_budgets(rows: TokenRows, rng: np.random.Generator, *, rate: float) -> IntArray:
    """(B,) int64: ``floor(rate n + u)``, u uniform: right on average, while ``budgets`` is right to half a token in every row.

    The rounding of RoBERTa's reference implementation (fairseq), which draws a row anew whenever it comes up (Liu et al. 2019,
    section 4.1, arXiv 1907.11692).
    """
    n = rows.maskable.sum(axis=1)
    counts: IntArray = np.minimum(np.floor(rate * n + rng.random(len(n))).astype(np.int64), n)
    return counts


def ceiling_budgets(counts: IntArray, rate: float) -> IntArray:
    """(...) int64: ``ceil(rate n)``, not one more where the product misses a whole number by rounding."""
    wanted: IntArray = np.minimum(np.ceil(rate * counts - 1e-9).astype(np.int64), counts)
    return np.maximum(wanted, 0)


def select_dynamic(rows: TokenRows, rng: np.random.Generator, *, rate: float) -> BoolArray:
    """(B, T) bool: without replacement, as many as ``random_budgets`` says; a short row may get none, unlike in ``select_exact``."""
    counts = random_budgets(rows, rng, rate=rate)
    return select_counts(rows, rng, counts)


def select_suffix(rows: TokenRows, rng: np.random.Generator, **_: float) -> BoolArray:
    """(B, T) bool: all maskable positions from a uniformly drawn one on; both parts get one position at least, if there are two.

    The split of a prefix language model (Raffel et al. 2020, section 3.2.3, arXiv 1910.10683).
    """
    n = rows.maskable.sum(axis=1)
    cut = np.where(n > 1, 1 + np.floor(rng.random(len(n)) * (n - 1)).astype(np.int64), n)
    behind: BoolArray = rows.maskable & (np.cumsum(rows.maskable, axis=1) > cut[:, None])
    return behind


def select_whole_words(rows: TokenRows, rng: np.random.Generator, *, rate: float, cap: int | None = None) -> BoolArray:
    """(B, T) bool: whole words in random order while they fit the budget; words that do not fit are skipped.

    Differs from ``select_exact`` in its units. A row whose every word is over the budget gets one of its shortest.
    """
    if rows.words is None:
        raise ValueError("whole-word selection needs word ids")
    words = np.where(rows.maskable, rows.words - rows.words.min(axis=1, keepdims=True, initial=np.iinfo(np.int64).max), 0)
    count = int(words.max(initial=0)) + 1
    n_rows = len(words)
    flat = words + np.arange(n_rows)[:, None] * count
    sizes = np.bincount(flat[rows.maskable], minlength=n_rows * count).reshape(n_rows, count)
    chosen = _fill(sizes, budgets(rows, rate=rate, cap=cap), rng)
    return chosen.reshape(-1)[flat] & rows.maskable


def _fill(sizes: IntArray, budget: IntArray, rng: np.random.Generator) -> BoolArray:
    """(B, W) bool: units taken in random order while they fit; where none fits, one of the smallest.

    The first units are mostly all that a row needs; the rest is put in order in rows that they do not fill.
    """
    keys = np.where(sizes > 0, rng.random(sizes.shape), 2.0)
    near = lowest(keys, np.full(len(keys), min(keys.shape[1], int(budget.max(initial=0)) + 8)))
    shape = (len(keys), int(near[:1].sum()))
    chosen, left = np.zeros(sizes.shape, dtype=bool), budget
    if shape[1]:
        taken = _fill_by_key(keys[near].reshape(shape), sizes[near].reshape(shape), budget)
        chosen[near] = taken.reshape(-1)
        left = budget - (sizes * chosen).sum(axis=1)
    short = np.flatnonzero(left > 0)
    chosen[short] = _fill_by_key(keys[short], sizes[short], budget[short])
    empty = np.flatnonzero((budget > 0) & ~chosen.any(axis=1))
    chosen[empty, _smallest(keys[empty], sizes[empty])] = True
    return chosen


def _fill_by_key(keys: FloatArray, sizes: IntArray, budget: IntArray) -> BoolArray:
    """(B, W) bool: units in the order of their keys while they fit.

    Each round takes, in all rows at once, the units up to the first that does not fit, and drops all that no longer can: the largest
    size left shrinks every time, so there are as many rounds as sizes, not as units.
    """
    order = np.argsort(keys, axis=1)
    in_order = np.take_along_axis(sizes, order, axis=1)
    taken = (in_order > 0) & (np.cumsum(in_order, axis=1) <= budget[:, None])
    left = budget - (in_order * taken).sum(axis=1)
    gaps = np.flatnonzero(left > 0)
    taken[gaps] |= _fill_gaps(in_order[gaps] * ~taken[gaps], left[gaps])
    chosen = np.zeros(sizes.shape, dtype=bool)
    np.put_along_axis(chosen, order, taken, axis=1)
    return chosen


def _smallest(keys: FloatArray, sizes: IntArray) -> IntArray:
    """(B,) the first, by its key, of the smallest units of each row."""
    there = np.where(sizes > 0, sizes, np.iinfo(np.int64).max)
    found: IntArray = np.where(there == there.min(axis=1, keepdims=True, initial=np.iinfo(np.int64).max), keys, np.inf).argmin(axis=1)
    return found


def _fill_gaps(sizes: IntArray, left: IntArray) -> BoolArray:
    """(B, W) bool: which of the units that are not taken yet (others have size 0) still fit, in their order."""
    taken, left = np.zeros(sizes.shape, dtype=bool), left[:, None].copy()
    while (fits := (sizes > 0) & (sizes <= left) & ~taken).any():
        fits &= np.cumsum(sizes * fits, axis=1) <= left
        taken |= fits
        left -= (sizes * fits).sum(axis=1, keepdims=True)
    return taken
