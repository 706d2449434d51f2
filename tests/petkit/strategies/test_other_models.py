"""Causal models, and those that read and write: the same strategies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from petkit.adapted import insert_adapters
from petkit.errors import SettingsError
from petkit.strategies import strategy
from petkit.strategies.adapters import Adapter
from petkit.strategies.anatomy import depth, ends, head_parameters, layers, parts, queries
from petkit.strategies.lora import inject_lora, merge_lora
from petkit.strategies.preparing import prepared
from petkit.training import TrainSettings, seeded, train
from tests.petkit.finetuning.tiny import reader, writer
from tests.petkit.strategies.tiny import changed, snapshot

CAUSAL, WRITING = ("gpt2", "llama", "qwen2"), ("t5", "bart")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: (reader if kind in CAUSAL else writer)(kind, root / kind) for kind in (*CAUSAL, *WRITING)}


def opened(kind: str, folders: dict[str, Path]) -> Any:
    """A causal model as a classifier, with a head drawn at random; the others as they write."""
    if kind in WRITING:
        return transformers.AutoModelForSeq2SeqLM.from_pretrained(folders[kind]).eval()
    torch.manual_seed(0)
    options: dict[str, Any] = {"num_labels": 2, "pad_token_id": 0}
    return transformers.AutoModelForSequenceClassification.from_pretrained(folders[kind], **options).eval()


def inputs(kind: str) -> dict[str, Tensor]:
    ids = torch.arange(3, 27).reshape(2, 12)
    return {"input_ids": ids, "labels": ids[:, :5].contiguous() if kind in WRITING else torch.tensor([0, 1])}


def trained(kind: str, how: str, folders: dict[str, Path], *, steps: int = 4) -> tuple[Any, dict[str, Tensor]]:
    model, given = opened(kind, folders), inputs(kind)
    before = snapshot(model)
    settings = TrainSettings(steps=steps, learning_rate=0.01, weight_decay=0.5)
    with prepared(model, strategy(how), seed=1) as before_step:
        train(model, lambda *_: {"loss": model(**given).loss}, settings, seed=1, stage="t", before_step=before_step)
    return model, before


def names(model: Any, wanted: list[torch.nn.Parameter]) -> set[str]:
    ids = {id(p) for p in wanted}
    return {name for name, p in model.named_parameters() if id(p) in ids}


@pytest.mark.parametrize("kind", [*CAUSAL, *WRITING])
def test_each_weight_is_in_one_part(kind: str, folders: dict[str, Path]) -> None:
    model = opened(kind, folders)
    found = parts(model)
    assert sorted(id(p) for part in found for p in part) == sorted(id(p) for p in model.parameters())
    assert len(found) == 2 + (2 if kind in CAUSAL else 4)
    assert names(model, head_parameters(model)) == ({"score.weight"} if kind in CAUSAL else set())
    assert (len(ends(model)), len(queries(model))) == {
        "gpt2": (4, 2),
        "llama": (4, 4),
        "qwen2": (4, 4),
        "t5": (2 * 2 + 2 * 3, 2 * 2 + 2 * 4),
        "bart": (2 * 2 + 2 * 3, 2 * 2 + 2 * 4),
    }[kind]
    assert all(".1." in name or "norm" in name or "ln_f" in name for name in names(model, found[1])), "the last layer"
    if kind in WRITING:
        assert all("decoder" in name for part in found[1:3] for name in names(model, part))
        assert all("encoder" in name for part in found[3:5] for name in names(model, part))


@pytest.mark.parametrize("kind", [*CAUSAL, *WRITING])
def test_a_config_tells_how_many_layers_there_are(kind: str, folders: dict[str, Path]) -> None:
    """Those of the decoder too."""
    model = opened(kind, folders)
    assert depth(model.config) == len(layers(model))


@pytest.mark.parametrize("kind", [*CAUSAL, *WRITING])
def test_last_layers_change_and_nothing_else_does(kind: str, folders: dict[str, Path]) -> None:
    model, before = trained(kind, "last:1", folders)
    legal = names(model, [p for part in parts(model)[:2] for p in part])
    assert changed(model, before) <= legal
    assert len(changed(model, before)) > 0.7 * len(legal)


@pytest.mark.parametrize("kind", [*CAUSAL, *WRITING])
def test_gradual_unfreezing_begins_at_the_top(kind: str, folders: dict[str, Path]) -> None:
    """With as many updates as phases every part changes in the end; the first update changes the top alone."""
    model = opened(kind, folders)
    top = names(model, parts(model)[0] or parts(model)[1])
    with prepared(model, strategy("gradual"), seed=1) as before_step:
        assert before_step is not None
        before_step(0, 10)
        assert {name for name, p in model.named_parameters() if p.requires_grad} == top
        before_step(9, 10)
        assert all(p.requires_grad for p in model.parameters())
    model, before = trained(kind, "gradual", folders, steps=5)
    assert len(changed(model, before)) > 0.8 * len(before)


@pytest.mark.parametrize("kind", [*CAUSAL, *WRITING])
def test_adapters_start_near_identity_and_are_all_used(kind: str, folders: dict[str, Path]) -> None:
    model, given = opened(kind, folders), inputs(kind)
    with torch.inference_mode():
        before = model(**given).logits
        with seeded(1):
            insert_adapters(model, 64)
        after = model(**given).logits
        assert 0 < float((after - before).abs().max()) < 1e-3 * float(before.abs().max())
        for adapter in (module for module in model.modules() if isinstance(module, Adapter)):
            for linear in (adapter.down, adapter.up):
                torch.nn.init.normal_(linear.weight, std=0.5)
            now = model(**given).logits
            assert not torch.equal(now, after)
            after = now


@pytest.mark.parametrize("kind", [*CAUSAL, *WRITING])
def test_lora_is_merged_and_gone(kind: str, folders: dict[str, Path]) -> None:
    pytest.importorskip("peft")
    model, given = opened(kind, folders), inputs(kind)
    listed = list(snapshot(model))
    with seeded(1):
        matrices = inject_lora(model, 2)
    for matrix in matrices:
        torch.nn.init.normal_(matrix, std=0.3)
    with torch.inference_mode():
        beside = model(**given).logits
        merge_lora(model)
        merged = model(**given).logits
    torch.testing.assert_close(merged, beside, atol=1e-4, rtol=1e-4)
    assert list(snapshot(model)) == listed


@pytest.mark.parametrize("kind", WRITING)
def test_a_head_that_is_not_there_is_not_trained_alone(kind: str, folders: dict[str, Path]) -> None:
    with pytest.raises(SettingsError, match="last:0 trains the head alone, and this model has none of its own"):
        trained(kind, "last:0", folders)
