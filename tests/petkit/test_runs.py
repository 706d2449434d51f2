"""Runs that are stopped, killed, out of space, disturbed from outside or opened wrongly: the end is that of an undisturbed run."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from petkit import files
from petkit.errors import RunError
from petkit.executors import Event
from petkit.runs import RunFolder, read_status

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # units name their function by module: the toy pipeline is imported here as in child processes

import toy_pipeline as toy  # noqa: E402

OPENING: dict[str, Any] = {"settings": toy.SETTINGS, "inputs": toy.INPUTS, "versions": toy.VERSIONS}
FULL = r"no space left on the disk of .*; free some and run the same command again"
NAMES = ["words", "table", "member", "scores"]


class Stop(BaseException):
    """Not an Exception: nothing in the library may catch it for good."""


@pytest.fixture
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for the disk, hundreds of runs take seconds."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What an undisturbed run leaves."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    toy.run(folder)
    return toy.snapshot(folder)


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


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every write point of an undisturbed run, in order."""
    seen: list[str] = []
    with observing(seen.append):
        toy.run(tmp_path_factory.mktemp("points") / "run")
    return seen


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


def test_truncated_checkpoint_is_noticed(tmp_path: Path, points: list[str], reference: dict[str, object]) -> None:
    with observing(raising_at(points.index("step 2"), Stop())), pytest.raises(Stop):
        toy.run(tmp_path / "run")
    (checkpoint,) = (tmp_path / "run" / "work").rglob("state.safetensors")
    os.truncate(checkpoint, checkpoint.stat().st_size - 1)
    events = resume(tmp_path / "run")
    assert [event.done for event in events if event.kind == "progress"] == [1, 2, 3, 4]
    assert toy.snapshot(tmp_path / "run") == reference


def test_three_real_kills(tmp_path: Path, reference: dict[str, object]) -> None:
    places = [("rename table.parquet", 1), ("step 2", 1), ("renamed scores", 1)]
    children = [_start(tmp_path / str(i), name, count, tmp_path / f"reached{i}") for i, (name, count) in enumerate(places)]
    done = []
    for i, child in enumerate(children):
        _await(tmp_path / f"reached{i}", child)
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        done.append(finished(tmp_path / str(i)))
        assert read_status(tmp_path / str(i)).holder is None
        check_disturbed_and_resumed(tmp_path / str(i), reference)
    assert done == [NAMES[:1], NAMES[:2], NAMES]


def _start(folder: Path, name: str, count: int, reached: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(HERE / "toy_pipeline.py"), str(folder), name, str(count), str(reached)]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(HERE.parent.parent)})


def _await(reached: Path, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not reached.exists():
        assert child.poll() is None, "the toy pipeline ended before it came to the place"
        assert time.monotonic() < deadline, "the toy pipeline did not come to the place within a minute"
        time.sleep(0.02)


def test_two_processes_on_one_folder(tmp_path: Path, reference: dict[str, object]) -> None:
    child = _start(tmp_path / "run", "step 0", 1, tmp_path / "reached")
    try:
        _await(tmp_path / "reached", child)
        holder = f"process {child.pid} on {socket.gethostname()}"
        before = toy.snapshot(tmp_path / "run")
        started = time.monotonic()
        with pytest.raises(RunError, match=f"in use by {holder}"):
            toy.run(tmp_path / "run")
        assert time.monotonic() - started < 2
        assert toy.snapshot(tmp_path / "run") == before
        assert read_status(tmp_path / "run").holder == holder
    finally:
        child.kill()
        child.wait()
    check_disturbed_and_resumed(tmp_path / "run", reference)


def test_two_opens_in_one_process(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", **OPENING):
        with pytest.raises(RunError, match=f"process {os.getpid()}"), RunFolder.open(tmp_path / "run", **OPENING):
            pytest.fail("opened twice")
        assert read_status(tmp_path / "run").holder is not None
    assert read_status(tmp_path / "run").holder is None


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


def test_versions_are_recorded_and_reported_not_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    toy.run(folder)
    newer = OPENING | {"versions": {"petkit": "0.1.0", "torch": "2.14.0"}}
    for expected in [('torch: "2.13.0" -> "2.14.0"',), ()]:
        with RunFolder.open(folder, **newer) as run:
            assert run.version_changes == expected
    manifest = read_status(folder).manifest
    assert manifest["versions"] == toy.VERSIONS
    assert [entry["versions"] for entry in manifest["reopened"]] == [newer["versions"]]
    assert of_kind(resume(folder), "skipped") == NAMES


def test_hardware_is_recorded(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", **OPENING, hardware={"accelerator": "none"}):
        pass
    hardware = read_status(tmp_path / "run").manifest["hardware"]
    assert hardware["accelerator"] == "none"
    assert hardware["processors"] == os.cpu_count()


def test_moved_folder_goes_on(tmp_path: Path, reference: dict[str, object]) -> None:
    toy.run(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    assert of_kind(resume(tmp_path / "elsewhere"), "skipped") == NAMES
    assert toy.snapshot(tmp_path / "elsewhere") == reference


def test_link_to_a_folder_is_a_folder(tmp_path: Path, reference: dict[str, object]) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "scratch")
    toy.run(tmp_path / "run")
    assert toy.snapshot(tmp_path / "scratch") == reference


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged"),
        (b'{"schema": 1, "settin', "is damaged"),
        (b"[1]", "holds list, not a JSON object"),
        (b"\xff\xfe", "is damaged"),
        (b'{"schema": 2}', "has schema 2, and this petkit reads 1"),
        (b'{"schema": 1, "settings": {}, "inputs": []}', "no valid inputs, versions, hardware, created, reopened"),
    ],
)
def test_damaged_manifest(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(RunError, match=message):
        toy.run(tmp_path)
    with pytest.raises(RunError, match=message):
        read_status(tmp_path)
    assert (tmp_path / "run.json").read_bytes() == content


def test_leftovers_go_and_nothing_else(tmp_path: Path, reference: dict[str, object]) -> None:
    folder = tmp_path / "run"
    toy.run(folder)
    outside = tmp_path / f"{files.TEMPORARY}outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    (folder / "stages" / f"{files.TEMPORARY}words-1").mkdir()
    (folder / "stages" / f"{files.TEMPORARY}words-1" / "words.json").write_text("half")
    (folder / f"{files.TEMPORARY}run.json-1").write_text("half")
    (folder / f"{files.TEMPORARY}link").symlink_to(outside)
    (folder / "way-out").symlink_to(tmp_path)
    resume(folder)
    (folder / "way-out").unlink()
    assert toy.snapshot(folder) == reference
    assert (outside / "kept").read_text() == "x"


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("unit", "name", "damage", "reason"),
    [
        ("words", "words.json", _truncate, "output words.json has .* bytes instead of"),
        ("table", "table.parquet", _flip, "output table.parquet has changed"),
        ("member", "state.safetensors", Path.unlink, "output state.safetensors is missing"),
        ("scores", "more/notes.txt", _truncate, "output more/notes.txt has"),
        ("scores", "record.json", _halve, "record.json is damaged"),
        ("table", "record.json", Path.unlink, "record.json is damaged"),
        ("table", "record.json", lambda path: path.write_text("{}"), "not the record of a unit"),
    ],
)
def test_damaged_output_is_noticed_and_made_again(
    tmp_path: Path, reference: dict[str, object], unit: str, name: str, damage: Callable[[Path], None], reason: str
) -> None:
    toy.run(tmp_path / "run")
    damage(tmp_path / "run" / "stages" / unit / name)
    events = resume(tmp_path / "run")
    assert of_kind(events, "rerun") == of_kind(events, "started") == [unit]
    (notice,) = [event.reason for event in events if event.kind == "rerun"]
    assert re.search(reason, notice)
    assert toy.snapshot(tmp_path / "run") == reference


def test_status_before_during_and_after(tmp_path: Path, points: list[str]) -> None:
    folder = tmp_path / "run"
    with pytest.raises(RunError, match="not a run folder"):
        read_status(folder)
    seen = []
    toy.run(
        folder, on_event=lambda event: seen.append([unit.state for unit in read_status(folder).units]) if event.kind == "started" else None
    )
    assert seen == [["done"] * i + ["todo"] * (4 - i) for i in range(4)]
    status = read_status(folder)
    assert [unit.name for unit in status.units] == NAMES
    assert all(unit.state == "done" and unit.seconds is not None for unit in status.units)
    assert status.manifest["settings"] == toy.SETTINGS
    _truncate(folder / "stages" / "table" / "table.parquet")
    assert read_status(folder).units[1][:2] == ("table", "damaged")
    (folder / "plan.json").write_text("{")
    assert read_status(folder).units == ()


def test_records_and_paths(tmp_path: Path) -> None:
    toy.run(tmp_path / "run")
    with RunFolder.open(tmp_path / "run", **OPENING) as run:
        assert run.record("words") == {"words": 5}
        assert json.loads((run.path("words") / "words.json").read_bytes())["nothing"] is None
        assert run.done("words")
        assert not run.done("nobody")
        assert [unit.state for unit in run.status(toy.units())] == ["done"] * 4
        for ask in (run.record, run.path):
            with pytest.raises(RunError, match="stage 'nobody' is not finished"):
                ask("nobody")


def test_no_pickle_on_disk(reference: dict[str, object]) -> None:
    suffixes = {Path(name).suffix for name in reference}
    assert suffixes == {".json", ".parquet", ".safetensors", ".txt"}
    assert not any(isinstance(content, bytes) and content.startswith((b"\x80", b"PK")) for content in reference.values())
