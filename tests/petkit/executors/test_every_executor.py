"""What each executor has to pass: order, skipping, keys, events, and what passes through when a unit fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from petkit import files, units
from petkit.errors import DataError
from petkit.executors import Event, Executor, InProcess, Spawned, run_all
from petkit.runs import RunFolder
from petkit.units import Unit
from tests.petkit.executors import executor_units
from tests.petkit.executors.executor_units import calls_of, unit
from tests.petkit.executors.observed import leftovers, told
from tests.petkit.toy_pipeline import snapshot

EXECUTORS = {"in-process": InProcess(), "one worker": Spawned(1), "two workers": Spawned(2)}


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> Executor:
    return EXECUTORS[request.param]


def sums(run: RunFolder, *names: str) -> list[int]:
    return [files.read_json_checked(run.path(name) / "sum.json")["sum"] for name in names]


def test_units_run_in_order_and_once(run: RunFolder, executor: Executor) -> None:
    pipeline = [unit("a", add=1), unit("b", "a", add=2), unit("c", "a", "b")]
    events: list[Event] = []
    results = list(executor.run(pipeline, run, on_event=events.append))
    assert [result.name for result in results] == calls_of(run) == ["a", "b", "c"]
    assert told(events) == [(kind, name) for name in "abc" for kind in ("started", "finished")]
    assert [event.seconds for event in events if event.kind == "finished"] == [result.seconds for result in results]
    assert sums(run, "a", "b", "c") == [1, 3, 4]
    again = run_all(pipeline, run, executor=executor)
    assert calls_of(run) == ["a", "b", "c"]
    assert [result.skipped for result in again.values()] == [True] * 3
    assert [(r.record, r.path, r.seconds) for r in again.values()] == [(r.record, r.path, r.seconds) for r in results]
    assert leftovers(run) == []


def test_later_units_may_need_those_of_an_earlier_call(run: RunFolder, executor: Executor) -> None:
    run_all([unit("a", add=5)], run, executor=executor)
    run_all([unit("b", "a")], run, executor=executor)
    assert sums(run, "b") == [5]
    assert [status.name for status in run.status([unit("a"), unit("b")])] == ["a", "b"]
    assert files.read_json_checked(run.root / "plan.json") == {"units": ["a", "b"]}


@pytest.mark.parametrize(
    "changed",
    [
        lambda old: replace(old, spec={**old.spec, "add": 7}),
        lambda old: replace(old, files={"pool.csv": "other"}),
        lambda old: replace(old, function=f"{executor_units.HERE}:other"),
    ],
)
def test_what_changes_a_unit_runs_it_again(run: RunFolder, executor: Executor, changed: Any) -> None:
    first = unit("a", add=1)
    run_all([first], run)
    events: list[Event] = []
    run_all([changed(first)], run, executor=executor, on_event=events.append)
    assert [event.kind for event in events] == ["rerun", "started", "finished"]
    assert events[0].reason == "its specification or what it reads has changed"
    assert calls_of(run) == ["a", "a"]


def test_what_a_unit_is_told_aside_reaches_it_and_changes_nothing(run: RunFolder, executor: Executor) -> None:
    first = replace(unit("a", function="overhear"), aside={"cache": "here"})
    run_all([first], run, executor=executor)
    assert files.read_json_checked(run.root / "aside.json") == {"cache": "here"}
    assert run_all([replace(first, aside={"cache": "there"})], run, executor=executor)["a"].skipped
    assert calls_of(run) == ["a"]


def test_damaged_unit_runs_again_alone(run: RunFolder, executor: Executor) -> None:
    pipeline = [unit("a", add=1), unit("b", "a"), unit("c", "b")]
    run_all(pipeline, run)
    (run.path("b") / "sum.json").write_text("{}")
    events: list[Event] = []
    run_all(pipeline, run, executor=executor, on_event=events.append)
    assert told(events) == [("skipped", "a"), ("rerun", "b"), ("started", "b"), ("finished", "b"), ("skipped", "c")]
    assert events[1].reason == "output sum.json has 2 bytes instead of 15"
    assert calls_of(run) == ["a", "b", "c", "b"]


def test_code_version_runs_everything_again(run: RunFolder, executor: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    run_all([unit("a")], run)
    monkeypatch.setattr(units, "CODE_VERSION", units.CODE_VERSION + 1)
    run_all([unit("a")], run, executor=executor)
    assert calls_of(run) == ["a", "a"]


def test_change_spreads_as_far_as_outputs_differ(run: RunFolder, executor: Executor) -> None:
    def pipeline(add: int) -> list[Unit]:
        return [unit("a", add=add), unit("b", "a", round=10), unit("c", "b")]

    run_all(pipeline(11), run, executor=executor)
    run_all(pipeline(12), run, executor=executor)
    assert calls_of(run) == ["a", "b", "c", "a", "b"]
    run_all(pipeline(25), run, executor=executor)
    assert calls_of(run)[5:] == ["a", "b", "c"]
    assert sums(run, "c") == [20]


def test_wrong_orders_are_refused_before_anything_runs(run: RunFolder, executor: Executor) -> None:
    with pytest.raises(ValueError, match="two units have the name 'a'"):
        run_all([unit("a"), unit("a")], run, executor=executor)
    with pytest.raises(ValueError, match=r"unit 'a' needs \['b'\]"):
        run_all([unit("a", "b"), unit("b")], run, executor=executor)
    with pytest.raises(ValueError, match=r"unit 'a' needs \['b'\]"):
        run_all([unit("a", "b")], run, executor=executor)
    assert calls_of(run) == []


def test_progress_is_told(run: RunFolder, executor: Executor) -> None:
    events: list[Event] = []
    run_all([unit("a", steps=3)], run, executor=executor, on_event=events.append)
    steps = [Event("progress", "a", done=done, total=3, facts={"loss": 1 / done}) for done in (1, 2, 3)]
    assert events[1:-1] == steps
    assert [event.kind for event in (events[0], events[-1])] == ["started", "finished"]


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        ("interrupt", KeyboardInterrupt, "by hand"),
        ("undeclared", ValueError, "does not declare that it needs 'a'"),
        ("seedless", ValueError, "has no 'seed'"),
        ("taken", ValueError, r"wrote record\.json"),
        ("recordless", TypeError, "returned NoneType, not a record"),
        ("user", DataError, "row 7: no text"),
        ("file", FileNotFoundError, "No such file or directory: '.*missing'"),
    ],
)
def test_failed_unit_leaves_its_checkpoints_only(
    run: RunFolder, executor: Executor, error: str, kind: type[BaseException], message: str
) -> None:
    failing = replace(unit("bad", function="fail", error=error), needs=("a",))
    if error == "undeclared":
        failing = replace(failing, needs=("b",))
    pipeline = [unit("a"), unit("b", "a"), failing, unit("c", "bad")]
    with pytest.raises(kind, match=message) as caught:
        run_all(pipeline, run, executor=executor)
    assert type(caught.value) is kind
    assert getattr(caught.value, "problems", ()) == (("row 3: no label", "row 7: no text") if error == "user" else ())
    assert {path.name for path in (run.root / "stages").iterdir()} <= {"a", "b"}
    assert [path.name for path in (run.root / "work" / "bad").rglob("*") if path.is_file()] == ["checkpoint"]
    states = {status.name: status.state for status in run.status(pipeline)}
    assert (states["a"], states["bad"], states["c"]) == ("done", "begun", "todo")


def test_checkpoints_of_another_specification_are_not_seen(run: RunFolder, executor: Executor) -> None:
    for error in ("interrupt", "seedless"):
        with pytest.raises((KeyboardInterrupt, ValueError)):
            run_all([unit("bad", function="fail", error=error)], run, executor=executor)
    assert len(list((run.root / "work" / "bad").iterdir())) == 1
    run_all([unit("bad")], run, executor=executor)
    assert leftovers(run) == []


def test_outputs_are_those_of_the_reference(tmp_path: Path, executor: Executor) -> None:
    names = ["n0", "n1", "n2", "n3", "n4"]
    pipeline = [unit(name, function="draw", seed=3) for name in names]
    pipeline += [unit("pair", "n1", "n3", function="draw", seed=3), unit("all", "pair", *names, function="draw", seed=3)]
    contents = []
    for folder, chosen in (("reference", InProcess()), ("other", executor)):
        with RunFolder.open(tmp_path / folder, settings={}, inputs={}, versions={}) as run:
            results = run_all(pipeline, run, executor=chosen)
            assert sorted(results) == sorted(unit.name for unit in pipeline)
        contents.append(snapshot(tmp_path / folder))
    assert contents[0] == contents[1]
    assert len({contents[0][f"stages/{name}/numbers.bin"] for name in names}) == 5
