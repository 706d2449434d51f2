"""LoRA through peft: what changes, that merging keeps the outputs, and that nothing of peft is left in the model."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from petkit.errors import SettingsError
from petkit.strategies import strategy
from petkit.strategies.anatomy import head_parameters
from petkit.strategies.lora import check_peft, inject_lora, merge_lora
from petkit.strategies.preparing import prepared
from petkit.training import seeded
from tests.builders import FAMILIES, random_masked_lm
from tests.petkit.strategies.tiny import changed, classifier_of, member_of, random_classifier, rows_of, snapshot


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("petkit.strategies.lora.find_spec", lambda name: None if name == "peft" else found(name))
    with pytest.raises(SettingsError, match=r"needs the package peft, which is not installed: install petkit\[lora\]"):
        check_peft()
    with pytest.raises(SettingsError, match="peft"):
        member_of("bert", "lora")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("make", [random_masked_lm, random_classifier])
def test_merging_leaves_the_outputs_and_the_plain_model(family: str, make: Any) -> None:
    pytest.importorskip("peft")
    model, inputs = make(family), rows_of(family)
    names = list(snapshot(model))
    with seeded(1):
        matrices = inject_lora(model, 2)
    for matrix in matrices:
        torch.nn.init.normal_(matrix, std=0.3)
    with torch.inference_mode():
        beside = model(**inputs).logits
        merge_lora(model)
        merged = model(**inputs).logits
    torch.testing.assert_close(merged, beside, atol=1e-5, rtol=1e-5)
    assert list(snapshot(model)) == names
    assert not hasattr(model, "peft_config")


@pytest.mark.parametrize("family", FAMILIES)
def test_at_the_start_nothing_is_changed(family: str) -> None:
    pytest.importorskip("peft")
    model = random_masked_lm(family)
    before = snapshot(model)
    with prepared(model, strategy("lora"), seed=1):
        assert any("lora" in name for name in snapshot(model))
    assert not changed(model, before)
    assert all(p.requires_grad for p in model.parameters())


def _queries(name: str) -> bool:
    return name.split(".")[-2:] in [[layer, "weight"] for layer in ("query", "value", "query_proj", "value_proj", "q_lin", "v_lin", "Wqkv")]


@pytest.mark.parametrize("train_one", [member_of, classifier_of])
@pytest.mark.parametrize("family", FAMILIES)
def test_queries_values_and_head_change_and_nothing_else(family: str, train_one: Any) -> None:
    pytest.importorskip("peft")
    model, before, _ = train_one(family, "lora:2")
    inner = model.model if train_one is member_of else model
    head = {id(p) for p in head_parameters(inner)}
    moved = changed(inner, before)
    assert {name for name, p in inner.named_parameters() if name in moved and id(p) not in head} == {n for n in before if _queries(n)}
    assert len(moved) > len([name for name in before if _queries(name)]), "and the head"


def test_the_change_has_the_rank() -> None:
    pytest.importorskip("peft")
    model, before, _ = member_of("bert", "lora:2")
    name = "bert.encoder.layer.1.attention.self.query.weight"
    values = torch.linalg.svdvals((model.model.get_parameter(name) - before[name]).double())
    assert values[1] > 1e-6
    assert values[2] < 1e-3 * values[1]


def test_the_share_is_that_counted_by_hand() -> None:
    """BERT of 2 layers, H = 32: queries and values of rank 2 have 2 * (32 * 2 + 2 * 32) weights a layer."""
    pytest.importorskip("peft")
    model, before, trained = member_of("bert", "lora:2")
    matrices, head = 2 * 2 * (32 * 2 + 2 * 32), 32 * 32 + 32 + 2 * 32 + model.vocab_size
    assert trained.trained_parameters == matrices + head
    assert trained.parameters == sum(value.numel() for value in before.values()) + matrices


def test_the_same_seed_gives_the_same_weights_and_leaves_torchs_generator_alone() -> None:
    pytest.importorskip("peft")
    state = torch.get_rng_state()
    one, other = (member_of("bert", "lora")[0].model for _ in range(2))
    assert not changed(one, snapshot(other))
    assert torch.equal(torch.get_rng_state(), state)


def test_plain_transformers_opens_what_was_trained(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    model, _, _ = classifier_of("bert", "lora:2")
    model.save_pretrained(tmp_path)
    again, found = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert (list(found["missing_keys"]), list(found["unexpected_keys"])) == ([], [])
    assert not changed(again, snapshot(model))
