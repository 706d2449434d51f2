"""``--adapt``: the checkpoint learns the run's own text, by the objective that the settings name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from petkit.adapting import adapt_unit
from petkit.backbones import load_masked_lm
from petkit.objectives import adapting_objectives
from petkit.pvp import Task
from petkit.settings import Settings
from tests.builders import tiny_masked_lm
from tests.petkit.stage_runs import context_for, deposit, spec_of, texts, tiny_settings

TASK = Task(name="tone", fields=("text",), patterns=("{mask}: {text}",), verbalizer={"no": "bad", "yes": "good"})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_masked_lm("bert", tmp_path_factory.mktemp("model"), seed=3, max_position_embeddings=80)


def adapted(root: Path, model: Path, **settings: Any) -> dict[str, Any]:
    """The stage's record; the pool and the labelled rows lie in ``root``."""
    deposit(root, pool=texts(60), train=texts(8, start=60, labels=2, name="t"))
    return adapt_unit(spec_of(TASK, tiny_settings(adapt_steps=2, **settings), model=model), context_for(root, "adapt"))


@pytest.mark.parametrize("name", adapting_objectives())
def test_every_objective_that_is_legal_adapts(name: str, tmp_path: Path, model: Path) -> None:
    record = adapted(tmp_path, model, adapt_objective=name)
    assert record["steps"] == 2
    assert record["held_out"]["mlm"] > 0
    assert load_masked_lm(str(tmp_path / "stages" / "adapt")).missing == ()


def test_the_objective_and_its_rate_count(tmp_path: Path, model: Path) -> None:
    usual = adapted(tmp_path / "usual", model)
    assert adapted(tmp_path / "named", model, adapt_objective=Settings().adapt_objective, adapt_mask_rate=0.15) == usual
    others = [{"adapt_objective": "whole-word"}, {"adapt_mask_rate": 0.4}]
    found = [adapted(tmp_path / str(number), model, **other) for number, other in enumerate(others)]
    assert len({one["loss"] for one in (usual, *found)}) == 3
