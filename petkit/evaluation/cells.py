"""What the finished units of a cell say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from petkit.data import separate
from petkit.evaluation.grid import DISTILLED, Cell, Group
from petkit.evaluation.planning import Plan, Weights
from petkit.files import write_parquet
from petkit.metrics import accuracy, score
from petkit.plan import ensemble_name, sets_name, untrained
from petkit.rowfiles import load_rows, load_scores
from petkit.rows import Rows
from petkit.runs import RunFolder

__all__ = ["Results", "log_probabilities", "scaled_from"]

_COUNTS = ("trained_steps", "trained_tokens", "forward_tokens")


@dataclass(frozen=True)
class Results:
    """A study whose units are done."""

    run: RunFolder
    plan: Plan
    weights: Weights
    _rows: dict[str, Rows] = field(default_factory=dict)

    def rows(self, tag: str, part: str) -> Rows:
        """``test`` rows of a task (by its tag), its pool with its ``truth``, or a split's ``train``; no rows where that is not known."""
        key = f"{tag}.{part}"
        if key not in self._rows:
            unit = f"{tag}.truth" if part == "truth" else f"{tag}.rows"
            path = self.run.root / "stages" / unit / f"{part}.parquet"
            self._rows[key] = load_rows(path) if path.exists() else Rows((), {})
        return self._rows[key]

    def scores(self, group: Group, method: str, part: str = "test") -> npt.NDArray[np.float64]:
        """(N, C) of the cell's result, as it was before any temperature."""
        name = self.plan.final(group, method)
        found = load_scores(self.run.path(name) / f"{part}.parquet").astype(np.float64)
        temperature = self.run.record(name).get("temperature") if method in DISTILLED else None
        return found * (temperature or 1.0)

    def entry(self, group: Group, method: str) -> dict[str, Any]:
        """The cell in the report, all but what was measured."""
        final = self.run.record(self.plan.final(group, method))
        log_p, test = log_probabilities(self.scores(group, method)), self.rows(group.plan.tag, "test")
        temperature = final.get("temperature")
        tested = score(
            np.exp(log_p),
            np.asarray(test.labels, dtype=np.int64),
            group.plan.task.labels,
            temperature=temperature,
            temperature_from=scaled_from(method, temperature),
        )
        return {
            **group.cell(method)._asdict(),
            "test": tested,
            "members": self.members(group, method),
            "generations": self.generations(group, method),
            "counts": self._counts(group, method),
            "size_bytes": final["size_bytes"],
            "parameters": final["parameters"],
            "predictions": f"predictions/{file_name(group, method)}",
        }

    def correct(self, group: Group, method: str) -> npt.NDArray[np.bool_]:
        """(N,) whether each test row got its label."""
        truth = np.asarray(self.rows(group.plan.tag, "test").labels)
        return np.asarray(self.scores(group, method).argmax(axis=1) == truth)

    def keep(self, folder: Path, group: Group, method: str) -> None:
        """Write the cell's probabilities (N, C), ids and truth beside them, before any temperature."""
        test, labels = self.rows(group.plan.tag, "test"), group.plan.task.labels
        p = np.exp(log_probabilities(self.scores(group, method)))
        columns: dict[str, Any] = {"id": list(test.ids), "truth": [labels[label] for label in test.labels]}
        columns |= {"predicted": [labels[best] for best in p.argmax(axis=1)]}
        write_parquet(folder / file_name(group, method), columns | {f"p:{label}": p[:, c] for c, label in enumerate(labels)})

    def members(self, group: Group, method: str) -> list[dict[str, Any]]:
        """Every pattern before and after training, generation by generation."""
        if method == "zero-shot":
            patterns = self.plan.patterns(group.plan)
            return [self._member(group, method, untrained(p), p, 0, 1.0) for p in patterns]
        if method not in DISTILLED:
            return []
        planner, found = self.plan.planner(group, method), []
        for generation, weights in enumerate(self._weights(group, method)):
            names, patterns = planner.names(generation), planner.pattern_of(generation)
            for name, pattern, weight in zip(names, patterns, weights, strict=True):
                found.append(self._member(group, method, name, pattern, generation, weight))
        return found

    def _weights(self, group: Group, method: str) -> list[list[float]]:
        return self.plan.member_weights(group, method, self.weights[group.of_split])

    def _member(self, group: Group, method: str, name: str, pattern: int, generation: int, weight: float) -> dict[str, Any]:
        before = self.run.record(self.plan.name(group, method, untrained(pattern)))
        trained = name != untrained(pattern)
        after = self.run.record(self.plan.name(group, method, name))["test"] if trained else None
        return {
            "pattern": before["pattern"],
            "pattern_index": pattern,
            "seed": int(name.rsplit("-s", 1)[1]) if trained else None,
            "generation": generation,
            "weight": weight,
            "before": before["test"]["accuracy"] if before["test"] else None,
            "after": after["accuracy"] if after else None,
        }

    def generations(self, group: Group, method: str) -> list[dict[str, Any]]:
        """Ensemble and pool labels of each generation, and how many of those are right where the truth is known.

        Raw rows that equal a labelled row of the split count as no rows there: its members have learned their labels.
        """
        if method not in DISTILLED:
            return []
        return [self._generation(group, method, generation) for generation in range(self.plan.planner(group, method).last + 1)]

    def _generation(self, group: Group, method: str, generation: int) -> dict[str, Any]:
        unit = self.plan.name(group, method, ensemble_name(generation))
        record, known = self.run.record(unit), self._known(group)
        chosen = record.get("pool_labels")
        return {
            "generation": generation,
            "ensemble": record["test"]["accuracy"] if record["test"] else None,
            "agreement": record.get("agreement"),
            "pool_labels": [chosen[label] for label in group.plan.task.labels] if chosen else None,
            "pool_accuracy": self._pool_accuracy(group, unit) if known else None,
            "set_accuracy": self._set_accuracy(group, method, generation) if generation and known else None,
        }

    def _known(self, group: Group) -> Mapping[str, int]:
        """The truth by id of the raw rows that equal no labelled row of the split."""
        key = f"{group.of_split}.known"
        if key not in self._rows:
            truth, train = self.rows(group.plan.tag, "truth"), self.rows(group.of_split, "train")
            self._rows[key] = separate(train.select([]), truth, train, allow_overlap=False).pool
        return dict(zip(self._rows[key].ids, self._rows[key].labels, strict=True))

    def _pool_accuracy(self, group: Group, unit: str) -> float | None:
        known, ids = self._known(group), self.rows(group.plan.tag, "truth").ids
        scores = load_scores(self.run.path(unit) / "pool.parquet")
        kept = [index for index, name in enumerate(ids) if name in known]
        return accuracy([known[ids[index]] for index in kept], scores[kept])

    def _set_accuracy(self, group: Group, method: str, generation: int) -> float | None:
        known = self._known(group)
        folder = self.run.path(self.plan.name(group, method, sets_name(generation)))
        sets = [load_rows(path) for path in sorted(folder.glob("*.parquet"))]
        right = [known[i] == label for rows in sets for i, label in zip(rows.ids, rows.labels, strict=True) if i in known]
        return float(np.mean(right)) if right else None

    def _counts(self, group: Group, method: str) -> dict[str, int | None]:
        """Sums over the cell's units; None where one does not count."""
        records = [self.run.record(name).get("counts") or {} for name in self.plan.units_of(group, method)]
        values = {name: [record.get(name, 0) for record in records] for name in _COUNTS}
        return {name: None if None in counts else sum(counts) for name, counts in values.items()}

    def measured(self, group: Group, method: str) -> dict[str, Any]:
        """Seconds and memory of the units that the cell is, and the latency of its result. Seconds leave out what the counts do."""
        records = [self.run.stage_record(name) for name in self.plan.units_of(group, method)]
        apart = sum(record.measured.get("calibration_seconds", 0.0) for record in records)
        peaks = [peak for record in records if (peak := record.measured.get("peak_memory_bytes")) is not None]
        return {
            **group.cell(method)._asdict(),
            "seconds": round(sum(record.seconds for record in records) - apart, 3),
            "calibration_seconds": round(apart, 3),
            "peak_memory_bytes": max(peaks, default=None),
            "latency_ms": records[-1].measured.get("latency_ms"),
        }

    def votes(self, group: Group, method: str) -> Mapping[str, npt.NDArray[np.int64]]:
        """What each member of the last generation chose: pattern -> (N,) labels of the test rows."""
        if method == "zero-shot":
            units = {untrained(p): p for p in self.plan.patterns(group.plan)}
        elif method in DISTILLED:
            planner = self.plan.planner(group, method)
            units = dict(zip(planner.names(planner.last), planner.pattern_of(planner.last), strict=True))
        else:
            return {}
        found = {}
        for local, pattern in units.items():
            name = group.plan.task.pvps[pattern].pattern.name
            key = name if name not in found else f"{name} ({local})"
            found[key] = load_scores(self.run.path(self.plan.name(group, method, local)) / "test.parquet").argmax(axis=1)
        return found


def log_probabilities(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N, C) log softmax."""
    return np.asarray(log_softmax(scores, axis=1), dtype=np.float64)


def scaled_from(method: str, temperature: float | None) -> str | None:
    """What a method's temperature was fitted to: never the test."""
    if temperature is None:
        return None
    return "pool" if method in DISTILLED else "cross-validation"


def file_name(group: Group, method: str) -> str:
    """The file of a cell's predictions."""
    return f"{group.tag}.{method}.parquet"


def flat(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A cell as a row of ``cells.parquet``."""
    keys = {name: entry[name] for name in Cell._fields}
    sizes = {name: entry[name] for name in ("size_bytes", "parameters")}
    return {**keys, **{name: entry["test"].get(name) for name in _COLUMNS}, **entry["counts"], **sizes}


_COLUMNS = (
    "rows", "accuracy", "macro_f1", "mcc", "log_loss", "brier", "ece", "temperature", "temperature_from", "ece_scaled", "log_loss_scaled",
)  # fmt: skip
