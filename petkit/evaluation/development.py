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
from petkit.evaluation.sentences import NO_CHOICE, choice_sentence, choices_sentence
from petkit.evaluation.statistics import sd, t_interval
from petkit.rowfiles import load_rows, load_scores

__all__ = ["choice", "development_gain"]

Candidates = Sequence[tuple[float, float]]
"""(accuracy on development rows, accuracy on the test) of each."""


def development_gain(results: Results, *, level: float, draw: str) -> dict[str, Any]:
    """The gain, in accuracy on the test, from choosing the seed, or the pattern of a single member, by development rows.

    Drawn splits have as many development rows as labelled ones, apart from them; given ones those of their dev files. ``level`` is that
    of the intervals, ``draw`` how the labelled rows were drawn, as report.json has it.
    """
    found = [entry for method in results.plan.study.methods for entry in _of_method(results, method, level)]
    sizes = [(group.split.rows, len(_truth(results, group))) for group in results.plan.study.groups]
    return {
        "choices": [{**entry, "sentence": choice_sentence(entry, level=level, draw=draw)} for entry in found],
        "sentence": choices_sentence(sizes) if found else NO_CHOICE,
    }


def _of_method(results: Results, method: str, level: float) -> Iterator[dict[str, Any]]:
    study = results.plan.study
    seeds = 1 if method in SEEDLESS else len(study.seeds)
    for (task, shots), groups in _gathered(study.groups).items():
        where = {"task": task, "shots": shots, "method": method}
        if seeds > 1:
            by_seed = [[[_seed(results, group, method) for group in of_split]] for of_split in groups]
            yield {**where, "what": "seed", "seeds": seeds, **choice(by_seed, level=level)}
        if method in DISTILLED and method != "single" and len(results.plan.patterns(groups[0][0].plan)) > 1:
            by_pattern = [[_patterns(results, group, method) for group in of_split] for of_split in groups]
            yield {**where, "what": "pattern", "seeds": seeds, **choice(by_pattern, level=level)}


def _gathered(groups: Sequence[Group]) -> Mapping[tuple[str, int | None], list[list[Group]]]:
    """(task, shots) -> split -> its groups, one per seed."""
    found: dict[tuple[str, int | None], dict[int, list[Group]]] = {}
    for group in groups:
        found.setdefault((group.plan.task.name, group.split.shots), {}).setdefault(group.split.split, []).append(group)
    return {key: list(splits.values()) for key, splits in found.items()}


def choice(splits: Sequence[Sequence[Candidates]], *, level: float = 0.95) -> dict[str, Any]:
    """What choosing gains: for each split one list of candidates, or one for each seed; a candidate is (accuracy on development rows,
    accuracy on the test). Candidates that tie share the choice.

    The interval of the gain is Student's over splits, of means over seeds: None for a single split, or if all gain as much.

    >>> found = choice([[[(0.5, 0.6), (1.0, 0.8)]], [[(0.5, 0.6), (0.5, 0.8)]]])
    >>> round(found["mean"], 2), round(found["chosen"], 2), round(found["best"], 2), found["splits"]
    (0.7, 0.75, 0.8, 2)
    """
    mean, chosen, best = (np.array([np.mean([of(one) for one in sets]) for sets in splits]) for of in (_mean, _chosen, _best))
    gains = chosen - mean
    ends = t_interval(gains, level=level) if sd(gains) else None
    means = {"mean": float(mean.mean()), "chosen": float(chosen.mean()), "best": float(best.mean()), "gain": float(gains.mean())}
    return {"candidates": len(splits[0][0]), "splits": len(splits), **means, "interval": None if ends is None else list(ends)}


def _mean(candidates: Candidates) -> float:
    return float(np.mean([test for _, test in candidates]))


def _chosen(candidates: Candidates) -> float:
    most = max(development for development, _ in candidates)
    return float(np.mean([test for development, test in candidates if development == most]))


def _best(candidates: Candidates) -> float:
    return max(test for _, test in candidates)


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
