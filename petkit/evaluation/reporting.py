"""The report of a study, put together from its finished units: ``report.json``, ``cells.parquet``, and every prediction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from petkit.canonical import plain
from petkit.evaluation.alike import alike_lines, identical, shares
from petkit.evaluation.cells import Results, flat, log_probabilities
from petkit.evaluation.development import development_gain
from petkit.evaluation.grid import PROMPTED, Group, Split, Study, TaskPlan
from petkit.evaluation.summary import conclude
from petkit.files import make_directory, write_json, write_parquet
from petkit.provenance import library_versions
from petkit.report.names import percent
from petkit.report.study import write_study_report
from petkit.stages import ADAPT
from petkit.taskspec import label_words, task_digest
from petkit.wording import many, verb

__all__ = ["SCHEMA", "build_report", "task_entries", "write_report"]

SCHEMA: Final = 1
_ERRORS, _LONGEST = 10, 2000
_FEW_ROWS, _FEW_OF_A_LABEL, _SKEWED = 100, 10, 3.0


def write_report(
    results: Results, facts: Mapping[str, Mapping[str, Any]], study: Mapping[str, Any], measured: Mapping[str, Any]
) -> dict[str, Any]:
    """Write everything that people read into the run folder; return report.json.

    Args:
        facts: what is known of each task's rows. study: how the study was asked for. measured: hardware, seconds, workers.
    """
    root, plan = results.run.root, results.plan
    make_directory(root / "predictions")
    for group in plan.study.groups:
        for method in plan.study.methods:
            results.keep(root / "predictions", group, method)
    report: dict[str, Any] = plain(build_report(results, facts, study, measured))
    rows = [flat(cell) for cell in report["cells"]]
    write_parquet(root / "cells.parquet", {name: [row[name] for row in rows] for name in rows[0]})
    write_json(root / "report.json", report)
    write_study_report(report, root)
    return report


def build_report(
    results: Results, facts: Mapping[str, Mapping[str, Any]], study: Mapping[str, Any], measured: Mapping[str, Any]
) -> dict[str, Any]:
    """report.json as its schema says (petkit/report/schema/study.schema.json)."""
    asked = results.plan.study
    pairs = [(group, method) for group in asked.groups for method in asked.methods]
    cells = [results.entry(group, method) for group, method in pairs]
    correct: dict[tuple[str, int | None, int, int, str], npt.NDArray[np.bool_]] = {
        group.cell(method): results.correct(group, method) for group, method in pairs
    }
    primary, tasks = study["primary"], task_entries(asked, facts)
    found = conclude(
        cells,
        correct,
        methods=asked.methods,
        tasks=tasks,
        metric=primary["metric"],
        level=primary["level"],
        seed=asked.settings.seed,
        draw=study["draw"],
        shared=shares(tasks),
    )
    return {
        "schema": SCHEMA,
        "kind": "study",
        "petkit": version("petkit"),
        "study": {**study, "adaptation": _adaptation(results)},
        "tasks": tasks,
        "cells": cells,
        **{name: found[name] for name in ("summary", "comparisons", "power")},
        "gain_from_development": development_gain(results, level=primary["level"], draw=study["draw"]) if asked.development else None,
        "errors": [error for plan in asked.tasks for error in _errors(results, plan)],
        "warnings": [line for plan in asked.tasks for line in warnings(plan, facts[plan.task.name], study["draw"])],
        "versions": library_versions(),
        "measured": {**measured, "cells": [results.measured(group, method) for group, method in pairs]},
    }


def _adaptation(results: Results) -> dict[str, Any] | None:
    """What adapting each task's checkpoint was; the cells' counts are without it."""
    if not results.plan.adapts:
        return None
    return {plan.task.name: results.run.record(f"{plan.tag}.{ADAPT}") for plan in results.plan.study.tasks}


def task_entries(study: Study, facts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The tasks of report.json, known before anything is trained."""
    return [_task(plan, facts[plan.task.name]) for plan in study.tasks]


def _task(plan: TaskPlan, facts: Mapping[str, Any]) -> dict[str, Any]:
    task = plan.task
    return {
        "name": task.name,
        "labels": list(task.labels),
        "fields": list(task.fields),
        "patterns": [pvp.pattern.name for pvp in task.pvps],
        "label_words": label_words(task),
        "specification": task_digest(task),
        "text_language": task.language,
        "data": {name: value for name, value in facts.items() if name != "notes"},
        "splits": [
            {name: getattr(split, name) for name in ("shots", "split", "name", "hash", "rows", "class_counts", "shared")}
            for split in plan.splits
        ],
    }


def warnings(plan: TaskPlan, facts: Mapping[str, Any], draw: str) -> Iterator[str]:
    """What a reader of the report should know of a task's rows. Where splits are given, ``facts["train"]`` is None: nothing is drawn."""
    name, given = plan.task.name, facts["train"] is None
    for part, count in facts["duplicates"].items():
        if count:
            what, other = _OF_A_SPLIT if given and part == "train" else _REPEATED[part]
            yield f"{name}: {many(count, what)} {verb(count, 'repeat')} {other}."
    if count := facts["removed_from_pool"]:
        yield f"{name}: {many(count, 'unlabelled row')} {verb(count, 'equal')} a test row and {verb(count, 'were')} left out of the pool."
    if count := facts["removed_from_train"]:
        yield f"{name}: {many(count, 'labelled row')} {verb(count, 'equal')} a test row and {verb(count, 'were')} not drawn from."
    if count := facts["overlap"]:
        rows = many(count, "labelled row")
        yield f"{name}: {rows} of the splits {verb(count, 'equal')} a test row (--allow-overlap): scores are too good."
    if count := facts["development_overlap"]:
        rows = many(count, "development row")
        yield f"{name}: {rows} of the splits {verb(count, 'equal')} a test row (--allow-overlap): the gain by them is too good."
    yield from _of_labels(plan, facts)
    lacking = [split for split in plan.splits if 0 in split.class_counts]
    if lacking:
        yield f"{name}: in {len(lacking)} of {many(len(plan.splits), 'split')} some label has no row."
    yield from alike_lines(name, plan.splits, facts["train"], draw)
    if repeated := _repeated(plan.splits):
        yield f"{name}: {many(repeated, 'split')} {verb(repeated, 'hold')} the same rows as another one."
    yield from facts.get("notes", ())


def _repeated(splits: Sequence[Split]) -> int:
    """Splits that hold the same rows as another one; those are left out of which it is said that all do."""
    by_shots = [[split for split in splits if split.shots == shots] for shots in dict.fromkeys(split.shots for split in splits)]
    known = [split.hash for some in by_shots if not identical(some) for split in some]
    return len(known) - len(set(known))


def _of_labels(plan: TaskPlan, facts: Mapping[str, Any]) -> Iterator[str]:
    """What the rows of each label, and those of the test in all, allow to say."""
    name, labels, tested = plan.task.name, plan.task.labels, facts["test"]["class_counts"] or []
    missing = [label for label, count in zip(labels, tested, strict=False) if not count]
    for part, where in (("train", "the training file"), ("test", "the test")):
        counts = (facts[part] or {}).get("class_counts") or []
        if counts and max(counts) > _SKEWED * max(1, min(counts)):
            most, least = labels[int(np.argmax(counts))], labels[int(np.argmin(counts))]
            see = "" if missing else "; see macro-F1"
            yield f"{name}: labels are skewed in {where}: {many(max(counts), 'row')} of {most!r}, {min(counts)} of {least!r}{see}."
    if facts["test"]["rows"] < _FEW_ROWS:
        yield f"{name}: the test has only {many(facts['test']['rows'], 'row')}; small differences cannot be told."
    if missing:
        highest, them = percent(1 - len(missing) / len(labels)), "it" if len(missing) == 1 else "them"
        yield f"{name}: no test row has {', '.join(map(repr, missing))}: macro-F1 counts {them} as 0 and is at most {highest}."
    for label, count in zip(labels, tested, strict=False):
        if 0 < count < _FEW_OF_A_LABEL:
            yield f"{name}: {label!r} has {many(count, 'test row')}; its precision, recall and F1 say little."


_REPEATED: Final = {
    "train": ("labelled row", "another one of those to draw from"),
    "pool": ("unlabelled row", "another one"),
    "test": ("test row", "another one"),
}
_OF_A_SPLIT: Final = ("labelled row", "another one of the same split")


def shown_wrong(methods: Sequence[str]) -> str:
    """The method whose wrong rows are shown: one that has patterns, since those vote, whatever the order of ``--methods``.

    >>> shown_wrong(["tfidf", "ipet", "pet"]), shown_wrong(["tfidf", "majority"])
    ('pet', 'tfidf')
    """
    return next((method for method in PROMPTED if method in methods), methods[0])


def _errors(results: Results, plan: TaskPlan) -> Iterator[dict[str, Any]]:
    """The rows that a method gets wrong with the most confidence: most shots, first split, first seed."""
    study = results.plan.study
    most = max(plan.splits, key=lambda split: (split.shots or 0, -split.split))
    group, method = Group(plan, most, study.seeds[0]), shown_wrong(study.methods)
    test, labels = results.rows(plan.tag, "test"), plan.task.labels
    p = np.exp(log_probabilities(results.scores(group, method)))
    predicted, votes = p.argmax(axis=1), results.votes(group, method)
    wrong = np.flatnonzero(predicted != np.asarray(test.labels))
    for index in wrong[np.argsort(-p[wrong].max(axis=1), kind="stable")][:_ERRORS].tolist():
        text = " || ".join(test.row(index).values())
        yield {
            **group.cell(method)._asdict(),
            "id": test.ids[index],
            "text": text if len(text) <= _LONGEST else text[:_LONGEST] + " ...",
            "truth": labels[test.labels[index]],
            "predicted": labels[predicted[index]],
            "probability": float(p[index].max()),
            "votes": {pattern: labels[chosen[index]] for pattern, chosen in votes.items()},
        }
