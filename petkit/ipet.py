"""iPET: each generation learns from rows that the last one labelled (Schick & Schütze 2021a, section 3.4, arXiv 2001.07676)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from petkit.losses import mix_scores, soft_labels
from petkit.objectives.streams import stream
from petkit.rowfiles import load_scores, save_rows
from petkit.rows import Rows
from petkit.stages import Stage
from petkit.units import UnitContext

__all__ = ["Chosen", "choose_rows", "draw_teachers", "generations", "pool_shares", "quotas", "sets_unit"]

Float = npt.NDArray[np.float32]


def start_size(labeled: int, scale: float) -> float:
    """N_0: the labelled rows, or 10 / d without any, so that the sets hold 10, 50, 250 ... rows."""
    return labeled if labeled else 10 / scale


def generations(labeled: int, *, scale: float = 5.0) -> int:
    """ceil(log_d(1000 / N_0)) generations after generation 0, at least one.

    >>> generations(10), generations(50), generations(100), generations(0)
    (3, 2, 2, 4)
    """
    exact = math.log(1000 / start_size(labeled, scale), scale)
    return max(1, math.ceil(exact - 1e-9))


def quotas(counts: Sequence[int], generation: int, *, scale: float = 5.0, shares: Sequence[float] | None = None) -> list[int]:
    """New rows per label for a generation (1 is the first after 0): N_0 d^g - N_0 in all, in the proportion of the labelled rows.

    Without labelled rows: equal numbers, 10 d^(g-1) in all, or one of each label if that is more. Shares are rounded by largest
    remainder.

    Args:
        counts: labelled rows of each label. shares: other proportions, which add up to 1.

    >>> quotas([5, 5], 1), quotas([0, 0], 1), quotas([1, 3], 1), quotas([5, 5], 1, shares=[0.9, 0.1])
    ([20, 20], [5, 5], [4, 12], [36, 4])
    >>> quotas([0] * 12, 1)
    [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    """
    total = sum(counts)
    size = start_size(total, scale) * scale**generation - total
    if shares is None:
        shares = [count / total for count in counts] if total else [1 / len(counts)] * len(counts)
    wanted = max(math.floor(size + 0.5), 0 if total else len(counts))
    exact = [share * wanted for share in shares]
    floors = [math.floor(value) for value in exact]
    order = sorted(range(len(exact)), key=lambda i: (floors[i] - exact[i], i))
    for i in order[: wanted - sum(floors)]:
        floors[i] += 1
    return floors


def pool_shares(scores: Float) -> list[float]:
    """How common each label is in the pool, by the mean of its probability: what (N, C) mixed scores say at T = 1.

    >>> pool_shares(np.log(np.array([[0.9, 0.1], [0.5, 0.5]], np.float32)))
    [0.7, 0.3]
    """
    means = soft_labels(scores, temperature=1.0).astype(np.float64).mean(axis=0)
    return [round(float(share), 6) for share in means / means.sum()]


def draw_teachers(members: int, student: int, *, share: float, rng: np.random.Generator) -> list[int]:
    """A random share (rounded half up, at least one) of the members other than ``student``; a lone member teaches itself.

    >>> draw_teachers(1, 0, share=0.25, rng=np.random.default_rng(0))
    [0]
    """
    others = [member for member in range(members) if member != student]
    if not others:
        return [student]
    count = max(1, math.floor(share * len(others) + 0.5))
    return sorted(rng.choice(others, size=count, replace=False).tolist())


@dataclass(frozen=True)
class Chosen:
    """Rows chosen for a member: indices (K,) and labels (K,) int64, and for each label how many rows its quota lacks."""

    indices: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    short: tuple[int, ...]


def choose_rows(scores: Float, quota: Sequence[int], *, rng: np.random.Generator, most_likely: int | None = None) -> Chosen:
    """Draw each label's quota of rows, without replacement, with probability proportional to the label's probability.

    Args:
        scores: (N, C) mixed scores of the teachers; softmax at T = 1 gives the probabilities.
        quota: rows wanted per label. A label with fewer candidates gets them all; what is missing is reported, never repeated.
        most_likely: None: a row is a candidate of its most probable label. Else (zero-shot start) the so many rows that are most
            likely under a label are its candidates, whatever label they would get; a row taken by one label is lost to the next.
    """
    probabilities = soft_labels(scores, temperature=1.0).astype(np.float64)
    best = probabilities.argmax(axis=1)
    taken = np.zeros(len(scores), dtype=bool)
    indices, labels, short = [], [], []
    for label, wanted in enumerate(quota):
        p = probabilities[:, label]
        if most_likely is None:
            candidates = np.flatnonzero(best == label)
        else:
            free = np.flatnonzero(~taken)
            candidates = free[np.argsort(-p[free], kind="stable")[: max(most_likely, wanted)]]
        count = min(wanted, len(candidates))
        drawn = _draw(candidates, p[candidates], count, rng)
        taken[drawn] = True
        indices.append(drawn)
        labels.append(np.full(count, label))
        short.append(wanted - count)
    return Chosen(np.concatenate(indices).astype(np.int64), np.concatenate(labels).astype(np.int64), tuple(short))


def _draw(
    candidates: npt.NDArray[np.int64], weights: npt.NDArray[np.float64], count: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Weighted draw without replacement; by exponential keys (Efraimidis & Spirakis 2006), which no zero weight can break."""
    keys = np.log(rng.random(len(candidates)) + 1e-300) / np.maximum(weights, 1e-30)
    return candidates[np.sort(np.argsort(-keys, kind="stable")[:count])]


def sets_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: for every member of the next generation a file ``NAME.parquet`` of pool rows with the labels chosen for it.

    ``spec``: ``teachers`` (units of the last generation), ``weights``, ``students`` (names of the next one), ``own`` (for each
    student its place among the teachers), ``generation`` (of the students).
    Record: ``quota``, ``short`` (student -> label -> rows missing), ``rows`` per student.
    """
    stage = Stage.of(spec, context)
    pool, labels = stage.rows("pool"), stage.task.labels
    counts = np.bincount(np.asarray(stage.rows("train").labels, dtype=np.int64), minlength=len(labels)).tolist()
    zero_shot = not sum(counts) and spec["generation"] == 1
    scores = [load_scores(context.need(name) / "pool.parquet") for name in spec["teachers"]]
    shares = pool_shares(mix_scores(scores, spec["weights"])) if stage.settings.ipet.balance == "pool" and not zero_shot else None
    quota = quotas(counts, spec["generation"], scale=stage.settings.ipet.scale, shares=shares)
    record: dict[str, Any] = {"quota": dict(zip(labels, quota, strict=True)), "short": {}, "rows": {}}
    for student, name in enumerate(spec["students"]):
        rng = stream(spec["seed"], "ipet", spec["generation"], name)
        teachers = draw_teachers(len(scores), spec["own"][student], share=stage.settings.ipet.share, rng=rng)
        mixed = mix_scores([scores[t] for t in teachers], [spec["weights"][t] for t in teachers])
        chosen = choose_rows(mixed, quota, rng=rng, most_likely=stage.settings.ipet.most_likely if zero_shot else None)
        save_rows(context.out / f"{name}.parquet", _as_rows(pool, chosen))
        record["rows"][name] = len(chosen.indices)
        if any(chosen.short):
            record["short"][name] = {label: n for label, n in zip(labels, chosen.short, strict=True) if n}
    return record


def _as_rows(pool: Rows, chosen: Chosen) -> Rows:
    order = np.argsort(chosen.indices, kind="stable")
    return pool.select(chosen.indices[order]).with_labels(chosen.labels[order].tolist())
