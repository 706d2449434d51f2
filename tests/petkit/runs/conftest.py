"""What an undisturbed run of the toy pipeline leaves, and the write points it passes."""

from __future__ import annotations

import os

import pytest

from tests.petkit.runs.toy_runs import observing, toy


@pytest.fixture
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for the disk, hundreds of runs take seconds."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What an undisturbed run leaves."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    toy.run(folder)
    return toy.snapshot(folder)


@pytest.fixture(scope="session")
def points(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every write point of an undisturbed run, in order."""
    seen: list[str] = []
    with observing(seen.append):
        toy.run(tmp_path_factory.mktemp("points") / "run")
    return seen
