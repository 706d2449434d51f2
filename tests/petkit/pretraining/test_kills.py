"""``petkit pretrain`` in a process of its own, killed (SIGKILL) again and again: it ends as a run that was left alone."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.petkit.pretraining.test_run import contents, text_file

ROOT = Path(__file__).resolve().parents[3]
CHILD = """
import json, sys, time
from functools import partial
from pathlib import Path
from petkit.pretraining import PretrainSettings, loop, run_pretraining
from petkit.training import train

source, out, objectives, steps, halt, reached = sys.argv[1:]
loop.train = partial(train, checkpoint_seconds=0.0)

def stop(event):
    if event.kind == "progress" and event.done == int(halt):
        Path(reached).touch()
        time.sleep(600)

settings = PretrainSettings(
    objectives=tuple(objectives.split(",")), vocabulary=200, layers=1, hidden=32, rows=16, length=24, held_out=0.1,
    learning_rate=5e-3, dropout=0.2, accumulate=2, steps=int(steps), measure_every=4,
)
figures = run_pretraining([source], settings, out, on_event=stop)
print(json.dumps({name: value for name, value in figures.items() if name != "model"}))
"""


def start(source: str, out: Path, *, objectives: str, steps: int, halt: int = 0) -> subprocess.Popen[str]:
    """A run that waits to be killed once it has made ``halt`` updates (0: never), and tells by a file beside ``out``."""
    command = [sys.executable, "-c", CHILD, source, str(out), objectives, str(steps), str(halt), str(reached(out))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def reached(out: Path) -> Path:
    return out.with_suffix(".reached")


def kill(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert child.returncode == -signal.SIGKILL


def figures(child: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = child.communicate()
    assert child.returncode == 0
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def kill_at(source: str, out: Path, halts: Sequence[int], **options: Any) -> dict[str, Any]:
    """Figures of a run that is killed after each of these updates, then left to end."""
    for halt in halts:
        child = start(source, out, halt=halt, **options)
        while not reached(out).exists():
            assert child.poll() is None, f"it ended before update {halt}"
            time.sleep(0.02)
        kill(child)
        reached(out).unlink()
        assert list(out.rglob("training.safetensors"))
    return figures(start(source, out, **options))


def curve(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "curves.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("objectives", "halts"), [("nsp", (3, 10)), pytest.param("mlm,whole-word", (2, 3, 9), marks=pytest.mark.slow)])
def test_killed_after_some_updates(objectives: str, halts: Sequence[int], tmp_path: Path) -> None:
    options: dict[str, Any] = {"objectives": objectives, "steps": 12}
    source = text_file(tmp_path)
    expected = figures(start(source, tmp_path / "a", **options))
    assert kill_at(source, tmp_path / "b", halts, **options) == expected
    assert contents(tmp_path / "a" / "model") == contents(tmp_path / "b" / "model")
    assert curve(tmp_path / "a") == curve(tmp_path / "b")


@pytest.mark.slow
def test_killed_at_random_times(tmp_path: Path) -> None:
    """A checkpoint is written after each of 300 updates, so that many of the kills fall into a write."""
    options: dict[str, Any] = {"objectives": "mlm,sop", "steps": 300}
    source, rng, kills = text_file(tmp_path), random.Random(0), 0
    begun = time.monotonic()
    expected = figures(start(source, tmp_path / "a", **options))
    whole, out = time.monotonic() - begun, tmp_path / "b"
    while kills < 10:
        child = start(source, out, **options)
        while not list(out.rglob("training.safetensors")) and child.poll() is None:
            time.sleep(0.02)
        try:
            child.communicate(timeout=rng.uniform(0, whole / 6))
        except subprocess.TimeoutExpired:
            kill(child)
            kills += 1
        else:
            break
    assert kills >= 3, "the run ended before it could be killed"
    assert figures(start(source, out, **options)) == expected
    assert contents(tmp_path / "a" / "model") == contents(out / "model")
    assert curve(tmp_path / "a") == curve(out)
