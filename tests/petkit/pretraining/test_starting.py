"""Where a run begins: positions that were not trained start as copies of those that were, and a checkpoint's own head is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from petkit.objectives import preset
from petkit.pretraining import repeat_positions
from petkit.pretraining.architectures import new_model
from petkit.pretraining.learners import learner_for
from tests.petkit.pretraining.learners.tiny import OF_ARCHITECTURE, tiny, vocabulary, words


def tables(model: Any, name: str) -> list[torch.Tensor]:
    return [module.weight for path, module in model.named_modules() if path.endswith(name)]


def made(arch: str) -> Any:
    row = preset(OF_ARCHITECTURE[arch][0])
    return new_model(arch, words(), layers=1, hidden=32, heads=2, max_positions=40, dropout=0.0, seed=1, objectives=[row])


@pytest.mark.parametrize(
    ("arch", "name", "first", "count"),
    [
        ("bert", "position_embeddings", 0, 1),
        ("albert", "position_embeddings", 0, 1),
        ("distilbert", "position_embeddings", 0, 1),
        ("electra", "position_embeddings", 0, 1),
        ("roberta", "position_embeddings", vocabulary().pad_id + 1, 1),
        ("bart", "embed_positions", 2, 2),
        ("gpt2", "wpe", 0, 1),
    ],
)
def test_longer_rows_start_from_the_positions_that_are_trained(arch: str, name: str, first: int, count: int) -> None:
    model = made(arch)
    before = [table.detach().clone() for table in tables(model, name)]
    repeat_positions(model, 16)
    after = tables(model, name)
    assert len(after) == count
    for old, new in zip(before, after, strict=True):
        assert len(new) == first + 40
        assert torch.equal(new[: first + 16], old[: first + 16])  # what is trained, and what stands before it
        assert torch.equal(new[first + 16 : first + 32], old[first : first + 16])
        assert torch.equal(new[first + 32 :], old[first : first + 8])


@pytest.mark.parametrize("arch", ["deberta-v2", "modernbert", "t5", "xlnet"])
def test_a_model_without_learned_positions_stays_as_it_is(arch: str) -> None:
    model = made(arch)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    repeat_positions(model, 16)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_boundary_head_is_found_where_the_checkpoint_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a name that is no path yet, too: ``~`` here, as ``builtin``."""
    model = tiny("bert", "spanbert")
    saved = learner_for(preset("spanbert"), model, vocabulary(), seed=1)
    saved.save(tmp_path / "model")
    monkeypatch.setenv("HOME", str(tmp_path))
    opened, other = (learner_for(preset("spanbert"), model, vocabulary(), seed=2, init=init) for init in ("~/model", None))
    kept, found, new = (dict(learner.boundary.state_dict()) for learner in (saved, opened, other))
    assert all(torch.equal(found[name], kept[name]) for name in kept)
    assert not torch.equal(new["first.weight"], kept["first.weight"])
