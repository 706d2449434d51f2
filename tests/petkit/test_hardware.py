"""What a command computes on: told once, recorded in run.json, shown in reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from petkit.finetuning import FinetuneSettings, finetune
from petkit.pretraining import PretrainSettings, run_pretraining
from tests.petkit.evaluation.tiny_study import tiny_data, tiny_study
from tests.petkit.finetuning.tiny import TEXTS, encoder, jsonl
from tests.tiny_train import tiny_model, tiny_run

Told = Callable[[str], None]


def train(folder: Path, told: Told) -> None:
    tiny_run(folder / "run", tiny_model(folder / "model"), "tfidf", on_notice=told)


def evaluate(folder: Path, told: Told) -> None:
    options: dict[str, Any] = {"methods": ("majority",), "shots": (2,), "splits": 1, "on_notice": told}
    tiny_study(folder / "run", tiny_data(folder / "data"), tiny_model(folder / "model"), **options)


def pretrain(folder: Path, told: Told) -> None:
    (folder / "text.txt").write_text("\n\n".join(TEXTS * 20))
    settings = PretrainSettings(steps=1, vocabulary=200, layers=1, hidden=32, rows=2, length=16, held_out=0.2)
    run_pretraining([str(folder / "text.txt")], settings, str(folder / "run"), on_notice=told)


def tune(folder: Path, told: Told) -> None:
    rows = [{"text": text, "label": ("a", "b")[number % 2]} for number, text in enumerate(TEXTS)]
    model, train = str(encoder("bert", folder / "model")), jsonl(folder / "rows.jsonl", rows)
    settings = FinetuneSettings(steps=1, batch=2, max_length=32, device="cpu")
    finetune("classify", model=model, train=train, out=folder / "run", settings=settings, on_notice=told)


COMMANDS = {"pipeline": train, "evaluation.study": evaluate, "pretraining.run": pretrain, "finetuning.run": tune}


@pytest.mark.parametrize("module", COMMANDS)
def test_a_gpu_is_told_recorded_and_shown(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"petkit.{module}.accelerator", lambda device: {"accelerator": {"name": f"Some {device}", "count": 2}})
    monkeypatch.setattr(f"petkit.{module}.computing_on", lambda device, precision: (f"computing on {device}: {precision}",))
    told: list[str] = []
    COMMANDS[module](tmp_path, told.append)
    assert [notice for notice in told if "computing on" in notice] == ["computing on cpu: float32"]
    recorded = json.loads((tmp_path / "run" / "run.json").read_text())["hardware"]
    assert (recorded["accelerator"], recorded["processors"] > 0) == ({"name": "Some cpu", "count": 2}, True)
    if module in ("pipeline", "evaluation.study"):
        report = json.loads((tmp_path / "run" / "report.json").read_text())
        assert (report if module == "pipeline" else report["measured"])["hardware"] == recorded
        assert "Some cpu" in (tmp_path / "run" / "report.html").read_text()


def test_of_the_cpu_nothing_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    train(tmp_path, told.append)
    assert not [notice for notice in told if "computing on" in notice]
    assert "accelerator" not in json.loads((tmp_path / "run" / "run.json").read_text())["hardware"]
