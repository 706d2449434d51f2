"""Executors: order, skipping, keys, events, and what passes through when a unit fails."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from petkit import files, units
from petkit.errors import RunError
from petkit.executors import Event, InProcess, run_all
from petkit.objectives.streams import seed_for
from petkit.runs import RunFolder
from petkit.units import Unit, UnitContext

HERE = __name__
CALLS: list[str] = []


def count(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Write the sum of the numbers of the needed units and ``add``; count the calls."""
    CALLS.append(context.name)
    total = spec.get("add", 0) + sum(files.read_json_checked(context.need(name) / "sum.json")["sum"] for name in spec.get("of", []))
    files.write_json(context.out / "sum.json", {"sum": total // spec.get("round", 1) * spec.get("round", 1)})
    spec.clear()
    return {"name": context.name}


def fail(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    (context.out / "half").write_text("half")
    (context.work / "checkpoint").write_text("kept")
    if spec["error"] == "interrupt":
        raise KeyboardInterrupt("by hand")
    if spec["error"] == "undeclared":
        context.need("a")
    if spec["error"] == "seedless":
        context.seed_for("x")
    if spec["error"] == "taken":
        (context.out / "record.json").write_text("{}")
    return {} if spec["error"] != "recordless" else None  # type: ignore[return-value]


def unit(name: str, *needs: str, **spec: Any) -> Unit:
    return Unit(name, f"{HERE}:count", {**spec, "of": needs}, needs=needs)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    CALLS.clear()
    with RunFolder.open(tmp_path / "run", settings={}, inputs={}, versions={}) as opened:
        yield opened


def sums(run: RunFolder, *names: str) -> list[int]:
    return [files.read_json_checked(run.path(name) / "sum.json")["sum"] for name in names]


def test_units_run_in_order_and_once(run: RunFolder) -> None:
    pipeline = [unit("a", add=1), unit("b", "a", add=2), unit("c", "a", "b")]
    events: list[Event] = []
    results = list(InProcess().run(pipeline, run, on_event=events.append))
    assert [result.name for result in results] == CALLS == ["a", "b", "c"]
    assert [(event.kind, event.unit) for event in events] == [(kind, name) for name in "abc" for kind in ("started", "finished")]
    assert sums(run, "a", "b", "c") == [1, 3, 4]
    again = run_all(pipeline, run)
    assert CALLS == ["a", "b", "c"]
    assert [result.skipped for result in again.values()] == [True] * 3
    assert [(r.record, r.path, r.seconds) for r in again.values()] == [(r.record, r.path, r.seconds) for r in results]


def test_nothing_runs_ahead_of_the_reader(run: RunFolder) -> None:
    results = InProcess().run([unit("a"), unit("b")], run)
    next(results)
    assert CALLS == ["a"]


def test_later_units_may_need_those_of_an_earlier_call(run: RunFolder) -> None:
    run_all([unit("a", add=5)], run)
    run_all([unit("b", "a")], run)
    assert sums(run, "b") == [5]
    assert [status.name for status in run.status([unit("a"), unit("b")])] == ["a", "b"]
    assert files.read_json_checked(run.root / "plan.json") == {"units": ["a", "b"]}


@pytest.mark.parametrize(
    "changed",
    [
        lambda old: replace(old, spec={**old.spec, "add": 7}),
        lambda old: replace(old, files={"pool.csv": "other"}),
        lambda old: replace(old, function=f"{HERE}:other"),
    ],
)
def test_what_changes_a_unit_runs_it_again(run: RunFolder, monkeypatch: pytest.MonkeyPatch, changed: Any) -> None:
    monkeypatch.setattr(sys.modules[HERE], "other", count, raising=False)
    first = unit("a", add=1)
    run_all([first], run)
    events: list[Event] = []
    run_all([changed(first)], run, on_event=events.append)
    assert [event.kind for event in events] == ["rerun", "started", "finished"]
    assert events[0].reason == "its specification or what it reads has changed"
    assert CALLS == ["a", "a"]


def test_code_version_runs_everything_again(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    run_all([unit("a")], run)
    monkeypatch.setattr(units, "CODE_VERSION", units.CODE_VERSION + 1)
    run_all([unit("a")], run)
    assert CALLS == ["a", "a"]


def test_change_spreads_as_far_as_outputs_differ(run: RunFolder) -> None:
    def pipeline(add: int) -> list[Unit]:
        return [unit("a", add=add), unit("b", "a", round=10), unit("c", "b")]

    run_all(pipeline(11), run)
    run_all(pipeline(12), run)
    assert CALLS == ["a", "b", "c", "a", "b"]
    run_all(pipeline(25), run)
    assert CALLS[5:] == ["a", "b", "c"]
    assert sums(run, "c") == [20]


def test_wrong_orders_are_refused_before_anything_runs(run: RunFolder) -> None:
    with pytest.raises(ValueError, match="two units have the name 'a'"):
        run_all([unit("a"), unit("a")], run)
    with pytest.raises(ValueError, match=r"unit 'a' needs \['b'\]"):
        run_all([unit("a", "b"), unit("b")], run)
    with pytest.raises(ValueError, match=r"unit 'a' needs \['b'\]"):
        run_all([unit("a", "b")], run)
    assert CALLS == []


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        ("interrupt", KeyboardInterrupt, "by hand"),
        ("undeclared", ValueError, "does not declare that it needs 'a'"),
        ("seedless", ValueError, "has no 'seed'"),
        ("taken", ValueError, r"wrote record\.json"),
        ("recordless", TypeError, "returned NoneType, not a record"),
    ],
)
def test_failed_unit_leaves_its_checkpoints_only(run: RunFolder, error: str, kind: type[BaseException], message: str) -> None:
    failing = Unit("bad", f"{HERE}:fail", {"error": error})
    with pytest.raises(kind, match=message):
        run_all([unit("a"), failing, unit("c")], run)
    assert sorted(path.name for path in (run.root / "stages").iterdir()) == ["a"]
    assert [path.name for path in (run.root / "work" / "bad").rglob("*") if path.is_file()] == ["checkpoint"]
    assert [status.state for status in run.status([unit("a"), failing, unit("c")])] == ["done", "begun", "todo"]


def test_checkpoints_of_another_specification_are_not_seen(run: RunFolder) -> None:
    for error in ("interrupt", "seedless"):
        with pytest.raises((KeyboardInterrupt, ValueError)):
            run_all([Unit("bad", f"{HERE}:fail", {"error": error})], run)
    assert len(list((run.root / "work" / "bad").iterdir())) == 1
    run_all([unit("bad")], run)
    assert not (run.root / "work" / "bad").exists()


@pytest.mark.parametrize("name", ["", "a/b", "..", ".a", "a b", "a" * 101])
def test_names_are_safe_as_folders(name: str) -> None:
    with pytest.raises(ValueError, match="unit name"):
        unit(name)


def test_function_is_named_by_module() -> None:
    with pytest.raises(ValueError, match=r"package\.module:function"):
        Unit("a", "just_a_name", {})


def test_seeds_depend_on_the_seed_and_the_names_only(tmp_path: Path) -> None:
    def context(name: str, seed: int) -> UnitContext:
        return UnitContext(name, tmp_path, tmp_path, tmp_path, lambda done, total=None, **facts: None, seed, {})

    assert context("a", 1).seed_for("dropout", 3) == context("b", 1).seed_for("dropout", 3) == seed_for(1, "dropout", 3)
    seeds = {context("a", seed).seed_for(*names) for seed in (1, 2) for names in [(), ("x",), ("x", 1), ("x", "1"), ("x1",)]}
    assert len(seeds) == 10
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_unfinished_need_is_an_error(run: RunFolder) -> None:
    with pytest.raises(RunError, match="stage 'a' is not finished"):
        run.key(unit("b", "a"))
