"""petkit export: flags, what it tells, what it sends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import petkit.exporting
import petkit.publishing
from petkit.cli.app import app
from petkit.exporting import Exported, Measured

FORMS = (
    Measured("model.safetensors", 4_000_000, 2.0, 0.0, 1.0, 0.75),
    Measured("model.onnx", 4_100_000, 1.5, 3e-7, 1.0, 0.75),
    Measured("model.int8.onnx", 1_100_000, 1.0, 0.012, 0.98, 0.74),
)


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the library is asked; it answers without doing it."""
    seen: list[tuple[Any, ...]] = []

    def export(path: Path, out: Path, *, int8: bool) -> Exported:
        seen.append(("onnx", path, out, int8))
        return Exported(out, "test", 50, FORMS)

    def push(path: Path, target: str, *, private: bool, folder: str | None) -> str:
        seen.append(("push", path, target, private, folder))
        return "https://hub.invalid/me/tone"

    monkeypatch.setattr(petkit.exporting, "export_onnx", export)
    monkeypatch.setattr(petkit.publishing, "push_to_hub", push)
    return seen


def run(*arguments: str, code: int = 0) -> Any:
    found = CliRunner().invoke(app, ["export", *arguments])
    assert found.exit_code == code, found.output
    return found


def test_onnx_is_told_in_lines(calls: list[tuple[Any, ...]]) -> None:
    found = run("run", "--onnx", "--int8")
    assert calls == [("onnx", Path("run"), Path("run/onnx"), True)]
    assert "Wrote run/onnx. Compared on 50 of the run's test rows:" in found.output
    last = "model.int8.onnx: 1.1 MB, 1.0 ms a text, same label on 98.0%, probabilities differ by 0.01 at most, accuracy 0.740"
    assert last in found.output


def test_json_is_one_object_and_the_push_takes_the_onnx_files(calls: list[tuple[Any, ...]]) -> None:
    found = run("run", "--onnx", "--out", "o", "--push-to", "hub:me/tone", "--private", "--json")
    told = json.loads(found.stdout)
    assert told["onnx"]["forms"][1]["difference"] == 3e-7
    assert told["pushed"] == "https://hub.invalid/me/tone"
    assert calls == [("onnx", Path("run"), Path("o"), False), ("push", Path("run"), "hub:me/tone", True, "o")]


def test_json_has_no_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Measured("model.onnx", 4_100_000, 1.5, float("nan"), 0.0, None)
    monkeypatch.setattr(petkit.exporting, "export_onnx", lambda path, out, *, int8: Exported(out, "test", 50, (broken,)))
    told = json.loads(run("run", "--onnx", "--json").stdout, parse_constant=pytest.fail)
    assert told["onnx"]["forms"][0]["difference"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing to do: give --onnx, --push-to hub:NAME or both"),
        (("--int8", "--private"), "--int8 goes with --onnx"),
        (("--push-to", "me/tone"), "write hub:NAME or hub:OWNER/NAME"),
    ],
)
def test_flags_that_do_nothing_are_refused(arguments: tuple[str, ...], words: str, calls: list[tuple[Any, ...]]) -> None:
    assert words in run("run", *arguments, code=2).output
    assert calls == []
