"""`petkit evaluate`: what its flags become, what it shows meanwhile and at the end, and how it ends. The study itself is a stand-in."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from petkit.cli.app import app
from petkit.cli.studies import StudyReporter, show_study
from petkit.evaluation.progress import Progress
from petkit.executors import Event, InProcess, Spawned
from petkit.report import compare
from tests.petkit.report.sample_study import sample_study

runner = CliRunner()
STUDY = ("evaluate", "sst2", "--data", "d", "--out", "out")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `petkit.evaluation.study.evaluate` is called with."""
    made: list[dict[str, Any]] = []

    def evaluate(tasks: list[str], **options: Any) -> Any:
        made.append({"tasks": tasks, **options})
        options["on_notice"]("the head is untrained")
        options["on_progress"](Progress(0, 0, 2, 130.0))
        options["on_progress"](Progress(2, 0, 0, 0.0, Event("finished", "t0-sst2.k16.n0.s42.pet", seconds=1.0)))
        return SimpleNamespace(path=Path(options["out"]), report=sample_study())

    stand_in = ModuleType("petkit.evaluation.study")
    stand_in.evaluate = evaluate  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "petkit.evaluation.study", stand_in)
    return made


def petkit(*arguments: str, code: int = 0) -> Result:
    found = runner.invoke(app, list(arguments))
    assert found.exit_code == code, found.output
    return found


def test_flags_become_arguments(calls: list[dict[str, Any]]) -> None:
    petkit(
        "evaluate", "sst2", "mr", "--data", "all", "--data", "mr=elsewhere", "--out", "out", "--shots", "4,8, 16", "--splits", "3",
        "--seeds", "2", "--methods", "pet, tfidf", "--draw", "by-chance", "--adapt", "--set", "pool_limit=50", "--workers", "2",
        "--device", "cpu", "--measure-development-gain", "--test-limit", "100", "--pool-from-test", "10",
    )  # fmt: skip
    (call,) = calls
    assert (call["tasks"], call["data"]) == (["sst2", "mr"], ["all", "mr=elsewhere"])
    assert (call["shots"], call["splits"], call["seeds"], call["methods"]) == ([4, 8, 16], 3, 2, ["pet", "tfidf"])
    assert call["settings"] == {"adapt_steps": 500, "pool_limit": "50"}
    assert (call["draw"], call["test_limit"], call["pool_from_test"], call["workers"]) == ("by-chance", 100, 10, 2)
    assert call["measure_development_gain"] is True
    assert isinstance(call["executor"], Spawned)


def test_what_messages_advise_can_be_given(calls: list[dict[str, Any]]) -> None:
    petkit(*STUDY, "--encoding", "cp1252", "--no-quotes")
    petkit(*STUDY)
    assert [(call["encoding"], call["quotes"]) for call in calls] == [("cp1252", False), (None, True)]


def test_without_flags_the_call_is_plain(calls: list[dict[str, Any]]) -> None:
    petkit(*STUDY, "--splits", "given")
    assert calls[0]["splits"] == "given"
    assert (calls[0]["shots"], calls[0]["draw"], calls[0]["against"]) == (None, None, None)
    assert (calls[0]["seeds"], calls[0]["settings"], calls[0]["model"]) == (1, {}, "builtin")
    assert isinstance(calls[0]["executor"], InProcess)


def test_the_table_goes_to_output_and_all_else_to_error(calls: list[dict[str, Any]]) -> None:
    found = petkit(*STUDY)
    assert "mood: accuracy in %, mean ± standard deviation over splits" in found.stdout
    assert "With 5 splits the exact sign-flip test cannot go below" in found.stdout
    assert "Warning: mood: 1 of 200 labelled rows occurs twice." in found.stdout
    assert "about 2 min of work is left, a rough guess" in found.stderr
    assert "cells: 2 of 2 done\n" in found.stderr
    assert "Note: the head is untrained" in found.stderr


def test_json_is_one_object_and_nothing_else(calls: list[dict[str, Any]]) -> None:
    found = petkit(*STUDY, "--json")
    told = json.loads(found.stdout)
    assert told["kind"] == "study"
    assert told["notices"] == ["the head is untrained"]
    assert found.stderr == ""


@pytest.mark.parametrize(("shots", "words"), [("x", "whole numbers"), ("", "whole numbers"), ("²", "whole numbers")])
def test_mistakes_end_with_2(shots: str, words: str, calls: list[dict[str, Any]]) -> None:
    found = petkit(*STUDY, "--shots", shots, code=2)
    assert words in found.stderr
    assert "Traceback" not in found.stderr
    assert calls == []


def test_a_regression_ends_with_3(calls: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "regressions", lambda new, old: [{"sentence": "mood: PET is worse"}] if old["petkit"] == "0" else [])
    old = sample_study() | {"petkit": "0"}
    (tmp_path / "report.json").write_text(json.dumps(old))
    found = petkit(*STUDY, "--against", str(tmp_path), code=3)
    assert "Against the earlier study: 1 regression\n" in found.stdout
    assert "mood: PET is worse" in found.stdout
    assert calls[0]["against"] == old
    (tmp_path / "report.json").write_text(json.dumps(sample_study()))
    assert "no regressions" in petkit(*STUDY, "--against", str(tmp_path)).stdout
    assert json.loads(petkit(*STUDY, "--against", str(tmp_path), "--json").stdout)["regressions"] == []


def test_an_earlier_study_must_be_there_before_anything_runs(calls: list[dict[str, Any]], tmp_path: Path) -> None:
    assert "no report.json there" in petkit(*STUDY, "--against", str(tmp_path), code=2).stderr
    (tmp_path / "report.json").write_text("{}")
    assert "has schema None" in petkit(*STUDY, "--against", str(tmp_path), code=2).stderr
    (tmp_path / "report.json").write_text('{"schema": 1, "kind": "run"}')
    assert "not one of petkit evaluate" in petkit(*STUDY, "--against", str(tmp_path), code=2).stderr
    assert calls == []


def test_interrupted_it_says_that_it_goes_on(calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(tasks: list[str], **options: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["petkit.evaluation.study"], "evaluate", stopped)
    assert "The same command goes on" in petkit(*STUDY, code=130).stderr


def test_the_table_says_what_stands_in_it(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=120)
    report = sample_study(tasks=("mood",), shots=(4,), methods=("pet", "tfidf"))
    show_study(report, path=tmp_path, console=console)
    row = next(r for r in report["summary"] if (r["method"], r["metric"]) == ("pet", "accuracy"))
    low, high = (100 * end for end in row["interval_splits"])
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "mood: accuracy in %, mean ± standard deviation over splits, and the 95 % interval over splits" in text
    assert re.search(rf"PET +{100 * row['mean']:.1f} ± {100 * row['sd_splits']:.1f} *\n +{low:.1f} to {high:.1f} *\n", text)


@pytest.mark.parametrize("width", [40, 120])
def test_hostile_names_are_text_at_any_width(width: int, tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=width)
    show_study(sample_study(), path=tmp_path, console=console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "<complaints>" in text
    assert "\x1b" not in text


def test_lines_come_now_and_then_where_there_is_no_terminal() -> None:
    stream, now = io.StringIO(), [0.0]
    with StudyReporter(console=Console(file=stream, width=100), clock=lambda: now[0]) as reporter:
        for second in range(25):
            now[0] = float(second)
            reporter.progress(Progress(second // 13, 1, 2 - second // 13, 100.0 - second, Event("progress", "u", done=second)))
        reporter.progress(Progress(1, 1, 1, 70.0, Event("rerun", "u", reason="its process died")))
    lines = stream.getvalue().splitlines()
    assert len([line for line in lines if line.startswith("cells:")]) == 2
    assert "u: again, since its process died" in lines


def test_nothing_is_said_of_a_guess_when_all_is_done() -> None:
    stream = io.StringIO()
    with StudyReporter(console=Console(file=stream, width=100)) as reporter:
        reporter.progress(Progress(0, 0, 4, None))
    assert stream.getvalue() == "4 cells, all done before.\n"
