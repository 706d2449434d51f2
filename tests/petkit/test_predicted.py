"""Data sets in and out."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest

from petkit.data import read_rows
from petkit.data.predicted import predict_dataset
from petkit.errors import DataError
from petkit.predicting import Classifier
from tests.builders import sentences
from tests.tiny_runs import TOPICS, tiny_classifier

TEXTS = list(sentences()[:6])
NAMES = datasets.ClassLabel(names=["Business", "World", "Sports"])


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return Classifier.load(tiny_classifier(tmp_path_factory.mktemp("classifier")), device="cpu")


def data(label: str = "label", text: str = "text") -> datasets.Dataset:
    features = datasets.Features({text: datasets.Value("string"), label: NAMES})
    return datasets.Dataset.from_dict({text: TEXTS, label: [0, 1, 2, 0, 1, -1]}, features=features)


def test_rows_of_a_data_set() -> None:
    """Names of ClassLabel and not its indices: the task has another order. -1 hides a label."""
    rows = read_rows(data("y", "body"), TOPICS, labels="optional", columns={"text": "body", "label": "y"})
    assert rows.fields["text"] == tuple(TEXTS)
    assert [TOPICS.labels[label] if label >= 0 else None for label in rows.labels] == [
        "Business",
        "World",
        "Sports",
        "Business",
        "World",
        None,
    ]
    both = read_rows([data(), data()], TOPICS, labels="ignored")
    assert len(both) == len(set(both.ids)) == 12
    with pytest.raises(DataError, match="data set 1"):
        read_rows(data(text="body"), TOPICS, labels="ignored")


@pytest.mark.parametrize("format", ["numpy", "torch", "pandas", "arrow"])
def test_rows_of_a_data_set_whatever_its_format(format: str) -> None:
    rows = read_rows(data().with_format(format), TOPICS, labels="optional")
    assert (rows.fields, rows.labels) == (
        read_rows(data(), TOPICS, labels="optional").fields,
        read_rows(data(), TOPICS, labels="optional").labels,
    )


def test_predictions_as_a_data_set(classifier: Classifier, tmp_path: Path) -> None:
    found = predict_dataset(classifier, data())
    expected = classifier.predict_proba(TEXTS)
    assert found.column_names == ["text", "input_label", "label", "score", "probabilities"]
    assert found.features["label"].names == ["World", "Sports", "Business"]
    assert found["input_label"][:2] == [0, 1]
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-6)
    np.testing.assert_allclose(found["score"], expected.max(axis=1), atol=1e-6)
    assert [found.features["label"].int2str(label) for label in found["label"]] == classifier.predict(TEXTS)
    found.to_parquet(tmp_path / "out.parquet")
    back = read_rows(tmp_path / "out.parquet", TOPICS, labels="required")
    assert [TOPICS.labels[label] for label in back.labels] == classifier.predict(TEXTS)


def test_a_file_and_the_classifier_itself_take_data_sets_too(classifier: Classifier, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"body": text, "n": 1}) + "\n" for text in TEXTS), "utf-8")
    found = predict_dataset(classifier, file, columns={"text": "body"})
    assert found.column_names == ["body", "n", "label", "score", "probabilities"]
    assert classifier.predict(data()) == classifier.predict(TEXTS) == [found.features["label"].int2str(label) for label in found["label"]]


def test_tables_in_memory_are_taken_and_other_things_refused(classifier: Classifier) -> None:
    expected = predict_dataset(classifier, data().remove_columns("label"))
    for table in ({"text": TEXTS}, pd.DataFrame({"text": TEXTS})):
        assert predict_dataset(classifier, table).to_dict() == expected.to_dict()
    with pytest.raises(DataError, match=r"^data is a list; legal are a datasets\.Dataset"):
        predict_dataset(classifier, TEXTS)
