"""The main job stopped, killed, out of space and damaged: called again, it ends with the files and the report of an undisturbed run."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from petkit import files
from petkit.errors import RunError
from petkit.executors import Event
from petkit.pipeline import RunResult
from petkit.runs import read_status
from tests import tiny_train
from tests.tiny_train import checkpoint_every_step, observing, snapshot, tiny_model, tiny_run

ROOT = Path(tiny_train.__file__).resolve().parent.parent
ONE_PATTERN = {"patterns": "0"}
"""Every sort of unit, none of them twice."""
Point = tuple[int, str, str, int]
"""Units settled before, the unit at work ("" between units), the write point's name, and how many of that name came since."""


class Stop(BaseException):
    """Not an Exception: nothing in the library may catch it for good."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True, scope="module")
def _hurry() -> Iterator[None]:
    """Checkpoints after every step."""
    with checkpoint_every_step():
        yield


class Watch:
    """Knows where a run is, and calls ``act`` at each write point."""

    def __init__(self, act: Callable[[Point], None]) -> None:
        self._act, self._settled, self._unit = act, 0, ""
        self._counts: Counter[str] = Counter()
        self.events: list[Event] = []

    def event(self, event: Event) -> None:
        self.events.append(event)
        if event.kind in ("started", "finished", "skipped"):
            self._settled += event.kind != "started"
            self._unit = event.unit if event.kind == "started" else ""
            self._counts.clear()

    def point(self, name: str) -> None:
        self._counts[name] += 1
        once = name.startswith("remove ")  # by the unit itself, or by the next call before it skips the unit
        self._act((0, "", name, 1) if once else (self._settled, self._unit, name, self._counts[name]))

    def run(self, folder: Path, model: Path, method: str = "ipet", **options: Any) -> RunResult:
        with observing(self.point):
            return tiny_run(folder, model, method, on_event=self.event, **options)


class Undisturbed:
    """An undisturbed run: what it left, its report, and its write points in order."""

    def __init__(self, folder: Path, model: Path, **options: Any) -> None:
        self.points: list[Point] = []
        self.folder, self.options = folder, options
        self.report = Watch(self.points.append).run(folder, model, **options).report
        self.files = snapshot(folder)
        self.units = list(self.report["seconds"])

    def copy(self, folder: Path) -> Path:
        """The same run in another place, to be damaged."""
        return Path(shutil.copytree(self.folder, folder))

    def is_equal(self, result: RunResult) -> None:
        assert snapshot(result.path) == self.files
        assert result.report | {"seconds": None} == self.report | {"seconds": None}
        assert list(result.report["seconds"]) == self.units

    def is_whole(self, folder: Path) -> None:
        """What has its final name is as in the undisturbed run."""
        found = snapshot(folder)
        odd = {name for name, value in found.items() if self.files.get(name) != value}
        assert [name for name in odd if not name.startswith(("work/", "incoming/", "plan.json")) and files.TEMPORARY not in name] == []


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("reference") / "run", model, settings=ONE_PATTERN)


def test_the_run_has_write_points_of_every_sort(reference: Undisturbed) -> None:
    assert len(set(reference.points)) == len(reference.points) > 200
    assert {name.split()[0] for _, _, name, _ in reference.points} == {
        "lock",
        "make",
        "stage",
        "write",
        "rename",
        "renamed",
        "aside",
        "remove",
    }
    training = [unit for _, unit, name, _ in reference.points if name == "renamed training.safetensors"]
    assert training == ["adapt", "g0-p0-s0", "g1-p0-s0", "classifier", "baseline-supervised"]


def stop_at_each_point_once(
    folder: Path, model: Path, reference: Undisturbed, stop: Callable[[], BaseException], *, after: Callable[[Path], None] | None = None
) -> list[Event]:
    """One run, stopped at the first write point that it was not stopped at before, again and again until it ends."""
    stopped: set[Point] = set()

    def act(point: Point) -> None:
        if point not in stopped:
            stopped.add(point)
            raise stop()

    events: list[Event] = []
    for _ in range(2 * len(reference.points)):
        watch = Watch(act)
        try:
            result = watch.run(folder, model, **reference.options)
        except Stop:
            if after is not None:
                after(folder)
            reference.is_whole(folder)
            events += watch.events
            continue
        reference.is_equal(result)
        assert set(reference.points) <= stopped
        return events
    raise AssertionError("the run does not end")


def test_stopped_at_every_write_point(tmp_path: Path, model: Path, reference: Undisturbed) -> None:
    events = stop_at_each_point_once(tmp_path / "run", model, reference, Stop)
    kinds = Counter((event.kind, event.unit) for event in events)
    assert not [unit for kind, unit in kinds if kind == "rerun"]
    assert all(kinds["finished", unit] <= 1 for unit in reference.units)
    for unit in ("adapt", "g0-p0-s0", "classifier"):
        steps = [event.done or 0 for event in events if event.kind == "progress" and event.unit == unit]
        assert steps == sorted(steps), "a step was made again after a later one"


@pytest.mark.slow
@pytest.mark.parametrize("method", ["pet", "ipet"])
def test_dead_at_every_write_point_of_a_larger_run(method: str, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As above, but nothing is tidied up after the stop, as after a kill, and there are two patterns and two repetitions."""
    options = {"method": method, "settings": {"repetitions": 2}}
    reference = Undisturbed(tmp_path / "reference" / "run", model, **options)  # the same name: write points tell it

    def die() -> BaseException:
        monkeypatch.setattr(files, "discard", lambda path: None)
        monkeypatch.setattr(os, "replace", lambda source, target: None)
        return Stop()

    discard, replace, left = files.discard, os.replace, 0

    def revive(folder: Path) -> None:
        nonlocal left
        monkeypatch.setattr(files, "discard", discard)
        monkeypatch.setattr(os, "replace", replace)
        left += len(list(folder.rglob(f"{files.TEMPORARY}*")))

    stop_at_each_point_once(tmp_path / "run", model, reference, die, after=revive)
    assert left > 100


@pytest.mark.slow
def test_stopped_at_each_write_point_of_a_run_of_its_own(tmp_path: Path, model: Path, reference: Undisturbed) -> None:
    for number, place in enumerate(reference.points):

        def act(point: Point, place: Point = place) -> None:
            if point == place:
                raise Stop

        with pytest.raises(Stop):
            Watch(act).run(tmp_path / str(number) / "run", model, **reference.options)
        reference.is_whole(tmp_path / str(number) / "run")
        reference.is_equal(Watch(lambda point: None).run(tmp_path / str(number) / "run", model, **reference.options))


def test_disk_full_at_write_points_of_every_sort(tmp_path: Path, model: Path, reference: Undisturbed) -> None:
    """Every eleventh point, the first of each sort that writes, and those of them that come anew after the failures before."""
    first = {point[2].split()[0]: point for point in reversed(reference.points)}
    chosen = {*reference.points[::11], *(first[sort] for sort in ("write", "rename", "renamed", "stage"))}
    failed: set[Point] = set()

    def act(point: Point) -> None:
        if point in chosen - failed:
            failed.add(point)
            raise OSError(errno.ENOSPC, "No space left on device")

    result, messages = None, []
    while result is None:
        try:
            result = Watch(act).run(tmp_path / "run", model, **reference.options)
        except RunError as error:
            messages.append(str(error))
            reference.is_whole(tmp_path / "run")
            left = list((tmp_path / "run").rglob(f"{files.TEMPORARY}*"))
            assert not left, "half-written files stay"
    assert all("no space left on the disk" in message and "run the same command again" in message for message in messages)
    reference.is_equal(result)
    assert len(failed) == len(chosen)


DISK = 4 * 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes, where one may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small tmpfs cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["pet", "ipet"])
def test_a_disk_that_is_really_full(method: str, small_disk: Path, tmp_path: Path, model: Path) -> None:
    """With 32 KB more each time, the run comes a little further, until there is room for all of it."""
    reference = Undisturbed(tmp_path / "reference" / "run", model, method=method, settings=ONE_PATTERN)
    folder, result, messages = small_disk / "run", None, list[str]()
    for room in range(0, DISK, 32 * 1024):
        (small_disk / "filler").write_bytes(bytes(DISK - room))
        try:
            result = Watch(lambda point: None).run(folder, model, **reference.options)
            break
        except RunError as error:
            messages.append(str(error))
        reference.is_whole(folder)
        assert not list(folder.rglob(f"{files.TEMPORARY}*"))
    assert result is not None
    assert len(messages) > 10
    assert all("no space left on the disk" in message and "run the same command again" in message for message in messages)
    reference.is_equal(result)


# Processes


def start(folder: Path, model: Path, *place: object, method: str = "ipet") -> subprocess.Popen[bytes]:
    command = [sys.executable, str(ROOT / "tests" / "tiny_train.py"), str(folder), str(model), method, *map(str, place)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(reached: Path, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not reached.exists():
        assert child.poll() is None, "the run ended before it came to the place"
        assert time.monotonic() < deadline, "the run did not come to the place within two minutes"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def two_patterns(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("reference") / "run", model)


KILLS: list[tuple[str, int, dict[str, str]]] = [
    ("renamed training.safetensors", 2, {"g0-p0-s0": "begun", "untrained-p1": "done"}),  # in training; the first is that of `adapt`
    ("write pool.parquet", 4, {"g0-p1-s0": "begun", "g0-p0-s0": "done"}),  # in labelling; the rows come first, twice
    ("renamed g0-ensemble", 1, {"g0-ensemble": "done"}),  # between units
]


@pytest.mark.parametrize(("point", "count", "states"), KILLS)
def test_a_real_kill_and_a_second_run(
    point: str, count: int, states: dict[str, str], tmp_path: Path, model: Path, two_patterns: Undisturbed
) -> None:
    folder, reached = tmp_path / "run", tmp_path / "reached"
    child = start(folder, model, point, count, reached)
    wait_for(reached, child)
    holder = f"process {child.pid} on {socket.gethostname()}"
    assert read_status(folder).holder == holder
    with pytest.raises(RunError, match=f"in use by {holder}; wait until it ends, or give another folder"):
        tiny_run(folder, model)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    found = {unit.name: unit.state for unit in read_status(folder).units}
    assert {name: found[name] for name in states} == states
    two_patterns.is_whole(folder)
    watch = Watch(lambda point: None)
    two_patterns.is_equal(watch.run(folder, model))
    assert [event.unit for event in watch.events if event.kind == "skipped"] == [name for name, state in found.items() if state == "done"]
    assert not [event for event in watch.events if event.kind == "rerun"]


@pytest.mark.slow
def test_twenty_kills_at_random_points(tmp_path: Path, model: Path, two_patterns: Undisturbed) -> None:
    command = [sys.executable, str(ROOT / "tests" / "tiny_train.py"), str(tmp_path / "run"), str(model), "ipet"]
    seconds = list(two_patterns.report["seconds"].values())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        kill_often = pytest.importorskip("benchmarks.kill", reason="benchmarks are in the checkout only").kill_often
        found = kill_often(command, tmp_path / "run", kills=20, seconds=seconds, rng=random.Random(0))
    assert len(found) == 20
    assert len({kill["units"] for kill in found}) > 5, "the kills should spread over the run"
    for folder in [path for path in tmp_path.iterdir() if path.is_dir()]:
        assert snapshot(folder) == two_patterns.files


# Damage


def test_damaged_checkpoint_costs_its_stage_and_no_more(tmp_path: Path, model: Path, reference: Undisturbed) -> None:
    def act(point: Point) -> None:
        if point[1:3] == ("g0-p0-s0", "write test.parquet"):
            raise Stop

    for cut in (1, 100_000):
        folder = tmp_path / str(cut)
        with pytest.raises(Stop):
            Watch(act).run(folder, model, **reference.options)
        (checkpoint,) = (folder / "work").rglob("training.safetensors")
        os.truncate(checkpoint, max(0, checkpoint.stat().st_size - cut))
        watch = Watch(lambda point: None)
        reference.is_equal(watch.run(folder, model, **reference.options))
        assert [event.done for event in watch.events if event.kind == "progress" and event.unit == "g0-p0-s0"] == [1, 2]


@pytest.mark.parametrize("name", ["stages/g0-p0-s0/pool.parquet", "stages/classifier/model/model.safetensors", "stages/rows/train.parquet"])
def test_damaged_output_is_made_again(name: str, tmp_path: Path, model: Path, reference: Undisturbed) -> None:
    folder = tmp_path / "run"
    reference.copy(folder)
    os.truncate(folder / name, (folder / name).stat().st_size - 1)
    watch = Watch(lambda point: None)
    reference.is_equal(watch.run(folder, model, **reference.options))
    again = [(event.unit, event.reason) for event in watch.events if event.kind == "rerun"]
    assert [unit for unit, _ in again] == [name.split("/")[1]]
    assert f"output {name.split('/', 2)[2]} has" in again[0][1]
    assert len([event for event in watch.events if event.kind == "skipped"]) == len(reference.units) - 1


@pytest.mark.parametrize("name", ["classifier/model.safetensors", "classifier", "report.json", "report.md", "ensemble.json", "plan.json"])
def test_lost_results_come_back(name: str, tmp_path: Path, model: Path, reference: Undisturbed) -> None:
    folder = reference.copy(tmp_path / "run")
    assert (folder / name).exists()
    files.discard(folder / name)
    reference.is_equal(tiny_run(tmp_path / "run", model, **reference.options))


def test_damaged_manifest_is_told(tmp_path: Path, model: Path) -> None:
    (tmp_path / "run").mkdir()
    for content in ("{", "[]", json.dumps({"schema": 1, "settings": 3})):
        (tmp_path / "run" / "run.json").write_text(content)
        with pytest.raises(RunError, match=r"run\.json is damaged.*give another folder"):
            tiny_run(tmp_path / "run", model)
