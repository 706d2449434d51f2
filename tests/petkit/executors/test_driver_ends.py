"""A script that starts workers: it needs no guard, and however it ends, no worker outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from petkit.executors import run_all
from petkit.runs import RunFolder
from tests import builders
from tests.petkit.executors.executor_units import unit
from tests.petkit.executors.observed import eventually, gone, leftovers

ROOT = Path(builders.__file__).resolve().parent.parent
SCRIPT = """
import signal
import sys
from petkit.executors import Spawned
from petkit.runs import RunFolder
from tests.petkit.executors.executor_units import unit

signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have had it ignored
print("begun", flush=True)
with RunFolder.open(sys.argv[1], settings={}, inputs={}, versions={}) as run:
    pipeline = [unit("a"), *(unit(name, function="wait", until="go") for name in ("left", "right"))]
    for result in Spawned(2).run(pipeline, run):
        print(result.name, flush=True)
"""


@pytest.fixture
def script(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A script without a guard, as users write them, at work on ``tmp_path/run``: two units wait for the file ``go``."""
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "run")]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def workers_of(folder: Path) -> list[int]:
    """The two workers of the script, when both are at work."""
    paths = [folder / "process-left", folder / "process-right"]
    assert eventually(lambda: all(path.exists() for path in paths))
    return [int(path.read_text()) for path in paths]


def test_script_needs_no_guard(tmp_path: Path, script: subprocess.Popen[str]) -> None:
    workers = workers_of(tmp_path / "run")
    (tmp_path / "run" / "go").touch()
    output, errors = script.communicate(timeout=30)
    assert (output.split()[:2], sorted(output.split()[2:]), errors) == (["begun", "a"], ["left", "right"], "")
    assert all(gone(worker) for worker in workers)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_the_driver(tmp_path: Path, script: subprocess.Popen[str], sent: signal.Signals) -> None:
    workers = workers_of(tmp_path / "run")
    if sent == signal.SIGINT:  # as a terminal does: to all of them
        os.killpg(script.pid, sent)
    else:
        script.send_signal(sent)
    _, errors = script.communicate(timeout=30)
    assert script.returncode == -sent
    assert errors.count("KeyboardInterrupt") == (1 if sent == signal.SIGINT else 0)
    assert eventually(lambda: all(gone(worker) for worker in workers), 10)
    with RunFolder.open(tmp_path / "run", settings={}, inputs={}, versions={}) as run:
        (run.root / "go").touch()
        results = run_all([unit("a"), *(unit(name, function="wait", until="go") for name in ("left", "right"))], run)
        assert [result.skipped for result in results.values()] == [True, False, False]
        assert leftovers(run) == []
