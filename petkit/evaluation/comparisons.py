"""How the methods of a study compare: ``comparisons`` and ``power`` of report.json, task by task and over tasks.

Pure: results of cells in, JSON-ready values out. Which test is taken when, and from what, stands in docs/maths.md, "Statistics of a study".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from petkit.evaluation.alike import TOO_ALIKE, Shares
from petkit.evaluation.sentences import ALIKE, ROWS_LABEL, comparison_sentence, power_sentence
from petkit.evaluation.statistics import (
    Estimate,
    detectable,
    detectable_by,
    holm,
    mean_of_tasks,
    paired_rows_p,
    sd,
    sign_flip_p,
    smallest_sign_flip_p,
    t_interval,
    t_p,
)
from petkit.metrics import LOWER_IS_BETTER
from petkit.objectives.streams import stream
from petkit.report.names import TINY, shots_name

__all__ = ["BySplit", "Keys", "Place", "compared", "pairs", "power", "split_keys", "split_values"]

PRIMARY: Final = ("ipet", "pet", "single")
"""The methods that studies are about, each compared with the next and with every baseline."""

Place = tuple[str, int | None, str]
"""(task, shots, method)."""

BySplit = dict[int, dict[int, Any]]
"""Split -> seed -> something of that cell."""

Keys = Mapping[tuple[str, int | None, int], Hashable]
"""(task, shots, split) -> its labelled rows: where two are equal, two tasks learn from the same rows."""


def pairs(methods: Sequence[str]) -> list[tuple[str, str]]:
    """Which methods are compared: iPET with PET, PET with one pattern, and each of them with every baseline.

    Without any of them the first method is compared with the others.

    >>> pairs(["pet", "ipet", "tfidf"])
    [('ipet', 'pet'), ('pet', 'tfidf'), ('ipet', 'tfidf')]
    >>> pairs(["tfidf", "majority"])
    [('tfidf', 'majority')]
    """
    primary = [method for method in PRIMARY if method in methods] or list(methods[:1])
    baselines = [method for method in methods if method not in primary]
    own = list(pairwise(primary))
    return own + [(a, b) for a in methods if a in primary for b in baselines]


def split_values(splits: BySplit, metric: str) -> dict[int, float | None]:
    """Split -> mean over seeds; None where a seed has no value."""
    found: dict[int, float | None] = {}
    for split, seeds in sorted(splits.items()):
        values = [test.get(metric) for test in seeds.values()]
        found[split] = None if any(value is None for value in values) else float(np.mean(values))
    return found


def compared(
    tests: Mapping[Place, BySplit],
    rows: Mapping[Place, Mapping[int, npt.NDArray[np.float64]]],
    methods: Sequence[str],
    keys: Keys,
    *,
    metric: str,
    level: float,
    seed: int,
    draw: str,
    shared: Shares,
) -> list[dict[str, Any]]:
    """All comparisons: those over all tasks first, then task by task; corrected together."""
    one_by_one = [
        _compare((task, shots), a, b, _differences(tests, task, shots, a, b, metric), metric=metric, level=level, seed=seed)
        | {"rows_test": _rows_test(rows.get((task, shots, a), {}), rows.get((task, shots, b), {}))}
        for task, shots in dict.fromkeys(place[:2] for place in tests)
        for a, b in pairs(methods)
        if (task, shots, a) in tests and (task, shots, b) in tests
    ]
    together = list(_over_tasks(tests, methods, keys, metric=metric, level=level, seed=seed))
    found = [comparison for comparison, _ in together] + one_by_one
    decisive = _correct(found)
    tasks = [number for _, number in together] + [1] * len(one_by_one)
    family = sum(comparison["splits"] > 1 for comparison in found)
    for comparison, number, p in zip(found, tasks, decisive, strict=True):
        comparison["shared"] = _shared(comparison, one_by_one, shared)
        comparison["verdict"] = _verdict(comparison, p, level)
        comparison["sentence"] = comparison_sentence(comparison, level=level, tasks=number, tests=family, draw=draw)
    return found


def _differences(tests: Mapping[Place, BySplit], task: str, shots: int | None, a: str, b: str, metric: str) -> dict[int, float]:
    """Split -> a minus b, where both are known."""
    left, right = split_values(tests[task, shots, a], metric), split_values(tests[task, shots, b], metric)
    found = {}
    for split in left:
        x, y = left[split], right.get(split)
        if x is not None and y is not None:
            found[split] = _difference(x - y)
    return found


def _difference(value: float) -> float:
    """``value``, where it is more than rounding: what is equal but for that is a tie."""
    return 0.0 if abs(value) < TINY else value


def split_keys(tasks: Iterable[Mapping[str, Any]]) -> Keys:
    """What rows each split has, by their hash; a hash that a task has twice counts as two."""
    found: dict[tuple[str, int | None, int], Hashable] = {}
    for task in tasks:
        times = Counter[tuple[Any, str]]()
        for split in task["splits"]:
            times[split["shots"], split["hash"]] += 1
            found[task["name"], split["shots"], split["split"]] = split["hash"], times[split["shots"], split["hash"]]
    return found


def _over_tasks(
    tests: Mapping[Place, BySplit], methods: Sequence[str], keys: Keys, *, metric: str, level: float, seed: int
) -> Iterator[tuple[dict[str, Any], int]]:
    """For each number of shots and pair that several tasks share: the mean over these tasks of their means, and how many they are.

    The tasks are taken as they are: nothing is said of other tasks. A task with a single split has no part in the mean where others
    have several (``left_out``), since nothing is known of its variance.
    """
    for shots in dict.fromkeys(place[1] for place in tests):
        for a, b in pairs(methods):
            tasks = [place[0] for place in tests if place[1:] == (shots, a) and (place[0], shots, b) in tests]
            known = {
                task: {keys.get((task, shots, split), (task, split)): d for split, d in of.items()}
                for task in tasks
                if (of := _differences(tests, task, shots, a, b, metric))
            }
            several = any(len(of) > 1 for of in known.values())
            each = {task: of for task, of in known.items() if len(of) > several}
            if len(each) > 1:
                found = _compare_tasks(each, shots, a, b, metric=metric, level=level, seed=seed)
                yield found | {"rows_test": None, "left_out": [task for task in known if task not in each]}, len(each)


def _compare_tasks(
    known: Mapping[str, Mapping[Hashable, float]], shots: int | None, a: str, b: str, *, metric: str, level: float, seed: int
) -> dict[str, Any]:
    """The mean over tasks, by strata of tasks that share labelled rows; where each has a single split it is that of one split."""
    where: tuple[None, int | None] = (None, shots)
    if all(len(of) == 1 for of in known.values()):
        mean = _difference(float(np.mean([d for of in known.values() for d in of.values()])))
        return _compare(where, a, b, {0: mean}, metric=metric, level=level, seed=seed)
    strata = _strata(known)
    values = [_by_key([known[task] for task in of]) for of in strata]
    d = [_difference(float(mean)) for x in values for mean in np.nanmean(x, axis=0)]
    found, terms = mean_of_tasks(values)
    same = not any(d) and not found.error
    flipped = sorted(map(_difference, terms.tolist()))  # in an order of their own: which split has which number decides nothing
    return _entry(
        where,
        a,
        b,
        d,
        metric=metric,
        difference=_difference(found.value),
        interval=(0.0, 0.0) if same else found.interval(level=level),
        t_p=1.0 if same else found.p(),
        sign_flip_p=sign_flip_p(flipped, rng=_flips(where, a, b, seed)),
    ) | {
        "standard_error": found.error,
        "degrees_of_freedom": found.freedom or None,
        "strata": [{"tasks": of, "splits": x.shape[1]} for of, x in zip(strata, values, strict=True)],
    }


def _strata(known: Mapping[str, Mapping[Hashable, float]]) -> list[list[str]]:
    """Tasks that share labelled rows together, be it by way of a third; others by themselves.

    >>> _strata({"a": {1: 0.1, 2: 0.2}, "b": {3: 0.1, 4: 0.1}, "c": {2: 0.3, 5: 0.3}})
    [['b'], ['a', 'c']]
    """
    found: list[list[str]] = []
    for task, of in known.items():
        near = [tasks for tasks in found if any(known[other].keys() & of.keys() for other in tasks)]
        found = [tasks for tasks in found if tasks not in near] + [[*(other for tasks in near for other in tasks), task]]
    return found


def _by_key(known: Sequence[Mapping[Hashable, float]]) -> npt.NDArray[np.float64]:
    """(K, n): K tasks on all their n splits, NaN where a task lacks one."""
    every = dict.fromkeys(key for of in known for key in of)
    return np.array([[of.get(key, np.nan) for key in every] for of in known])


def _compare(
    where: tuple[str | None, int | None], a: str, b: str, differences: Mapping[int, float], *, metric: str, level: float, seed: int
) -> dict[str, Any]:
    d = np.array(list(differences.values()), dtype=np.float64)
    return _entry(
        where,
        a,
        b,
        d.tolist(),
        metric=metric,
        difference=float(d.mean()) if len(d) else None,
        interval=t_interval(d, level=level) if sd(d) or not d.any() else None,
        t_p=t_p(d),
        sign_flip_p=sign_flip_p(d, rng=_flips(where, a, b, seed)) if len(d) > 1 else None,
    )


def _flips(where: tuple[str | None, int | None], a: str, b: str, seed: int) -> np.random.Generator:
    """Signs of a comparison, where they are drawn."""
    return stream(seed, "flips", *map(str, where), a, b)


def _entry(
    where: tuple[str | None, int | None],
    a: str,
    b: str,
    differences: list[float],
    *,
    metric: str,
    difference: float | None,
    interval: tuple[float, float] | None,
    t_p: float | None,
    sign_flip_p: float | None,
) -> dict[str, Any]:
    better = [-d if metric in LOWER_IS_BETTER else d for d in differences]
    return {
        "task": where[0],
        "shots": where[1],
        "a": a,
        "b": b,
        "metric": metric,
        "difference": difference,
        "interval": None if interval is None else list(interval),
        "t_p": t_p,
        "sign_flip_p": sign_flip_p,
        "wins": sum(d > 0 for d in better),
        "ties": sum(d == 0 for d in better),
        "splits": len(differences),
        "differences": differences,
    }


def _rows_test(a: Mapping[int, npt.NDArray[np.float64]], b: Mapping[int, npt.NDArray[np.float64]]) -> dict[str, Any] | None:
    """Tests over test rows, split by split; None where rows are not known."""
    shared = [split for split in sorted(a) if split in b and len(a[split]) == len(b[split])]
    if not shared:
        return None
    return {"label": ROWS_LABEL, "mcnemar_p": [paired_rows_p(a[split], b[split]) for split in shared], "holm_p": None}


def _correct(found: Sequence[dict[str, Any]]) -> list[float | None]:
    """Add p values corrected over all comparisons; return those that decide: t test's, or sign-flip test's where there is no t.

    Sign-flip tests, and tests over rows, are corrected among themselves.
    """
    decisive = holm([c["sign_flip_p"] if c["t_p"] is None else c["t_p"] for c in found])
    flips = holm([c["sign_flip_p"] for c in found])
    for comparison, p, flip in zip(found, decisive, flips, strict=True):
        comparison["holm_t_p"] = None if comparison["t_p"] is None else p
        comparison["holm_sign_flip_p"] = flip
    by_rows = [comparison["rows_test"] for comparison in found if comparison["rows_test"] is not None]
    corrected = iter(holm([p for test in by_rows for p in test["mcnemar_p"]]))
    for test in by_rows:
        test["holm_p"] = [next(corrected) for _ in test["mcnemar_p"]]
    return decisive


def _shared(comparison: Mapping[str, Any], one_by_one: Sequence[Mapping[str, Any]], shared: Shares) -> float | None:
    """The share of rows that two splits have in common; of a mean over tasks the largest of its tasks. None where it is not known."""
    without = comparison.get("left_out", ())
    same = [one for one in one_by_one if all(one[key] == comparison[key] for key in ("shots", "a", "b")) and one["task"] not in without]
    tasks = [one["task"] for one in same if comparison["task"] in (None, one["task"])]
    return max((share for task in tasks if (share := shared.get((task, comparison["shots"]))) is not None), default=None)


def _too_alike(share: float | None) -> bool:
    return share is not None and share >= TOO_ALIKE


def _verdict(comparison: Mapping[str, Any], p: float | None, level: float) -> str:
    """From the p that decides; None where there are too few splits."""
    if p is None:
        return "too few splits"
    if _too_alike(comparison["shared"]):
        return ALIKE
    if p >= 1 - level:
        return "no difference"
    return "ahead" if (comparison["difference"] > 0) != (comparison["metric"] in LOWER_IS_BETTER) else "behind"


def power(
    comparisons: Sequence[Mapping[str, Any]], tests: Mapping[Place, BySplit], *, metric: str, level: float, draw: str, shared: Shares
) -> dict[str, Any]:
    """What a study of this size can tell: differences that a comparison finds with 80 % probability, alone and as the first of all."""
    family = sum(comparison["splits"] > 1 for comparison in comparisons)
    entries = [
        {
            **{name: comparison[name] for name in ("task", "shots", "a", "b")},
            "difference": _detectable(comparison, 1 - level),
            "difference_corrected": _detectable(comparison, (1 - level) / max(family, 1)),
        }
        for comparison in comparisons
    ]
    counts = _splits_by_place(tests)
    alike = [place for place, n in counts.items() if n > 1 and _too_alike(shared.get(place))]
    several = [n for place, n in counts.items() if n > 1 and place not in alike]
    fewest, most = min(several or counts.values(), default=0), max(several or counts.values(), default=0)
    single = [place for place, n in counts.items() if several and n == 1]
    sizes = [entry["difference"] for entry in entries if entry["difference"] is not None]
    means = any(comparison["task"] is None for comparison in comparisons)
    told = {"metric": metric, "level": level, "tests": family, "most": most, "means": means}
    told |= {"single": _names(single, counts, draw), "alike": _names(alike, counts, draw)}
    return {
        "splits": fewest,
        "most_splits": most,
        "single_split": [{"task": task, "shots": shots} for task, shots in single],
        "alike_splits": [{"task": task, "shots": shots} for task, shots in alike],
        "smallest_sign_flip_p": smallest_sign_flip_p(fewest),
        "sentence": power_sentence(fewest if several or not alike else 0, sizes, **told),
        "detectable": entries,
    }


def _detectable(comparison: Mapping[str, Any], alpha: float) -> float | None:
    if comparison["verdict"] == ALIKE:
        return None
    if "strata" not in comparison:
        return detectable(sd(comparison["differences"]), comparison["splits"], alpha=alpha)
    error, freedom = comparison["standard_error"], comparison["degrees_of_freedom"]
    return detectable_by(Estimate(comparison["difference"], error, freedom), alpha=alpha) if freedom else None


def _splits_by_place(tests: Mapping[Place, BySplit]) -> dict[tuple[str, int | None], int]:
    """(task, shots) -> the fewest splits of any method."""
    found: dict[tuple[str, int | None], int] = {}
    for (task, shots, _), splits in tests.items():
        found[task, shots] = min(len(splits), found.get((task, shots), len(splits)))
    return found


def _names(places: Sequence[tuple[str, int | None]], every: Iterable[tuple[str, int | None]], draw: str) -> list[str]:
    """Tasks by name; with the number of rows where only some of a task's numbers are meant."""
    others = {task for task, shots in every if (task, shots) not in places}
    return list(dict.fromkeys(f"{task}, {shots_name(shots, draw)}" if task in others else task for task, shots in places))
