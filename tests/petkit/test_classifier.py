"""The final classifier's forward, training, calibration and folder, against plain transformers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from petkit.backbones import load_classifier, longest_input
from petkit.batching import collate
from petkit.classifier import classifier_logits, divide_logits, predict_logits, save_classifier, train_classifier
from petkit.encoding import Encoder
from petkit.errors import ModelError
from petkit.losses import distillation_loss, label_loss
from petkit.pvp import Task
from petkit.rows import Rows
from petkit.training import TrainSettings
from tests.builders import FAMILIES, sentences, tiny_masked_lm, tokenizer
from tests.petkit.stage_runs import texts
from tests.tiny_runs import PAIRS, TOPICS

LABELS = TOPICS.labels


def classifier(family: str, folder: Path, labels: tuple[str, ...] = LABELS) -> Any:
    """A new head on a tiny checkpoint, its weights large enough that texts differ."""
    model = load_classifier(str(tiny_masked_lm(family, folder / "mlm")), labels)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def encoded_for(family: str, rows: Rows, task: Task) -> tuple[Encoder, Any]:
    encoder = Encoder(tokenizer(FAMILIES[family][0]), max_length=48)
    return encoder, encoder.plain(rows, task)


def rows_for(task: Task) -> Rows:
    found = sentences()[:6]
    return Rows(tuple("abcdef"), {name: found if i == 0 else found[::-1] for i, name in enumerate(task.fields)})


@pytest.mark.parametrize("task", [TOPICS, PAIRS])
@pytest.mark.parametrize("family", list(FAMILIES))
def test_logits_are_those_of_plain_transformers(family: str, task: Task, tmp_path: Path) -> None:
    model, rows = classifier(family, tmp_path, task.labels), rows_for(task)
    encoder, encoded = encoded_for(family, rows, task)
    plain = tokenizer(FAMILIES[family][0])
    options = {"truncation": True, "max_length": 48, "return_tensors": "pt", "return_token_type_ids": True}
    with torch.no_grad():
        wanted = []
        for i in range(len(rows)):
            inputs = plain(*task.classifier_texts(rows.row(i)), **options)
            if getattr(model.config, "type_vocab_size", 0) < 2:
                del inputs["token_type_ids"]
            wanted.append(model(**inputs).logits[0].numpy())
        batch = classifier_logits(model, collate(encoded, range(6), pad_id=encoder.pad_id)).numpy()
    np.testing.assert_allclose(batch, wanted, atol=1e-5)
    found = predict_logits(model, encoded, pad_id=encoder.pad_id, token_budget=100)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.ptp(found, axis=0).max() > 1e-3, "or nothing is compared"


def test_prediction_has_no_dropout_and_no_rows_no_logits(tmp_path: Path) -> None:
    model = classifier("bert", tmp_path)
    encoder, encoded = encoded_for("bert", rows_for(TOPICS), TOPICS)
    one = predict_logits(model.eval(), encoded, pad_id=encoder.pad_id, token_budget=64)
    np.testing.assert_array_equal(predict_logits(model.train(), encoded, pad_id=encoder.pad_id, token_budget=64), one)
    assert predict_logits(model, encoded.select([]), pad_id=encoder.pad_id, token_budget=64).shape == (0, 3)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_dividing_the_last_layer_divides_the_logits(family: str, tmp_path: Path) -> None:
    model = classifier(family, tmp_path)
    encoder, encoded = encoded_for(family, rows_for(TOPICS), TOPICS)
    before = predict_logits(model, encoded, pad_id=encoder.pad_id, token_budget=100)
    divide_logits(model, 2.5)
    after = predict_logits(model, encoded, pad_id=encoder.pad_id, token_budget=100)
    np.testing.assert_allclose(after, before / 2.5, atol=1e-5)


def test_the_last_layer_is_found_among_others_of_its_size(tmp_path: Path) -> None:
    """As many labels as the model is wide: every layer has so many outputs."""
    model = classifier("distilbert", tmp_path, tuple(f"l{i}" for i in range(32)))
    encoder, encoded = encoded_for("distilbert", rows_for(TOPICS), TOPICS)
    before = predict_logits(model, encoded, pad_id=encoder.pad_id, token_budget=100)
    divide_logits(model, 4.0)
    np.testing.assert_allclose(predict_logits(model, encoded, pad_id=encoder.pad_id, token_budget=100), before / 4, atol=1e-5)


def test_a_model_without_such_a_layer_is_refused() -> None:
    model: Any = nn.Sequential(nn.Linear(4, 7))
    model.config = SimpleNamespace(num_labels=3)
    with pytest.raises(ModelError, match="Sequential has no linear layer with 3 outputs"):
        divide_logits(model, 2.0)


@pytest.mark.parametrize("soft", [True, False])
def test_training_fits_its_targets_and_repeats_itself(soft: bool, tmp_path: Path) -> None:
    rows = texts(6, labels=3)
    encoder, encoded = encoded_for("bert", rows, TOPICS)
    hard = np.asarray(rows.labels, dtype=np.int64)
    targets: Any = (np.eye(3, dtype=np.float32)[hard] * 0.9 + 0.1 / 3) if soft else hard

    def loss(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return distillation_loss(logits, wanted, temperature=1.0) if soft else label_loss(logits, wanted)

    def fit(seed: int) -> np.ndarray:
        model = load_classifier(str(folder), LABELS)
        how = TrainSettings(steps=60, learning_rate=5e-3, warmup=0.1)
        train_classifier(model, encoded, targets, loss, how, batch=6, pad_id=encoder.pad_id, seed=seed)
        return predict_logits(model, encoded, pad_id=encoder.pad_id, token_budget=200)

    folder = tiny_masked_lm("bert", tmp_path / "mlm", initializer_range=0.3)
    one, again, other = fit(0), fit(0), fit(1)
    assert one.argmax(axis=1).tolist() == list(rows.labels)
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_the_folder_holds_safetensors_tokenizer_card_and_task(tmp_path: Path) -> None:
    model = classifier("bert", tmp_path)
    save_classifier(model, tokenizer("wordpiece"), tmp_path / "out", task=TOPICS, max_length=48, card="# hello\n")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "petkit.json", "README.md"} <= names
    assert not {name for name in names if name.endswith((".bin", ".pt", ".pkl", ".pickle"))}
    assert (tmp_path / "out" / "README.md").read_text(encoding="utf-8") == "# hello\n"
    assert load_classifier(str(tmp_path / "out"), LABELS).config.id2label == dict(enumerate(LABELS))


def test_plain_tokenizers_hand_out_the_token_types_that_the_model_learned_with(tmp_path: Path) -> None:
    """transformers 5 leaves them out for ALBERT, and a pair would lose its border."""
    words = tokenizer("albert")
    assert "token_type_ids" not in words("one", "two")
    save_classifier(classifier("albert", tmp_path), words, tmp_path / "out", task=PAIRS, max_length=48, card="")
    saved = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")("one", "two")
    assert saved["token_type_ids"] == words("one", "two", return_token_type_ids=True)["token_type_ids"]
    assert "token_type_ids" not in words("one", "two"), "the tokenizer that was given is left alone"


@pytest.mark.parametrize(("family", "longest"), [("bert", 512), ("roberta", 512), ("deberta-v2", 512), ("modernbert", 512)])
def test_the_longest_input_counts_the_positions_that_roberta_skips(family: str, longest: int, tmp_path: Path) -> None:
    assert longest_input(classifier(family, tmp_path).config) == longest
