"""Layers that are computed again in the backward pass: the same gradients, and really computed again."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from petkit.objectives import preset
from petkit.pretraining.learners import Learner, learner_for
from tests.petkit.pretraining.learners.tiny import OF_ARCHITECTURE, batch_of, tiny, vocabulary

CASES = [*((arch, names[0]) for arch, names in OF_ARCHITECTURE.items()), ("bert", "nsp"), ("albert", "sop"), ("electra", "electra")]
INSIDE = {
    "albert": ".ffn_output",
    "distilbert": ".ffn.lin1",
    "modernbert": ".mlp.Wi",
    "t5": ".DenseReluDense.wi",
    "bart": ".fc1",
    "gpt2": ".mlp.c_fc",
    "xlnet": ".ff.layer_1",
}
"""How the name of a part of every layer ends; ``.intermediate.dense`` in the others. Seen before it runs: it may be cut short then."""


def gradients(learner: Learner, batch: Any) -> list[torch.Tensor | None]:
    weights = [p for p in learner.parameters() if p.requires_grad]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        loss = learner(batch, learner.counts(batch))["loss"]
        return list(torch.autograd.grad(loss, weights, allow_unused=True))


@pytest.mark.parametrize(("arch", "name"), CASES)
def test_gradients_are_equal_also_with_dropout_and_layers_run_twice(arch: str, name: str) -> None:
    learner, batch = learner_for(preset(name), tiny(arch, name, dropout=0.2), vocabulary()).train(), batch_of(name)
    called: list[int] = []
    for each, module in learner.named_modules():
        if each.endswith(INSIDE.get(arch, ".intermediate.dense")):
            module.register_forward_pre_hook(lambda *_: called.append(1))
    kept = gradients(learner, batch)
    once = len(called)
    learner.checkpoint_activations()
    learner.checkpoint_activations()  # a learner that shares the model
    called.clear()
    again = gradients(learner, batch)
    assert once > 0
    assert len(called) == 2 * once
    for one, other in zip(kept, again, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    called.clear()
    learner.score(batch)
    assert len(called) == once
