"""`petkit train`: what its flags become, and what it shows at the end. The run itself is a stand-in."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from petkit import pipeline
from petkit.cli.app import app
from petkit.cli.options import ADAPT_STEPS
from petkit.errors import DataError
from petkit.executors import Event, Executor, InProcess, Spawned

runner = CliRunner()
REPORT: dict[str, Any] = {
    "schema": 1,
    "task": "ag_news",
    "method": "pet",
    "scores": {
        "members": [
            {
                "pattern": "[ Category: {mask} ] {text}",
                "pattern_index": 3,
                "seed": seed,
                "generation": 0,
                "weight": 0.5,
                "before": before,
                "after": after,
            }
            for seed, before, after in (
                (0, {"accuracy": 0.30, "macro_f1": 0.25}, {"accuracy": 0.50, "macro_f1": 0.45}),
                (1, {"accuracy": 0.30, "macro_f1": 0.25}, {"accuracy": 0.60, "macro_f1": 0.55}),
            )
        ],
        "ensemble": {"accuracy": 0.612, "macro_f1": 0.61},
        "generations": [{"generation": 0, "ensemble": {"accuracy": 0.612, "macro_f1": 0.61}}],
        "classifier": {"accuracy": 0.625, "macro_f1": 0.62},
        "baselines": {"supervised": {"accuracy": 0.41, "macro_f1": 0.4}, "tfidf": None, "majority": {"accuracy": 0.25, "macro_f1": 0.1}},
    },
}  # fmt: skip


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `train` is called with."""
    made: list[dict[str, Any]] = []

    def train(task: str, **options: Any) -> Any:
        made.append({"task": task, **options})
        options["on_notice"]("the builtin model is small")
        options["on_event"](Event("started", "g0-p0-s0"))
        options["on_event"](Event("progress", "g0-p0-s0", done=1, total=2, facts={"loss": 0.5}))
        options["on_event"](Event("finished", "g0-p0-s0", seconds=61.0))
        out = Path(options["out"])
        return SimpleNamespace(path=out, report=made[0].get("report", REPORT), classifier=out / "classifier")

    monkeypatch.setattr(pipeline, "train", train)
    return made


def petkit(*arguments: str, code: int = 0) -> Result:
    found = runner.invoke(app, list(arguments))
    assert found.exit_code == code, found.output
    return found


def test_flags_reach_the_run(calls: list[dict[str, Any]]) -> None:
    petkit(
        *("train", "ag_news", "--model", "m", "--train", "a.csv", "--unlabeled", "b.csv", "--unlabeled", "c.csv", "--test", "d.csv"),
        *("--out", "run", "--preset", "small", "--shots", "10", "--column", "text=body", "--column", "label=class", "--id-column", "id"),
        *("--encoding", "latin-1", "--drop-blank", "--no-quotes", "--allow-overlap", "--device", "cpu", "--trust-remote-code"),
    )
    (call,) = calls
    call.pop("on_event")
    call.pop("on_notice")
    assert call == {
        "task": "ag_news",
        "model": "m",
        "train": ("a.csv",),
        "unlabeled": ("b.csv", "c.csv"),
        "test": "d.csv",
        "out": "run",
        "preset": "small",
        "settings": {},
        "shots": 10,
        "columns": {"text": "body", "label": "class"},
        "id_column": "id",
        "encoding": "latin-1",
        "drop_blank": True,
        "keep_blank": False,
        "quotes": False,
        "allow_overlap": True,
        "device": "cpu",
        "trust_remote_code": True,
        "executor": InProcess(),
    }


@pytest.mark.parametrize(("number", "executor"), [("1", InProcess()), ("3", Spawned(3))])
def test_workers_are_processes_from_two_on(calls: list[dict[str, Any]], number: str, executor: Executor) -> None:
    petkit("train", "ag_news", "--out", "run", "--workers", number, "--device", "cpu")
    assert calls[0]["executor"] == executor


def test_no_worker_is_too_few(calls: list[dict[str, Any]]) -> None:
    assert "--workers" in petkit("train", "ag_news", "--out", "run", "--workers", "0", code=2).stderr
    assert calls == []


def test_without_flags_the_defaults_are_those_of_the_run(calls: list[dict[str, Any]]) -> None:
    petkit("train", "ag_news", "--out", "run")
    assert (calls[0]["train"], calls[0]["unlabeled"], calls[0]["test"]) == (None, (), None)
    assert (calls[0]["model"], calls[0]["preset"], calls[0]["settings"], calls[0]["encoding"]) == ("builtin", "auto", {}, None)


def test_settings_come_from_the_file_then_flags_then_set(calls: list[dict[str, Any]], tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text("seed = 1\nmethod = 'ipet'\ntemperature = 3.0\n[member]\nsteps = 5\nbatch = 2\n")
    petkit(
        "train", "ag_news", "--out", "run", "--config", str(config), "--seed", "7", "--set", "member.steps=9", "--set", "temperature=1.5"
    )
    from petkit.settings import Settings, apply_changes

    settings = apply_changes(Settings(), calls[0]["settings"])
    assert (settings.seed, settings.method, settings.temperature) == (7, "ipet", 1.5)
    assert (settings.member.steps, settings.member.batch) == (9, 2)


@pytest.mark.parametrize(
    ("flags", "steps"),
    [
        (["--adapt"], ADAPT_STEPS),
        (["--adapt", "30"], 30),
        (["--adapt=40"], 40),
        (["--adapt", "--seed", "3"], ADAPT_STEPS),
        (["--adapt", "0"], 0),
    ],
)
def test_adapt_takes_a_number_or_none(calls: list[dict[str, Any]], flags: list[str], steps: int) -> None:
    petkit("train", "ag_news", "--out", "run", *flags)
    assert calls[0]["settings"]["adapt_steps"] == steps


def test_the_end_tells_scores_and_where_everything_lies(calls: list[dict[str, Any]]) -> None:
    found = petkit("train", "ag_news", "--out", "run")
    rows = [line.split() for line in found.stdout.splitlines()]
    assert ["3:", "[", "Category:", "{mask}", "]", "{text}", "0.300", "0.550", "0.500"] in rows
    assert ["ensemble", "0.612", "0.610"] in rows
    assert ["classifier", "0.625", "0.620"] in rows
    assert ["baseline:", "plain", "fine-tuning", "0.410", "0.400"] in rows
    assert ["baseline:", "most", "frequent", "label", "0.250", "0.100"] in rows
    assert found.stdout.splitlines()[-3:] == [
        "Classifier: run/classifier",
        "Report: run/report.html, also as report.md, and for programs run/report.json",
        "Next: petkit predict run FILE",
    ]
    assert found.stderr == "Note: the builtin model is small\ng0-p0-s0: 1 min 1 s  loss 0.5\n"
    assert "\x1b" not in found.output


def test_each_generation_has_a_line(calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    more = [*REPORT["scores"]["generations"], {"generation": 1, "ensemble": {"accuracy": 0.7, "macro_f1": 0.69}}]
    later = [*REPORT["scores"]["members"], {**REPORT["scores"]["members"][0], "generation": 1, "after": {"accuracy": 0.9, "macro_f1": 0.9}}]
    monkeypatch.setitem(REPORT, "scores", {**REPORT["scores"], "generations": more, "members": later})
    rows = [line.split() for line in petkit("train", "ag_news", "--out", "run").stdout.splitlines()]
    assert ["ensemble", "of", "generation", "0", "0.612", "0.610"] in rows
    assert ["ensemble", "of", "generation", "1", "0.700", "0.690"] in rows
    assert ["3:", "[", "Category:", "{mask}", "]", "{text}", "0.300", "0.550", "0.500"] in rows, (
        "patterns are shown as generation 0 had them"
    )


def test_nothing_scored_is_said(calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = {"members": [], "ensemble": None, "generations": [], "classifier": None, "baselines": {"supervised": None, "tfidf": None}}
    monkeypatch.setitem(REPORT, "scores", nothing)
    assert petkit("train", "ag_news", "--out", "run").stdout.startswith(
        "Nothing is scored: no labelled test rows were given (--test).\nClass"
    )


def test_json_is_the_report_and_the_paths(calls: list[dict[str, Any]]) -> None:
    found = petkit("train", "ag_news", "--out", "run", "--json")
    assert json.loads(found.stdout) == {
        **REPORT,
        "path": "run",
        "classifier": "run/classifier",
        "notices": ["the builtin model is small"],
    }
    assert found.stderr == ""


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--set", "seed"], "--set: 'seed' is no NAME=VALUE"),
        (["--set", "seed=1", "--set", "seed=2"], "'seed' is given twice"),
        (["--column", "=x"], "--column: '' is no NAME=VALUE"),
        (["--config", "nothing.toml"], "--config nothing.toml"),
    ],
)
def test_flags_that_cannot_be_read_stop_before_the_run(calls: list[dict[str, Any]], flags: list[str], message: str) -> None:
    found = petkit("train", "ag_news", "--out", "run", *flags, code=2)
    assert message in found.stderr
    assert (calls, found.stdout) == ([], "")


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_the_runs_own_errors_are_told_on_standard_error(flags: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(task: str, **options: Any) -> Any:
        raise DataError("a.csv: no such file")

    monkeypatch.setattr(pipeline, "train", refuse)
    found = petkit("train", "ag_news", "--out", "run", *flags, code=2)
    assert (found.stdout, found.stderr) == ("", "Error: a.csv: no such file\n")
