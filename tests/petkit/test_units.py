"""Units: their names, functions and seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from petkit.objectives.streams import seed_for
from petkit.units import Unit, UnitContext, perform, work_folder
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


def list_work(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """What lies in the folders for the unit's checkpoints, of whatever key."""
    return {"there": sorted(str(path.relative_to(context.work.parent)) for path in context.work.parent.rglob("*"))}


def test_checkpoints_of_other_keys_are_gone_before_a_unit_begins_and_its_own_after_it(tmp_path: Path) -> None:
    """They may be large, and a run that was stopped under other settings or another version goes on under those of now."""
    found = Unit("a", f"{__name__}:list_work", {})
    work, old = (work_folder(tmp_path, "a") / (letter * 16) for letter in "ab")
    for folder in (work, old, work_folder(tmp_path, "b") / ("c" * 16)):
        folder.mkdir(parents=True)
        (folder / "checkpoint").write_text("weights")
    record = perform(found, root=tmp_path, key="a" * 64, progress=lambda done, total=None, **facts: None)
    assert record.record == {"there": [work.name, f"{work.name}/checkpoint"]}
    assert [str(path.relative_to(tmp_path / "work")) for path in (tmp_path / "work").rglob("checkpoint")] == [f"b/{'c' * 16}/checkpoint"]
