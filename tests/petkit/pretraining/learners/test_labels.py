"""For every architecture: the loss through gathered positions against transformers' own ``labels=``, gradients too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from petkit.objectives import IGNORED, permutation_masks, preset, share
from petkit.pretraining.architectures import ARCHITECTURES
from petkit.pretraining.learners import Learner, base, learner_for
from tests.petkit.pretraining.learners.tiny import CASES, OF_ARCHITECTURE, batch_of, tiny, vocabulary


def learner_of(arch: str, name: str, **options: Any) -> Learner:
    return learner_for(preset(name), tiny(arch, name, **options), vocabulary())


def labels_of(masked: Any) -> torch.Tensor:
    labels = torch.full((masked.inputs.size,), IGNORED)
    labels[torch.from_numpy(masked.positions)] = torch.from_numpy(masked.targets)
    return labels.view(masked.inputs.shape)


def reference(learner: Learner, batch: Any) -> torch.Tensor:
    """The loss as transformers computes it from labels."""
    kind, model = type(batch).__name__, getattr(learner.model, "model", learner.model)
    if kind == "PermutationBatch":
        model = learner.model
        masks = permutation_masks(*(torch.from_numpy(array) for array in (batch.order, batch.selection, batch.positions)))
        inputs = {"perm_mask": masks[0], "target_mapping": masks[1], "attention_mask": torch.from_numpy(batch.valid).float()}
        return model(input_ids=torch.from_numpy(batch.inputs), labels=torch.from_numpy(batch.labels), **inputs).loss
    if kind in ("TextToTextBatch", "CausalBatch"):
        inputs = {"input_ids": torch.from_numpy(batch.inputs), "attention_mask": torch.from_numpy(batch.valid).long()}
        return learner.model(**inputs, labels=torch.from_numpy(batch.labels)).loss
    masked, types = getattr(batch, "masked", batch), {}
    valid = masked.inputs != vocabulary().pad_id
    inputs = {"input_ids": torch.from_numpy(masked.inputs), "attention_mask": torch.from_numpy(valid).long()}
    if kind == "PairBatch":
        label = "sentence_order_label" if model.config.model_type == "albert" else "next_sentence_label"
        types = {"token_type_ids": torch.from_numpy(batch.types), label: torch.from_numpy(batch.labels)}
    return model(**inputs, **types, labels=labels_of(masked)).loss


def test_the_cases_are_all_architectures() -> None:
    assert set(OF_ARCHITECTURE) == set(ARCHITECTURES)


@pytest.mark.parametrize(("arch", "name"), [case for case in CASES if case[1] != "spanbert"])
def test_the_loss_is_the_one_of_transformers_with_labels(arch: str, name: str) -> None:
    learner, batch = learner_of(arch, name).train(), batch_of(name)
    counts = learner.counts(batch)
    ours, theirs = learner(batch, counts), reference(learner, batch)
    assert all(count > 3 for count in counts.values())
    assert ours["loss"].item() == pytest.approx(theirs.item(), abs=1e-5)
    assert ours["loss"].item() == pytest.approx(sum(ours[name].item() for name in counts), abs=1e-5)
    weights = [p for p in learner.parameters() if p.requires_grad]
    found = [torch.autograd.grad(loss, weights, allow_unused=True) for loss in (ours["loss"], theirs)]
    for mine, other in zip(*found, strict=True):
        assert (mine is None or not mine.any()) if other is None else mine is not None
        if other is not None and mine is not None:
            torch.testing.assert_close(mine, other, atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize(("arch", "name"), CASES)
def test_a_batch_with_nothing_selected_has_loss_zero_and_a_graph(arch: str, name: str) -> None:
    """Rows without text. (T5's rows always ask for an end token, BART's for two, pairs for their label: there the other parts are 0.)"""
    learner, batch = learner_of(arch, name).train(), batch_of(name, lengths=(0, 0)) if name not in ("nsp", "sop") else None
    if batch is None:
        batch = batch_of(name)
        nothing = np.zeros(0, dtype=np.int64)
        batch = type(batch)(type(batch.masked)(batch.masked.inputs, nothing, nothing), batch.types, batch.valid, batch.labels)
    counts = learner.counts(batch)
    found = learner(batch, counts)
    empty = [part for part, count in counts.items() if count == 0]
    assert empty or name in ("causal", "t5", "t5-prefix-lm", "bart")
    assert all(found[part].item() == 0.0 for part in empty)
    assert np.isfinite(found["loss"].item())
    found["loss"].backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in learner.parameters())
    if not any(counts.values()):
        assert found["loss"].item() == 0.0
        assert all(p.grad is None or not p.grad.any() for p in learner.parameters())


@pytest.mark.parametrize(("arch", "name"), CASES)
def test_two_halves_with_the_whole_counts_have_the_gradient_of_the_whole(arch: str, name: str) -> None:
    """Each rank divides its sums by half the counts of the whole batch; the mean of both gradients is then that of the whole."""
    learner, batch = learner_of(arch, name).train(), batch_of(name)
    weights = [p for p in learner.parameters() if p.requires_grad]
    counts = learner.counts(batch)
    whole = torch.autograd.grad(learner(batch, counts)["loss"], weights, allow_unused=True)
    halves = [share(batch, rank=rank, ranks=2) for rank in range(2)]
    assert {part: sum(learner.counts(half)[part] for half in halves) for part in counts} == counts
    half_counts = {part: count / 2 for part, count in counts.items()}
    parts = [torch.autograd.grad(learner(half, half_counts)["loss"], weights, allow_unused=True) for half in halves]
    for one, first, second in zip(whole, *parts, strict=True):
        if one is not None:
            torch.testing.assert_close((first + second) / 2, one, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("arch", "name"), CASES)
def test_scores_are_losses_as_sums_and_counts_of_right_answers(arch: str, name: str) -> None:
    learner, batch = learner_of(arch, name, dropout=0.3).train(), batch_of(name)
    scores, again = learner.score(batch), learner.score(batch)
    assert scores == again, "dropout is off"
    assert learner.training
    assert all(module.training for module in learner.modules())
    counts = learner.counts(batch)
    assert set(scores) == {each for part in counts for each in (part, f"{part}_accuracy")}
    learner.eval()
    found = learner(batch, counts)
    for part, count in counts.items():
        total, n = scores[part]
        assert n == count
        assert total / n == pytest.approx(found[part].item(), rel=1e-5)
        right, n = scores[f"{part}_accuracy"]
        assert 0 <= right <= n == count
        assert right == int(right)


class _Widest(TorchDispatchMode):
    """The most rows of any (..., V) array that is computed."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.rows = width, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for found in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(found, torch.Tensor) and found.ndim > 1 and found.shape[-1] == self.width and "t." not in str(func):
                self.rows = max(self.rows, found.numel() // self.width)
        return out


@pytest.mark.parametrize(("arch", "name"), CASES)
def test_no_array_of_all_places_and_words_is_ever_made(arch: str, name: str) -> None:
    learner, batch = learner_of(arch, name).train(), batch_of(name)
    counts = learner.counts(batch)
    with _Widest(len(vocabulary().special)) as seen:
        learner(batch, counts)["loss"].backward()
    places = getattr(batch, "labels", batch).size if name in ("causal", "t5", "t5-prefix-lm", "bart", "xlnet") else 4 * 24
    assert 0 < seen.rows < places
    assert seen.rows <= max(counts.values())


@pytest.mark.parametrize(("arch", "name"), [("gpt2", "causal"), ("bart", "bart"), ("bert", "spanbert"), ("t5", "t5")])
def test_logits_in_pieces_give_the_same_loss_and_gradient(arch: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, batch = learner_of(arch, name).train(), batch_of(name)
    weights, counts = [p for p in learner.parameters() if p.requires_grad], learner.counts(batch)
    found, scores = [], []
    for cells in (2**26, 5 * len(vocabulary().special)):
        monkeypatch.setattr(base, "_CELLS", cells)
        with _Widest(len(vocabulary().special)) as seen:
            loss = learner(batch, counts)["loss"]
        found.append([loss, *torch.autograd.grad(loss, weights, allow_unused=True)])
        scores.append(learner.score(batch))
    assert seen.rows == 5
    for one, other in zip(*found, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert scores[0].keys() == scores[1].keys()
    assert all(scores[0][key] == pytest.approx(scores[1][key], rel=1e-5) for key in scores[0])


@pytest.mark.parametrize(("arch", "name"), CASES)
def test_half_precision_changes_little(arch: str, name: str) -> None:
    learner, batch = learner_of(arch, name, spread=0.05).train(), batch_of(name)
    counts = learner.counts(batch)
    exact = learner(batch, counts)["loss"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = learner(batch, counts)["loss"]
    rough.backward()
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact.item(), rel=2e-2)
    assert rough.item() != exact.item()


@pytest.mark.parametrize(("arch", "name"), CASES)
def test_every_weight_that_is_trained_gets_a_gradient(arch: str, name: str) -> None:
    learner, batch = learner_of(arch, name).train(), batch_of(name)
    learner(batch, learner.counts(batch))["loss"].backward()
    idle = {key for key, p in learner.named_parameters() if p.requires_grad and p.grad is None}
    assert idle == set()
