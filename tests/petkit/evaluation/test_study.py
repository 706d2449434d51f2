"""Studies as a whole: what is in the folder, what the report says, and that interruptions and processes change nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow.parquet as pq
import pytest

from petkit import members
from petkit.errors import DataError, ModelError, RunError, SettingsError
from petkit.evaluation import reporting, stages
from petkit.evaluation.grid import POOLED
from petkit.evaluation.progress import Progress
from petkit.evaluation.study import StudyResult, evaluate
from petkit.executors import Event, Spawned
from petkit.pipeline import train
from petkit.pvp import Task
from petkit.report.study import write_study_report
from petkit.rowfiles import load_rows, load_scores
from petkit.runs import read_status
from petkit.scoring import score_rows
from tests.builders import sentences
from tests.petkit.evaluation import tiny_study as program
from tests.petkit.evaluation.tiny_study import METHODS, SETTINGS, TASK, tiny_data, tiny_study, without_measured, write
from tests.tiny_train import tiny_model

ROOT = Path(program.__file__).resolve().parents[3]
WORDS = {"negative": "bad", "positive": "good"}
QUICK = {"methods": ("supervised", "tfidf", "majority"), "shots": (2,), "calibration_folds": 0}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True, scope="module")
def _hurry() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reporting, "write_study_report", lambda report, out: [])  # drawing takes seconds; `done` draws
        yield


@pytest.fixture(scope="module")
def done(model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """Every method on two splits, adapted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reporting, "write_study_report", write_study_report)
        return tiny_study(tmp_path_factory.mktemp("study") / "out", data, model, shots=(4,), settings={"adapt_steps": 1})


def cell(result: StudyResult, method: str, **wanted: Any) -> dict[str, Any]:
    found = [c for c in result.report["cells"] if c["method"] == method and all(c[name] == value for name, value in wanted.items())]
    return dict(found[0])


def test_the_report_is_what_its_schema_says(done: StudyResult) -> None:
    schema = json.loads((resources("petkit") / "report" / "schema" / "study.schema.json").read_text("utf-8"))
    jsonschema.validate(json.loads((done.path / "report.json").read_bytes()), schema)
    assert len(done.report["cells"]) == 2 * len(METHODS) == len(done.report["measured"]["cells"])
    assert [c["method"] for c in done.report["cells"][: len(METHODS)]] == list(METHODS)
    assert {path.name for path in done.path.glob("report.*")} == {"report.json", "report.html", "report.md", "report.tex"}


def test_every_prediction_is_kept_and_gives_the_accuracy(done: StudyResult) -> None:
    for entry in done.report["cells"]:
        table = pq.read_table(done.path / entry["predictions"]).to_pydict()
        assert table["id"] == [f"test:{n}" for n in range(1, 17)]
        assert entry["test"]["accuracy"] == np.mean([p == t for p, t in zip(table["predicted"], table["truth"], strict=True)])
        total = np.array(table["p:negative"]) + np.array(table["p:positive"])
        np.testing.assert_allclose(total, 1, atol=1e-9)
    cells = pq.read_table(done.path / "cells.parquet").to_pydict()
    assert cells["accuracy"] == [c["test"]["accuracy"] for c in done.report["cells"]]


def test_methods_share_what_they_can(done: StudyResult) -> None:
    names = [unit.name for unit in read_status(done.path).units]
    assert sum("g0-p0" in name for name in names) == 2  # one per split: pet, ipet and single alike
    assert sum(name.endswith(".adapt") for name in names) == sum(name.endswith(".zero-shot") for name in names) == 1
    counts = {method: cell(done, method)["counts"] for method in METHODS}
    assert counts["ipet"]["trained_steps"] == 2 + 2 + 1
    assert counts["pet"]["trained_steps"] == 2 + 1
    assert counts["single"]["trained_steps"] == 2
    assert counts["ipet"]["trained_tokens"] > counts["pet"]["trained_tokens"] > counts["single"]["trained_tokens"] > 0
    assert counts["majority"] == {"trained_steps": 0, "trained_tokens": 0, "forward_tokens": 0}


def test_test_text_stays_out_of_pool_and_draws(done: StudyResult) -> None:
    facts = done.report["tasks"][0]["data"]
    assert (facts["removed_from_pool"], facts["removed_from_train"], facts["overlap"]) == (1, 1, 0)
    stages = done.path / "stages"
    shared = next(path for path in stages.glob("*.rows") if path.name.count(".") == 1)
    test = set(load_rows(shared / "test.parquet").fields["text"])
    assert not test & set(load_rows(shared / "pool.parquet").fields["text"])
    assert load_rows(shared / "pool.parquet").labels == ()
    for path in stages.glob("*.k*.rows/train.parquet"):
        assert not test & set(load_rows(path).fields["text"])


def test_no_unit_reads_the_truth_of_the_pool(done: StudyResult) -> None:
    specs = [json.loads((path / "record.json").read_bytes())["spec"] for path in (done.path / "stages").iterdir()]
    needed = {name for spec in specs for name in spec.get("inner", {}).get("names", {}).values()}
    assert needed
    assert not [name for name in needed if name.endswith(".truth")]


def test_temperatures_come_from_pool_or_cross_validation(done: StudyResult) -> None:
    sources = {method: cell(done, method, shots=4)["test"]["temperature_from"] for method in METHODS}
    assert sources == {
        **dict.fromkeys(("pet", "ipet", "single"), "pool"),
        **dict.fromkeys(("supervised", "linear-probe", "tfidf"), "cross-validation"),
        **dict.fromkeys(("zero-shot", "label-embedding", "majority"), None),
    }


def test_rows_that_members_have_learned_do_not_count_among_right_pseudo_labels(done: StudyResult) -> None:
    stages = done.path / "stages"
    truth = load_rows(next(stages.glob("*.truth")) / "truth.parquet")
    for number in (0, 1):
        begin, found = f"*.k4.n{number}", cell(done, "ipet", split=number)["generations"]
        learned = set(load_rows(next(stages.glob(f"{begin}.rows")) / "train.parquet").fields["text"])
        others = {
            name: label for name, text, label in zip(truth.ids, truth.fields["text"], truth.labels, strict=True) if text not in learned
        }
        assert len(others) == len(truth) - 8
        for generation in (0, 1):
            scores = load_scores(next(stages.glob(f"{begin}.s*.*pet.g{generation}-ensemble")) / "pool.parquet")
            chosen = dict(zip(truth.ids, scores.argmax(axis=1), strict=True))
            assert found[generation]["pool_accuracy"] == pytest.approx(np.mean([chosen[name] == label for name, label in others.items()]))
        sets = [load_rows(path) for path in stages.glob(f"{begin}.s*.ipet.g1-sets/*.parquet")]
        taken = [(name, label) for rows in sets for name, label in zip(rows.ids, rows.labels, strict=True) if name in others]
        assert found[1]["set_accuracy"] == pytest.approx(np.mean([others[name] == label for name, label in taken]))


def test_where_every_raw_row_is_learned_nothing_is_said_of_right_pseudo_labels(model: Path, tmp_path: Path) -> None:
    """Blanks and case do not count, as for rows of the test."""
    texts = sentences()
    write(tmp_path / "train.jsonl", tuple(f" {text.upper()}" for text in texts[:8]))
    write(tmp_path / "test.jsonl", texts[8:12])
    write(tmp_path / "few" / "1" / "train.jsonl", texts[:8])
    write(tmp_path / "few" / "2" / "train.jsonl", texts[:4])
    study = tiny_study(tmp_path / "out", tmp_path, model, shots=None, splits="given", methods=("ipet",), settings={"patterns": "0"})
    learned, half = (cell(study, "ipet", split=number)["generations"] for number in (0, 1))
    assert [(g["pool_accuracy"], g["set_accuracy"]) for g in learned] == [(None, None)] * 2
    assert all(g["pool_accuracy"] in (0, 0.25, 0.5, 0.75, 1) for g in half)


def test_generations_and_members_are_told(done: StudyResult) -> None:
    entry = cell(done, "ipet", shots=4)
    assert [g["generation"] for g in entry["generations"]] == [0, 1]
    assert entry["generations"][0]["set_accuracy"] is None
    assert 0 <= entry["generations"][1]["set_accuracy"] <= 1
    assert all(0 <= g["pool_accuracy"] <= 1 for g in entry["generations"])
    assert [(m["generation"], m["pattern_index"]) for m in entry["members"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [m["after"] for m in cell(done, "zero-shot")["members"]] == [None, None]
    assert done.report["errors"]
    assert set(done.report["errors"][0]["votes"]) == {"{mask}: {text}", "{text} ( {mask} )"}


def test_seconds_leave_out_what_only_serves_a_temperature(model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "_held_out_logits", lambda *_: time.sleep(0.3))
    options: dict[str, Any] = {**QUICK, "methods": ("supervised", "majority"), "splits": 1, "calibration_folds": 2}
    found = tiny_study(tmp_path, data, model, **options)
    supervised, majority = found.report["measured"]["cells"]
    whole = next(unit.seconds for unit in read_status(found.path).units if unit.name.endswith(".supervised"))
    assert supervised["calibration_seconds"] >= 0.3
    assert supervised["seconds"] == pytest.approx(whole - supervised["calibration_seconds"], abs=0.01)
    assert majority["calibration_seconds"] == 0


@pytest.mark.slow
def test_a_cell_is_the_training_run_on_the_same_rows(done: StudyResult, model: Path, data: Path, tmp_path: Path) -> None:
    study = tiny_study(tmp_path / "study", data, model, methods=("pet", "ipet", "supervised", "tfidf"), shots=(4,), splits=1)
    stages = tmp_path / "study" / "stages"
    shared = next(path for path in stages.glob("*.rows") if path.name.count(".") == 1)
    rows = {"train": load_rows(next(stages.glob("*.k4.n0.rows")) / "train.parquet"), "unlabeled": load_rows(shared / "pool.parquet")}
    for method, unit in (("pet", "classifier"), ("ipet", "classifier"), ("supervised", "baseline-supervised"), ("tfidf", "baseline-tfidf")):
        settings = {**SETTINGS, "threads": 1, "method": method, "baselines": False}
        run = train(
            TASK, out=tmp_path / method, test=load_rows(shared / "test.parquet"), model=str(model), device="cpu", preset="small",
            settings=settings, **rows,
        )  # fmt: skip
        theirs = load_scores(run.path / "stages" / unit / "test.parquet")
        ours = load_scores(next(stages.glob(f"*.k4.n0.s42.{method}")) / "test.parquet")
        np.testing.assert_array_equal(ours, theirs)
    assert study.report["study"]["seeds"] == [42]


@pytest.mark.slow
def test_seeds_change_what_draws_and_splits_do_not(model: Path, data: Path, tmp_path: Path) -> None:
    study = tiny_study(tmp_path / "out", data, model, seeds=2, methods=("single", "tfidf", "majority"), shots=(2,), splits=2)
    assert study.report["study"]["seeds"] == [42, 43]
    assert len(study.report["cells"]) == 2 * 2 * 3
    assert len(list((tmp_path / "out" / "stages").glob("*.k2.n*.rows"))) == 2
    one, other = (pq.read_table(study.path / cell(study, "single", split=0, seed=s)["predictions"]) for s in (42, 43))
    assert one["truth"] == other["truth"]
    assert one["p:positive"] != other["p:positive"]
    assert cell(study, "majority", split=0, seed=42)["test"] == cell(study, "majority", split=0, seed=43)["test"]


def test_the_latency_of_untrained_patterns_is_that_of_the_studys_settings(
    model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, str]] = []

    def scoring(*arguments: Any, **options: Any) -> Any:
        asked.append((len(arguments[2]), options["decoding"]))
        return score_rows(*arguments, **options)

    monkeypatch.setattr(members, "score_rows", scoring)
    tiny_study(tmp_path / "out", data, model, methods=("zero-shot",), settings={"decoding": "parallel"})
    assert {how for _, how in asked} == {"parallel"}
    assert [rows for rows, _ in asked].count(1) == 2 * (3 + 16)  # patterns x (texts to warm up, test rows)


def test_given_splits_are_used_as_they_are(model: Path, data: Path, tmp_path: Path) -> None:
    study = tiny_study(tmp_path / "out", data, model, **{**QUICK, "splits": "given", "shots": None})
    splits = study.report["tasks"][0]["splits"]
    assert [(s["name"], s["shots"], s["class_counts"]) for s in splits] == [("few/13", 4, [4, 4]), ("few/100", 4, [4, 4])]
    kept = load_rows(next((tmp_path / "out" / "stages").glob("*.k4.n0.rows")) / "train.parquet")
    assert kept.fields["text"] == sentences()[60:68]
    assert study.report["study"]["draw"] == "given"
    assert study.report["study"]["shots"] == [4]


def test_given_splits_that_lack_a_row_are_of_the_number_that_they_come_close_to(model: Path, tmp_path: Path) -> None:
    data, texts = tiny_data(tmp_path / "data"), sentences()
    write(data / "sixes" / "1" / "train.jsonl", texts[60:72])
    write(data / "sixes" / "2" / "train.jsonl", texts[72:83])
    options: dict[str, Any] = {"splits": "given:sixes", "shots": None, "methods": ("majority",)}
    study = tiny_study(tmp_path / "out", data, model, **options)
    assert [(s["shots"], s["class_counts"]) for s in study.report["tasks"][0]["splits"]] == [(6, [6, 6]), (6, [5, 6])]
    assert study.report["study"]["shots"] == [6]
    assert "tone & mood: in 1 of 2 given splits a label has fewer rows than 6: at least 5." in study.report["warnings"]
    write(data / "sixes" / "2" / "train.jsonl", texts[72:80])
    uneven = tiny_study(tmp_path / "uneven", data, model, **options)
    assert uneven.report["study"]["shots"] == [None]
    assert not [line for line in uneven.report["warnings"] if "given splits" in line]


@pytest.mark.slow
def test_what_a_development_set_would_have_gained(model: Path, data: Path, tmp_path: Path) -> None:
    options = {"methods": ("pet", "supervised"), "shots": (2,), "seeds": 2, "calibration_folds": 0}
    plain = tiny_study(tmp_path / "plain", data, model, **options)
    measured = tiny_study(tmp_path / "gain", data, model, **options, measure_development_gain=True)
    assert plain.report["gain_from_development"] is None
    choices = {(c["method"], c["what"]): c for c in measured.report["gain_from_development"]["choices"]}
    assert set(choices) == {("pet", "seed"), ("pet", "pattern"), ("supervised", "seed")}
    for entry in choices.values():
        assert entry["gain"] == pytest.approx(entry["chosen"] - entry["mean"])
        assert entry["best"] >= max(entry["mean"], entry["chosen"])
    assert [c["test"] for c in measured.report["cells"]] == [c["test"] for c in plain.report["cells"]]  # nothing is chosen by it


@pytest.mark.slow
def test_development_rows_need_not_be_in_the_pool(model: Path, tmp_path: Path) -> None:
    """Given splits with their dev files beside raw texts of one's own: the members are asked about the development rows themselves."""
    data = tiny_data(tmp_path / "data")
    write(data / "unlabeled.jsonl", sentences()[100:120])
    options: dict[str, Any] = {"methods": ("pet",), "splits": "given", "shots": None, "calibration_folds": 0}
    measured = tiny_study(tmp_path / "out", data, model, **options, measure_development_gain=True)
    (choice,) = measured.report["gain_from_development"]["choices"]
    assert (choice["what"], choice["candidates"], choice["splits"]) == ("pattern", 2, 2)
    members = sorted((measured.path / "stages").glob("*.g0-p*"))
    assert [load_scores(folder / "development.parquet").shape for folder in members] == [(8, 2)] * 4
    plain = tiny_study(tmp_path / "plain", data, model, **options)
    assert [c["counts"] for c in plain.report["cells"]] == [c["counts"] for c in measured.report["cells"]]
    assert not list((plain.path / "stages").glob("*.g0-p*/development.parquet"))


def test_draws_by_chance_keep_the_imbalance(model: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    write(data / "train.jsonl", sentences()[:80], every=8)
    write(data / "test.jsonl", sentences()[80:100])
    study = tiny_study(tmp_path / "out", data, model, draw="by-chance", methods=("tfidf", "majority"), shots=(8,), splits=4)
    counts = np.array([s["class_counts"] for s in study.report["tasks"][0]["splits"]])
    assert (counts.sum(1) == 16).all()
    assert (counts[:, 0] > counts[:, 1]).all()
    assert study.report["study"]["draw"] == "random"
    assert {one["sentence"].partition(":")[0] for one in study.report["comparisons"]} == {"tone & mood, 8 per label on average"}
    assert any("skewed in the training file: 70 rows of 'negative', 10 of 'positive'" in line for line in study.report["warnings"])


def test_progress_counts_cells_and_begins_with_a_guess(model: Path, data: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    tiny_study(tmp_path / "out", data, model, **QUICK, on_progress=told.append)
    assert (told[0].done, told[0].running, told[0].left, told[0].event) == (0, 0, 6, None)
    assert (told[0].seconds_left or 0) > 0
    assert (told[-1].done, told[-1].left) == (6, 0)
    assert told[-1].seconds_left == 0
    assert all(far.done + far.running + far.left == 6 for far in told)
    assert max(far.running for far in told) >= 1
    again: list[Progress] = []
    tiny_study(tmp_path / "out", data, model, **QUICK, on_progress=again.append)
    assert again[0].seconds_left is None
    assert {far.event.kind for far in again if far.event} == {"skipped"}


def test_interrupted_it_goes_on_to_the_same_report(model: Path, data: Path, tmp_path: Path) -> None:
    def stop_at(count: int) -> Any:
        seen = 0

        def stop(far: Progress) -> None:
            nonlocal seen
            seen += far.event is not None and far.event.kind == "started"
            if seen == count:
                raise KeyboardInterrupt

        return stop

    whole = tiny_study(tmp_path / "whole", data, model, **QUICK)
    for count in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            tiny_study(tmp_path / "out", data, model, **QUICK, on_progress=stop_at(count))
    events: list[Event] = []
    tiny_study(tmp_path / "out", data, model, **QUICK, on_progress=lambda far: events.append(far.event) if far.event else None)
    assert "skipped" in {event.kind for event in events}
    assert "started" in {event.kind for event in events}
    assert without_measured(tmp_path / "out") == without_measured(whole.path)


@pytest.mark.slow
def test_processes_and_kills_change_nothing(model: Path, data: Path, tmp_path: Path) -> None:
    tiny_study(tmp_path / "one", data, model)
    with Spawned(2) as executor:
        tiny_study(tmp_path / "two", data, model, executor=executor, workers=2)
    assert without_measured(tmp_path / "two") == without_measured(tmp_path / "one")
    command = [sys.executable, program.__file__, str(tmp_path / "killed"), str(data), str(model), "2"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])}
    for units in (8, 30):
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        while len(list((tmp_path / "killed" / "stages").glob("[!.]*"))) < units and process.poll() is None:
            time.sleep(0.05)
        assert process.poll() is None, "it ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command, env=environment, check=True)
    assert without_measured(tmp_path / "killed") == without_measured(tmp_path / "one")
    for path in sorted((tmp_path / "one" / "predictions").iterdir()):
        assert path.read_bytes() == (tmp_path / "killed" / "predictions" / path.name).read_bytes()


def test_another_study_does_not_go_on_in_the_folder(done: StudyResult, model: Path, data: Path) -> None:
    with pytest.raises(RunError, match="shots"):
        tiny_study(done.path, data, model, settings={"adapt_steps": 1}, shots=(2,))


def test_a_flag_that_differs_is_one_problem(model: Path, data: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"methods": ("majority",), "shots": (2,)}
    tiny_study(tmp_path / "out", data, model, **options, calibration_folds=2)
    with pytest.raises(RunError) as caught:
        tiny_study(tmp_path / "out", data, model, **options, calibration_folds=5)
    assert str(caught.value).endswith(": setting calibration_folds: 2 -> 5")


def test_nothing_is_decided_from_splits_of_few_rows(model: Path, data: Path, tmp_path: Path) -> None:
    told: list[str] = []
    options: dict[str, Any] = {"methods": ("tfidf", "majority"), "splits": 3, "on_notice": told.append}
    study = tiny_study(tmp_path / "out", data, model, shots=(2, 16, 19), **options)
    small, large, every = ([s for s in study.report["tasks"][0]["splits"] if s["shots"] == shots] for shots in (2, 16, 19))
    assert (small[0]["shared"], large[0]["shared"]) == (None, None)
    assert small[1]["shared"] < 0.5 < large[1]["shared"] < 1
    assert every[1]["shared"] > large[1]["shared"], "one label has 19 rows and the other 20"
    verdicts = {one["shots"]: one["verdict"] for one in study.report["comparisons"]}
    assert verdicts == {2: "no difference", 16: "splits too alike", 19: "splits too alike"}
    warned = [line for line in study.report["warnings"] if "splits share" in line]
    assert [line.partition(": ")[0] for line in warned] == ["tone & mood, 16 per label", "tone & mood, 19 per label"]
    assert [line.partition("; more labelled rows")[0] for line in told if "splits share" in line] == [
        line.replace("tone & mood", "task 'tone & mood'").removesuffix(".") for line in warned
    ]
    assert [place["shots"] for place in study.report["power"]["alike_splits"]] == [16, 19]


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"methods": ("pet", "magic")}, SettingsError, "'magic' unknown; legal are pet"),
        ({"shots": (0, 4)}, SettingsError, "at least 1 each"),
        ({"shots": (400,)}, DataError, "'negative' has 19 of 400 rows"),
        ({"draw": "odd"}, SettingsError, "per-class, by-chance"),
        ({"draw": "given"}, SettingsError, "--draw is 'given'; legal are per-class, by-chance"),
        ({"splits": "given", "shots": (16,), "draw": "per-class"}, SettingsError, "(?s)--shots goes with drawn splits.*--draw goes with"),
        ({"splits": "some"}, SettingsError, "given:FOLDER"),
        ({"splits": "given:none", "shots": None}, DataError, "folders with splits there: few"),
        ({"seeds": 0, "calibration_folds": 1}, SettingsError, "2 problems"),
        ({"methods": "tfidf"}, SettingsError, r"^study: --methods is 'tfidf', one string; a list such as \['tfidf'\] is legal\n"),
        ({"shots": 4}, SettingsError, r"^study: --shots is 4; a list of whole numbers such as \[4, 16\] is legal"),
        ({"shots": ("4",)}, SettingsError, r"^study: --shots is \['4'\]; each must be a whole number"),
        ({"splits": 1.5, "seeds": "2"}, SettingsError, r"(?s)^study: 2 problems\n  - --splits is 1.5; .*--seeds is '2'"),
        (
            {"test_limit": -10},
            SettingsError,
            "^study: --test-limit is -10; a whole number, at least 1, is legal, or none for all test rows",
        ),
        ({"test_limit": 0}, SettingsError, "^study: --test-limit is 0"),
        ({"pool_from_test": -1}, SettingsError, "^study: --pool-from-test is -1; a whole number is legal, 0 for none"),
        ({"workers": 0}, SettingsError, "^study: --workers is 0; a whole number, at least 1, is legal"),
        ({"unlabeled": ["a.txt"]}, SettingsError, "^unlabeled is .*, a list; a path is legal"),
        ({"pool_from_test": 16}, DataError, "some must remain"),
        ({"data": "nowhere"}, DataError, "no train file"),
        ({"unlabeled": "", "test": ""}, DataError, "--unlabeled and --test are empty"),
        (
            {"settings": {"supervised.batch": 5000, "member.batch": 65}, "methods": ("pet", "ipet", "supervised")},
            SettingsError,
            r"(?s)^settings: 4 problems\n  - task 'tone & mood', 2 per label \(pet\): member.batch is 65, and there are 4 labelled rows; "
            r"at most 32 is legal\n.*2 per label \(supervised\): supervised.batch.*at most 32.*4 per label.*8 labelled rows; at most 64 ",
        ),
    ],
)
def test_mistakes_leave_nothing_behind(
    changes: dict[str, Any], kind: type[Exception], words: str, model: Path, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=words):
        tiny_study(tmp_path / "out", **{"data": data, "model": model, **changes})
    assert not (tmp_path / "out").exists()


def test_an_earlier_study_has_to_be_comparable_before_anything_is_trained(
    done: StudyResult, model: Path, data: Path, tmp_path: Path
) -> None:
    notices: list[str] = []
    options: dict[str, Any] = {"methods": ("tfidf",), "on_notice": notices.append, "against": done.report}
    for changes, words in (({"test_limit": 10}, "tone & mood: test rows differ"), ({"shots": (2,)}, "none of the new study's methods")):
        with pytest.raises(RunError, match=words):
            tiny_study(tmp_path / "out", data, model, **{"shots": (4,), **options, **changes})
    assert not (tmp_path / "out").exists()
    tiny_study(tmp_path / "out", data, model, shots=(4,), **options)
    pool = f"task 'tone & mood': no unlabeled file in {data}, so the pool is train.jsonl without its labels; see --unlabeled"
    alike = "task 'tone & mood', 4 per label: two splits share 1 of 4 labelled rows of a label on average"
    assert (notices[0], notices[1].partition(", since")[0], len(notices)) == (pool, alike, 2)
    notices.clear()
    tiny_study(tmp_path / "other", data, model, shots=(4,), **options, settings={"seed": "1"})
    assert notices == [
        "tone & mood, 4 per label: the earlier study had other splits, so differences are not paired, and only larger ones are found",
        pool,
    ]
    notices.clear()
    with pytest.raises(RunError, match="seed"):
        tiny_study(tmp_path / "out", data, model, shots=(4,), **options, settings={"seed": "1"})
    assert notices == [], "nothing is told of a folder that cannot be used"


def test_quotes_may_mean_nothing(model: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name, texts in (("train", sentences()[:8]), ("test", sentences()[8:12])):
        rows = [f'"{text}\t{("negative", "positive")[index % 2]}\n' for index, text in enumerate(texts)]
        (tmp_path / "data" / f"{name}.tsv").write_text("".join(["text\tlabel\n", *rows]))
    options: dict[str, Any] = {"data": tmp_path / "data", "model": model, "methods": ("majority",), "shots": (1,), "splits": 1}
    with pytest.raises(DataError, match="--no-quotes"):
        tiny_study(tmp_path / "out", **options)
    found = tiny_study(tmp_path / "out", **options, quotes=False)
    (tested,) = found.path.glob("stages/*.rows/test.parquet")
    assert all(text.startswith('"') for text in load_rows(tested).fields["text"])


def test_a_pool_out_of_the_test_leaves_it(model: Path, data: Path, tmp_path: Path) -> None:
    study = tiny_study(
        tmp_path / "out", data, model, pool_from_test=6, methods=("single",), shots=(2,), splits=1, settings={"patterns": "0"}
    )
    facts = study.report["tasks"][0]["data"]
    assert (facts["pool"]["rows"], facts["test"]["rows"]) == (6, 10)
    assert sum(facts["pool"]["class_counts"]) == 6
    assert cell(study, "single")["generations"][0]["pool_accuracy"] is not None


def test_files_that_a_study_does_not_use_are_not_needed(model: Path, tmp_path: Path) -> None:
    data, told = tiny_data(tmp_path / "data"), list[str]()
    for name in ("unlabeled.jsonl", "unlabeled.txt", "few/13/dev.csv", "few/train_log.txt"):
        (data / name).write_text("no rows\n")
    options: dict[str, Any] = {"splits": "given", "shots": None, "methods": ("majority",), "on_notice": told.append}
    study = tiny_study(tmp_path / "out", data, model, **options, pool_from_test=6)
    assert study.report["study"]["splits"] == 2
    assert told == [f"task 'tone & mood': {data}/few/train_log.txt is not read (a .txt file has no labels)"]


def test_what_is_given_as_several_may_be_anything_that_yields_them(model: Path, data: Path, tmp_path: Path) -> None:
    tasks = {name: Task(name=name, fields=("text",), patterns="{mask}: {text}", verbalizer=WORDS) for name in ("one", "two")}
    options: dict[str, Any] = {"model": str(model), "splits": 1, "device": "cpu", "methods": (one for one in ("majority",))}
    places = {f"{name}={data}": None for name in tasks}
    study = evaluate((task for task in tasks.values()), data=places.keys(), out=tmp_path / "out", shots={8, 4}, **options)
    assert [(c["task"], c["shots"], c["method"]) for c in study.report["cells"]] == [
        (name, shots, "majority") for name in tasks for shots in (4, 8)
    ]


def test_two_tasks_lie_in_folders_called_like_them(model: Path, tmp_path: Path) -> None:
    tasks = [Task(name=name, fields=("text",), patterns="{mask}: {text}", verbalizer=WORDS) for name in ("one", "two")]
    for task in tasks:
        tiny_data(tmp_path / "data" / task.name)
    study = evaluate(
        tasks, data=tmp_path / "data", out=tmp_path / "out", model=str(model), methods=("tfidf",), shots=(2,), splits=2, device="cpu"
    )
    assert [c["task"] for c in study.report["cells"]] == ["one", "one", "two", "two"]


def test_two_task_files_on_one_data_set_are_paired_split_by_split(model: Path, data: Path, tmp_path: Path) -> None:
    tasks = [Task(name=name, fields=("text",), patterns="{mask}: {text}", verbalizer=WORDS) for name in ("one", "two")]
    places = [f"{task.name}={data}" for task in tasks]
    study = evaluate(
        tasks, data=places, out=tmp_path / "out", model=str(model), methods=("tfidf", "majority"), shots=(2,), splits=2, device="cpu"
    )
    mean = study.report["comparisons"][0]
    assert (mean["task"], mean["splits"]) == (None, 2)
    assert mean["strata"] == [{"tasks": ["one", "two"], "splits": 2}]


def test_unknown_tokens_are_looked_for_in_all_splits(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def looked(task: Task, parts: Any, *rest: Any, **options: Any) -> dict[str, float]:
        asked.append(len(parts["train"]))
        return dict.fromkeys(parts, 0.0)

    monkeypatch.setattr("petkit.evaluation.checks.check_known", looked)
    data = tiny_data(tmp_path / "data")
    tiny_study(tmp_path / "out", data, model, methods=("label-embedding",), splits="given", shots=None)
    assert asked == [16], "the first split alone has 8 rows"


def test_texts_that_the_tokenizer_hardly_knows_are_told_and_reported(model: Path, tmp_path: Path) -> None:
    data, told = tiny_data(tmp_path / "data"), list[str]()
    for name, count in (("train", 40), ("test", 16)):
        write(data / f"{name}.jsonl", tuple("\u8fd9\u91cc" * 3 + f"{name[1]}{number}" for number in range(count)))
    report = tiny_study(tmp_path / "study", data, model, methods=("pet",), splits=1, shots=(2,), on_notice=told.append).report
    (notice,) = [line for line in told if "unknown" in line]
    assert notice.startswith("task tone & mood: ")
    assert "are unknown to the model's tokenizer; take a checkpoint for the language of the texts" in notice
    assert f"{notice.removeprefix('task ')}." in report["warnings"]
    write(data / "train.jsonl", tuple("\u8fd9" * (number + 1) for number in range(40)))
    with pytest.raises(ModelError, match="knows no token of the labelled and the unlabelled rows of task 'tone & mood'"):
        tiny_study(tmp_path / "other", data, model, methods=("supervised",))


@pytest.mark.slow
def test_another_pool_changes_the_results_of_those_methods_that_merging_takes_to_depend_on_it(
    model: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "raw.txt").write_text("\n".join(f"{text} again and again" for text in sentences()[30:]), "utf-8")
    few: dict[str, Any] = {"shots": (2,), "splits": 1, "calibration_folds": 0}
    one, other = (
        tiny_study(tmp_path / name, data, model, **few, **more) for name, more in (("a", {}), ("b", {"unlabeled": tmp_path / "raw.txt"}))
    )

    def predicted(result: StudyResult, method: str) -> Any:
        return pq.read_table(result.path / cell(result, method)["predictions"], columns=["p:negative"]).to_pydict()

    assert {method for method in METHODS if predicted(one, method) != predicted(other, method)} == set(POOLED)
