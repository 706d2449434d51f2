"""Runs whose process is killed, and two processes on one folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from petkit.errors import RunError
from petkit.runs import RunFolder, read_status
from tests.petkit.runs.toy_runs import HERE, NAMES, OPENING, check_disturbed_and_resumed, finished, toy


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
        ours = f"in use by another run of this process \\(process {os.getpid()} on "
        with pytest.raises(RunError, match=ours), RunFolder.open(tmp_path / "run", **OPENING):
            pytest.fail("opened twice")
        assert read_status(tmp_path / "run").holder == f"process {os.getpid()} on {socket.gethostname()}"
    assert read_status(tmp_path / "run").holder is None
