"""How far a study is, and how long it may take."""

from __future__ import annotations

import pytest

from petkit.evaluation.estimate import Speed, seconds_of
from petkit.evaluation.grid import Cell, Split, TaskPlan
from petkit.evaluation.progress import Progress, Tracker
from petkit.executors import Event
from petkit.pvp import Task
from petkit.settings import Settings, apply_changes
from petkit.units import Unit

A, B = Cell("t", 4, 0, 1, "pet"), Cell("t", 4, 0, 1, "tfidf")


def tracker(told: list[Progress], workers: int = 1) -> Tracker:
    return Tracker({"m": 10.0, "a": 20.0, "b": 10.0}, {A: ("m", "a"), B: ("b",)}, workers, told.append)


def test_a_cell_runs_while_one_of_its_units_does() -> None:
    told: list[Progress] = []
    track = tracker(told)
    for kind, unit in (("started", "m"), ("finished", "m"), ("started", "a"), ("started", "b"), ("finished", "a"), ("skipped", "b")):
        track.event(Event(kind, unit, seconds=1.0))  # type: ignore[arg-type]
    assert [(far.done, far.running, far.left) for far in told] == [(0, 1, 1), (0, 0, 2), (0, 1, 1), (0, 2, 0), (1, 1, 0), (2, 0, 0)]


def test_no_more_cells_run_than_units() -> None:
    """Two methods share the member: while it is trained one cell is at work, and another waits."""
    cells = {Cell("t", 4, 0, 1, name): ("shared", name) for name in ("pet", "single")}
    track = Tracker({"shared": 1.0, "pet": 1.0, "single": 1.0, "weights": 1.0}, cells, 2, lambda far: None)
    for unit in ("weights", "shared"):
        track.event(Event("started", unit))
    assert (track.now().running, track.now().left) == (1, 1)


def test_the_time_left_follows_the_pace_and_the_workers() -> None:
    told: list[Progress] = []
    track = tracker(told)
    assert track.now().seconds_left == 40
    track.event(Event("finished", "m", seconds=20.0))  # twice as slow as thought
    assert told[-1].seconds_left == pytest.approx(2 * 30)
    assert tracker([], workers=2).now().seconds_left == 20


def test_units_cost_their_tokens() -> None:
    task = Task(name="t", fields=("text",), patterns="{mask}: {text}", verbalizer={"a": "bad", "b": "good"})
    plan = TaskPlan(task, 0, (Split(4, 0, "draw 0", "x", 8, (4, 4)),), text_tokens=12.0, pool=100, test=50)
    settings = apply_changes(Settings(), {"member.steps": 10, "member.batch": 2, "member.accumulate": 1, "member.unlabeled_batch": 3})
    spec = {"settings": settings.as_dict(), "inner": {"function": "petkit.members:member_unit", "name": "m", "names": {}}}
    speed = Speed(train=0.01, forward=0.001, opening=3.0)
    unit = Unit("t0-t.k4.n0.s1.g0-p0-s0", "petkit.evaluation.stages:inner_unit", spec)
    assert seconds_of(unit, [plan], speed) == pytest.approx(0.05 + 3 + 10 * 5 * 20 * 0.01 + 150 * 20 * 0.001)
    assert seconds_of(Unit("t0-t.rows", "petkit.evaluation.rows:rows_unit", {"fingerprints": {}}), [plan], speed) == 0.05
