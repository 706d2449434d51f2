"""Progress: plain lines where nobody watches, one moving line where somebody does."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from petkit.cli.reporter import INTERVAL, Reporter, duration, print_json, spelled
from petkit.executors import Event

STORY = [
    Event("rerun", "rows", reason="output x is missing"),
    Event("started", "rows"),
    Event("finished", "rows", seconds=0.04),
    Event("skipped", "adapt"),
    Event("started", "g0-p0-s0"),
    *(Event("progress", "g0-p0-s0", done=step, total=100, facts={"loss": 1.0 / (step + 1), "mlm": 7.123456}) for step in range(0, 101, 50)),
    Event("finished", "g0-p0-s0", seconds=200.0),
]


def shown(events: list[Event], *, terminal: bool = False, width: int = 100, clock: list[float] | None = None) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=width, highlight=False, color_system="standard" if terminal else None)
    times = iter(clock or [0.0] * 100)
    with Reporter(console=console, clock=lambda: next(times)) as reporter:
        for event in events:
            reporter.event(event)
        reporter.notice("mind the [gap]")
    return stream.getvalue()


def test_plain_lines_where_nobody_watches() -> None:
    assert shown(STORY).splitlines() == [
        "rows: again, since output x is missing",
        "rows: 0.0 s",
        "adapt: done before",
        "g0-p0-s0: 3 min 20 s  loss 0.0099, mlm 7.12",
        "Note: mind the [gap]",
    ]


def test_long_units_tell_how_far_they_are_now_and_then() -> None:
    events = [Event("started", "m"), *(Event("progress", "m", done=i, total=9, facts={"loss": 0.5}) for i in range(1, 5))]
    clock = [0.0, 3.0, INTERVAL, INTERVAL + 1, 2 * INTERVAL]
    assert shown(events, clock=clock).splitlines()[:-1] == ["m: 2 of 9  loss 0.5", "m: 4 of 9  loss 0.5"]


def test_an_unknown_total_is_not_invented() -> None:
    events = [Event("progress", "rows", done=1000), Event("progress", "rows", done=2000)]
    assert shown(events, clock=[0.0, INTERVAL]).splitlines()[0] == "rows: 2000"


@pytest.mark.parametrize(("width", "bar"), [(100, True), (60, False)])
def test_a_terminal_sees_one_moving_line(width: int, bar: bool) -> None:
    found = shown(STORY[:-1], terminal=True, width=width)
    assert "\x1b[" in found
    moving = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", part) for part in re.split(r"[\r\n]", found)]
    last = next(part for part in reversed(moving) if part.startswith("g0-p0-s0"))
    assert "100/100" in last
    assert "loss 0.0099" in last
    assert ("\u2501" in last) is bar
    assert max(len(part) for part in moving) <= width


def test_finished_units_stay_on_a_terminal() -> None:
    found = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown(STORY, terminal=True))
    assert "g0-p0-s0: 3 min 20 s  loss 0.0099, mlm 7.12" in found


def test_a_unit_that_lost_its_process_has_one_bar() -> None:
    begun = [Event("started", "m"), Event("progress", "m", done=1, total=2)]
    bars = []
    with Reporter(console=Console(file=io.StringIO(), force_terminal=True)) as reporter:
        for event in [*begun, Event("rerun", "m", reason="its process was ended by SIGKILL"), *begun, Event("finished", "m", seconds=1.0)]:
            reporter.event(event)
            bars.append(len(reporter._bars.tasks))
    assert bars == [1, 1, 0, 1, 1, 0]


def test_no_color_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    colours = re.findall(r"\x1b\[[0-9;]*m", shown(STORY, terminal=True))
    assert [code for code in colours if re.search(r"\[(3|4|9)[0-9]", code)] == []


def test_quiet_shows_nothing_and_keeps_notices() -> None:
    stream = io.StringIO()
    with Reporter(quiet=True, console=Console(file=stream, force_terminal=True)) as reporter:
        for event in STORY:
            reporter.event(event)
        reporter.notice("mind the gap")
    assert (stream.getvalue(), reporter.notices) == ("", ["mind the gap"])


def test_numbers_are_short() -> None:
    assert duration(59.7) == "1 min 0 s"
    assert spelled({"a": float("nan"), "b": True, "c": None}) == "a nan, b True"


def test_json_is_what_every_parser_reads(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"loss": float("nan"), "best": float("-inf"), "label": "\u4e2d", "out": Path("run")})
    assert capsys.readouterr().out == '{"loss": null, "best": null, "label": "\u4e2d", "out": "run"}\n'
