"""Folders that a run must not touch, and settings and data that are not those of the run."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from petkit import files
from petkit.errors import RunError
from tests.petkit.runs.toy_runs import toy


def test_changed_settings_and_data_are_refused_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    toy.run(folder)
    before = toy.snapshot(folder)
    with pytest.raises(RunError) as caught:
        toy.run(folder, settings={"seed": 4, "member": {"steps": 9}, "new": None}, inputs={"train": "9z", "test": "3c"})
    message = str(caught.value)
    assert message.splitlines()[0].endswith("another folder (--out): 6 problems")
    for line in (
        "setting member.steps: 4 -> 9",
        "setting new: not given -> null",
        "setting seed: 3 -> 4",
        "data train: its content has changed",
        "data pool: given before, not given now",
        "data test: not given before, given now",
    ):
        assert line in message
    assert toy.snapshot(folder) == before


def test_path_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(RunError, match="is a file"):
        toy.run(tmp_path / "run")
    with pytest.raises(RunError, match=r"cannot (make the folder|read) .*below: Not a directory"):
        toy.run(tmp_path / "run" / "below")
    assert (tmp_path / "run").read_text() == "mine"


def test_name_too_long(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="File name too long"):
        toy.run(tmp_path / ("x" * 300))
    with pytest.raises(RunError, match="File name too long"):
        files.write_text(tmp_path / ("x" * 300), "x")


def test_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match=r"not empty and not a run \(it holds thesis.txt\)"):
        toy.run(tmp_path)
    assert os.listdir(tmp_path) == ["thesis.txt"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(RunError, match=r"cannot make the folder .*: Permission denied"):
            toy.run(tmp_path / "run")
    finally:
        tmp_path.chmod(0o700)


def test_refused_by_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunError, match=r"cannot make the folder .*run: Permission denied"):
        toy.run(tmp_path / "run")
