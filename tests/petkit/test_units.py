"""Units: their names, functions and seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from petkit.objectives.streams import seed_for
from petkit.units import Unit, UnitContext
from tests.petkit.executors.executor_units import unit


@pytest.mark.parametrize("name", ["", "a/b", "..", ".a", "a b", "a" * 101])
def test_names_are_safe_as_folders(name: str) -> None:
    with pytest.raises(ValueError, match="unit name"):
        unit(name)


def test_function_is_named_by_module() -> None:
    with pytest.raises(ValueError, match=r"package\.module:function"):
        Unit("a", "just_a_name", {})


def test_seeds_depend_on_the_seed_and_the_names_only(tmp_path: Path) -> None:
    def context(name: str, seed: int) -> UnitContext:
        return UnitContext(name, tmp_path, tmp_path, tmp_path, lambda done, total=None, **facts: None, seed, {})

    assert context("a", 1).seed_for("dropout", 3) == context("b", 1).seed_for("dropout", 3) == seed_for(1, "dropout", 3)
    seeds = {context("a", seed).seed_for(*names) for seed in (1, 2) for names in [(), ("x",), ("x", 1), ("x", "1"), ("x1",)]}
    assert len(seeds) == 10
    assert all(0 <= seed < 2**63 for seed in seeds)
