"""On a GPU: the numbers of the CPU, steps that wait for nothing, bf16, the same numbers twice. All left out where there is none."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

import petkit.training
from petkit import Classifier
from petkit.backbones import MaskedLM
from petkit.classifier import train_classifier
from petkit.compute import choose_device, computing, default_precision
from petkit.encoding import Encoder
from petkit.executors import Spawned
from petkit.executors.choosing import executor_for
from petkit.losses import distillation_loss
from petkit.members import MemberData, train_member
from petkit.objectives import Vocabulary, permutation_masks, preset
from petkit.pretraining import PretrainSettings, run_pretraining
from petkit.pretraining.learners import learner_for
from petkit.pvp import PVP, Pattern, Task, Verbalizer
from petkit.runs import read_status
from petkit.scoring import score_rows
from petkit.settings import MemberSettings, Settings
from petkit.training import TrainSettings
from tests.builders import FAMILIES, random_masked_lm, sentences, tokenizer
from tests.petkit.pretraining.learners import tiny as learners
from tests.petkit.stage_runs import texts
from tests.tiny_train import snapshot, tiny_data, tiny_model, tiny_run

DEVICE = "cuda"
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

WORDS = {
    "one token": Verbalizer({"World": ("World", "number"), "Sports": "Sports", "Business": "Business"}),
    "several": Verbalizer({"World": ("World", "number table"), "Sports": "good Sports file", "Business": "Business"}),
}
STEPS = MemberSettings(steps=4, learning_rate=1e-3, batch=4, accumulate=2, unlabeled_batch=6, mlm_weight=0.25, mask_rate=0.4)


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Matrix products in float32, not in TF32, so that the CPU's numbers are the measure."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def model_of(family: str, *, dropout: float = 0.0) -> MaskedLM:
    names = {"distilbert": ("dropout", "attention_dropout"), "modernbert": ("embedding_dropout", "mlp_dropout", "attention_dropout")}
    rates: dict[str, Any] = dict.fromkeys(names.get(family, ("hidden_dropout_prob", "attention_probs_dropout_prob")), dropout)
    return MaskedLM(random_masked_lm(family, **rates))


def data_of(family: str, words: Verbalizer, *, length: int = 64, repeat: int = 1) -> MemberData:
    encoder = Encoder(tokenizer(FAMILIES[family][0]), max_length=length)
    parts = [texts(4, labels=3), texts(12, start=10, name="u")]
    parts = [replace(part, fields={"text": tuple(" ".join([text] * repeat) for text in part.fields["text"])}) for part in parts]
    return MemberData.of(encoder, PVP(Pattern("{text} ( {mask} ) || It is."), words), *parts)


def trained(
    family: str, device: str, words: Verbalizer, *, dropout: float = 0.0, precision: str = "float32", **changes: int
) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """The weights of a member after training, on the CPU, and its losses; ``changes`` are of ``data_of``."""
    model = model_of(family, dropout=dropout).to(torch.device(device))
    vocabulary = Vocabulary.of(tokenizer(FAMILIES[family][0]))
    done = train_member(model, data_of(family, words, **changes), STEPS, vocabulary, seed=1, precision=precision)
    return {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}, done.losses


@contextmanager
def forbidden_to_wait(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Inside the block an update that makes the host wait for the GPU raises; the list has an entry per update."""
    update, updates = petkit.training._update, []

    def strict(*args: Any) -> None:
        try:
            torch.cuda.set_sync_debug_mode("error")
            update(*args)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        updates.append(1)

    with monkeypatch.context() as patch:
        patch.setattr(petkit.training, "_update", strict)
        yield updates


def test_it_is_chosen_and_computes_in_bf16_where_it_can() -> None:
    assert choose_device() == DEVICE
    assert default_precision(DEVICE) == ("bfloat16" if torch.cuda.get_device_capability() >= (8, 0) else "float32")


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_label_scores_are_those_of_the_cpu(family: str, kind: str) -> None:
    model, pvp = model_of(family), PVP(Pattern("{text} ( {mask} ) || It is."), WORDS[kind])
    encoder, rows = Encoder(tokenizer(FAMILIES[family][0]), max_length=64), texts(30)
    expected = score_rows(model, encoder, rows, pvp, token_budget=2000)
    found = score_rows(model.to(torch.device(DEVICE)), encoder, rows, pvp, token_budget=2000)
    np.testing.assert_allclose(found, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_members_learn_what_they_learn_on_the_cpu(family: str, kind: str) -> None:
    expected, losses = trained(family, "cpu", WORDS[kind])
    found, theirs = trained(family, DEVICE, WORDS[kind])
    assert theirs == pytest.approx(losses, rel=1e-3)
    assert all(torch.allclose(found[name], expected[name], atol=1e-4) for name in expected)


def test_no_kernel_of_attention_is_made_for_every_shape_of_a_batch() -> None:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], acc_events=True) as profile:
        trained("bert", DEVICE, WORDS["one token"], precision="bfloat16")
    called = {event.key for event in profile.key_averages()}
    assert "aten::scaled_dot_product_attention" in called
    assert not [name for name in called if "cudnn" in name]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_step_of_a_member_waits_for_nothing(family: str, kind: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(family, DEVICE, WORDS[kind])  # the first one loads kernels and workspaces
    with forbidden_to_wait(monkeypatch) as updates:
        trained(family, DEVICE, WORDS[kind], dropout=0.1, precision=precision)
    assert len(updates) == STEPS.steps


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_step_of_a_classifier_waits_for_nothing(family: str, precision: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = random_masked_lm(family).config
    config.num_labels = 3
    how = "eager" if family == "deberta-v2" else "sdpa"
    encoder = Encoder(tokenizer(FAMILIES[family][0]), max_length=64)
    rows, task = texts(12), Task(name="t", fields=("text",), patterns="{text} {mask}", verbalizer=dict(zip("abc", "abc", strict=True)))
    encoded, settings = encoder.plain(rows, task), TrainSettings(steps=4, accumulate=2, precision=precision)

    def fit() -> float:
        model = AutoModelForSequenceClassification.from_config(config, attn_implementation=how).to(DEVICE)
        goal = np.full((len(rows), 3), 1 / 3, dtype=np.float32)
        loss = partial(distillation_loss, temperature=2.0)
        return train_classifier(model, encoded, goal, loss, settings, batch=4, pad_id=encoder.pad_id, seed=1).losses["loss"]

    fit()
    with forbidden_to_wait(monkeypatch) as updates:
        assert np.isfinite(fit())
    assert len(updates) == settings.steps


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_deterministic_runs_of_long_rows_give_the_same_numbers(family: str, precision: str) -> None:
    """Rows so long that attention's backward pass adds up a row's keys in several parts."""

    def once() -> Any:
        with computing(Settings(deterministic=True)):
            return trained(family, DEVICE, WORDS["one token"], dropout=0.1, precision=precision, length=256, repeat=40)

    (first, losses), (second, again) = once(), once()
    assert losses == again
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_deterministic_run_refuses_nothing_and_gives_the_same_numbers(tmp_path: Path) -> None:
    """Each in a process of its own: here cuBLAS was at work before."""
    model, contents = tiny_model(tmp_path / "model"), []
    for name in ("first", "second"):
        with Spawned(1) as executor:
            tiny_run(tmp_path / name, model, device=DEVICE, settings={"deterministic": True}, executor=executor)
        contents.append(snapshot(tmp_path / name))
    assert contents[0] == contents[1]


@pytest.mark.parametrize(("arch", "name"), learners.CASES)
def test_objectives_have_the_losses_of_the_cpu(arch: str, name: str) -> None:
    learner, batch = learner_for(preset(name), learners.tiny(arch, name), learners.vocabulary()).eval(), learners.batch_of(name)
    expected = learner(batch, learner.counts(batch))
    there = copy.deepcopy(learner).to(DEVICE)
    found = there(batch, there.counts(batch))
    assert {part: value.item() for part, value in found.items()} == pytest.approx({k: v.item() for k, v in expected.items()}, rel=1e-3)


def test_permutation_masks_are_built_there() -> None:
    batch = learners.batch_of("xlnet")
    arrays = [torch.from_numpy(array) for array in (batch.order, batch.selection, batch.positions)]
    try:
        torch.cuda.set_sync_debug_mode("error")
        found = permutation_masks(*(array.pin_memory().to(DEVICE, non_blocking=True) for array in arrays))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for mask, expected in zip(found, permutation_masks(*arrays), strict=True):
        assert mask.device.type == DEVICE
        assert torch.equal(mask.cpu(), expected)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_whole_run_in_bf16(workers: int, tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")
    with executor_for(workers, device=DEVICE) as executor:
        result = tiny_run(tmp_path / "run", model, device=DEVICE, executor=executor)
    recorded = json.loads((tmp_path / "run" / "run.json").read_text())
    assert recorded["settings"]["device"] == DEVICE
    assert result.report["settings"]["precision"] == default_precision(DEVICE)
    assert recorded["hardware"]["accelerator"]["name"] == torch.cuda.get_device_name()
    assert all(unit.state == "done" for unit in read_status(tmp_path / "run").units)
    some = [tiny_data()["test"].row(i)["text"] for i in range(4)]
    on_gpu, on_cpu = (Classifier.load(tmp_path / "run", device=device) for device in (DEVICE, "cpu"))
    assert on_gpu.predict(some) == on_cpu.predict(some)


@pytest.mark.parametrize("objective", ["mlm", "nsp", "electra"])
def test_pretraining_waits_for_nothing_and_learns(objective: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join("\n".join(sentences()[i : i + 4]) for i in range(0, 200, 4)))
    arch = "electra" if objective == "electra" else "bert"
    settings = PretrainSettings(
        steps=30, objectives=(objective,), arch=arch, layers=2, hidden=32, heads=2, vocabulary=300, rows=8, length=32, device=DEVICE
    )
    with forbidden_to_wait(monkeypatch) as updates:
        figures = run_pretraining([str(text)], settings, str(tmp_path / "run"))
    assert len(updates) == 30
    assert figures["loss"] < 8
