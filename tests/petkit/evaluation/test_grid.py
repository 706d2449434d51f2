"""The grid: order of cells, names, and the settings of each method."""

from __future__ import annotations

from dataclasses import replace

import pytest

from petkit.evaluation.grid import Cell, Split, Study, TaskPlan, steadied
from petkit.pvp import Task
from petkit.settings import PRESETS, ClassifierSettings
from petkit.units import Unit


def task(name: str) -> TaskPlan:
    splits = tuple(Split(k, n, f"draw {n}", f"{k}{n}", 2 * k, (k, k)) for k in (4, 16) for n in range(2))
    return TaskPlan(Task(name=name, fields=("text",), patterns="{mask}: {text}", verbalizer={"a": "bad", "b": "good"}), 0, splits)


def test_cells_come_by_task_shots_split_seed_and_method() -> None:
    study = Study((task("one"), replace(task("two"), index=1)), (42, 43), ("pet", "tfidf"), PRESETS["small"], PRESETS["small"])
    assert len(study.cells) == 2 * 4 * 2 * 2
    assert study.cells[:3] == [Cell("one", 4, 0, 42, "pet"), Cell("one", 4, 0, 42, "tfidf"), Cell("one", 4, 0, 43, "pet")]
    assert len({group.tag for group in study.groups}) == 16


@pytest.mark.parametrize("name", ["support & <complaints>", "中文", "x" * 200, "../../etc", "a.b"])
def test_any_name_makes_legal_names_of_units(name: str) -> None:
    tag = task(name).tag
    assert "." not in tag
    assert Unit(f"{tag}.k16.n0.s42.ipet.g10-p10-s10", "a.b:c", {}).name


def test_plain_fine_tuning_is_steadied_unless_the_user_says_otherwise() -> None:
    preset = ClassifierSettings(steps=10, batch=4)
    assert steadied(preset, preset, 32) == replace(preset, steps=160, warmup=0.1)  # 20 epochs of 8 batches
    assert steadied(replace(preset, steps=500), replace(preset, steps=500), 32).steps == 500
    asked = replace(preset, steps=3, warmup=0.05)
    assert steadied(asked, preset, 32) == asked


def test_methods_differ_in_what_they_must_only() -> None:
    study = Study((task("one"),), (1,), ("pet", "supervised"), PRESETS["large"], PRESETS["large"])
    split = study.tasks[0].splits[-1]
    assert study.settings_for("ipet", split) == replace(study.settings_for("pet", split), method="ipet")
    assert study.settings_for("supervised", split).supervised.warmup == 0.1
    assert study.settings_for("pet", split).supervised.warmup == 0
