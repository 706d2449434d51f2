"""SpanBERT's boundary head and its numbers by hand; what stands beside a model is saved and opened again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from petkit.errors import ModelError
from petkit.objectives import Boundaries, preset
from petkit.pretraining.learners import MaskedLearner, learner_for
from petkit.pretraining.learners.boundary import FILE, BoundaryHead
from tests.petkit.pretraining.learners.tiny import batch_of, tiny, vocabulary


def learner_of(arch: str = "bert", name: str = "spanbert", **options: Any) -> MaskedLearner:
    learner = learner_for(preset(name), tiny(arch, name), vocabulary(), **options)
    assert isinstance(learner, MaskedLearner)
    return learner


def by_hand(head: BoundaryHead, states: torch.Tensor, around: Boundaries, words: torch.Tensor) -> torch.Tensor:
    """h1 = LayerNorm(GeLU(W1 [left; right; place])), h2 likewise, cross-entropy with the word embeddings as decoder; token by token."""
    weights, losses = head.state_dict(), []
    for left, right, place, target in zip(around.left, around.right, around.offsets, around.targets, strict=True):
        h = torch.cat([states[left], states[right], weights["places.weight"][place]])
        for name in ("first", "second"):
            h = functional.gelu(weights[f"{name}.weight"] @ h + weights[f"{name}.bias"])
            h = (h - h.mean()) / (h.var(correction=0) + 1e-5).sqrt()
            h = h * weights[f"{name}_norm.weight"] + weights[f"{name}_norm.bias"]
        losses.append(-torch.log_softmax(words @ h + weights["bias"], dim=0)[target])
    return torch.stack(losses).mean()


@pytest.mark.parametrize(("arch", "hidden"), [("bert", 32), ("albert", 192)])  # as wide as the embeddings, and wider
def test_the_boundary_loss_is_the_formula_of_the_paper(arch: str, hidden: int) -> None:
    model, batch = tiny(arch, "spanbert", hidden=hidden, layers=1, spread=0.05), batch_of("spanbert")
    learner = learner_for(preset("spanbert"), model, vocabulary()).eval()
    assert isinstance(learner, MaskedLearner)
    assert learner.boundary is not None
    assert learner.boundary.second.weight.shape == (min(hidden, 128), hidden)
    with torch.no_grad():
        for parameter in learner.boundary.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        inputs = torch.from_numpy(batch.inputs)
        states = getattr(model.model, arch)(inputs, attention_mask=(inputs != vocabulary().pad_id).long()).last_hidden_state.flatten(0, 1)
        wanted = by_hand(learner.boundary, states, batch.boundaries, model.model.get_input_embeddings().weight)
        found = learner(batch, learner.counts(batch))
    assert found["sbo"].item() == pytest.approx(wanted.item(), abs=1e-5)
    assert found["loss"].item() == pytest.approx(found["mlm"].item() + found["sbo"].item(), abs=1e-5)
    assert learner.counts(batch) == {"mlm": len(batch.positions), "sbo": len(batch.boundaries.targets)}


def test_the_head_has_the_numbers_of_the_paper() -> None:
    head = BoundaryHead(32, 16, 125)
    assert head.places.weight.shape == (20, 200)
    assert head.first.weight.shape == (32, 2 * 32 + 200)
    assert head.second.weight.shape == (16, 32)
    features = head(torch.zeros(3, 32), torch.zeros(3, 32), torch.tensor([0, 1, 19]))
    assert features.shape == (3, 16)
    assert features.dtype == torch.float32


def test_the_decoder_is_the_models_embeddings_and_all_of_it_is_trained() -> None:
    learner, batch = learner_of(), batch_of("spanbert")
    loss = learner(batch, {"mlm": 0.0, "sbo": learner.counts(batch)["sbo"]})["loss"]
    loss.backward()
    assert learner.model.model.get_input_embeddings().weight.grad.abs().sum() > 0
    assert learner.boundary is not None
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in learner.boundary.parameters())
    assert not learner.model.model.cls.predictions.bias.grad.any()


def test_without_boundaries_there_is_no_second_part() -> None:
    learner, batch = learner_of(name="mlm"), batch_of("mlm")
    assert set(learner(batch, learner.counts(batch))) == {"loss", "mlm"}
    with pytest.raises(ValueError, match="without a boundary head"):
        learner_of()(batch, {"mlm": 1.0, "sbo": 1.0})


def test_the_second_head_lies_beside_the_model_and_is_taken_up_again(tmp_path: Path) -> None:
    learner = learner_of(seed=7)
    learner.save(tmp_path, half=False)
    learner.save(tmp_path / "half", half=True)
    heads = []
    for folder in (tmp_path, tmp_path / "half"):
        found = learner_of(seed=8, init=str(folder)).boundary
        assert found is not None
        heads.append(found.state_dict())
    assert learner.boundary is not None
    for name, value in learner.boundary.state_dict().items():
        assert torch.equal(heads[0][name], value)
        assert torch.equal(heads[1][name], value.half().float())
    assert not torch.equal(learner_of(seed=8).boundary.first.weight, learner.boundary.first.weight)  # type: ignore[union-attr]
    plain = learner_of(name="mlm")
    plain.save(tmp_path / "plain", half=False)
    assert not (tmp_path / "plain" / FILE).exists()
    assert learner_of(seed=8, init=str(tmp_path / "plain")).boundary is not None


def test_a_second_head_of_another_model_is_refused(tmp_path: Path) -> None:
    BoundaryHead(48, 48, 125).save(tmp_path)
    with pytest.raises(ModelError, match="does not belong to this model"):
        learner_of(init=str(tmp_path))


def test_the_last_layer_runs_only_where_something_is_asked() -> None:
    learner, batch = learner_of(), batch_of("spanbert")
    seen: list[tuple[int, ...]] = []
    layer = learner.model.model.bert.encoder.layer[-1].intermediate
    layer.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    learner(batch, learner.counts(batch))
    around = batch.boundaries
    places = np.unique(np.concatenate([batch.positions, around.left, around.right]))
    most = np.bincount(places // batch.inputs.shape[1]).max()
    assert seen == [(len(batch.inputs), most, 32)]
    assert most < batch.inputs.shape[1]


def test_batches_of_one_row_and_padding_change_nothing() -> None:
    """The same rows with more padding behind them."""
    learner, batch = learner_of().eval(), batch_of("spanbert")
    pad, width = np.full((4, 6), vocabulary().pad_id), batch.inputs.shape[1]

    def moved(positions: Any) -> Any:
        return positions + 6 * (positions // width)

    around = batch.boundaries
    wider = replace(
        batch,
        inputs=np.concatenate([batch.inputs, pad], axis=1),
        positions=moved(batch.positions),
        boundaries=replace(around, left=moved(around.left), right=moved(around.right)),
    )
    counts = learner.counts(batch)
    assert learner.counts(wider) == counts
    assert learner(wider, counts)["loss"].item() == pytest.approx(learner(batch, counts)["loss"].item(), abs=1e-5)
