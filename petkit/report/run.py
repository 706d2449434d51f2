"""The report of one training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from petkit.canonical import plain
from petkit.files import write_json, write_text
from petkit.plan import CHECKPOINT, SUPERVISED, TFIDF, Planner, ensemble_name, sets_name, untrained
from petkit.provenance import library_versions
from petkit.report.markdown import markdown
from petkit.report.run_page import run_page
from petkit.report.stored import duplicates, examples, final_unit, majority_score, per_label, stored_rows, stored_tests
from petkit.runs import RunFolder, read_status
from petkit.stages import ADAPT

__all__ = ["SCHEMA", "build_report", "write_report"]

SCHEMA = 1
"""Version of report.json."""


def write_report(
    run: RunFolder, planner: Planner, weights: Sequence[Sequence[float]], facts: Mapping[str, Any], inputs: Mapping[str, str]
) -> dict[str, Any]:
    """Write ``report.html``, ``report.md`` and ``report.json`` into the run folder, the last one last; return it."""
    report: dict[str, Any] = plain(build_report(run, planner, weights, facts, inputs))
    write_text(run.root / "report.html", run_page(report))
    write_text(run.root / "report.md", markdown(report))
    write_json(run.root / "report.json", report)
    return report


def build_report(
    run: RunFolder, planner: Planner, weights: Sequence[Sequence[float]], facts: Mapping[str, Any], inputs: Mapping[str, str]
) -> dict[str, Any]:
    """Everything that the finished stages recorded, under the names that scripts rely on."""
    final = final_unit(planner)
    status = read_status(run.root)
    members = [entry for generation in range(len(weights)) for entry in _members(run, planner, generation, weights[generation])]
    return {
        "schema": SCHEMA,
        "kind": "run",
        "task": planner.task.name,
        "labels": list(planner.task.labels),
        "method": planner.settings.method,
        "seed": planner.settings.seed,
        "model": planner.common["model"],
        "device": planner.common["device"],
        "data": {**facts, "fingerprints": dict(inputs), **_counts(run, planner)},
        "scores": {
            "members": members,
            "ensemble": run.record(ensemble_name(len(weights) - 1))["test"] if weights else None,
            "generations": [_generation(run, generation) for generation in range(len(weights))],
            "classifier": run.record(final)["test"],
            "baselines": _baselines(run, planner),
        },
        "tests": stored_tests(run, planner, len(weights)),
        "errors": examples(run, planner, members),
        "head": run.record(CHECKPOINT)["head"] if weights else None,
        "adaptation": run.record(ADAPT) if planner.adapts else None,
        "temperature": run.record(final).get("temperature"),
        "trained": {unit.name: found for unit in status.units if unit.state == "done" and (found := _extent(run.record(unit.name)))},
        "settings": planner.settings.as_dict(),
        "versions": library_versions(),
        "hardware": dict(status.manifest["hardware"]),
        "seconds": {unit.name: unit.seconds for unit in status.units if unit.seconds is not None},
    }


def _extent(record: Mapping[str, Any]) -> dict[str, Any]:
    """How much of its model a unit trained; empty for one that trained none."""
    names = ("trained_parameters", "parameters", "trained_share")
    return {name: record[name] for name in names} if "trained_share" in record else {}


def _baselines(run: RunFolder, planner: Planner) -> dict[str, Any]:
    units = {"supervised": SUPERVISED, "tfidf": TFIDF}
    found = {name: run.record(unit)["test"] if run.done(unit) else None for name, unit in units.items()}
    return {**found, "majority": majority_score(stored_rows(run, "train"), stored_rows(run, "test"), len(planner.task.labels))}


def _counts(run: RunFolder, planner: Planner) -> dict[str, Any]:
    """What the rows themselves tell: how many each label has, and how many repeat another one."""
    rows = {part: stored_rows(run, part) for part in ("train", "pool", "test")}
    return {
        "class_counts": {part: per_label(rows[part], len(planner.task.labels)) for part in ("train", "test")},
        "duplicates": {part: duplicates(found) for part, found in rows.items()},
    }


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
