"""The report of one training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from petkit.canonical import plain
from petkit.files import write_json, write_text
from petkit.plan import CHECKPOINT, CLASSIFIER, SUPERVISED, TFIDF, Planner, ensemble_name, sets_name, untrained
from petkit.provenance import library_versions
from petkit.report.markdown import markdown
from petkit.runs import RunFolder, read_status
from petkit.stages import ADAPT

__all__ = ["SCHEMA", "build_report", "write_report"]

SCHEMA = 1
"""Version of report.json."""


def write_report(
    run: RunFolder, planner: Planner, weights: Sequence[Sequence[float]], facts: Mapping[str, Any], inputs: Mapping[str, str]
) -> dict[str, Any]:
    """Write ``report.json`` and ``report.md`` into the run folder; return the former."""
    report: dict[str, Any] = plain(build_report(run, planner, weights, facts, inputs))
    write_json(run.root / "report.json", report)
    write_text(run.root / "report.md", markdown(report))
    return report


def build_report(
    run: RunFolder, planner: Planner, weights: Sequence[Sequence[float]], facts: Mapping[str, Any], inputs: Mapping[str, str]
) -> dict[str, Any]:
    """Everything that the finished stages recorded, under the names that scripts rely on."""
    final = {"supervised": SUPERVISED, "tfidf": TFIDF}.get(planner.settings.method, CLASSIFIER)
    status = read_status(run.root)
    return {
        "schema": SCHEMA,
        "task": planner.task.name,
        "labels": list(planner.task.labels),
        "method": planner.settings.method,
        "seed": planner.settings.seed,
        "model": planner.common["model"],
        "device": planner.common["device"],
        "data": {**facts, "fingerprints": dict(inputs)},
        "scores": {
            "members": [entry for generation in range(len(weights)) for entry in _members(run, planner, generation, weights[generation])],
            "ensemble": run.record(ensemble_name(len(weights) - 1))["test"] if weights else None,
            "generations": [_generation(run, generation) for generation in range(len(weights))],
            "classifier": run.record(final)["test"],
            "baselines": {name: run.record(unit)["test"] if run.done(unit) else None for name, unit in _BASELINES.items()},
        },
        "head": run.record(CHECKPOINT)["head"] if weights else None,
        "adaptation": run.record(ADAPT) if planner.adapts else None,
        "temperature": run.record(final).get("temperature"),
        "settings": planner.settings.as_dict(),
        "versions": library_versions(),
        "hardware": dict(status.manifest["hardware"]),
        "seconds": {unit.name: unit.seconds for unit in status.units if unit.seconds is not None},
    }


_BASELINES = {"supervised": SUPERVISED, "tfidf": TFIDF}


def _members(run: RunFolder, planner: Planner, generation: int, weights: Sequence[float]) -> list[dict[str, Any]]:
    entries = []
    for name, pattern, weight in zip(planner.names(generation), planner.pattern_of(generation), weights, strict=True):
        before = run.record(untrained(pattern))
        trained = name != untrained(pattern)
        entries.append(
            {
                "name": name,
                "pattern": before["pattern"],
                "pattern_index": pattern,
                "seed": int(name.rsplit("-s", 1)[1]) if trained else None,
                "generation": generation,
                "weight": before["weight"],
                "ensemble_weight": weight,
                "before": before["test"],
                "after": run.record(name)["test"] if trained else None,
            }
        )
    return entries


def _generation(run: RunFolder, generation: int) -> dict[str, Any]:
    record = run.record(ensemble_name(generation))
    entry = {
        "generation": generation,
        "ensemble": record["test"],
        "agreement": record.get("agreement"),
        "pool_labels": record.get("pool_labels"),
    }
    if generation:
        sets = run.record(sets_name(generation))
        entry |= {"quota": sets["quota"], "short": sets["short"], "labeled_by_ensemble": sets["rows"]}
    return entry
