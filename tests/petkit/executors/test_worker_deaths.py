"""Workers that die or are given up: the unit runs again, the result is the same, no process stays."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from petkit.errors import RunError
from petkit.executors import Event, Executor, InProcess, Spawned, pool, run_all
from petkit.memory import MemoryExhaustedError
from petkit.runs import RunFolder
from tests.petkit.executors.executor_units import calls_of, unit
from tests.petkit.executors.observed import gone, leftovers, processes, told
from tests.petkit.toy_pipeline import snapshot


def test_killed_worker_is_replaced_and_the_result_is_the_same(tmp_path: Path) -> None:
    pipeline = [unit("a", function="die"), unit("b"), unit("c", "b")]
    contents, events = [], []
    for folder, deaths, executor in (("calm", 0, InProcess()), ("killed", 2, Spawned(2, retries=2))):
        with RunFolder.open(tmp_path / folder, settings={}, inputs={}, versions={}) as run:
            (run.root / "deaths").write_text(str(deaths))
            run_all(pipeline, run, executor=executor, on_event=events.append)
            assert sorted(calls_of(run)) == ["a"] * (1 + deaths) + ["b", "c"]
            assert leftovers(run) == []
        contents.append(snapshot(tmp_path / folder / "stages"))
    assert contents[0] == contents[1]
    assert [event.reason for event in events if event.kind == "rerun"] == ["its process was ended by SIGKILL"] * 2


def test_worker_killed_from_outside(run: RunFolder) -> None:
    events: list[Event] = []

    def kill_once(event: Event) -> None:
        events.append(event)
        if event.kind == "progress" and len(processes(events)) == 1:
            os.kill(event.done or 0, signal.SIGKILL)
        elif event.kind == "progress":
            (run.root / "go").touch()

    results = run_all([unit("a", function="wait", until="go")], run, executor=Spawned(1), on_event=kill_once)
    assert [event.kind for event in events] == ["started", "progress", "rerun", "started", "progress", "finished"]
    assert not results["a"].skipped
    assert len(set(processes(events))) == 2


@pytest.mark.parametrize(
    ("spec", "retries", "message"),
    [
        ({}, 1, "unit bad: its process was ended by SIGKILL, the last of 2 tries; if memory ran out, use fewer workers"),
        ({}, 0, "unit bad: its process was ended by SIGKILL; if memory"),
        ({"status": 3}, 0, "unit bad: its process ended with exit status 3; if memory"),
    ],
)
def test_retries_used_up(run: RunFolder, spec: dict[str, Any], retries: int, message: str) -> None:
    (run.root / "deaths").write_text("9")
    pipeline = [unit("a"), replace(unit("bad", function="die", **spec), needs=("a",))]
    with pytest.raises(RunError) as caught:
        run_all(pipeline, run, executor=Spawned(1, retries=retries))
    assert str(caught.value).startswith(message)
    assert calls_of(run) == ["a", *["bad"] * (1 + retries)]
    assert [status.state for status in run.status(pipeline)] == ["done", "begun"]
    assert not [path for path in run.root.rglob(".tmp-*")]


def test_unit_that_ran_out_of_memory_runs_again_in_another_process(run: RunFolder) -> None:
    (run.root / "deaths").write_text("1")
    events: list[Event] = []
    with Spawned(1) as executor:
        before = run_all([unit("a", function="look")], run, executor=executor)["a"].record["process"]
        found = run_all([unit("b", function="exhaust"), unit("c", "b", function="look")], run, executor=executor, on_event=events.append)
    assert [event.reason for event in events if event.kind == "rerun"] == ["its process ran out of memory"]
    assert found["b"].record["tries"] == 2, "the checkpoint of the first try was lost"
    assert gone(before)
    assert found["b"].record["process"] == found["c"].record["process"] != before
    assert leftovers(run) == []


@pytest.mark.parametrize(("executor", "tries"), [(InProcess(), 1), (Spawned(1), 2), (Spawned(2, retries=0), 1)])
def test_too_little_memory_is_the_users_to_mend(executor: Executor, tries: int, run: RunFolder) -> None:
    (run.root / "deaths").write_text("9")
    with pytest.raises(MemoryExhaustedError, match=r"^unit a needs more memory .* \(CUDA error: out of memory\)\. Fewer --workers"):
        run_all([unit("a", function="exhaust")], run, executor=executor)
    assert calls_of(run) == ["a"] * tries
    assert run.status([unit("a")])[0].state == "begun"
    assert not [path for path in run.root.rglob(".tmp-*")]


def test_death_is_seen_though_a_child_keeps_the_connection(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "GRACE", 0.05)
    (run.root / "deaths").write_text("1")
    began = time.monotonic()
    run_all([unit("a", function="die", child=5)], run, executor=Spawned(1))
    assert calls_of(run) == ["a", "a"]
    assert time.monotonic() - began < 4


def test_unit_that_was_complete_when_its_process_died_is_finished(run: RunFolder) -> None:
    events: list[Event] = []
    run_all([unit("a", function="die_late"), unit("b")], run, executor=Spawned(1), on_event=events.append)
    assert told(events) == [("started", "a"), ("finished", "a"), ("started", "b"), ("finished", "b")]
    assert leftovers(run) == []


def test_failing_unit_stops_the_others(run: RunFolder) -> None:
    events: list[Event] = []
    pipeline = [unit("long", function="wait"), unit("bad", function="fail", error="seedless", until="process-long")]
    with pytest.raises(ValueError, match="has no 'seed'"):
        run_all(pipeline, run, executor=Spawned(2), on_event=events.append)
    assert all(gone(process) for process in processes(events))
    assert not run.done("long")
    assert not [path for path in run.root.rglob(".tmp-*")]


@pytest.mark.parametrize("how", ["close", "event"])
def test_iterator_that_is_given_up_leaves_no_process(run: RunFolder, how: str) -> None:
    events: list[Event] = []

    def on_event(event: Event) -> None:
        events.append(event)
        if how == "event" and event.kind == "progress":
            raise KeyboardInterrupt

    pipeline = [unit("long", function="wait"), replace(unit("a", function="wait", beside=["long"]), needs=())]
    results = Spawned(2).run(pipeline, run, on_event=on_event)
    if how == "close":
        next(results)
        results.close()  # type: ignore[attr-defined]
    else:
        with pytest.raises(KeyboardInterrupt):
            next(results)
    assert processes(events)
    assert all(gone(process) for process in processes(events))
