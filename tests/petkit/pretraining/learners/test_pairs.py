"""NSP and SOP: polarity, types, and one pass for both parts. (The loss against transformers' own is in test_labels.)"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from petkit.errors import SettingsError
from petkit.objectives import preset
from petkit.pretraining.learners import PairLearner, learner_for
from tests.petkit.pretraining.learners.tiny import batch_of, tiny, vocabulary

CASES = [("bert", "nsp"), ("bert", "sop"), ("albert", "nsp"), ("albert", "sop")]


@pytest.mark.parametrize(("arch", "name"), CASES)
def test_each_part_is_its_own_mean(arch: str, name: str) -> None:
    learner, batch = learner_for(preset(name), tiny(arch, name), vocabulary()).eval(), batch_of(name)
    model, masked = learner.model.model, batch.masked
    inputs = {"attention_mask": torch.from_numpy(batch.valid).long(), "token_type_ids": torch.from_numpy(batch.types)}
    with torch.no_grad():
        out = model(input_ids=torch.from_numpy(masked.inputs), **inputs)
        words = out.prediction_logits.flatten(0, 1)[torch.from_numpy(masked.positions)]
        kinds = out.sop_logits if arch == "albert" else out.seq_relationship_logits
        wanted = [
            torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets)).item()
            for logits, targets in ((words, masked.targets), (kinds, batch.labels))
        ]
        found = learner(batch, learner.counts(batch))
        scores = learner.score(batch)
    assert [found["mlm"].item(), found[name].item()] == pytest.approx(wanted, abs=1e-5)
    assert learner.counts(batch) == {"mlm": len(masked.positions), name: len(batch.labels)}
    assert scores[f"{name}_accuracy"] == ((kinds.argmax(-1).numpy() == batch.labels).sum(), len(batch.labels))
    assert scores["mlm_accuracy"] == ((words.argmax(-1).numpy() == masked.targets).sum(), len(masked.targets))


@pytest.mark.parametrize(("arch", "name"), CASES)
def test_the_encoder_runs_once_and_its_last_layer_at_few_places(arch: str, name: str) -> None:
    learner, batch = learner_for(preset(name), tiny(arch, name, layers=1), vocabulary()), batch_of(name)
    seen: list[tuple[int, ...]] = []
    for each, module in learner.named_modules():
        if each.endswith((".intermediate", ".ffn")):
            module.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    learner(batch, learner.counts(batch))
    places = np.concatenate([batch.masked.positions, np.arange(4) * batch.masked.inputs.shape[1]])
    assert seen == [(4, np.bincount(places // batch.masked.inputs.shape[1]).max(), 32)]


def test_the_first_text_of_a_pair_is_told_from_the_second() -> None:
    learner, batch = learner_for(preset("nsp"), tiny("bert", "nsp"), vocabulary()).eval(), batch_of("nsp")
    same: Any = type(batch)(batch.masked, np.zeros_like(batch.types), batch.valid, batch.labels)
    assert batch.types.any()
    counts = learner.counts(batch)
    assert learner(same, counts)["nsp"].item() != pytest.approx(learner(batch, counts)["nsp"].item(), abs=1e-4)


def test_one_model_learns_pairs_and_plain_rows() -> None:
    model = tiny("bert", "mlm", "nsp")
    pairs, plain = (learner_for(preset(name), model, vocabulary()) for name in ("nsp", "mlm"))
    assert isinstance(pairs, PairLearner)
    assert {id(p) for p in plain.parameters()} == {id(p) for p in pairs.parameters()}
    for learner, name in ((pairs, "nsp"), (plain, "mlm")):
        batch = batch_of(name)
        assert torch.isfinite(learner(batch, learner.counts(batch))["loss"])


def test_a_model_without_a_pair_head_is_refused() -> None:
    with pytest.raises(SettingsError, match="--objective nsp needs a model with a head for pairs"):
        learner_for(preset("nsp"), tiny("bert", "mlm"), vocabulary())
