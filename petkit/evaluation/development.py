"""What a development set would have gained: nothing here feeds back into any result.

Perez et al. 2021 (arXiv 2105.11447): choices made on held-out labels that a true few-shot setting does not have flatter a method.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from petkit.evaluation.cells import Results
from petkit.evaluation.grid import DISTILLED, SEEDLESS, Group
from petkit.rowfiles import load_rows, load_scores

__all__ = ["choice", "development_gain"]


def development_gain(results: Results) -> dict[str, Any]:
    """The gain, in accuracy on the test, from choosing the seed, or the pattern of a single member, by development rows.

    As many development rows as labelled ones, drawn apart from them.
    """
    study = results.plan.study
    choices = [entry for method in study.methods for entry in _of_method(results, method)]
    sentences = [
        f"{entry['task']}, {entry['shots']} per label, {entry['method']}: choosing the {entry['what']} by a development set gains "
        f"{100 * entry['gain']:+.1f} points over not choosing, on average over {entry['splits']} splits "
        f"(the best choice in hindsight: {100 * (entry['best'] - entry['mean']):+.1f})."
        for entry in choices
    ]
    none = "No method has more than one seed or pattern to choose among, so there is nothing that a development set could choose."
    return {"choices": choices, "sentence": " ".join(sentences) or none}


def _of_method(results: Results, method: str) -> Iterator[dict[str, Any]]:
    study = results.plan.study
    by_seed = method not in SEEDLESS and len(study.seeds) > 1
    for (task, shots), groups in _gathered(study.groups).items():
        if by_seed:
            sets = [[_seed(results, group, method) for group in of_split] for of_split in groups]
            yield {"task": task, "shots": shots, "method": method, "what": "seed", **choice(sets)}
        if method in DISTILLED and method != "single" and len(results.plan.patterns(groups[0][0].plan)) > 1:
            sets = [_patterns(results, group, method) for of_split in groups for group in of_split]
            yield {"task": task, "shots": shots, "method": method, "what": "pattern", **choice(sets)}


def _gathered(groups: Sequence[Group]) -> Mapping[tuple[str, int | None], list[list[Group]]]:
    """(task, shots) -> split -> its groups, one per seed."""
    found: dict[tuple[str, int | None], dict[int, list[Group]]] = {}
    for group in groups:
        found.setdefault((group.plan.task.name, group.split.shots), {}).setdefault(group.split.split, []).append(group)
    return {key: list(splits.values()) for key, splits in found.items()}


def choice(sets: Sequence[Sequence[tuple[float, float]]]) -> dict[str, Any]:
    """Candidates as (accuracy on development rows, accuracy on the test), a list for each split; ties are shared.

    >>> found = choice([[(0.5, 0.6), (1.0, 0.8)], [(0.5, 0.6), (0.5, 0.8)]])
    >>> round(found["mean"], 2), round(found["chosen"], 2), round(found["best"], 2)
    (0.7, 0.75, 0.8)
    """
    mean = float(np.mean([np.mean([test for _, test in one]) for one in sets]))
    chosen = float(np.mean([np.mean([test for dev, test in one if dev == max(d for d, _ in one)]) for one in sets]))
    best = float(np.mean([max(test for _, test in one) for one in sets]))
    return {"candidates": len(sets[0]), "splits": len(sets), "mean": mean, "chosen": chosen, "best": best, "gain": chosen - mean}


def _seed(results: Results, group: Group, method: str) -> tuple[float, float]:
    found = results.scores(group, method, "development").argmax(axis=1)
    return float(np.mean(found == _truth(results, group))), float(results.correct(group, method).mean())


def _patterns(results: Results, group: Group, method: str) -> list[tuple[float, float]]:
    """The members of the last generation."""
    planner, found = results.plan.planner(group, method), []
    truths = {"development": _truth(results, group), "test": np.asarray(results.rows(group.plan.tag, "test").labels)}
    for local in planner.names(planner.last):
        folder = results.run.path(results.plan.name(group, method, local))
        chosen = {part: load_scores(folder / f"{part}.parquet").argmax(axis=1) for part in truths}
        found.append((float(np.mean(chosen["development"] == truths["development"])), float(np.mean(chosen["test"] == truths["test"]))))
    return found


def _truth(results: Results, group: Group) -> npt.NDArray[np.int64]:
    """(N,) labels of the split's development rows."""
    return np.asarray(load_rows(results.run.path(f"{group.of_split}.rows") / "development.parquet").labels, dtype=np.int64)
