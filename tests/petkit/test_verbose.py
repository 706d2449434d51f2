"""What a training that was asked to tells on standard error: events made up by hand, and nothing where nothing was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from petkit.executors import Event
from petkit.runs import RunFolder
from petkit.units import Unit
from petkit.verbose import Lines

EVENTS = [
    Event("skipped", "rows"),
    Event("started", "g0-p0-s0"),
    *(Event("progress", "g0-p0-s0", done=step, total=100, facts={"loss": 1 / step}) for step in (1, 2, 3)),
    Event("finished", "g0-p0-s0", seconds=23.44),
    Event("rerun", "classifier", reason="output test.parquet is missing"),
    Event("started", "classifier"),
    Event("progress", "classifier", done=7),
]
LINES = [
    "[Mine] Note: the builtin model is small",
    "[Mine] 1 of 3 done: rows, done before",
    "[Mine] 1 of 3 done: g0-p0-s0, at 2 of 100, loss 0.5",
    "[Mine] 2 of 3 done: g0-p0-s0, 23.4 s",
    "[Mine] 2 of 3 done: classifier again, since output test.parquet is missing",
]


@pytest.mark.parametrize(("level", "wanted"), [(0, []), (1, [line for line in LINES if " at " not in line]), (2, LINES)])
def test_lines_by_hand(level: int, wanted: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The clock goes on by six seconds with every look at it: every second step has waited for ten."""
    with RunFolder.open(tmp_path / "run", settings={}, inputs={}, versions={}) as run:
        run.plan([Unit(name, "a:b", {}) for name in ("rows", "g0-p0-s0", "classifier")])
        ticks = iter(range(0, 600, 6))
        lines = Lines(level, run.root, name="Mine", clock=lambda: float(next(ticks)))
        lines.notice("the builtin model is small")
        for event in EVENTS:
            lines.event(event)
    shown = capsys.readouterr()
    assert (shown.out, shown.err.splitlines()) == ("", wanted)
