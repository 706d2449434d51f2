"""Classifiers and ensembles on new texts, against plain pipelines and against sums by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import transformers
from scipy.special import softmax

from petkit.backbones import load_masked_lm, load_tokenizer
from petkit.encoding import Encoder
from petkit.errors import DataError, ModelError, RunError, UserError
from petkit.predicting import Classifier, Ensemble, rows_of
from petkit.pvp import Task
from petkit.rows import Rows
from petkit.runs import RunFolder
from petkit.scoring import score_rows
from petkit.settings import Settings
from tests.builders import sentences, tiny_masked_lm
from tests.tiny_runs import PAIRS, TOPICS, tiny_classifier, tiny_ensemble, write

TEXTS = [*sentences()[:12], "", "one", " ".join(sentences()[12:30])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_classifier(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_ensemble(tmp_path_factory.mktemp("ensemble"))


def by_pipeline(folder: Path, inputs: Any) -> np.ndarray:
    pipe = transformers.pipeline("text-classification", model=str(folder), top_k=None, device="cpu")
    found = [pipe(one, truncation=True, max_length=64) for one in inputs]
    labels = Classifier.load(folder, device="cpu").labels
    rows = [one[0] if isinstance(one[0], list) else one for one in found]
    scores = [{entry["label"]: entry["score"] for entry in row} for row in rows]
    return np.array([[row[label] for label in labels] for row in scores])


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "albert", "deberta-v2", "electra", "modernbert"])
def test_one_text_gives_what_a_plain_pipeline_gives(family: str, tmp_path: Path) -> None:
    folder = tiny_classifier(tmp_path, family=family)
    found = Classifier.load(folder, device="cpu").predict_proba(TEXTS)
    assert (found.shape, found.dtype) == ((len(TEXTS), 3), np.float32)
    assert np.ptp(found, axis=0).max() > 1e-3, "the texts must differ, or nothing is compared"
    np.testing.assert_allclose(found, by_pipeline(folder, TEXTS), atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_pair_gives_what_a_plain_pipeline_gives(family: str, tmp_path: Path) -> None:
    folder = tiny_classifier(tmp_path, PAIRS, family=family)
    pairs = [(a, b or "two") for a, b in zip(TEXTS, reversed(TEXTS), strict=True)]  # plain tokenizers take a pair with "" for one text
    found = Classifier.load(folder, device="cpu").predict_proba(pairs)
    np.testing.assert_allclose(found, by_pipeline(folder, [{"text": a, "text_pair": b} for a, b in pairs]), atol=1e-5)


def test_batches_change_nothing(folder: Path) -> None:
    classifier = Classifier.load(folder, device="cpu")
    alone = np.concatenate([classifier.predict_proba([text]) for text in TEXTS])
    few = Classifier(classifier.task, classifier.model, classifier.encoder, token_budget=70)
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), alone, atol=1e-6)
    np.testing.assert_allclose(few.predict_proba(TEXTS), alone, atol=1e-6)


def test_labels_are_those_of_the_largest_probabilities(folder: Path) -> None:
    classifier = Classifier.load(folder, device="cpu")
    best = classifier.predict_proba(TEXTS).argmax(axis=1)
    assert classifier.predict(TEXTS) == [("World", "Sports", "Business")[i] for i in best]
    assert classifier.predict_proba([]).shape == (0, 3)


def test_strings_tuples_dicts_and_rows_mean_the_same() -> None:
    forms: list[Any] = [["a", "b"], [("a",), ("b",)], [{"text": "a", "other": "x"}, {"text": "b"}]]
    assert {tuple(rows_of(form, ("text",)).fields["text"]) for form in forms} == {("a", "b")}
    rows = rows_of(["a"], ("text",))
    assert rows_of(rows, ("text",)) is rows


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("a", "list of texts"),
        (["a"], "text 1 must give the fields premise, hypothesis as strings; it has 1 of them"),
        ([("a", "b"), ("a", "b", "c")], "text 2 .* 3 of them"),
        ([{"premise": "a", "text": "b"}], "the keys premise, text"),
        ([("a", 3)], "text 1 must give the fields premise, hypothesis as strings; its hypothesis is 3, a int"),
        ([("a", "b"), {"premise": "a", "hypothesis": None}], "text 2 must give the fields .*; its hypothesis is None, a NoneType"),
        ([("a", "b"), None], "text 2 is None, a NoneType; a text is a string"),
        ([float("nan")], "text 1 is nan, a float; a text is a string"),
        ([7], "text 1 is 7, a int; a text is a string"),
        ([b"ab"], "text 1 is b'ab', a bytes; a text is a string"),
        ([np.float64("nan")], "text 1 is .*nan.*, a float64; a text is a string"),
    ],
)
def test_texts_that_do_not_fit_are_named(texts: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        rows_of(texts, ("premise", "hypothesis"))


def test_a_run_folder_means_its_classifier_wherever_that_lies(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "run" / "classifier")
    write(tmp_path / "run" / "run.json", {})
    found = Classifier.load(tmp_path / "run", device="cpu")
    assert found.predict(["one"]) == Classifier.load(tmp_path / "run" / "classifier", device="cpu").predict(["one"])


def test_pattern_functions_of_a_file_that_is_gone_do_not_matter(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    card = json.loads((copy / "petkit.json").read_text())
    card["task"] |= {"origin": "gone.py", "file": "0" * 64, "pvps": [["ask", [["World", ["World"]]]]]}
    write(copy / "petkit.json", card)
    assert Classifier.load(copy, device="cpu").predict(["one"]) == Classifier.load(folder, device="cpu").predict(["one"])


def unfinished(root: Path) -> None:
    write(root / "run.json", {})


def without_classifier(root: Path) -> None:
    write(root / "run.json", {})
    write(root / "report.json", {"settings": {"method": "tfidf"}})


def robbed(root: Path) -> None:
    members = [{"generation": 0, "seed": 0}]
    write(root / "run.json", {})
    write(root / "report.json", {"settings": {"method": "pet", "keep_members": "last"}, "scores": {"members": members}})


def pretraining(root: Path) -> None:
    write(root / "run.json", {})
    (root / "model").mkdir()


def foreign(root: Path) -> None:
    write(root / "other.json", {})


@pytest.mark.parametrize("load", [Classifier.load, Ensemble.load])
@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (unfinished, RunError, "is not finished.*petkit status"),
        (without_classifier, RunError, "finished run without .*method tfidf"),
        (robbed, RunError, "finished run whose .* is missing or damaged.*petkit train command .* restores it"),
        (pretraining, RunError, "is a pretraining run.*--model"),
        (foreign, ModelError, "neither a run nor a classifier"),
        (lambda root: None, RunError, "no such folder"),
    ],
)
def test_folders_without_an_answer_say_why(load: Any, make: Any, kind: type[UserError], message: str, tmp_path: Path) -> None:
    make(tmp_path / "run")
    with pytest.raises(kind, match=message):
        load(tmp_path / "run")


def test_a_classifier_alone_has_no_ensemble_and_says_where_one_lies(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is a classifier alone.*\(petkit label RUN\).*petkit predict"):
        Ensemble.load(folder)
    classifier = Path(shutil.copytree(folder, tmp_path / "run" / "classifier"))
    write(tmp_path / "run" / "ensemble.json", {})
    with pytest.raises(RunError, match=rf"\(petkit label {tmp_path / 'run'}\)"):
        Ensemble.load(classifier)


def test_other_labels_than_the_card_says_are_refused(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    card = json.loads((copy / "petkit.json").read_text())
    write(copy / "petkit.json", card | {"labels": ["World", "Business", "Sports"]})
    with pytest.raises(ModelError, match="has the labels World, Sports, Business"):
        Classifier.load(copy)


@pytest.mark.parametrize(
    ("change", "message"), [({"schema": 2}, "schema 2"), ({"task": None}, "no task"), ({"max_length": None}, "no max_length")]
)
def test_damaged_cards_are_refused(folder: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    card = json.loads((copy / "petkit.json").read_text()) | change
    write(copy / "petkit.json", {name: value for name, value in card.items() if value is not None})
    with pytest.raises(ModelError, match=message):
        Classifier.load(copy)


def test_a_masked_lm_is_no_classifier(folder: Path, tmp_path: Path) -> None:
    tiny_masked_lm("bert", tmp_path)
    shutil.copy(folder / "petkit.json", tmp_path)
    with pytest.raises(ModelError, match="lacks weights of a classifier"):
        Classifier.load(tmp_path)


def test_an_ensemble_mixes_scores_by_weight(ensemble: Path) -> None:
    found = Ensemble.load(ensemble, device="cpu")
    rows = rows_of(TEXTS, ("text",))
    scores = []
    for index in range(2):
        path = str(ensemble / f"stages/g0-p{index}-s0/model")
        encoder = Encoder(load_tokenizer(path), max_length=64)
        scores.append(score_rows(load_masked_lm(path), encoder, rows, TOPICS.pvps[index], token_budget=1000))
    expected = softmax(0.75 * scores[0] + 0.25 * scores[1], axis=1)
    assert found.labels == TOPICS.labels
    assert np.abs(scores[0] - scores[1]).max() > 0.01
    np.testing.assert_allclose(found.predict_proba(TEXTS), expected, atol=1e-5)
    assert found.predict(TEXTS) == [TOPICS.labels[i] for i in expected.argmax(axis=1)]


@pytest.mark.parametrize(
    ("trained_on", "device", "precision", "budget"),
    [
        ("cuda", "cpu", "float32", 8192),
        ("cpu", "cpu", "float32", 70),
        (None, "cpu", "float32", 70),
        ("cuda:1", "cuda", "bfloat16", 70),
        ("cpu", "cuda", "bfloat16", 65536),
        ("mps", "cuda:0", "float32", 70),
    ],
)
def test_an_ensemble_labels_as_its_device_can(
    trained_on: str | None, device: str, precision: str, budget: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_ensemble(tmp_path, settings=Settings(max_length=64, token_budget=70, precision="bfloat16"))
    if trained_on is not None:
        with RunFolder.open(tmp_path / "run", settings={"device": trained_on}, inputs={}, versions={}):
            pass
        shutil.copy(tmp_path / "run" / "run.json", folder / "run.json")
    monkeypatch.setattr("petkit.predicting.choose_device", lambda name: name)
    monkeypatch.setattr("petkit.predicting.default_precision", lambda name: "bfloat16" if name == "cuda" else "float32")
    monkeypatch.setattr("petkit.predicting._open_member", lambda *_: None)
    found = Ensemble.load(folder, device=device).settings
    assert (found.precision, found.token_budget, found.max_length) == (precision, budget, 64)


def test_an_ensemble_says_which_file_its_pattern_functions_came_from(ensemble: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(ensemble, tmp_path / "copy"))
    card = json.loads((copy / "ensemble.json").read_text())
    card["task"] |= {"origin": str(tmp_path / "gone.py"), "file": "0" * 64}
    write(copy / "ensemble.json", card)
    with pytest.raises(UserError, match=r"gone\.py"):
        Ensemble.load(copy)


def test_a_task_of_three_fields_is_joined_for_the_classifier(tmp_path: Path) -> None:
    task = Task(name="three", fields=("a", "b", "c"), patterns="{mask} {a} {b} {c}", verbalizer={"n": "bad", "p": "good"})
    classifier = Classifier.load(tiny_classifier(tmp_path, task), device="cpu")
    np.testing.assert_allclose(classifier.predict_proba([("x y", "z", "w")]), by_pipeline(tmp_path, ["x y z w"]), atol=1e-5)


@pytest.mark.parametrize(("kind", "message"), [("study", "is a study"), ("finetuning", "is a fine-tuning run; its model")])
def test_folders_of_other_commands_are_told_by_what_they_are(tmp_path: Path, kind: str, message: str) -> None:
    (tmp_path / "report.json").write_text(json.dumps({"kind": kind}))
    with pytest.raises(RunError, match=message):
        Classifier.load(tmp_path)


# Texts in columns


@pytest.mark.parametrize("hold", [dict, pd.DataFrame, datasets.Dataset.from_dict, pa.table])
def test_the_columns_of_a_table_are_read_and_not_their_names(hold: Any, folder: Path, ensemble: Path) -> None:
    table = hold({"number": ["1", "2", "3"], "text": TEXTS[:3]})
    for predictor in (Classifier.load(folder, device="cpu"), Ensemble.load(ensemble, device="cpu")):
        assert predictor.predict_proba(table).tolist() == predictor.predict_proba(TEXTS[:3]).tolist()
    series = pd.Series(TEXTS[:3])
    assert rows_of(series, ("text",)) == rows_of(table, ("text",)) == rows_of((text for text in TEXTS[:3]), ("text",))


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame([["a", 1, 2]], columns=["text", "x", "x"]),
        pa.Table.from_arrays([pa.array(["a"]), pa.array([1]), pa.array([2])], names=["text", "x", "x"]),
        {"text": ["a"], "note": "hi"},
        {"text": ["a"], "note": [1, 2]},
    ],
)
def test_columns_beside_the_fields_are_not_read(table: Any) -> None:
    assert rows_of(table, ("text",)) == rows_of(["a"], ("text",))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"body": ["a"]}, r"texts: 2 problems\n  - there is no column 'premise'; there are body\n  - there is no column 'hypothesis'"),
        (pd.DataFrame({"premise": ["a"]}), "^texts: there is no column 'hypothesis'; there are premise$"),
        ({"premise": ["a"], "hypothesis": [None]}, "row 1 of 'hypothesis' is None, a NoneType; a text is a string"),
        ({"premise": ["a", "b"], "hypothesis": ["c"]}, "columns of different lengths: premise 2, hypothesis 1"),
        ({"premise": "a", "hypothesis": "b"}, "column 'premise' is 'a', a str; a column is a sequence of values"),
        (datasets.DatasetDict({"test": datasets.Dataset.from_dict({"premise": ["a"]})}), "several tables are given at once"),
        (Rows(("1",), {"premise": ("a",)}), "^texts: the rows have no field 'hypothesis'; they have 'premise'$"),
        (7, "^7, a int, is given where a list of texts is needed"),
    ],
)
def test_columns_that_do_not_fit_are_named(texts: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        rows_of(texts, ("premise", "hypothesis"))


def test_both_are_shown_in_short(folder: Path, ensemble: Path) -> None:
    classifier, mixed = Classifier.load(folder, device="cpu"), Ensemble.load(ensemble, device="cpu")
    labels = ", ".join(classifier.labels)
    assert repr(classifier) == f"<Classifier: task {classifier.task.name}, labels {labels}>"
    assert repr(mixed) == f"<Ensemble: task {mixed.task.name}, labels {labels}, 2 members>"


def test_an_ensemble_on_another_device_can_hold_its_longest_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a batch of the device's usual size is smaller than one row."""
    folder = tiny_ensemble(tmp_path, settings=Settings(max_length=64, token_budget=70))
    monkeypatch.setattr("petkit.predicting.default_token_budget", lambda device: 60)
    monkeypatch.setattr("petkit.predicting.recorded", lambda root: {"device": "cuda"})
    found = Ensemble.load(folder, device="cpu")
    assert found.settings.token_budget == 64
    assert found.predict_proba(TEXTS).shape == (len(TEXTS), 3)
