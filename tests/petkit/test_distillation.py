"""The final classifier: what it learns from, how it is calibrated, and that plain transformers serves it without petkit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from scipy.special import softmax

import petkit.distillation
import petkit.losses
from petkit.backbones import load_classifier, load_tokenizer
from petkit.classifier import predict_logits
from petkit.distillation import distill_unit, supervised_unit
from petkit.encoding import Encoder
from petkit.losses import fit_temperature, soft_labels
from petkit.pvp import Task
from petkit.rowfiles import load_scores, save_scores
from petkit.rows import Rows
from petkit.units import stage_folder
from tests.builders import FAMILIES, sentences, tiny_masked_lm
from tests.petkit.stage_runs import context_for, deposit, spec_of, texts, tiny_settings
from tests.tiny_runs import PAIRS, TOPICS


def rows_for(task: Task, count: int, *, start: int = 0, labels: int = 0, name: str = "r") -> Rows:
    """Rows of one field or two."""
    one = texts(count, start=start, labels=labels, name=name)
    return Rows(one.ids, {field: one.fields["text"][:: 1 - 2 * i] for i, field in enumerate(task.fields)}, one.labels)


def prepare(root: Path, task: Task, *, train: Rows | None = None, pool: Rows | None = None) -> Rows:
    """Rows, and a teacher that is sure of most pool rows; returns the pool."""
    labels = len(task.labels)
    pool = pool or rows_for(task, 12, name="u")
    train = train if train is not None else rows_for(task, 6, start=12, labels=labels)
    deposit(root, train=train, pool=pool, test=rows_for(task, 5, start=20, labels=labels, name="t"))
    stage_folder(root, "g0-ensemble").mkdir()
    scores = np.random.default_rng(0).normal(0, 4, (len(pool), labels)).astype(np.float32)
    save_scores(stage_folder(root, "g0-ensemble") / "pool.parquet", pool.ids, task.labels, scores)
    return pool


def distil(root: Path, task: Task, model: Path, **changes: Any) -> dict[str, Any]:
    spec = spec_of(task, tiny_settings(**changes), model=model, teacher="g0-ensemble")
    return distill_unit(spec, context_for(root, "classifier", "g0-ensemble"))


def folder_of(root: Path, unit: str = "classifier") -> Path:
    return stage_folder(root, unit) / "model"


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_masked_lm("bert", tmp_path_factory.mktemp("bert"), initializer_range=0.2)


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A distilled classifier of every family, for texts and for pairs."""
    root, found = tmp_path_factory.mktemp("families"), {}
    for family in FAMILIES:
        model = tiny_masked_lm(family, root / family, initializer_range=0.2)
        for task in (TOPICS, PAIRS):
            prepare(root / f"{family}-{task.name}", task)
            distil(root / f"{family}-{task.name}", task, model)
            found[f"{family}-{task.name}"] = folder_of(root / f"{family}-{task.name}")
    return found


# What it learns from


def test_labelled_rows_are_not_trained_on(bert: Path, tmp_path: Path) -> None:
    """Other labelled rows, or none, and the same classifier to the bit; other soft labels, and another."""
    files = []
    for run, train in (("a", rows_for(TOPICS, 6, start=12, labels=3)), ("b", rows_for(TOPICS, 9, start=30, labels=2)), ("c", texts(0))):
        prepare(tmp_path / run, TOPICS, train=train)
        distil(tmp_path / run, TOPICS, bert)
        files.append((folder_of(tmp_path / run) / "model.safetensors").read_bytes())
    assert files[0] == files[1] == files[2]
    prepare(tmp_path / "d", TOPICS)
    distil(tmp_path / "d", TOPICS, bert, temperature=1.0)
    assert (folder_of(tmp_path / "d") / "model.safetensors").read_bytes() != files[0]


def test_the_plain_baseline_learns_from_labelled_rows_only(bert: Path, tmp_path: Path) -> None:
    files = []
    for run, pool, start in (("a", 12, 12), ("b", 4, 12), ("c", 12, 40)):
        prepare(tmp_path / run, TOPICS, pool=rows_for(TOPICS, pool), train=rows_for(TOPICS, 6, start=start, labels=3))
        record = supervised_unit(spec_of(TOPICS, tiny_settings(), model=bert), context_for(tmp_path / run, "baseline-supervised"))
        assert record["temperature"] is None
        files.append((folder_of(tmp_path / run, "baseline-supervised") / "model.safetensors").read_bytes())
    assert files[0] == files[1] != files[2]


def test_it_learns_the_soft_labels(bert: Path, tmp_path: Path) -> None:
    pool = prepare(tmp_path, TOPICS)
    record = distil(tmp_path, TOPICS, bert, classifier__steps=60, classifier__batch=12, classifier__learning_rate=5e-3)
    wanted = load_scores(stage_folder(tmp_path, "g0-ensemble") / "pool.parquet").argmax(axis=1)
    found = [TOPICS.labels.index(one["label"]) for one in pipe_of(folder_of(tmp_path))(list(pool.fields["text"]))]
    assert np.mean(np.array(found) == wanted) > 0.8
    assert record["losses"]["loss"] < 0.3


def test_loss_and_soft_labels_have_the_same_temperature(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[np.ndarray, float]] = []
    compute = petkit.losses.distillation_loss

    def watched(logits: torch.Tensor, targets: torch.Tensor, *, temperature: float) -> torch.Tensor:
        seen.append((targets.numpy(), temperature))
        return compute(logits, targets, temperature=temperature)

    monkeypatch.setattr(petkit.distillation, "distillation_loss", watched)
    prepare(tmp_path, TOPICS)
    distil(tmp_path, TOPICS, bert, temperature=1.7)
    wanted = soft_labels(load_scores(stage_folder(tmp_path, "g0-ensemble") / "pool.parquet"), temperature=1.7)
    assert [temperature for _, temperature in seen] == [1.7] * 3
    found = np.concatenate([targets for targets, _ in seen])
    np.testing.assert_allclose(found[np.lexsort(found.T)], wanted[np.lexsort(wanted.T)], rtol=1e-6)  # 3 steps of 4 rows are the pool


def test_the_same_seed_gives_the_same_classifier(bert: Path, tmp_path: Path) -> None:
    for run in "ab":
        prepare(tmp_path / run, TOPICS)
        distil(tmp_path / run, TOPICS, bert)
    names = {path.name for path in folder_of(tmp_path / "a").iterdir()}
    assert all((folder_of(tmp_path / "a") / name).read_bytes() == (folder_of(tmp_path / "b") / name).read_bytes() for name in names)


# Calibration


def pipe_of(folder: Path) -> Any:
    return transformers.pipeline("text-classification", model=str(folder), device="cpu")


def probabilities(folder: Path, inputs: Any, labels: tuple[str, ...]) -> np.ndarray:
    return table_of(pipe_of(folder)(inputs, top_k=None), labels)


def table_of(served: Any, labels: tuple[str, ...]) -> np.ndarray:
    """A pipeline's answers as (N, C)."""
    return np.array([[{e["label"]: e["score"] for e in row}[label] for label in labels] for row in served])


def test_the_temperature_is_divided_into_the_last_layer(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain pipeline's probabilities are softmax(logits / T), and T is what fits the pool's soft labels."""
    pool = prepare(tmp_path / "divided", TOPICS)
    prepare(tmp_path / "plain", TOPICS)
    record = distil(tmp_path / "divided", TOPICS, bert)
    monkeypatch.setattr(petkit.distillation, "divide_logits", lambda model, temperature: None)
    assert distil(tmp_path / "plain", TOPICS, bert)["temperature"] == record["temperature"]
    inputs = list(pool.fields["text"])
    logits = np.log(probabilities(folder_of(tmp_path / "plain"), inputs, TOPICS.labels))
    targets = soft_labels(load_scores(stage_folder(tmp_path / "plain", "g0-ensemble") / "pool.parquet"), temperature=2.0)
    assert record["temperature"] == pytest.approx(fit_temperature(logits, targets), rel=1e-3)
    assert abs(np.log(record["temperature"])) > 0.05, "or nothing is divided"
    served = probabilities(folder_of(tmp_path / "divided"), inputs, TOPICS.labels)
    np.testing.assert_allclose(served, softmax(logits / record["temperature"], axis=1), atol=1e-5)


def test_test_scores_are_those_of_the_saved_classifier(bert: Path, tmp_path: Path) -> None:
    prepare(tmp_path, TOPICS)
    record = distil(tmp_path, TOPICS, bert)
    test = rows_for(TOPICS, 5, start=20, labels=3, name="t")
    served = probabilities(folder_of(tmp_path), list(test.fields["text"]), TOPICS.labels)
    logits = load_scores(stage_folder(tmp_path, "classifier") / "test.parquet")
    np.testing.assert_allclose(served, softmax(logits, axis=1), atol=1e-5)
    assert record["test"]["accuracy"] == pytest.approx(np.mean(served.argmax(axis=1) == np.array(test.labels)))


# The folder


def test_a_model_with_few_positions_cuts_texts_to_what_it_takes(tmp_path: Path) -> None:
    model = tiny_masked_lm("bert", tmp_path / "model", max_position_embeddings=24)
    long = Rows(tuple("abcd"), {"text": tuple(text * 4 for text in sentences()[:4])})
    prepare(tmp_path, TOPICS, pool=long)
    distil(tmp_path, TOPICS, model)
    assert json.loads((folder_of(tmp_path) / "petkit.json").read_text(encoding="utf-8"))["max_length"] == 24
    pipe = transformers.pipeline("text-classification", model=str(folder_of(tmp_path)), device="cpu")
    served: Any = pipe(list(long.fields["text"]), top_k=None, truncation=True)
    found = table_of(served, TOPICS.labels)
    np.testing.assert_allclose(found, own_probabilities(folder_of(tmp_path), TOPICS, long, max_length=24), atol=1e-5)


def test_the_folder_is_complete_and_holds_no_pickle(classifiers: dict[str, Path]) -> None:
    for folder in classifiers.values():
        names = {path.name for path in folder.iterdir()}
        assert {"model.safetensors", "config.json", "tokenizer.json", "petkit.json", "README.md"} <= names
        assert not {name for name in names if name.endswith((".bin", ".pt", ".pkl"))}
    card = (classifiers["bert-topics"] / "README.md").read_text(encoding="utf-8")
    assert "6 labelled and 12 unlabelled rows" in card
    assert "On 5 test rows: accuracy" in card
    assert "- classifier.steps: 3" in card
    kept = json.loads((classifiers["bert-topics"] / "petkit.json").read_text(encoding="utf-8"))
    assert (kept["schema"], kept["labels"], kept["max_length"], kept["task"]["name"]) == (1, list(TOPICS.labels), 64, "topics")


SERVE = """
import json, sys
sys.modules["petkit"] = None
import transformers
transformers.utils.logging.set_verbosity_error()
folders, inputs = json.loads(sys.stdin.read())
answers = {}
for name, folder in folders.items():
    pipe = transformers.pipeline("text-classification", model=folder, device="cpu")
    answers[name] = pipe(inputs[name.rsplit("-", 1)[1]], top_k=None, truncation=True)
print(json.dumps(answers))
"""


def test_plain_transformers_serves_every_family_without_petkit(classifiers: dict[str, Path]) -> None:
    """In another process where petkit cannot be imported: label names, and probabilities that depend on both texts of a pair."""
    some = texts(6, start=30).fields["text"]
    pairs = [{"text": a, "text_pair": b} for a, b in ((some[0], some[1]), (some[1], some[0]), (some[0], some[2]), (some[3], some[1]))]
    inputs = {"topics": list(some), "pairs": pairs}
    given = json.dumps([{name: str(folder) for name, folder in classifiers.items()}, inputs])
    done = subprocess.run([sys.executable, "-I", "-c", SERVE], input=given, capture_output=True, text=True, timeout=110, check=True)
    answers = json.loads(done.stdout)
    for name, folder in classifiers.items():
        task = TOPICS if name.endswith("topics") else PAIRS
        both = {"premise": tuple(pair["text"] for pair in pairs), "hypothesis": tuple(pair["text_pair"] for pair in pairs)}
        rows = texts(6, start=30) if task is TOPICS else Rows(tuple("abcd"), both)
        found = table_of(answers[name], task.labels)
        np.testing.assert_allclose(found, own_probabilities(folder, task, rows), atol=1e-5, err_msg=name)
        assert np.ptp(found, axis=0).max() > 1e-4, f"{name}: or nothing is compared"


def own_probabilities(folder: Path, task: Task, rows: Rows, *, max_length: int = 64) -> np.ndarray:
    """By the functions that trained it."""
    encoder = Encoder(load_tokenizer(str(folder)), max_length=max_length)
    model = load_classifier(str(folder), task.labels)
    found: np.ndarray = softmax(predict_logits(model, encoder.plain(rows, task), pad_id=encoder.pad_id, token_budget=512), axis=1)
    return found
