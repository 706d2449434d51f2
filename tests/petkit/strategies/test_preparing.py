"""Which weights each strategy changes, to the bit; how many there are; that a killed run ends as an undisturbed one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import XLNetConfig, XLNetModel

from petkit.backbones import FAMILIES as KNOWN
from petkit.backbones import MaskedLM
from petkit.errors import ModelError, SettingsError
from petkit.strategies import strategy
from petkit.strategies.anatomy import ANATOMY, head_parameters, layers, parts
from petkit.strategies.preparing import prepared, thawed
from petkit.training import TrainSettings, train
from tests.builders import FAMILIES, random_masked_lm
from tests.petkit.strategies.tiny import changed, classifier_of, member_of, random_classifier, rows_of, snapshot

HEADS = {
    "bert": "cls.",
    "roberta": "lm_head.",
    "albert": "predictions.",
    "distilbert": "vocab_",
    "deberta-v2": "cls.",
    "electra": "generator_",
    "modernbert": ("head.", "decoder."),
}
"""How the names of the masked-LM head's weights begin, by the checkpoints' own names."""

LAYER = {
    "bert": "bert.encoder.layer.{}.",
    "roberta": "roberta.encoder.layer.{}.",
    "distilbert": "distilbert.transformer.layer.{}.",
    "deberta-v2": "deberta.encoder.layer.{}.",
    "electra": "electra.encoder.layer.{}.",
    "modernbert": "model.layers.{}.",
}


def names(model: nn.Module, wanted: list[nn.Parameter]) -> set[str]:
    ids = {id(p) for p in wanted}
    return {name for name, p in model.named_parameters() if id(p) in ids}


def test_every_family_has_an_anatomy() -> None:
    assert set(ANATOMY) >= set(KNOWN)


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_are_head_layers_from_the_top_and_the_rest_and_hold_each_weight_once(family: str) -> None:
    model = random_masked_lm(family)
    found = parts(model)
    flat = [id(p) for part in found for p in part]
    assert sorted(flat) == sorted(id(p) for p in model.parameters())
    assert names(model, found[0]) == {name for name in snapshot(model) if name.startswith(HEADS[family])}
    if family != "albert":
        assert len(found) == 4
        top, bottom, rest = (names(model, part) for part in found[1:])
        assert {name for name in top if LAYER[family].format(1) in name} >= top - {"model.final_norm.weight"}
        assert {name for name in snapshot(model) if LAYER[family].format(0) in name} == bottom
        assert any("embeddings" in name for name in rest)


def test_alberts_shared_layers_are_one() -> None:
    assert len(layers(random_masked_lm("albert", num_hidden_layers=6))) == 1
    assert len(layers(random_masked_lm("albert", num_hidden_layers=6, num_hidden_groups=2))) == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_of_a_classifier_is_all_that_the_bare_encoder_lacks_and_the_pooler(family: str) -> None:
    model = random_classifier(family)
    inside = {f"{model.base_model_prefix}.{name}" for name, _ in model.base_model.named_parameters() if "pooler" not in name}
    assert names(model, head_parameters(model)) == set(snapshot(model)) - inside
    assert any(name.startswith(("classifier", "classifier.out_proj")) for name in names(model, head_parameters(model)))


# What changes


@pytest.mark.parametrize("train_one", [member_of, classifier_of])
@pytest.mark.parametrize("family", FAMILIES)
def test_last_layers_change_and_nothing_else_does(family: str, train_one: Any) -> None:
    model, before, trained = train_one(family, "last:1")
    inner = getattr(model, "model", model) if isinstance(model, MaskedLM) else model
    wanted = {id(p) for part in parts(inner)[:2] for p in part}
    moved = changed(inner, before)
    assert moved <= names(inner, [p for p in inner.parameters() if id(p) in wanted])
    assert len(moved) > 0.8 * len(wanted), "a bias of keys has no gradient, and ALBERT's last layer is all of them"
    assert trained.trained_parameters == sum(p.numel() for p in inner.parameters() if id(p) in wanted)
    assert trained.parameters == sum(p.numel() for p in inner.parameters())
    assert all(p.requires_grad for p in inner.parameters()), "as it was before"


def test_last_0_trains_the_head_alone() -> None:
    model, before, _ = member_of("bert", "last:0")
    assert {name.partition(".")[0] for name in changed(model.model, before)} == {"cls"}


@pytest.mark.parametrize("family", FAMILIES)
def test_full_changes_layers_and_embeddings(family: str) -> None:
    model, before, trained = member_of(family, "full")
    moved = changed(model.model, before)
    assert len(moved) > 0.9 * len(before)
    assert trained.trained_parameters == trained.parameters
    assert trained.extent()["trained_share"] == 1.0


def test_all_layers_are_not_yet_the_embeddings() -> None:
    model, before, _ = member_of("bert", "last:2")
    assert {name for name in before if name not in changed(model.model, before) and "key.bias" not in name} == {
        name for name in before if "embeddings" in name
    }


def test_more_layers_than_there_are_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"last:3 names more layers than the 2 that the model has"):
        member_of("bert", "last:3")


def test_other_families_can_be_trained_in_full_only() -> None:
    model = XLNetModel(XLNetConfig(d_model=8, n_layer=1, n_head=1, d_inner=8, vocab_size=9))
    with prepared(model, strategy("full"), seed=0) as before_step:
        assert before_step is None
    with pytest.raises(ModelError, match=r"'xlnet' can be trained in full only.*bert"), prepared(model, strategy("last:1"), seed=0):
        pass


# Gradual


def test_one_layer_more_is_thawed_in_each_equal_part_of_the_steps() -> None:
    """Howard & Ruder 2018, section 3.3: the last layer first, then the next lower one, and so on."""
    assert [thawed(step, 12, 3) for step in range(12)] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [thawed(step, 5, 2) for step in range(5)] == [0, 0, 1, 1, 2]
    assert [thawed(step, 2, 12) for step in range(2)] == [0, 6]
    for layers_, steps in ((12, 100), (24, 1000), (1, 3)):
        found = [thawed(step, steps, layers_) for step in range(steps)]
        assert found == sorted(found)
        assert (found[0], found[-1]) == (0, layers_)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "albert"])
def test_gradual_unfreezing_moves_from_the_top_to_the_bottom(family: str) -> None:
    """After a third of the steps the head has changed, after two thirds the last layer too, then all; decay moves no frozen weight."""
    moved = []
    for stop in (2, 4, 6):
        model, before = _stopped_after(family, stop)
        moved.append(changed(model.model, before))
    head, top, *lowest = (names(model.model, part) for part in parts(model.model))
    bottom = lowest[0] | lowest[1]
    assert (moved[0] <= head, moved[1] <= head | top) == (True, True)
    assert (len(moved[0]) > 0.8 * len(head), len(moved[1] & top) > 0.8 * len(top), len(moved[2] & bottom) > 0.8 * len(bottom)) == (
        True,
    ) * 3


class Stopped(Exception):
    """The kill of a test."""


def _stopped_after(family: str, stop: int) -> tuple[MaskedLM, dict[str, Tensor]]:
    """A member whose training of 6 steps was killed after some of them."""
    model = MaskedLM(random_masked_lm(family, seed=2))
    before = snapshot(model.model)
    _train(model, "gradual", stop=stop)
    return model, before


def _train(model: MaskedLM, how: str, *, stop: int | None = None, checkpoint: Path | None = None) -> list[int]:
    family = model.model.config.model_type
    inputs, done = rows_of(family), list[int]()

    def losses(step: int, micro: int) -> Mapping[str, Tensor]:
        done.append(step)
        logits = model.model(**inputs).logits.float()
        return {"loss": nn.functional.cross_entropy(logits.flatten(0, 1), inputs["input_ids"].flatten())}

    def on_step(step: int, steps: int, means: Mapping[str, float] | None) -> None:
        if step == stop:
            raise Stopped

    settings, options = TrainSettings(steps=6, learning_rate=0.01, weight_decay=0.5, warmup=0.2), {"checkpoint": checkpoint}
    try:
        with prepared(model, strategy(how), seed=3) as before_step:
            train(
                model,
                losses,
                settings,
                seed=3,
                stage="t",
                before_step=before_step,
                on_step=on_step,
                checkpoint_seconds=-1.0,
                **options,  # type: ignore[arg-type]
            )
    except Stopped:
        pass
    return done


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("how", ["gradual", "last:1", "adapters:4", "lora:2"])
def test_a_killed_training_that_is_resumed_ends_with_the_same_numbers(how: str, stop: int, tmp_path: Path) -> None:
    """Moments of layers that were not yet thawed start when they would have started."""
    if how.startswith("lora"):
        pytest.importorskip("peft")
    undisturbed, killed, resumed = (MaskedLM(random_masked_lm("bert", seed=2)) for _ in range(3))
    _train(undisturbed, how)
    _train(killed, how, stop=stop + 1, checkpoint=tmp_path / "c")
    assert _train(resumed, how, checkpoint=tmp_path / "c")[0] == stop, "it goes on and does not start over"
    assert not changed(resumed.model, snapshot(undisturbed.model))
    assert set(dict(resumed.model.named_parameters())) == set(dict(undisturbed.model.named_parameters()))


def test_gradual_unfreezing_equals_training_each_part_by_plain_torch() -> None:
    """An independent loop: torch's AdamW over the weights of each phase, the moments kept."""
    ours = MaskedLM(random_masked_lm("bert", seed=2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    theirs = random_masked_lm("bert", seed=2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()
    _train(ours, "gradual")
    settings, inputs = TrainSettings(steps=6, learning_rate=0.01, weight_decay=0.5, warmup=0.2), rows_of("bert")
    *found, rest = parts(theirs)
    found[-1] += rest
    optimizers = [
        torch.optim.AdamW([{"params": [p], "weight_decay": 0.5 if p.ndim > 1 else 0.0} for p in part], lr=0.01, eps=1e-8) for part in found
    ]
    for step in range(6):
        theirs.zero_grad()
        logits = theirs(**inputs).logits
        nn.functional.cross_entropy(logits.flatten(0, 1), inputs["input_ids"].flatten()).backward()
        warm = found[: 1 + step // 2]
        nn.utils.clip_grad_norm_([p for part in warm for p in part], 1.0)
        for optimizer in optimizers[: len(warm)]:
            for group in optimizer.param_groups:
                group["lr"] = 0.01 * settings.rate(step)
            optimizer.step()
    for (name, mine), other in zip(ours.model.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, atol=2e-4, rtol=1e-3, msg=name)
