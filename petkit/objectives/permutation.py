"""XLNet's permutation language modelling (Yang et al. 2019, arXiv 1906.08237): which tokens are predicted, in which order, who sees whom.

The contents stay as they are: a token is hidden by a mask over the attention, which ``permutation_masks`` builds on the device, since it
is the one large array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from petkit.objectives.rows import BoolArray, FloatArray, IntArray, TokenRows, Words, flat_words
from petkit.objectives.spans import draw_lengths

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["factorization_order", "permutation_masks", "select_in_contexts"]


def select_in_contexts(rows: TokenRows, rng: np.random.Generator, *, lengths: FloatArray, alpha: int = 6, beta: int = 1) -> BoolArray:
    """(B, T) bool: spans of n words, each in a context of ``n alpha / beta`` tokens, a random number of them before it, the rest behind.

    As in the reference implementation without a fixed goal: one span after the other from the start of the row; a span begins
    at the next start of a word, and one that would reach the end of the row is left out. About 1 token in 7 is selected (alpha 6, beta 1).

    What comes after a token depends on that token and on draws of its own, so the rows' chains of spans are followed by doubling the step.

    Args:
        lengths: (L,) probabilities of 1 to L words.
    """
    words = flat_words(rows)
    count = len(words.places)
    chosen = np.zeros(rows.ids.size, dtype=bool)
    if count:
        begin, end, after = _spans_from(words, draw_lengths(lengths, count, rng), rng.random(count), alpha, beta)
        heads = words.first[words.row_words[:-1][np.diff(words.row_words) > 0]]
        seen = _chain(np.append(after, count), heads)[:count]
        taken = seen & (end > begin)
        change = np.bincount(begin[taken], minlength=count + 1) - np.bincount(end[taken], minlength=count + 1)
        chosen[words.places] = np.cumsum(change)[:count] > 0
    return chosen.reshape(rows.ids.shape)


def _spans_from(words: Words, n: IntArray, draw: FloatArray, alpha: int, beta: int) -> tuple[IntArray, IntArray, IntArray]:
    """For each of N tokens as the start of a context: the span [begin, end) in it, empty where the row is over, and the next start or N."""
    count, context = len(n), n * alpha // beta
    row_end = words.first[words.row_words[1:]][words.row][words.word]
    left = np.floor(draw * context).astype(np.int64)
    at = np.minimum(np.arange(count) + left, row_end - 1)
    over = np.arange(count) + left >= row_end
    word = words.word[at] + (words.first[words.word[at]] < at)  # the next word to begin
    stop = words.row_words[1:][words.row][words.word]
    over |= word + n >= stop  # the reference leaves a span out that ends with the row
    begin, end = words.first[np.minimum(word, stop)], words.first[np.minimum(word + n, stop)]
    after = end + context - left
    over_next = over | (after >= row_end)
    return np.where(over, 0, begin), np.where(over, 0, end), np.where(over_next, count, after)


def _chain(step: IntArray, heads: IntArray) -> BoolArray:
    """(N + 1,) bool: all that is reached from ``heads`` by following ``step`` (N + 1,); the last place leads nowhere."""
    step[-1] = len(step) - 1
    seen = np.zeros(len(step), dtype=bool)
    seen[heads] = True
    while True:
        reached = step[np.flatnonzero(seen)]
        if seen[reached].all():
            return seen
        seen[reached] = True
        step = step[step]


def factorization_order(shape: tuple[int, int], rng: np.random.Generator, *, block: int) -> IntArray:
    """(B, T) int64: the place of each position in the order of prediction, random within blocks of ``block``, which follow one another."""
    rows, length = shape
    blocks = -(-length // block)
    keys = rng.random((rows, blocks * block))
    keys[:, length:] = 2.0
    order = np.argsort(keys.reshape(rows, blocks, block), axis=2)
    ranks = np.empty(order.shape, dtype=np.int64)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(block), order.shape), axis=2)
    return (ranks + np.arange(blocks)[:, None] * block).reshape(rows, blocks * block)[:, :length]


def permutation_masks(order: Tensor, selection: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """What XLNet's two streams need, by operations on the device of the arguments.

    Context, special tokens included, is seen by all and sees no target. A target sees the context and the targets before it in the order.

    Args:
        order: (B, T) int64. selection: (B, T) bool, the targets. positions: (B, P) int64, their columns; -1 where a row has fewer.

    Returns:
        perm_mask (B, T, T) float32, 1 where position i (second index) must not see j (third); target_mapping (B, P, T) float32, one-hot.
    """
    import torch

    rank = torch.where(selection, order, -1)
    hidden = selection[:, None, :] & (rank[:, :, None] <= rank[:, None, :])
    columns = torch.arange(order.shape[1], device=order.device)
    return hidden.float(), (positions[:, :, None] == columns).float()
