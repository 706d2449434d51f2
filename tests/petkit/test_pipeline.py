"""The main job from rows to classifier and report: what scripts rely on, and the same numbers whenever the seed is the same."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from petkit import files
from petkit.executors import Event
from petkit.losses import soft_labels
from petkit.pipeline import RunResult
from petkit.rowfiles import load_rows, load_scores
from petkit.runs import read_status
from petkit.settings import METHODS
from tests.tiny_train import TASK, snapshot, tiny_data, tiny_model, tiny_run

PATTERNS = [pvp.pattern.name for pvp in TASK.pvps]
UNITS = {
    "pet": ["g0-p0-s0", "g0-p1-s0", "g0-ensemble", "classifier", "baseline-supervised", "baseline-tfidf"],
    "single": ["g0-p0-s0", "g0-ensemble", "classifier", "baseline-supervised", "baseline-tfidf"],
    "zero-shot": ["g0-ensemble", "classifier", "baseline-supervised", "baseline-tfidf"],
    "supervised": ["baseline-supervised", "baseline-tfidf"],
    "tfidf": ["baseline-tfidf"],
}

BASELINES = "classifier baseline-supervised baseline-tfidf"
IPET = f"rows checkpoint untrained-p0 untrained-p1 g0-p0-s0 g0-p1-s0 g0-ensemble g1-sets g1-p0-s0 g1-p1-s0 g1-ensemble {BASELINES}".split()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, model: Path) -> RunResult:
    """A finished run with everything in it: adaptation, two generations, baselines."""
    return tiny_run(tmp_path_factory.mktemp("done") / "run", model, "ipet", figures=True)


def is_score(value: Any) -> bool:
    return set(value) == {"accuracy", "macro_f1"} and all(isinstance(v, float) and 0 <= v <= 1 for v in value.values())


def test_report_of_every_stage(done: RunResult, model: Path) -> None:
    report = json.loads((done.path / "report.json").read_text("utf-8"))
    assert report == done.report
    assert {name: report[name] for name in ("schema", "task", "labels", "seed", "method", "model")} == {
        "schema": 1,
        "task": "tone",
        "labels": ["negative", "positive"],
        "seed": 42,
        "method": "ipet",
        "model": str(model),
    }
    assert report["data"]["rows"] == {"train": 8, "pool": 30, "test": 12, "train_before_draw": 8}
    data = {name.replace("unlabeled", "pool"): rows.fingerprint() for name, rows in tiny_data().items()}
    assert report["data"]["fingerprints"] == {**data, "model": files.digest(model)}
    assert report["settings"]["member"]["steps"] == 2
    assert {"python", "petkit", "torch", "transformers"} <= set(report["versions"])
    assert set(report["seconds"]) == {path.name for path in (done.path / "stages").iterdir()}
    assert all(seconds > 0 for seconds in report["seconds"].values())


def test_scores_of_the_report(done: RunResult) -> None:
    scores = done.report["scores"]
    assert set(scores) == {"members", "ensemble", "generations", "classifier", "baselines"}
    assert is_score(scores["ensemble"])
    assert is_score(scores["classifier"])
    assert set(scores["baselines"]) == {"supervised", "tfidf", "majority"}
    assert scores["baselines"]["majority"] == {"accuracy": 0.5, "macro_f1": pytest.approx(1 / 3)}, "six rows of each label"
    assert all(is_score(score) for score in scores["baselines"].values())
    assert [entry["generation"] for entry in scores["generations"]] == [0, 1]
    assert all(is_score(entry["ensemble"]) for entry in scores["generations"])
    assert scores["generations"][1]["ensemble"] == scores["ensemble"]
    members = scores["members"]
    assert [(m["generation"], m["pattern"], m["seed"]) for m in members] == [(g, pattern, 0) for g in (0, 1) for pattern in PATTERNS]
    assert all(is_score(member["before"]) and is_score(member["after"]) for member in members)
    scored = {files.digest(done.path / "stages" / f"g{g}-p{p}-s0" / "test.parquet") for g in (0, 1) for p in range(len(PATTERNS))}
    assert len(scored) == len(members), "the members of this test should differ"


def test_scores_can_be_made_again_from_the_files(done: RunResult) -> None:
    """Weights from labelled rows, ensembles from members, test scores from test files: nothing else went in."""
    stages, report = done.path / "stages", done.report["scores"]
    rows = {part: load_rows(stages / "rows" / f"{part}.parquet") for part in ("train", "test")}

    def accuracy(part: str, unit: str) -> float:
        return float((load_scores(stages / unit / f"{part}.parquet").argmax(1) == np.array(rows[part].labels)).mean())

    for member in report["members"]:
        before = f"untrained-p{member['pattern_index']}"
        assert member["weight"] == member["ensemble_weight"] == accuracy("train", before)
        assert member["before"]["accuracy"] == accuracy("test", before)
        assert member["after"]["accuracy"] == accuracy("test", member["name"])
    weights = [member["weight"] for member in report["members"][:2]]
    members = [load_scores(stages / f"g0-p{index}-s0" / "pool.parquet") for index in (0, 1)]
    mixed = np.average(members, axis=0, weights=weights)
    np.testing.assert_allclose(load_scores(stages / "g0-ensemble" / "pool.parquet"), mixed, rtol=1e-5, atol=1e-6)
    assert report["ensemble"]["accuracy"] == accuracy("test", "g1-ensemble")
    assert report["classifier"]["accuracy"] == accuracy("test", "classifier")
    assert report["baselines"]["tfidf"]["accuracy"] == accuracy("test", "baseline-tfidf")


def test_report_for_people(done: RunResult) -> None:
    text = (done.path / "report.md").read_text("utf-8")
    assert "8 labelled rows, 30 unlabelled, 12 for the test" in text
    for line in ("generation 0, pattern 0", "ensemble of generation 1", "| classifier |", "plain fine-tuning", "TF-IDF"):
        assert line in text
    assert f"{done.report['scores']['classifier']['accuracy']:.3f}" in text


def test_classifier_is_an_ordinary_one(done: RunResult) -> None:
    assert done.classifier == done.path / "classifier"
    plain = transformers.pipeline("text-classification", model=str(done.classifier), device="cpu")
    texts = list(tiny_data()["test"].fields["text"])
    found: Any = plain(texts, truncation=True, max_length=32, top_k=None)
    expected = soft_labels(load_scores(done.path / "stages" / "classifier" / "test.parquet"), temperature=1.0)
    for scores, wanted in zip(found, expected, strict=True):
        by_label = {entry["label"]: entry["score"] for entry in scores}
        assert [by_label[label] for label in TASK.labels] == pytest.approx(wanted.tolist(), abs=1e-5)


def test_a_finished_run_does_nothing_again(done: RunResult, model: Path) -> None:
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (done.path / "stages").rglob("*")}
    events: list[Event] = []
    again = tiny_run(done.path, model, "ipet", on_event=events.append, figures=True)
    assert {event.kind for event in events} == {"skipped"}
    assert [event.unit for event in events] == json.loads((done.path / "plan.json").read_text())["units"]
    assert again == done
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (done.path / "stages").rglob("*")} == before
    assert not (done.path / "incoming").exists()


@pytest.mark.parametrize("method", ["ipet", "tfidf"])
def test_the_whole_run_is_told_from_its_first_unit_on(method: str, model: Path, tmp_path: Path) -> None:
    """`petkit status` beside a run shows what it comes to, generations and baselines included, each unit in its place."""
    beside: list[list[tuple[str, str]]] = []

    def look(event: Event) -> None:
        beside.append([(unit.name, unit.state) for unit in read_status(tmp_path / "run").units])
        if event.unit == "g0-p0-s0":
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        tiny_run(tmp_path / "run", model, method, on_event=look, settings={"adapt_steps": 0})
    names = [name for name, _ in beside[0]]
    assert all([name for name, _ in units] == names for units in beside)
    assert names == (["rows", "baseline-tfidf"] if method == "tfidf" else IPET)
    assert dict(beside[-1])[names[0]] == "done"
    assert beside[0][1:] == [(name, "todo") for name in names[1:]]


def test_same_seed_same_bytes(done: RunResult, model: Path, tmp_path: Path) -> None:
    again = tiny_run(tmp_path / "run", model, "ipet", figures=True)
    assert snapshot(again.path) == snapshot(done.path)
    assert again.report | {"seconds": None} == done.report | {"seconds": None}


def test_another_seed_other_numbers(done: RunResult, model: Path, tmp_path: Path) -> None:
    other = tiny_run(tmp_path / "run", model, "ipet", settings={"seed": 43})
    trained = ["adapt", "g0-p0-s0", "g0-p1-s0", "g1-p0-s0", "g1-p1-s0", "classifier", "baseline-supervised"]
    for unit in trained:
        records = [json.loads((run.path / "stages" / unit / "record.json").read_text()) for run in (done, other)]
        same = [name for name, value in records[0]["outputs"].items() if records[1]["outputs"][name] == value]
        assert not [name for name in same if name.endswith((".parquet", ".safetensors"))], unit


def test_repetitions_and_patterns_differ_in_their_draws(done: RunResult, model: Path, tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run", model, "pet", settings={"repetitions": 2, "patterns": "0", "adapt_steps": 0, "baselines": False})
    assert [name for name, score in run.report["scores"]["baselines"].items() if score] == ["majority"], "it costs nothing"
    scores = [load_scores(run.path / "stages" / f"g0-p0-s{index}" / "pool.parquet") for index in (0, 1)]
    assert not np.allclose(scores[0], scores[1])
    assert [(member["pattern"], member["seed"]) for member in run.report["scores"]["members"]] == [(PATTERNS[0], 0), (PATTERNS[0], 1)]


@pytest.mark.parametrize("method", UNITS)
def test_every_method_gives_a_report(method: str, model: Path, tmp_path: Path) -> None:
    assert {*UNITS, "ipet"} == set(METHODS)
    run = tiny_run(tmp_path / "run", model, method, settings={"adapt_steps": 0})
    scores = run.report["scores"]
    names = [name for name in run.report["seconds"] if name not in ("rows", "checkpoint") and not name.startswith("untrained")]
    assert names == [name for name in UNITS[method] if name != "baseline-supervised" or method != "tfidf"]
    assert is_score(scores["classifier"])
    assert (run.classifier is None) == (method == "tfidf")
    assert (run.path / "ensemble.json").exists() == (method in ("pet", "single"))
    if method in ("supervised", "tfidf"):
        assert (scores["members"], scores["ensemble"], scores["generations"]) == ([], None, [])
        assert scores["baselines"][method] == scores["classifier"]
    if method == "zero-shot":
        assert [member["after"] for member in scores["members"]] == [None, None]


def test_without_labels_and_without_test_rows(model: Path, tmp_path: Path) -> None:
    notices: list[str] = []
    run = tiny_run(tmp_path / "run", model, "ipet", train=None, test=None, settings={"adapt_steps": 0}, on_notice=notices.append)
    scores = run.report["scores"]
    assert scores["classifier"] is scores["ensemble"] is None
    assert scores["baselines"] == {"supervised": None, "tfidf": None, "majority": None}
    assert [(m["generation"], m["weight"], m["before"], m["after"]) for m in scores["members"]] == [
        (g, None, None, None) for g in (0, 0, 1, 1)
    ]
    assert scores["generations"][1]["quota"] == {"negative": 5, "positive": 5}
    assert "nothing is known of how good the classifier is" in (run.path / "report.md").read_text("utf-8")
    assert run.classifier is not None


def test_random_streams_of_the_caller_are_left_alone(model: Path, tmp_path: Path) -> None:
    before = random_states()
    tiny_run(tmp_path / "run", model, "pet", settings={"patterns": "0"})
    assert random_states() == before


def random_states() -> list[object]:
    numpy_state: Any = np.random.get_state()
    return [torch.get_rng_state().tolist(), numpy_state[1].tolist(), random.getstate()]
