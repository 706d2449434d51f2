"""Executors. The first half is what each of them has to pass: order, skipping, keys, events, and what passes through when a unit fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from petkit import files, units
from petkit.errors import DataError, RunError, SettingsError, UserError
from petkit.executors import Event, Executor, InProcess, Spawned, executor_for, pool, run_all
from petkit.executors.messages import described, packed, rebuilt, unpacked
from petkit.executors.pool import visible
from petkit.objectives.streams import seed_for
from petkit.runs import RunFolder
from petkit.units import Unit, UnitContext
from tests import builders
from tests.petkit import executor_units
from tests.petkit.executor_units import Awkward, calls_of, unit
from tests.petkit.toy_pipeline import snapshot
from tests.tiny_train import snapshot as tiny_snapshot
from tests.tiny_train import tiny_model, tiny_run

ROOT = Path(builders.__file__).resolve().parent.parent
EXECUTORS = {"in-process": InProcess(), "one worker": Spawned(1), "two workers": Spawned(2)}


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> Executor:
    return EXECUTORS[request.param]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    with RunFolder.open(tmp_path / "run", settings={}, inputs={}, versions={}) as opened:
        yield opened


def sums(run: RunFolder, *names: str) -> list[int]:
    return [files.read_json_checked(run.path(name) / "sum.json")["sum"] for name in names]


def told(events: list[Event], *kinds: str) -> list[tuple[str, str]]:
    return [(event.kind, event.unit) for event in events if event.kind in kinds or not kinds]


def leftovers(run: RunFolder) -> list[str]:
    """What is unfinished in the folder: temporary files, and checkpoints."""
    return [str(path.relative_to(run.root)) for path in run.root.rglob("*") if path.name.startswith(".tmp-") or "work" in path.parts[-2:-1]]


# Every executor


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


# In this process


def test_nothing_runs_ahead_of_the_reader(run: RunFolder) -> None:
    results = InProcess().run([unit("a"), unit("b")], run)
    next(results)
    assert calls_of(run) == ["a"]


# Other processes


def gone(process: int) -> bool:
    """Whether a process has ended. One that nobody has asked for its exit status has."""
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether the condition holds within that time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def processes(events: list[Event]) -> list[int]:
    """The numbers that ``wait`` units have told."""
    return [event.done or 0 for event in events if event.kind == "progress"]


def test_units_run_beside_each_other_as_soon_as_they_can(run: RunFolder) -> None:
    pipeline = [unit("long", function="wait", beside=["b"]), unit("a"), unit("b", "a"), replace(unit("end"), needs=("long", "b"))]
    results = [result.name for result in Spawned(2).run(pipeline, run)]
    assert sorted(results[:3]) == ["a", "b", "long"]
    assert (results[0], results[3]) == ("a", "end")


def test_exception_names_its_place_in_the_worker(run: RunFolder) -> None:
    with pytest.raises(ValueError, match="has no 'seed'") as caught:
        run_all([unit("bad", function="fail", error="seedless")], run, executor=Spawned(1))
    assert "in another process" in str(caught.value.__cause__)
    assert 'context.seed_for("x")' in str(caught.value.__cause__)


def test_exceptions_that_cannot_be_made_again_keep_their_words(run: RunFolder) -> None:
    with pytest.raises(RuntimeError, match=r"executor_units\.Awkward: onetwo$"):
        run_all([unit("bad", function="fail", error="awkward")], run, executor=Spawned(1))


class Local(UserError):
    def __init__(self, row: int) -> None:
        super().__init__(f"row {row}")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (OSError(28, "full", "/x"), OSError, "[Errno 28] full: '/x'"),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), RuntimeError, "UnicodeDecodeError: 'utf-8' codec can't decode byte 0x78"),
        (Awkward("a", "b"), RuntimeError, "tests.petkit.executor_units.Awkward: ab"),
        (Local(3), UserError, "row 3"),
        (SystemExit(4), SystemExit, "4"),
    ],
)
def test_exceptions_as_messages(error: BaseException, kind: type[BaseException], text: str) -> None:
    again = rebuilt(unpacked(packed(described(error))))
    assert type(again) is kind
    assert str(again).startswith(text)


def test_messages_hold_what_progress_tells() -> None:
    import numpy as np

    facts = {"loss": np.float32(0.5), "rows": np.int64(3), "none": float("nan"), "odd": {1}, "path": Path("x")}
    again = unpacked(packed(facts))
    assert again.pop("none") != facts["none"]
    assert again == {"loss": 0.5, "rows": 3, "odd": "{1}", "path": "x"}


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
    waiting = unit("long", function="wait")
    with pytest.raises(ValueError, match="has no 'seed'"):
        run_all([waiting, unit("bad", function="fail", error="seedless")], run, executor=Spawned(2), on_event=events.append)
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


def test_processes_stay_in_a_with_block_only(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def process_of(name: str, executor: Executor) -> int:
        record = run_all([unit(name, function="look")], run, executor=executor)[name].record
        assert record["folder"] == str(Path.cwd())
        return int(record["process"])

    with Spawned(1) as executor:
        kept = [process_of("a", executor)]
        monkeypatch.chdir(run.root)
        kept.append(process_of("b", executor))
        os.kill(kept[0], signal.SIGKILL)
        assert eventually(lambda: gone(kept[0]))
        replaced = process_of("c", executor)
    assert kept[0] == kept[1] != replaced
    assert gone(replaced)
    assert process_of("d", executor) != replaced


def test_one_call_at_a_time(run: RunFolder) -> None:
    with Spawned(1) as executor:
        results = executor.run([unit("a"), unit("long", function="wait")], run)
        next(results)
        with pytest.raises(ValueError, match="at work for another call"):
            run_all([unit("b")], run, executor=executor)


def test_what_a_unit_sees_of_its_process(run: RunFolder, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    seen = run_all([unit("a", function="look")], run, executor=Spawned(1))["a"].record
    assert (seen["gpus"], seen["ignores_interrupts"], seen["heavy"], seen["folder"]) == (None, True, [], str(Path.cwd()))
    assert seen["process"] != os.getpid()
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "printed by a unit\n")


def test_workers_take_gpus_in_turn(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    pipeline = [unit(name, function="look", beside=["a", "b", "c"]) for name in "abc"]
    results = run_all(pipeline, run, executor=Spawned(3, ("cuda:1", "cuda:0")))
    assert sorted(result.record["gpus"] for result in results.values()) == ["0", "1", "1"]


def test_gpus_are_counted_among_those_that_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-5e")
    assert [visible(name) for name in ("cuda:0", "cuda:1")] == [{"CUDA_VISIBLE_DEVICES": "2"}, {"CUDA_VISIBLE_DEVICES": "GPU-5e"}]
    with pytest.raises(SettingsError, match="device 'cuda:2' is not there"):
        visible("cuda:2")


def test_wrong_numbers_are_refused_together() -> None:
    with pytest.raises(SettingsError) as caught:
        Spawned(0, ("gpu1",), retries=-1)
    assert len(caught.value.problems) == 3


def test_executor_for_a_number_of_workers() -> None:
    with executor_for(1) as one, executor_for(3, device="cpu") as three:
        assert (one, three) == (InProcess(), Spawned(3))


def test_functions_of_the_script_itself_are_refused(run: RunFolder) -> None:
    with pytest.raises(ValueError, match=r"units \['a'\]: their functions are in the script"):
        run_all([Unit("a", "__main__:f", {})], run, executor=Spawned(1))


SCRIPT = """
import signal
import sys
from petkit.executors import Spawned
from petkit.runs import RunFolder
from tests.petkit.executor_units import unit

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


# A training run


@pytest.mark.slow
def test_training_run_in_two_processes_equals_the_one_in_this(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")
    here = tiny_run(tmp_path / "here", model, "ipet")
    with executor_for(2, device="cpu") as executor:
        there = tiny_run(tmp_path / "there", model, "ipet", executor=executor)
    assert there.report | {"seconds": None} == here.report | {"seconds": None}
    assert tiny_snapshot(there.path) == tiny_snapshot(here.path)


# Units


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
