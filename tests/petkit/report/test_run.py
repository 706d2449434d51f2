"""report.json of runs made up stage by stage: the names that scripts rely on, and every number in its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from petkit.executors import run_all
from petkit.plan import Planner
from petkit.pvp import Task
from petkit.report import SCHEMA, write_report
from petkit.report.stored import majority_score
from petkit.rows import UNLABELED, Rows
from petkit.runs import RunFolder
from petkit.units import Unit
from tests.petkit.stage_runs import spec_of, tiny_settings

TASK = Task(name="t", fields=("text",), patterns=("{mask}: {text}", "{text} | {mask}"), verbalizer={"n": "bad", "p": "good"})
FACTS = {
    "rows": {"train": 4, "pool": 30, "test": 9, "train_before_draw": 8},
    "removed_from_pool": 2,
    "labeled_in_pool": 0,
    "overlap": [],
    "blank_dropped": 0,
}
INPUTS = {"train": "1a", "pool": "2b", "test": "3c", "model": "4d"}
HEAD = {"status": "trained", "detail": "fine"}


def scores(accuracy: float) -> dict[str, float]:
    return {"accuracy": accuracy, "macro_f1": accuracy - 0.01}


def records_of(method: str, *, tested: bool = True) -> dict[str, Any]:
    """The record of each unit: a test score of its own for every one."""

    def test(accuracy: float) -> Any:
        return {"test": scores(accuracy) if tested else None}

    found: dict[str, Any] = {"baseline-tfidf": test(0.41)}
    if method != "tfidf":
        found["baseline-supervised"] = {**test(0.42), "temperature": None, "losses": {}}
    if method in ("supervised", "tfidf"):
        return found
    found["checkpoint"] = {"head": HEAD}
    for p, pattern in enumerate(TASK.pvps):
        found[f"untrained-p{p}"] = {**test(0.1 + p / 10), "pattern": pattern.pattern.name, "weight": 0.5 + p / 4}
    for g in range(2 if method == "ipet" else 1):
        if method != "zero-shot":
            for p in range(2):
                found[f"g{g}-p{p}-s0"] = {**test(0.3 + g / 5 + p / 10), "labeled": 4, "losses": {}}
        found[f"g{g}-ensemble"] = {**test(0.6 + g / 10), "agreement": 0.75, "pool_labels": {"n": 10, "p": 20}}
    if method == "ipet":
        found["g1-sets"] = {"quota": {"n": 8, "p": 8}, "short": {"g1-p0-s0": {"p": 3}}, "rows": {"g1-p0-s0": 13, "g1-p1-s0": 16}}
    return {**found, "classifier": {**test(0.9), "temperature": 1.5, "losses": {}}}


def report_of(root: Path, method: str, *, tested: bool = True, labeled: int = 4) -> dict[str, Any]:
    settings = tiny_settings(method=method, ipet__generations=1)
    planner = Planner(TASK, settings, spec_of(TASK, settings, model="builtin"), labeled=labeled)
    generations = [] if method in ("supervised", "tfidf") else [[0.5, 0.75]] * (planner.last + 1)
    with RunFolder.open(root, settings={}, inputs=INPUTS, versions={}) as run:
        units = [
            Unit(name, "tests.petkit.stage_runs:replay", {"record": record}) for name, record in records_of(method, tested=tested).items()
        ]
        run_all(units, run)
        return write_report(run, planner, generations, FACTS, INPUTS)


def test_the_names_that_scripts_rely_on(tmp_path: Path) -> None:
    report = report_of(tmp_path, "ipet")
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == report
    assert report["schema"] == SCHEMA == 1
    assert (report["task"], report["labels"], report["seed"], report["method"]) == ("t", ["n", "p"], 42, "ipet")
    assert report["data"]["rows"] == FACTS["rows"]
    assert report["data"]["fingerprints"] == INPUTS
    assert report["data"]["overlap"] == []
    assert set(report["scores"]) == {"members", "ensemble", "generations", "classifier", "baselines"}
    assert {"pattern", "seed", "generation", "weight", "before", "after"} <= set(report["scores"]["members"][0])
    assert set(report["scores"]["baselines"]) == {"supervised", "tfidf", "majority"}
    assert report["settings"]["member"]["steps"] == 3
    assert {"petkit", "torch", "transformers", "python"} <= set(report["versions"])
    assert set(report["seconds"]) == set(records_of("ipet"))
    assert all(value >= 0 for value in report["seconds"].values())


def test_every_number_is_in_its_place(tmp_path: Path) -> None:
    report = report_of(tmp_path, "ipet")
    found = report["scores"]
    members = [(m["generation"], m["pattern"], m["seed"], m["weight"], m["before"], m["after"]) for m in found["members"]]
    assert members == [
        (g, TASK.pvps[p].pattern.name, 0, 0.5 + p / 4, scores(0.1 + p / 10), scores(0.3 + g / 5 + p / 10)) for g in (0, 1) for p in (0, 1)
    ]
    assert found["ensemble"] == scores(0.7), "that of the last generation"
    assert [(g["generation"], g["ensemble"]) for g in found["generations"]] == [(0, scores(0.6)), (1, scores(0.7))]
    assert found["generations"][1]["short"] == {"g1-p0-s0": {"p": 3}}
    assert "short" not in found["generations"][0]
    assert found["classifier"] == scores(0.9)
    assert found["baselines"] == {"supervised": scores(0.42), "tfidf": scores(0.41), "majority": None}, "this run holds no rows"
    assert report["temperature"] == 1.5
    assert report["head"] == HEAD


def rows_of(*labels: int) -> Rows:
    ids = tuple(f"row {number}" for number in range(len(labels)))
    return Rows(ids, {"text": ids}, labels)


def test_one_label_for_every_row_by_hand() -> None:
    """Of labels 0, 1, 1 the most frequent is 1: right in 22 of 25 rows, F1 44 / 47, and 0 for the other label."""
    found = majority_score(rows_of(0, 1, 1), rows_of(*[1] * 22, *[0] * 3, UNLABELED), 2)
    assert found == {"accuracy": 0.88, "macro_f1": pytest.approx(22 / 47)}


def test_of_equally_frequent_labels_the_one_that_is_right_most_often() -> None:
    """Rows drawn so many per label tell nothing of what is frequent; the first label would be right in 3 of 25 rows."""
    found = majority_score(rows_of(0, 0, 2, 2, 1), rows_of(0, 0, 0, *[2] * 22), 3)
    assert found == {"accuracy": 0.88, "macro_f1": pytest.approx(44 / 47 / 3)}


@pytest.mark.parametrize(("train", "test"), [(None, rows_of(0)), (rows_of(), rows_of(0)), (rows_of(0), None), (rows_of(0), rows_of())])
def test_without_labels_there_is_no_most_frequent_one(train: Rows | None, test: Rows | None) -> None:
    assert majority_score(train, test, 2) is None


def test_untrained_patterns_are_members_without_seed_and_after(tmp_path: Path) -> None:
    report = report_of(tmp_path, "zero-shot")
    found = [(m["pattern_index"], m["seed"], m["before"], m["after"]) for m in report["scores"]["members"]]
    assert found == [(0, None, scores(0.1), None), (1, None, scores(0.2), None)]


@pytest.mark.parametrize(("method", "accuracy"), [("supervised", 0.42), ("tfidf", 0.41)])
def test_baselines_as_methods(method: str, accuracy: float, tmp_path: Path) -> None:
    found = report_of(tmp_path, method)["scores"]
    assert (found["members"], found["ensemble"], found["generations"]) == ([], None, [])
    assert found["classifier"] == scores(accuracy)
    assert found["baselines"]["supervised"] == (None if method == "tfidf" else scores(0.42))


def test_without_test_rows_scores_are_null(tmp_path: Path) -> None:
    found = report_of(tmp_path, "pet", tested=False)["scores"]
    assert found["ensemble"] is None
    assert found["classifier"] is None
    assert {(m["before"], m["after"]) for m in found["members"]} == {(None, None)}
    assert "nothing is known" in (tmp_path / "report.md").read_text(encoding="utf-8")
