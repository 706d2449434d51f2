"""Runs that are stopped, dead or out of space at any write point: the end is that of an undisturbed run."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from petkit import files
from petkit.errors import RunError
from petkit.runs import read_status
from tests.petkit.runs.toy_runs import FULL, NAMES, Stop, check_disturbed_and_resumed, observing, raising_at, resume, toy


def test_a_run_passes_through_write_points_of_every_sort(points: list[str]) -> None:
    sorts = {point.split()[0] for point in points}
    assert sorts == {"make", "lock", "write", "rename", "renamed", "stage", "aside", "remove", "step"}
    for name in ("run.json", "plan.json", "words.json", "table.parquet", "state.safetensors", "record.json", *NAMES):
        assert f"rename {name}" in points
        assert f"renamed {name}" in points


def test_undisturbed_runs_are_equal(tmp_path: Path, reference: dict[str, object], no_sync: None) -> None:
    toy.run(tmp_path / "run")
    assert toy.snapshot(tmp_path / "run") == reference
    assert {name.split("/")[0] for name in reference} == {"run.json", "plan.json", "stages"}


def test_stopped_at_every_write_point(tmp_path: Path, points: list[str], reference: dict[str, object], no_sync: None) -> None:
    for number in range(len(points)):
        folder = tmp_path / str(number)
        with observing(raising_at(number, Stop())), pytest.raises(Stop):
            toy.run(folder)
        assert not list(folder.rglob(f"{files.TEMPORARY}*")), points[number]
        check_disturbed_and_resumed(folder, reference)


def test_dead_at_every_write_point(
    tmp_path: Path, points: list[str], reference: dict[str, object], no_sync: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above, but nothing is tidied up after the stop, as after a kill."""
    left = 0
    for number in range(len(points)):
        folder = tmp_path / str(number)
        with monkeypatch.context() as patch, observing(dying_at(number, patch)), pytest.raises(Stop):
            toy.run(folder)
        left += len(list(folder.rglob(f"{files.TEMPORARY}*")))
        check_disturbed_and_resumed(folder, reference)
    assert left > 20


def dying_at(number: int, patch: pytest.MonkeyPatch) -> Callable[[str], None]:
    raise_stop = raising_at(number, Stop())

    def observe(point: str) -> None:
        try:
            raise_stop(point)
        except Stop:
            patch.setattr(files, "discard", lambda path: None)
            patch.setattr(os, "replace", lambda source, target: None)
            raise

    return observe


def test_disk_full_at_every_write_point(tmp_path: Path, points: list[str], reference: dict[str, object], no_sync: None) -> None:
    for number in range(len(points)):
        folder = tmp_path / str(number)
        full = OSError(errno.ENOSPC, "No space left on device")
        with (
            observing(raising_at(number, full)),
            pytest.raises(RunError, match=FULL),
        ):
            toy.run(folder)
        assert not list(folder.rglob(f"{files.TEMPORARY}*")), points[number]
        check_disturbed_and_resumed(folder, reference)


def test_stop_in_a_unit_goes_on_from_its_checkpoint(tmp_path: Path, points: list[str], reference: dict[str, object]) -> None:
    with observing(raising_at(points.index("step 2"), Stop())), pytest.raises(Stop):
        toy.run(tmp_path / "run")
    assert [unit.state for unit in read_status(tmp_path / "run").units] == ["done", "done", "begun", "todo"]
    events = resume(tmp_path / "run")
    assert [event.done for event in events if event.kind == "progress"] == [3, 4]
    assert toy.snapshot(tmp_path / "run") == reference


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte, where one may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small tmpfs cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_real_full_disk(small_disk: Path, reference: dict[str, object]) -> None:
    """With one more free page each time, the disk is full at one file after another, until there is room for all."""
    refused = 0
    for pages in range(100):
        (small_disk / "filler").write_bytes(b"x" * (512 * 1024 - pages * 4096))
        if has_room(small_disk / "run"):
            break
        refused += 1
        (small_disk / "filler").unlink()
        if (small_disk / "run").exists():
            check_disturbed_and_resumed(small_disk / "run", reference)
            shutil.rmtree(small_disk / "run")
    assert refused > 5
    assert toy.snapshot(small_disk / "run") == reference


def has_room(folder: Path) -> bool:
    try:
        toy.run(folder)
    except RunError as error:
        if not re.search(FULL, str(error)):
            raise
        return False
    return True
