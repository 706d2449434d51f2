"""Baselines without a trained language model, against scikit-learn, transformers, and cases with a known answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from petkit.backbones import load_masked_lm, load_tokenizer
from petkit.baselines import fit_logistic, held_out_scores, logistic_scores
from petkit.encoding import Encoder
from petkit.evaluation.latency import latency
from petkit.evaluation.simple import embed, label_names, majority_unit
from petkit.losses import fit_temperature
from petkit.pvp import Task
from petkit.rowfiles import load_scores
from petkit.rows import Rows
from petkit.stages import Stage
from tests.petkit.stage_runs import context_for, deposit, spec_of, texts, tiny_settings
from tests.tiny_train import TASK, tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


def stage(model: Path, tmp_path: Path) -> Stage:
    settings = tiny_settings(max_length=24, token_budget=64)
    return Stage.of(spec_of(TASK, settings, model=model), context_for(tmp_path, "x", seed=1))


def test_embeddings_are_means_of_the_last_layer(model: Path, tmp_path: Path) -> None:
    rows, tokenizer, masked = texts(7), load_tokenizer(str(model)), load_masked_lm(str(model))
    found = embed(masked, Encoder(tokenizer, max_length=24), rows, TASK, stage=stage(model, tmp_path))
    for i, text in enumerate(rows.fields["text"]):
        inputs = tokenizer(text, truncation=True, max_length=24, return_tensors="pt")
        with torch.inference_mode():
            expected = masked.model.bert(**inputs).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(found[i], expected.numpy(), atol=1e-5)


def test_held_out_scores_are_of_models_that_have_not_seen_the_row() -> None:
    rng = np.random.default_rng(0)
    features, truth = rng.normal(size=(24, 40)), [0, 1] * 12  # noise: what is learned by heart does not hold elsewhere
    held_out = held_out_scores(features, truth, labels=2, seed=3)
    assert held_out is not None
    own = logistic_scores(LogisticRegression(C=1000).fit(features, truth), features, labels=2)
    right = np.asarray(truth)
    assert (own.argmax(1) == right).mean() == 1
    assert (held_out.argmax(1) == right).mean() < 0.8
    assert fit_temperature(1000 * held_out, np.eye(2)[right]) > fit_temperature(1000 * own, np.eye(2)[right])
    assert held_out_scores(features[:3], [0, 1, 1], labels=2, seed=3) is None


def test_labels_that_no_row_has_get_next_to_nothing() -> None:
    features = np.array([[0.0], [1.0], [0.1], [0.9]])
    scores = logistic_scores(fit_logistic(features, [0, 2, 0, 2], seed=0), features, labels=3)
    assert scores.argmax(1).tolist() == [0, 2, 0, 2]
    assert (scores[:, 1] == -30).all()
    lone = logistic_scores(fit_logistic(features, [1, 1, 1, 1], seed=0), features, labels=3)
    assert lone.tolist() == [[-30, 0, -30]] * 4


def test_label_names_are_words_unless_they_are_numbers() -> None:
    words = {"Sci/Tech": "Tech", "World": "World"}
    assert label_names(Task(name="t", fields=("text",), patterns="{mask}: {text}", verbalizer=words)) == ("Sci Tech", "World")
    stars = {"1": ("bad", "terrible"), "5": "great"}
    assert label_names(Task(name="t", fields=("text",), patterns="{mask}: {text}", verbalizer=stars)) == ("bad terrible", "great")


def test_the_majority_is_that_of_the_labelled_rows(tmp_path: Path) -> None:
    train = texts(5).with_labels((1, 1, 0, 1, 0))
    deposit(tmp_path, train=train, test=texts(3, start=10, labels=2))
    spec: dict[str, Any] = {**spec_of(TASK, tiny_settings()), "inner": {"function": "", "name": "majority", "names": {"rows": "rows"}}}
    context = context_for(tmp_path, "majority", seed=1)
    majority_unit(spec, context)
    np.testing.assert_allclose(np.exp(load_scores(context.out / "test.parquet")), [[3 / 7, 4 / 7]] * 3, atol=1e-6)


def test_latency_is_in_milliseconds() -> None:
    seen: list[str] = []
    rows = Rows(("a", "b"), {"text": ("x", "y")})
    found = latency(lambda row: seen.append(row.ids[0]), rows)
    assert seen == ["a", "b", "a", "b"]
    assert found is not None
    assert 0 <= found["p50"] <= found["p95"] < 1000
    assert latency(lambda row: None, rows.select([])) is None
