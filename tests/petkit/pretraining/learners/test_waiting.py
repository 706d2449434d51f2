"""Nothing in a forward pass asks the device for a number: a GPU's queue never runs dry."""

from __future__ import annotations

import pytest

from petkit.backbones.masks import ready_mask
from petkit.backbones.stacks import Layout
from petkit.objectives import preset
from petkit.pretraining.learners import learner_for
from tests.petkit.pretraining.learners.tiny import CASES, batch_of, teacher_of, tiny, vocabulary
from tests.waiting import Waits

ASKS = {"t5": 3, "bart": 7, "gpt2": 3}
"""Where transformers itself looks at the mask before the first layer: how often at most. BART of older versions also throws a die for each
of its layers, on the CPU."""


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU stacks take padding out, and masks are looked into, where that waits for nobody."""
    monkeypatch.setattr(Layout, "of", lambda mask, full=False: Layout((mask.shape[0], mask.shape[1]), mask.bool()[:, None, None, :], None))
    monkeypatch.setattr(
        "petkit.backbones.attention_mask_for", lambda model, batch: ready_mask(model, batch.attention_mask, full=batch.full)
    )


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("arch", "name"), [*CASES, ("electra", "electra"), ("distilbert", "distilbert")])
def test_a_forward_and_a_backward_pass_wait_for_nothing(arch: str, name: str, padded: bool) -> None:
    options = {"teacher": teacher_of()} if name == "distilbert" else {}
    learner = learner_for(preset(name), tiny(arch, name, dropout=0.1), vocabulary(), **options).train()
    batch = batch_of(name, lengths=(20, 9, 16, 5) if padded else (22, 22, 22, 22))
    counts = learner.counts(batch)
    with Waits() as waits:
        learner(batch, counts)["loss"].backward()
    assert [each for each in waits.seen if not each.startswith("_local_scalar_dense")] == []
    assert len(waits.seen) <= ASKS.get(arch, 0)
