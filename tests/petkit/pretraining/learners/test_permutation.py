"""XLNet: who sees whom, by changing tokens and looking at which predictions change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from petkit.objectives import IGNORED, preset
from petkit.pretraining.learners import learner_for
from tests.petkit.pretraining.learners.tiny import batch_of, tiny, vocabulary


def predicted(learner: Any, batch: Any) -> dict[tuple[int, int], torch.Tensor]:
    """(row, column) of each target -> its logits."""
    with torch.no_grad():
        asked = learner.asked(batch)["permutation"]
        logits = asked.logits(asked.hidden)
    rows, slots = np.nonzero(batch.labels != IGNORED)
    return {(int(row), int(batch.positions[row, slot])): logits[i] for i, (row, slot) in enumerate(zip(rows, slots, strict=True))}


def test_a_changed_target_changes_only_the_targets_that_may_see_it() -> None:
    learner, batch = learner_for(preset("xlnet"), tiny("xlnet"), vocabulary()).eval(), batch_of("xlnet", lengths=(20, 22, 22, 21, 22, 22))
    before = predicted(learner, batch)
    assert len(before) > 10
    for row, column in before:
        inputs = batch.inputs.copy()
        inputs[row, column] = vocabulary().ordinary[(inputs[row, column] - vocabulary().ordinary[0] + 7) % 60]
        after = predicted(learner, replace(batch, inputs=inputs))
        changed = {place for place in before if not torch.allclose(before[place], after[place], atol=1e-6)}
        later = {place for place in before if place[0] == row and batch.order[place] > batch.order[row, column]}
        assert changed == later


def test_a_changed_context_changes_every_target_of_its_row() -> None:
    learner, batch = learner_for(preset("xlnet"), tiny("xlnet"), vocabulary()).eval(), batch_of("xlnet", lengths=(20, 22, 22))
    before = predicted(learner, batch)
    column = int(np.flatnonzero(~batch.selection[1, 1:20])[0]) + 1
    inputs = batch.inputs.copy()
    inputs[1, column] = vocabulary().ordinary[(inputs[1, column] - vocabulary().ordinary[0] + 7) % 60]
    after = predicted(learner, replace(batch, inputs=inputs))
    assert {place for place in before if not torch.allclose(before[place], after[place], atol=1e-6)} == {p for p in before if p[0] == 1}


def test_padding_is_seen_by_nobody() -> None:
    learner, batch = learner_for(preset("xlnet"), tiny("xlnet"), vocabulary()).eval(), batch_of("xlnet", lengths=(20, 22, 9))
    before = predicted(learner, batch)
    inputs = np.where(batch.valid, batch.inputs, vocabulary().ordinary[5])
    after = predicted(learner, replace(batch, inputs=inputs))
    assert all(torch.allclose(before[place], after[place], atol=1e-6) for place in before)


def test_segment_embeddings_would_cancel_out() -> None:
    """The reason why they are left out: with one segment they move no prediction."""
    learner, batch = learner_for(preset("xlnet"), tiny("xlnet"), vocabulary()).eval(), batch_of("xlnet")
    inputs = {"input_ids": torch.from_numpy(batch.inputs), "attention_mask": torch.from_numpy(batch.valid).float()}
    with torch.no_grad():
        plain, typed = (learner.model(**inputs, token_type_ids=types).logits for types in (None, torch.zeros_like(inputs["input_ids"])))
    torch.testing.assert_close(plain, typed, atol=1e-4, rtol=1e-4)
