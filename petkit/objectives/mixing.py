"""Mixing several data sets or objectives (Raffel et al. 2020, section 3.5.2, arXiv 1910.10683): how often each comes up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from petkit.errors import SettingsError, raise_problems
from petkit.objectives.rows import FloatArray, IntArray
from petkit.objectives.streams import stream

__all__ = ["draw_sources", "equal_rates", "mixing_rates"]


def mixing_rates(sizes: Sequence[int], *, cap: int | None = None, temperature: float = 1.0) -> FloatArray:
    """(N,) rates that sum to 1: proportional to ``min(size, cap) ** (1 / temperature)``.

    At a temperature of 1 examples-proportional; the higher it is, the more equal the rates.

    >>> mixing_rates([100, 300, 6000], cap=600).round(3).tolist()
    [0.1, 0.3, 0.6]
    >>> mixing_rates([1, 16], temperature=2.0).round(3).tolist()
    [0.2, 0.8]
    """
    problems = [f"data set {i} has {size} examples; at least 1 is legal" for i, size in enumerate(sizes) if size < 1]
    problems += [] if sizes else ["there is no data set to mix"]
    problems += [f"the cap is {cap}; at least 1 is legal"] if cap is not None and cap < 1 else []
    problems += [] if temperature > 0 else [f"the temperature is {temperature}; above 0 is legal"]
    raise_problems(SettingsError, "mixing", problems)
    counted = np.minimum(np.asarray(sizes, dtype=np.float64), np.inf if cap is None else cap)
    weights = (counted / counted.max()) ** (1.0 / temperature)
    rates: FloatArray = weights / weights.sum()
    return rates


def equal_rates(count: int) -> FloatArray:
    """(count,) equal rates: large sets are seen in part, small ones over and over."""
    return mixing_rates([1] * count)


def draw_sources(rates: FloatArray, *, seed: int, step: int, rows: int = 1) -> IntArray:
    """(rows,) int64: which source each row of an update comes from. Depends on seed and step only, so not on a resume or on workers."""
    steps = np.cumsum(rates)
    return np.searchsorted(steps / steps[-1], stream(seed, "mixing", step=step).random(rows), side="right").astype(np.int64)
