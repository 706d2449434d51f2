"""Runs of the toy pipeline, disturbed and resumed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from petkit import files
from petkit.executors import Event

HERE = Path(__file__).parent.parent
sys.path.insert(0, str(HERE))  # units name their function by module: the toy pipeline is imported here as in child processes

import toy_pipeline as toy  # noqa: E402

OPENING: dict[str, Any] = {"settings": toy.SETTINGS, "inputs": toy.INPUTS, "versions": toy.VERSIONS}
FULL = r"no space left on the disk of .*; free some and run the same command again"
NAMES = ["words", "table", "member", "scores"]


class Stop(BaseException):
    """Not an Exception: nothing in the library may catch it for good."""


@contextmanager
def observing(observer: Callable[[str], None]) -> Iterator[None]:
    files.observers.append(observer)
    try:
        yield
    finally:
        files.observers.remove(observer)


def raising_at(number: int, error: BaseException) -> Callable[[str], None]:
    """An observer that raises at the write point of that number."""
    seen = 0

    def observe(point: str) -> None:
        nonlocal seen
        seen += 1
        if seen == number + 1:
            raise error

    return observe


def finished(folder: Path) -> list[str]:
    return [name for name in NAMES if (folder / "stages" / name / "record.json").exists()]


def whole_files(folder: Path) -> dict[str, object]:
    """What lies under its final name, checkpoints aside."""
    return {name: value for name, value in toy.snapshot(folder).items() if files.TEMPORARY not in name and not name.startswith("work/")}


def resume(folder: Path) -> list[Event]:
    events: list[Event] = []
    toy.run(folder, on_event=events.append)
    return events


def of_kind(events: list[Event], kind: str) -> list[str]:
    return [event.unit for event in events if event.kind == kind]


def check_disturbed_and_resumed(folder: Path, reference: dict[str, object]) -> None:
    """Nothing half-written lies there; going on does what is left, and only that, and ends like an undisturbed run."""
    assert whole_files(folder).items() <= reference.items()
    before = finished(folder)
    events = resume(folder)
    assert of_kind(events, "skipped") == before
    assert of_kind(events, "started") == [name for name in NAMES if name not in before]
    assert of_kind(events, "rerun") == []
    assert toy.snapshot(folder) == reference
