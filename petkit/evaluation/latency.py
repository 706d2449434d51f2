"""How long one text takes, and what is no part of a method's own work: measured, so different from machine to machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from petkit.rows import Rows

__all__ = ["calibrating", "latency"]

_WARM, _TEXTS = 3, 30


def latency(predict: Callable[[Rows], Any], rows: Rows, *, texts: int = _TEXTS) -> dict[str, float] | None:
    """Milliseconds from text to label for one text at a time: ``p50`` and ``p95`` over the first ``texts`` rows; None without rows.

    ``predict`` takes one row; a few calls go before the first that counts.
    """
    chosen = [rows.select([i]) for i in range(min(texts, len(rows)))]
    if not chosen:
        return None
    for row in chosen[:_WARM]:
        predict(row)
    seconds = [_timed(predict, row) for row in chosen]
    p50, p95 = np.percentile(seconds, [50, 95]) * 1000
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3)}


def _timed(predict: Callable[[Rows], Any], row: Rows) -> float:
    started = time.perf_counter()
    predict(row)
    return time.perf_counter() - started


@contextmanager
def calibrating(measured: dict[str, Any]) -> Iterator[None]:
    """Times trainings that only serve a temperature: ``calibration_seconds`` of what a unit measured. No count has them either."""
    started = time.perf_counter()
    yield
    measured["calibration_seconds"] = round(time.perf_counter() - started, 3)
