"""`petkit status` on the folders of a toy run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from petkit import files, locks
from petkit.cli.app import app
from petkit.executors import run_all
from petkit.runs import RunFolder
from petkit.units import Unit, UnitContext

runner = CliRunner()


def note(spec: dict[str, object], context: UnitContext) -> dict[str, object]:
    files.write_json(context.out / "note.json", spec)
    return {}


def fail(spec: dict[str, object], context: UnitContext) -> dict[str, object]:
    files.write_json(context.work / "half.json", spec)
    raise KeyboardInterrupt


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of three units that was stopped in the second."""
    monkeypatch.setitem(sys.modules, "status_units", sys.modules[__name__])
    units = [Unit(name, f"status_units:{function}", {"seed": 1}) for name, function in (("a", "note"), ("b", "fail"), ("c", "note"))]
    with (
        RunFolder.open(tmp_path / "run", settings={"seed": 1}, inputs={"train": "1a"}, versions={"petkit": "0"}) as folder,
        pytest.raises(KeyboardInterrupt),
    ):
        run_all(units, folder)
    return tmp_path / "run"


def petkit(*arguments: str | Path, code: int = 0) -> Result:
    found = runner.invoke(app, [str(argument) for argument in arguments])
    assert found.exit_code == code, found.output
    return found


def test_done_begun_and_left_are_told(run: Path) -> None:
    found = petkit("status", run).stdout
    rows = [line.split()[:2] for line in found.splitlines()]
    assert [row for row in rows if row and row[0] in "abc"] == [["a", "done"], ["b", "begun"], ["c", "todo"]]
    assert f"{run}: unfinished; begun 20" in found
    assert "units: 1 done, 1 begun, 1 todo" in found
    assert "Next: the command that began this run" in found


def test_the_same_as_json(run: Path) -> None:
    found = json.loads(petkit("status", run, "--json").stdout)
    assert [(unit["name"], unit["state"]) for unit in found["units"]] == [("a", "done"), ("b", "begun"), ("c", "todo")]
    assert (found["state"], found["holder"], found["settings"], found["inputs"]) == ("unfinished", None, {"seed": 1}, {"train": "1a"})


def test_a_finished_run_says_what_to_do_with_it(run: Path) -> None:
    (run / "report.json").write_text("{}")
    (run / "classifier").mkdir()
    assert json.loads(petkit("status", run, "--json").stdout)["state"] == "finished"
    found = petkit("status", run).stdout
    assert f"Report: {run / 'report.json'}\nNext: petkit predict {run} FILE\n" in found
    spaced = run.rename(run.parent / "my run")
    assert f"Next: petkit predict '{spaced}' FILE\n" in petkit("status", spaced).stdout


def test_a_finished_run_says_what_it_has_lost(run: Path) -> None:
    (run / "report.json").write_text('{"settings": {"method": "pet"}}')
    lost = "the classifier is missing or damaged (no classifier/petkit.json); the petkit train command that made the run restores it"
    assert f"Problem: {lost}\n" in petkit("status", run).stdout
    assert json.loads(petkit("status", run, "--json").stdout)["problems"] == [lost]
    with locks.locked(run / ".lock"):
        assert json.loads(petkit("status", run, "--json").stdout)["problems"] == []


def test_a_finished_pretraining_names_its_model(run: Path) -> None:
    (run / "model").mkdir()
    assert f"Model: {run / 'model'}\n" in petkit("status", run).stdout


def test_a_run_at_work_names_its_process(run: Path) -> None:
    with locks.locked(run / ".lock"):
        found = json.loads(petkit("status", run, "--json").stdout)
    assert found["state"] == "running"
    assert found["holder"].startswith("process ")


def test_what_is_no_run_is_the_users_mistake(tmp_path: Path) -> None:
    assert petkit("status", tmp_path, code=2).stderr == f"Error: {tmp_path} is not a run folder: it has no run.json\n"
