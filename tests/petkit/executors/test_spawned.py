"""Several processes: what runs beside what, what a unit sees there, and which settings are refused."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from petkit.errors import SettingsError
from petkit.executors import Executor, Spawned, executor_for, run_all
from petkit.executors.pool import visible
from petkit.runs import RunFolder
from petkit.units import Unit
from tests.petkit.executors.executor_units import unit
from tests.petkit.executors.observed import eventually, gone
from tests.tiny_train import snapshot as tiny_snapshot
from tests.tiny_train import tiny_model, tiny_run


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


@pytest.mark.wheel
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


def test_functions_of_the_script_itself_are_refused(run: RunFolder) -> None:
    with pytest.raises(ValueError, match=r"units \['a'\]: their functions are in the script"):
        run_all([Unit("a", "__main__:f", {})], run, executor=Spawned(1))


@pytest.mark.slow
def test_training_run_in_two_processes_equals_the_one_in_this(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")
    here = tiny_run(tmp_path / "here", model, "ipet")
    with executor_for(2, device="cpu") as executor:
        there = tiny_run(tmp_path / "there", model, "ipet", executor=executor)
    assert there.report | {"seconds": None} == here.report | {"seconds": None}
    assert tiny_snapshot(there.path) == tiny_snapshot(here.path)
