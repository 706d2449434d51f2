"""What the cells of a study say together: ``summary``, ``comparisons`` and ``power`` of report.json.

Pure: cells and rows in, JSON-ready values out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from petkit.evaluation.alike import Shares
from petkit.evaluation.comparisons import BySplit, Place, compared, power, split_keys, split_values
from petkit.evaluation.statistics import bootstrap_interval, pooled_sd, sd, t_interval
from petkit.objectives.streams import stream

__all__ = ["METRICS", "conclude"]

METRICS: Final = ("accuracy", "macro_f1", "mcc", "log_loss", "brier", "ece", "ece_scaled")

_RANGE: Final = {"mcc": (-1.0, 1.0), "log_loss": (0.0, np.inf), "brier": (0.0, 2.0)}

Correct = Mapping[tuple[Any, ...], npt.NDArray[np.bool_]]
"""(task, shots, split, seed, method) -> which test rows are right."""


def conclude(
    cells: Sequence[Mapping[str, Any]],
    correct: Correct,
    *,
    methods: Sequence[str],
    tasks: Iterable[Mapping[str, Any]] = (),
    metric: str = "accuracy",
    level: float = 0.95,
    seed: int = 0,
    draw: str = "per-class",
    shared: Shares | None = None,
) -> dict[str, Any]:
    """``summary``, ``comparisons`` and ``power`` as petkit/report/schema/study.schema.json has them.

    A verdict needs the t test's p, after Holm's correction over all comparisons of the report, below 1 - ``level``: a report
    without true differences has any ``ahead`` or ``behind`` with at most that chance. Where all splits differ by the same, which
    allows no t test, the p of the sign-flip test takes its place.

    Args:
        cells: of report.json, in its order; ``test`` is read.
        correct: by (task, shots, split, seed, method), which test rows are right: (N,) bool, a task's rows always in one order.
        methods: in the study's order. metric: which is compared. seed: of the bootstrap over rows.
        tasks: of report.json; the hashes of their splits are read. Tasks that are not there share no labelled rows with another one.
        draw: how labelled rows were drawn, as report.json has it. shared: how alike splits are (``petkit.evaluation.alike.shares``);
            those too alike decide nothing, and neither does a mean that they have part in. What is not there is not known.
    """
    tests = _grouped(cells)
    rows = _rows_by_place(correct)
    shared = shared or {}
    found = compared(tests, rows, methods, split_keys(tasks), metric=metric, level=level, seed=seed, draw=draw, shared=shared)
    return {
        "summary": list(_summary(tests, _row_intervals(rows, level, seed), level)),
        "comparisons": found,
        "power": power(found, tests, metric=metric, level=level, draw=draw, shared=shared),
    }


def _grouped(cells: Sequence[Mapping[str, Any]]) -> dict[Place, BySplit]:
    found: dict[Place, BySplit] = {}
    for cell in cells:
        place = found.setdefault((cell["task"], cell["shots"], cell["method"]), {})
        place.setdefault(cell["split"], {})[cell["seed"]] = cell["test"]
    return found


def _rows_by_place(correct: Correct) -> dict[Place, dict[int, npt.NDArray[np.float64]]]:
    """Place -> split -> (N,): the share of seeds that get a row right."""
    found: dict[Place, BySplit] = {}
    for (task, shots, split, seed, method), right in correct.items():
        found.setdefault((task, shots, method), {}).setdefault(split, {})[seed] = np.asarray(right, dtype=np.float64)
    return {place: {split: np.mean(list(seeds.values()), axis=0) for split, seeds in splits.items()} for place, splits in found.items()}


def _row_intervals(rows: Mapping[Place, Mapping[int, npt.NDArray[np.float64]]], level: float, seed: int) -> dict[Place, list[float]]:
    """Bootstrap intervals of the mean accuracy over test rows, for these splits; all methods of a task share the rows that are drawn."""
    found: dict[Place, list[float]] = {}
    for task in dict.fromkeys(place[0] for place in rows):
        places = [place for place in rows if place[0] == task]
        values = np.stack([np.mean(list(rows[place].values()), axis=0) for place in places], axis=1)
        if len(values):
            ends = bootstrap_interval(values, level=level, rng=stream(seed, "bootstrap", task))
            found |= {place: list(pair) for place, pair in zip(places, ends, strict=True)}
    return found


def _summary(tests: Mapping[Place, BySplit], over_rows: Mapping[Place, list[float]], level: float) -> Iterator[dict[str, Any]]:
    for place, splits in tests.items():
        for metric in METRICS:
            values = list(split_values(splits, metric).values())
            known = [] if None in values else [value for value in values if value is not None]
            ends = t_interval(known, level=level)
            by_seed = [[test[metric] for test in splits[split].values()] for split in sorted(splits)] if known else []
            yield {
                **dict(zip(("task", "shots", "method"), place, strict=True)),
                "metric": metric,
                "mean": float(np.mean(known)) if known else None,
                "sd_splits": sd(known),
                "sd_seeds": pooled_sd(by_seed),
                "interval_splits": None if ends is None else [float(np.clip(end, *_RANGE.get(metric, (0.0, 1.0)))) for end in ends],
                "interval_rows": over_rows.get(place) if metric == "accuracy" else None,
                "splits": len(splits),
                "seeds": max(len(seeds) for seeds in splits.values()),
                "values": values,
            }
