"""``petkit demo``: what it prints, and what it hands to the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from petkit.cli.app import app
from petkit.pipeline import RunResult

SCORE = {"accuracy": 0.5, "macro_f1": 0.4}
REPORT: dict[str, Any] = {
    "task": "demo",
    "method": "ipet",
    "scores": {
        "members": [],
        "ensemble": SCORE,
        "generations": [{"generation": 0, "ensemble": SCORE}, {"generation": 1, "ensemble": SCORE}],
        "classifier": SCORE,
        "baselines": {"supervised": SCORE, "tfidf": SCORE},
    },
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []

    def run_demo(out: Path, **options: Any) -> RunResult:
        calls.append({"out": out, **options})
        options["on_notice"]("computing on cuda: Some GPU, float32")
        return RunResult(out, REPORT, out / "classifier")

    monkeypatch.setattr("petkit.builtin.demo.run_demo", run_demo)
    return calls


def test_it_ends_with_the_places_and_with_ones_own_data(asked: list[dict[str, Any]]) -> None:
    found = CliRunner().invoke(app, ["demo", "--out", "there", "--seed", "3"])
    assert found.exit_code == 0
    assert (asked[0]["out"], asked[0]["seed"]) == (Path("there"), 3)
    lines = ("Classifier: there/classifier", "Report: there/report.html", "petkit predict there --text", "petkit train task.py --train")
    assert [line for line in lines if line not in found.stdout] == []
    assert "ensemble of generation 1" in found.stdout


def test_json_is_one_object(asked: list[dict[str, Any]]) -> None:
    found = CliRunner().invoke(app, ["demo", "--json"])
    assert json.loads(found.stdout)["path"] == "demo-run"
    assert asked


def test_what_the_run_has_to_tell_is_told_but_not_to_programs(asked: list[dict[str, Any]]) -> None:
    found = CliRunner().invoke(app, ["demo", "--device", "cpu"])
    assert "Note: computing on cuda: Some GPU, float32" in found.stderr
    assert asked[0]["device"] == "cpu"
    assert not CliRunner().invoke(app, ["demo", "--device", "cpu", "--json"]).stderr
