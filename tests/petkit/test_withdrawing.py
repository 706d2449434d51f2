"""Refused runs: taken back while nothing is trained, kept as soon as something is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from petkit import locks
from petkit.errors import DataError, RunError
from petkit.runs import LOCK, RunFolder
from petkit.withdrawing import withdrawn_if_refused
from tests.petkit.runs.toy_runs import OPENING


def refuse(root: Path, paths: tuple[str, ...], error: Exception) -> None:
    """A run that makes ``paths`` and then ends by the error."""
    with (
        RunFolder.open(root, **OPENING) as run,
        withdrawn_if_refused(run, prepares=lambda name: name == "rows", also=("incoming",)),
    ):
        for path in paths:
            (run.root / path).parent.mkdir(parents=True, exist_ok=True)
            (run.root / path).touch()
        raise error


def refused(root: Path, *paths: str, error: type[Exception] = DataError) -> set[str]:
    """What is in such a run's folder afterwards."""
    with pytest.raises(error):
        refuse(root, paths, error("wrong"))
    return {path.name for path in root.iterdir()} - {LOCK} if root.exists() else set()


@pytest.mark.parametrize(
    "paths",
    [(), ("incoming/train", "plan.json"), ("stages/rows/record.json",), ("work/model/key/curves.jsonl", "work/model/key/tokenizer/x")],
)
def test_a_run_that_has_trained_nothing_goes_with_its_folder(tmp_path: Path, paths: tuple[str, ...]) -> None:
    assert not refused(tmp_path / "run", *paths)
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    assert not refused(tmp_path / "run", *paths)
    assert not list((tmp_path / "run").iterdir()), "a folder of the user's stays, empty"


def test_a_lock_that_is_taken_away_meanwhile_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take = locks._take

    def taken_back(descriptor: int) -> bool:
        shutil.rmtree(tmp_path / "run")
        return take(descriptor)

    monkeypatch.setattr(locks, "_take", taken_back)
    with pytest.raises(RunError, match="run was in use by a run that has just been taken back; give the command again"):
        refuse(tmp_path / "run", (), DataError("wrong"))


def test_what_others_put_there_stays(tmp_path: Path) -> None:
    assert refused(tmp_path / "run", "notes.txt") == {"notes.txt"}


@pytest.mark.parametrize("path", ["stages/model/record.json", "work/model/key/training.safetensors"])
def test_a_run_that_has_trained_stays(tmp_path: Path, path: str) -> None:
    assert refused(tmp_path / "run", path) == {"run.json", path.partition("/")[0]}


@pytest.mark.parametrize("error", [RunError, ValueError])
def test_what_is_no_mistake_in_the_input_leaves_the_run_as_it_is(tmp_path: Path, error: type[Exception]) -> None:
    assert refused(tmp_path / "run", error=error) == {"run.json"}
