"""From scores of starts and ends to answers: the best spans over all windows of a context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Span", "WindowScores", "best_spans", "null_score", "window_spans"]

Float = NDArray[np.float64]
Places = NDArray[np.int32]


class Span(NamedTuple):
    """An answer: characters ``start`` to ``stop`` (excluded) of the context, and the sum of the logits of its two ends."""

    score: float
    start: int
    stop: int


class WindowScores(NamedTuple):
    """What the model says of one window of T context tokens.

    ``starts``, ``ends``: (T,) logits of a span's first and last token. ``begins``, ``stops``: (T,) characters of each token.
    ``null``: the sum of both logits at the first special token, which says that there is no answer here.
    """

    starts: Float
    ends: Float
    begins: Places
    stops: Places
    null: float


def window_spans(starts: Float, ends: Float, *, longest: int, n: int) -> list[tuple[float, int, int]]:
    """The ``n`` best of all spans of 1 to ``longest`` tokens in a window: (score, first, last), best first; exact, no beam.

    Differs from BERT's code, which pairs the n best starts with the n best ends only and so may miss one.

    >>> window_spans(np.array([0.0, 3.0]), np.array([2.0, 1.0]), longest=2, n=2)
    [(4.0, 1, 1), (2.0, 0, 0)]
    """
    if not len(starts):
        return []
    longest = min(longest, len(starts))
    behind = np.concatenate([ends, np.full(longest - 1, -np.inf)])
    sums = starts[:, None] + np.lib.stride_tricks.sliding_window_view(behind, longest)
    flat = sums.ravel()
    top = np.argpartition(-flat, n - 1)[:n] if n < len(flat) else np.arange(len(flat))
    top = top[np.lexsort((top, -flat[top]))]
    return [(float(flat[k]), int(k // longest), int(k // longest + k % longest)) for k in top if np.isfinite(flat[k])]


def best_spans(windows: Sequence[WindowScores], context: str, *, longest: int, n: int) -> list[Span]:
    """The ``n`` best answers over all windows, best first. One that several windows show counts once, by its best score.

    Blanks at the ends of a span, which some tokenizers put into their tokens, are no part of it.
    """
    best: dict[tuple[int, int], float] = {}
    for window in windows:
        for score, first, last in window_spans(window.starts, window.ends, longest=longest, n=n):
            place = _stripped(context, int(window.begins[first]), int(window.stops[last]))
            if place[0] < place[1]:
                best[place] = max(score, best.get(place, -np.inf))
    ranked = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    return [Span(score, start, stop) for (start, stop), score in ranked[:n]]


def null_score(windows: Sequence[WindowScores]) -> float:
    """The score of "no answer": the smallest over the windows, each of which must say so (Devlin et al. 2019, section 4.3)."""
    return min(window.null for window in windows)


def _stripped(context: str, start: int, stop: int) -> tuple[int, int]:
    text = context[start:stop]
    return start + len(text) - len(text.lstrip()), start + len(text.rstrip())
