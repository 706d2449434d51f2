"""What tests of stages share: rows in a run folder, specifications, and a unit carried out without executor or lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from petkit.canonical import plain
from petkit.files import write_json
from petkit.pvp import Task
from petkit.rowfiles import save_rows
from petkit.rows import Rows
from petkit.settings import Settings, apply_changes
from petkit.taskspec import task_spec
from petkit.units import RECORD, StageRecord, UnitContext, stage_folder
from tests.builders import sentences

TINY: Mapping[str, Any] = {
    "repetitions": 1,
    "max_length": 64,
    "token_budget": 512,
    "member.steps": 3,
    "member.learning_rate": 1e-3,
    "member.batch": 2,
    "member.accumulate": 1,
    "member.unlabeled_batch": 2,
    "member.mlm_weight": 0.1,
    "classifier.steps": 3,
    "classifier.learning_rate": 1e-3,
    "classifier.batch": 4,
    "supervised.steps": 3,
    "supervised.batch": 4,
}
"""Settings that train in the blink of an eye."""


def tiny_settings(**changes: Any) -> Settings:
    """Settings of ``TINY``; dots of names are written ``__``."""
    return apply_changes(Settings(), {**TINY, **{name.replace("__", "."): value for name, value in changes.items()}})


def texts(count: int, *, start: int = 0, labels: int = 0, name: str = "r") -> Rows:
    """So many short real texts, with labels 0, 1, ... in turn if ``labels`` is above 0."""
    found = tuple(" ".join(text.split()[:12]) for text in sentences()[start : start + count])
    return Rows(tuple(f"{name}{i}" for i in range(count)), {"text": found}, tuple(i % labels for i in range(count)) if labels else ())


def deposit(root: Path, **parts: Rows) -> None:
    """The rows of a run, as the unit ``rows`` leaves them."""
    folder = stage_folder(root, "rows")
    folder.mkdir(parents=True)
    for part, rows in parts.items():
        save_rows(folder / f"{part}.parquet", rows)
    record = {"rows": {part: len(rows) for part, rows in parts.items()}}
    write_json(folder / RECORD, asdict(StageRecord("", {}, record, {}, {}, 0.0, "")))


def spec_of(task: Task, settings: Settings, *, model: str | Path = "none", **more: Any) -> dict[str, Any]:
    """A unit's specification, as it comes out of JSON."""
    found: dict[str, Any] = plain(
        {"task": task_spec(task), "model": str(model), "device": "cpu", "settings": settings.as_dict(), "seed": settings.seed, **more}
    )
    return found


def context_for(root: Path, name: str, *needs: str, seed: int = 42) -> UnitContext:
    """A unit's context; its folder is made anew, and needs ``rows`` in any case."""
    out, work = stage_folder(root, name), root / "work" / name
    for folder in (out, work):
        folder.mkdir(parents=True)
    needed = {need: stage_folder(root, need) for need in ("rows", *needs)}
    return UnitContext(name, root, out, work, lambda done, total=None, **facts: None, seed, needed)


def replay(spec: dict[str, Any], context: UnitContext) -> Any:
    """A stage that gives the record it was given."""
    return spec["record"]
