"""What a real, tiny run's page and report.json say: against the schema, and every number anew from the stored scores."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import confusion_matrix, log_loss, matthews_corrcoef

from petkit.pipeline import RunResult
from petkit.report import run_page as pages
from petkit.report.page import SECTIONS
from petkit.report.run_page import run_page, run_summary, run_warnings
from petkit.report.stored import duplicates, per_label
from petkit.rowfiles import load_rows, load_scores
from petkit.rows import Rows
from tests.petkit.report.test_study import Page, text_of
from tests.tiny_train import tiny_model, tiny_run

pytestmark = pytest.mark.slow
SCHEMA = Path(pages.__file__).parent / "schema" / "run.schema.json"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A finished run of iPET; its last member has another seed's worth of votes."""
    place = tmp_path_factory.mktemp("stored")
    return tiny_run(place / "run", tiny_model(place / "model"), figures=True)


def test_the_report_is_what_the_schema_says(done: RunResult) -> None:
    report = json.loads((done.path / "report.json").read_text("utf-8"))
    jsonschema.validate(report, json.loads(SCHEMA.read_text("utf-8")))
    assert report["kind"] == "run"
    broken = {**report, "tests": {**report["tests"], "classifier": {"accuracy": 2}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, json.loads(SCHEMA.read_text("utf-8")))


def test_all_metrics_are_those_of_the_stored_scores(done: RunResult) -> None:
    stages, temperature = done.path / "stages", done.report["temperature"]
    truth = np.asarray(load_rows(stages / "rows" / "test.parquet").labels)
    logits = load_scores(stages / "classifier" / "test.parquet").astype(np.float64)
    found = done.report["tests"]["classifier"]
    predicted = logits.argmax(axis=1)
    assert found["accuracy"] == done.report["scores"]["classifier"]["accuracy"] == pytest.approx((predicted == truth).mean())
    assert found["confusion"] == confusion_matrix(truth, predicted, labels=[0, 1]).tolist()
    assert found["mcc"] == pytest.approx(matthews_corrcoef(truth, predicted))
    assert found["temperature"] == temperature
    assert found["temperature_from"] == "pool"
    assert found["log_loss_scaled"] == pytest.approx(log_loss(truth, softmax(logits, axis=1)), abs=1e-6)
    assert found["log_loss"] == pytest.approx(log_loss(truth, softmax(logits * temperature, axis=1)), abs=1e-6)
    assert set(done.report["tests"]) == {"classifier", "ensemble", "supervised", "tfidf"}
    assert done.report["tests"]["ensemble"]["temperature"] is None


def test_wrong_rows_are_wrong_and_come_with_the_votes_of_the_last_generation(done: RunResult) -> None:
    stages, errors = done.path / "stages", done.report["errors"]
    rows = load_rows(stages / "rows" / "test.parquet")
    logits = load_scores(stages / "classifier" / "test.parquet")
    wrong = [i for i in range(len(rows)) if logits[i].argmax() != rows.labels[i]]
    assert sorted(entry["id"] for entry in errors) == sorted(rows.ids[i] for i in wrong)
    assert [entry["probability"] for entry in errors] == sorted((entry["probability"] for entry in errors), reverse=True)
    labels = done.report["labels"]
    for entry in errors:
        at = rows.ids.index(entry["id"])
        assert entry["text"] == rows.fields["text"][at]
        assert (entry["truth"], entry["predicted"]) == (labels[rows.labels[at]], labels[logits[at].argmax()])
        votes = [labels[load_scores(stages / f"g1-p{p}-s0" / "test.parquet")[at].argmax()] for p in (0, 1)]
        assert list(entry["votes"].values()) == votes


def test_the_page_lies_beside_it_and_is_made_of_it_alone(done: RunResult) -> None:
    page = (done.path / "report.html").read_text("utf-8")
    assert run_page(json.loads((done.path / "report.json").read_text("utf-8"))) == page
    accuracy = done.report["scores"]["classifier"]["accuracy"]
    assert f"The classifier gets {100 * accuracy:.1f} % of 12 test rows right" in text_of(page)
    assert "The most frequent label for every row gets 50.0 %: a difference of" in text_of(page)
    found = Page(page)
    assert (found.wrong, found.open) == ([], [])
    assert found.all("svg")
    assert len(found.all("caption")) == len(found.all("table"))
    assert [text for tag, text in found.texts if tag == "h2"] == [title for name, title in SECTIONS.items() if name != "cost"]


def test_a_page_without_test_rows_says_that_nothing_is_known(done: RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "can_draw", lambda: False)
    report = json.loads((done.path / "report.json").read_text("utf-8"))
    scores = report["scores"]
    for entry in (*scores["members"], *scores["generations"]):
        entry.update({name: None for name in ("before", "after", "ensemble") if name in entry})
    scores |= {"ensemble": None, "classifier": None, "baselines": {"supervised": None, "tfidf": None}}
    report |= {"tests": dict.fromkeys(report["tests"]), "errors": []}
    found = Page(run_page(report))
    assert "nothing is known of how good the classifier is" in text_of(run_page(report))
    gone = {"Scores", "Patterns before and after training", "Confusion matrices", "Calibration", "What it gets wrong"}
    assert gone.isdisjoint(text for tag, text in found.texts if tag == "h2")
    assert [text for tag, text in found.texts if tag == "th"][:2] == ["generation", "members agree"]
    assert "ensemble" not in [text for tag, text in found.texts if tag == "th"]


def test_labels_with_commas_and_too_few_rows_are_named(done: RunResult) -> None:
    report = json.loads((done.path / "report.json").read_text("utf-8"))
    report["labels"] = ["good, very", "bad"]
    quotas = {"quota": {"good, very": 8, "bad": 8}, "short": {"g1-p0-s0": {"good, very": 3}}}
    report["scores"]["generations"] = [{**report["scores"]["generations"][0], "generation": 1, **quotas}]
    assert "Generation 1: some labels got fewer rows than their quota, at worst 'good, very' 5 of 8." in run_warnings(report)
    assert "per label in the order &#39;good, very&#39;, bad<" in run_page(report)


def test_of_many_labels_a_page_shows_the_confusions_that_were_most_frequent(done: RunResult) -> None:
    """Of 40 labels with 3 rows each, label 7 is taken for 8 twice, 9 for 1 once, and all else is right."""
    report = json.loads((done.path / "report.json").read_text("utf-8"))
    counts = [[3 * (i == j) for j in range(40)] for i in range(40)]
    counts[7][7], counts[7][8], counts[9][9], counts[9][1] = 1, 2, 2, 1
    report["labels"] = [f"label{number}" for number in range(40)]
    report["tests"] = {"classifier": {**report["tests"]["classifier"], "confusion": counts}}
    page = run_page(report)
    cells = " ".join(text for tag, text in Page(page).texts if tag in ("th", "td"))
    assert "the 2 pairs of labels that were confused most often, of 40 labels. The whole matrix is in report.json." in text_of(page)
    assert "label7 label8 2 66.7 label9 label1 1 33.3" in cells
    assert "label7 3 100.0 33.3 50.0" in cells, "rows, precision, recall and F1"
    assert "columns what was predicted" not in text_of(page)


def test_warnings_name_what_is_doubtful(done: RunResult) -> None:
    report = json.loads((done.path / "report.json").read_text("utf-8"))
    report["data"] |= {"overlap": ["a"], "removed_from_pool": 3, "duplicates": {"train": 0, "pool": 2, "test": 0}}
    report["data"]["class_counts"] = {"train": [1, 9], "test": [6, 6]}
    text = " ".join(run_warnings(report))
    for said in (
        "1 labelled rows equal a test row",
        "3 raw rows equal a test row",
        "2 raw rows repeat another one",
        "The test has 12 rows only",
        "Labels are skewed in the labelled rows: 9 of 'positive', 1 of 'negative'",
    ):
        assert said in text
    assert "skewed in the test" not in text
    assert any("one draw of labelled rows" in line for line in run_summary(report))


def test_rows_are_counted() -> None:
    rows = Rows(("a", "b", "c", "d"), {"x": ("1", "1", "1", "2"), "y": ("1", "1", "2", "1")}, (1, 1, 0, -1))
    assert (duplicates(rows), per_label(rows, 3)) == (1, [1, 2, 0])
    assert (duplicates(None), per_label(None, 2), per_label(rows.with_labels(()), 2)) == (0, None, None)
