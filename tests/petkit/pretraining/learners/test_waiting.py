"""Nothing in a forward pass asks the device for a number: a GPU's queue never runs dry."""

from __future__ import annotations

import pytest

from petkit.backbones.stacks import Layout
from petkit.objectives import preset
from petkit.pretraining.learners import learner_for
from tests.petkit.pretraining.learners.tiny import CASES, batch_of, teacher_of, tiny, vocabulary
from tests.waiting import Waits

ASKS = ("modernbert", "t5", "bart", "gpt2")
"""Where transformers itself looks at the mask before the first layer."""


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stacks take padding out on the CPU, where counting tokens waits for nobody."""
    monkeypatch.setattr(Layout, "of", lambda mask, full=False: Layout((mask.shape[0], mask.shape[1]), mask.bool()[:, None, None, :], None))


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("arch", "name"), [*CASES, ("electra", "electra"), ("distilbert", "distilbert")])
def test_a_forward_and_a_backward_pass_wait_for_nothing(arch: str, name: str, padded: bool) -> None:
    options = {"teacher": teacher_of()} if name == "distilbert" else {}
    learner = learner_for(preset(name), tiny(arch, name, dropout=0.1), vocabulary(), **options).train()
    batch = batch_of(name, lengths=(20, 9, 16, 5) if padded else (22, 22, 22, 22))
    counts = learner.counts(batch)
    with Waits() as waits:
        learner(batch, counts)["loss"].backward()
    assert [each for each in waits.seen if arch not in ASKS or not each.startswith("_local_scalar_dense")] == []
    assert len(waits.seen) <= 3
