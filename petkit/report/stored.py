"""What a run's stored scores tell beyond its stages' records: every metric, and the rows that the classifier gets wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from petkit.metrics import evaluate, score
from petkit.plan import CLASSIFIER, SUPERVISED, TFIDF, Planner, ensemble_name, untrained
from petkit.rowfiles import load_rows, load_scores
from petkit.rows import UNLABELED, Rows
from petkit.runs import RunFolder
from petkit.stages import ROWS

__all__ = ["duplicates", "examples", "final_unit", "majority_score", "per_label", "stored_rows", "stored_tests", "unit_test"]

_MOST, _LONGEST = 20, 2000
"""Examples, and characters of each."""


def final_unit(planner: Planner) -> str:
    """The unit whose model is the run's classifier."""
    return {"supervised": SUPERVISED, "tfidf": TFIDF}.get(planner.settings.method, CLASSIFIER)


def stored_rows(run: RunFolder, part: str) -> Rows | None:
    """``train``, ``pool`` or ``test`` rows of the run; None if they are not there."""
    path = run.root / "stages" / ROWS / f"{part}.parquet"
    return load_rows(path) if path.is_file() else None


def stored_tests(run: RunFolder, planner: Planner, generations: int) -> dict[str, Any]:
    """All metrics of the classifier, the last ensemble and the baselines on the labelled test rows; null for what was not scored."""
    units = {"classifier": final_unit(planner), "supervised": SUPERVISED, "tfidf": TFIDF}
    if generations:
        units["ensemble"] = ensemble_name(generations - 1)
    rows = stored_rows(run, "test")
    return {name: unit_test(run, planner, unit, rows) for name, unit in units.items()}


def unit_test(run: RunFolder, planner: Planner, unit: str, rows: Rows | None) -> dict[str, Any] | None:
    """All metrics of a unit's stored scores. A classifier's logits were divided by its temperature: they are multiplied by it again."""
    path = run.root / "stages" / unit / "test.parquet"
    truth = np.asarray(rows.labels if rows else (), dtype=np.int64)
    known = truth != UNLABELED
    if not path.is_file() or not known.any():
        return None
    temperature = run.record(unit).get("temperature")
    probabilities = _probabilities(load_scores(path)[known] * (temperature or 1.0))
    source = "pool" if temperature else None
    return score(probabilities, truth[known], planner.task.labels, temperature=temperature, temperature_from=source)


def _probabilities(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    return np.asarray(softmax(scores.astype(np.float64), axis=1), dtype=np.float64)


def examples(run: RunFolder, planner: Planner, members: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Test rows that the classifier gets wrong, the surest first, with the label that each member of the last generation chose."""
    rows, labels = stored_rows(run, "test"), planner.task.labels
    path = run.root / "stages" / final_unit(planner) / "test.parquet"
    if rows is None or not rows.labels or not path.is_file():
        return []
    probabilities = _probabilities(load_scores(path))
    truth, predicted = np.asarray(rows.labels), probabilities.argmax(axis=1)
    wrong = np.flatnonzero((truth != UNLABELED) & (truth != predicted))
    chosen = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:_MOST]
    votes = _votes(run, members)
    return [
        {
            "id": rows.ids[i],
            "text": _shortened(" || ".join(rows.row(i).values())),
            "truth": labels[truth[i]],
            "predicted": labels[predicted[i]],
            "probability": float(probabilities[i].max()),
            "votes": {name: labels[found[i]] for name, found in votes.items()},
        }
        for i in chosen.tolist()
    ]


def _votes(run: RunFolder, members: Sequence[Mapping[str, Any]]) -> dict[str, npt.NDArray[np.int64]]:
    last = max((member["generation"] for member in members), default=0)
    found = {}
    for member in members:
        unit = untrained(member["pattern_index"]) if member["seed"] is None else member["name"]
        path = run.root / "stages" / unit / "test.parquet"
        if member["generation"] == last and path.is_file():
            seed = "" if member["seed"] is None else f" (seed {member['seed']})"
            found[f"{member['pattern_index']}: {member['pattern']}{seed}"] = load_scores(path).argmax(axis=1)
    return found


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."


def per_label(rows: Rows | None, labels: int) -> list[int] | None:
    """How many rows each label has; None without labels."""
    if rows is None or not rows.labels:
        return None
    return [rows.labels.count(label) for label in range(labels)]


def majority_score(train: Rows | None, test: Rows | None, labels: int) -> dict[str, float] | None:
    """The score of one label for every test row, the most frequent of the labelled rows; None where either has no labels.

    Of several that are equally frequent, as where so many rows of each label were drawn, it is the one that is right most often: the
    bar is rather too high than too low.
    """
    counts = per_label(train, labels)
    if counts is None or test is None:
        return None
    frequent = [label for label, count in enumerate(counts) if count == max(counts)]
    found = [evaluate(test.labels, np.eye(labels)[[label] * len(test)]) for label in frequent]
    return max((score for score in found if score is not None), key=lambda score: score["accuracy"], default=None)


def duplicates(rows: Rows | None) -> int:
    """Rows that repeat an earlier one, all fields taken together."""
    counts = Counter(zip(*rows.fields.values(), strict=True)) if rows is not None and rows.fields else Counter[Any]()
    return sum(count - 1 for count in counts.values())
