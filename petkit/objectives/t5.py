"""Span corruption as T5 does it (Raffel et al. 2020, section 3.1.4 and 3.3, arXiv 1910.10683): which tokens are noise, and how many."""

from __future__ import annotations

import numpy as np

from petkit.objectives.rows import BoolArray, IntArray, TokenRows, lowest, pack_left

__all__ = ["select_t5_spans", "span_counts", "t5_lengths"]


def span_counts(tokens: IntArray, *, rate: float, mean: float) -> tuple[IntArray, IntArray]:
    """How many of (B,) ``tokens`` are noise, and in how many spans: (B,), (B,) int64.

    ``round(n rate)`` tokens, at least 1 and at most n - 1, in ``round(noise / mean)`` spans, at least 1; halves are rounded to even, as
    in the reference. There are never more spans than noise tokens or clean ones. A rate of 0, or a single token, means no noise.

    >>> [counts.tolist() for counts in span_counts(np.array([568, 70, 1]), rate=0.15, mean=3.0)]
    [[85, 10, 0], [28, 3, 0]]
    """
    noise = np.rint(tokens * rate).astype(np.int64)
    noise = np.where((tokens > 1) & (rate > 0), np.clip(noise, 1, np.maximum(tokens - 1, 1)), 0)
    spans = np.rint(noise / mean).astype(np.int64)
    return noise, np.minimum(np.clip(spans, 1, None), np.minimum(noise, tokens - noise))


def t5_lengths(inputs: int, *, rate: float = 0.15, mean: float = 3.0) -> tuple[int, int]:
    """The most raw tokens of which the corrupted inputs, end token included, fit into ``inputs``, and the length of their targets.

    >>> t5_lengths(512), t5_lengths(64, rate=0.2, mean=2.0)
    ((568, 114), (70, 22))
    """
    tokens = np.arange(2, 50 * inputs + 2)
    noise, spans = span_counts(tokens, rate=rate, mean=mean)
    fits = tokens - noise + spans + 1 <= inputs
    if fits.all() or not fits[0]:
        raise ValueError(f"inputs of {inputs} tokens at a rate of {rate}: at least 3 tokens and a rate well below 1 are needed")
    last = int(np.argmin(fits)) - 1  # longer texts may fit again at a high rate; the reference stops at the first that does not
    return int(tokens[last]), int(noise[last] + spans[last] + 1)


def select_t5_spans(rows: TokenRows, rng: np.random.Generator, *, rate: float, mean: float) -> BoolArray:
    """(B, T) bool: T5's noise. Counts by ``span_counts``; every way to part them into spans is equally likely.

    Clean and noisy spans take turns; the first one is clean, the last one noisy. Differs from ``select_spans`` in that the number of spans
    is fixed, that they never touch, and that words do not count.
    """
    tokens = rows.maskable.sum(axis=1)
    noise, spans = span_counts(tokens, rate=rate, mean=mean)
    clean_cuts: BoolArray = _cuts(tokens - noise, spans, rng)
    noise_cuts = _cuts(noise, spans, rng)
    places = np.broadcast_to(np.arange(clean_cuts.shape[1]), clean_cuts.shape)
    ends = np.zeros((len(tokens), int(spans.max(initial=0)) + 1), dtype=np.int64)
    cut_places, there = pack_left(places, clean_cuts, 0)
    ends[:, : there.shape[1]] = cut_places
    ends[np.arange(len(ends)), np.maximum(spans - 1, 0)] = tokens - noise
    number = np.arange(noise_cuts.shape[1])[None, :]
    at = number + np.take_along_axis(ends, np.cumsum(noise_cuts, axis=1), axis=1)  # all clean tokens up to this span come before
    noisy = np.zeros(rows.ids.shape, dtype=bool)
    noisy[np.repeat(np.arange(len(noise)), noise), at[number < noise[:, None]]] = True
    selection = np.zeros(rows.ids.shape, dtype=bool)
    selection[rows.maskable] = noisy[np.arange(rows.ids.shape[1])[None, :] < tokens[:, None]]
    return selection


def _cuts(counts: IntArray, parts: IntArray, rng: np.random.Generator) -> BoolArray:
    """(B, max count) bool: where a new part begins, when ``counts`` things are cut into ``parts`` that are not empty, at random."""
    width = int(counts.max(initial=0))
    keys = rng.random((len(counts), width))
    keys[(np.arange(width)[None, :] >= counts[:, None])] = 2.0
    keys[:, :1] = 2.0  # a part cannot begin anew at the very first
    return lowest(keys, np.maximum(parts - 1, 0))
