"""The course of pretraining: the same updates in parts, by workers and over ranks; several tasks; curves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch._dynamo.utils import counters

from petkit.errors import DataError, RunError, SettingsError
from petkit.pretraining import PretrainSettings, run_pretraining
from tests.builders import docstrings

SMALL: dict[str, Any] = {
    **{"vocabulary": 400, "layers": 1, "hidden": 32, "rows": 8, "length": 32},
    **{"held_out": 0.1, "learning_rate": 5e-3, "steps": 4},
}


@pytest.fixture
def text(tmp_path: Path) -> str:
    """Documents of several paragraphs, each with several sentences."""
    path = tmp_path / "text.jsonl"
    path.write_text("".join(json.dumps({"text": found}) + "\n" for found in docstrings()[:60]))
    return str(path)


def run(text: str | list[str], out: Path, **changes: Any) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The figures and the weights of a small run."""
    figures = run_pretraining([text] if isinstance(text, str) else text, PretrainSettings(**{**SMALL, **changes}), str(out))
    return figures, load_file(out / "model" / "model.safetensors")


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor], tolerance: float = 0.0) -> bool:
    return one.keys() == two.keys() and all(torch.allclose(one[name], two[name], rtol=0, atol=tolerance) for name in one)


def test_an_update_in_parts_is_the_update_in_one(text: str, tmp_path: Path) -> None:
    whole, weights = run(text, tmp_path / "whole")
    parts, others = run(text, tmp_path / "parts", accumulate=3)
    assert same(weights, others, 2e-5)
    assert parts["loss"] == pytest.approx(whole["loss"], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
def test_workers_change_nothing(text: str, tmp_path: Path, workers: int) -> None:
    alone, weights = run(text, tmp_path / "alone", dropout=0.1)
    helped, others = run(text, tmp_path / "helped", dropout=0.1, workers=workers)
    assert same(weights, others)
    assert alone["loss"] == helped["loss"]


def curves(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "curves.jsonl").read_text().splitlines()]


SCRIPT = """
import json, sys
from petkit.pretraining import PretrainSettings, run_pretraining
text, out, settings = sys.argv[1:]
figures = run_pretraining([text], PretrainSettings.from_json(json.loads(settings)), out)
sys.stdout.write(json.dumps(figures) + "\\n")  # in one piece: ranks share the stream
"""


@pytest.mark.slow
@pytest.mark.parametrize("objectives", [("mlm",), ("mlm", "nsp"), ("electra",)])
def test_two_processes_train_the_model_that_one_trains(text: str, tmp_path: Path, objectives: tuple[str, ...]) -> None:
    changes = {"objectives": objectives, "arch": "electra" if "electra" in objectives else "bert"}
    figures, weights = run(text, tmp_path / "one", **changes)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    settings = json.dumps(asdict(PretrainSettings(**{**SMALL, **changes})))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29571", str(script)]
    for turn in ("first", "again"):  # the second time there is nothing to do
        found = subprocess.run(
            [*launcher, text, str(tmp_path / "two"), settings],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=False,
        )
        assert found.returncode == 0, found.stderr[-3000:]
        told = [json.loads(line) for line in found.stdout.splitlines() if line.startswith("{")]
        assert {} in told, turn
        assert max(told, key=len)["loss"] == pytest.approx(figures["loss"], abs=1e-3)
    assert same(weights, load_file(tmp_path / "two" / "model" / "model.safetensors"), 1e-4)
    for alone, together in zip(*(curves(tmp_path / name) for name in ("one", "two")), strict=True):
        assert together == pytest.approx(alone, abs=1e-3)


def test_several_objectives_take_turns_and_are_measured_apart(text: str, tmp_path: Path) -> None:
    figures, _ = run(text, tmp_path / "run", objectives=("mlm", "nsp"), steps=6, mixing="equal")
    assert set(figures["held_out"]) == {"mlm/mlm", "mlm/mlm_accuracy", "nsp/mlm", "nsp/mlm_accuracy", "nsp/nsp", "nsp/nsp_accuracy"}
    assert figures["rates"] == {"mlm": 0.5, "nsp": 0.5}


def test_files_apart_are_data_sets_with_rates_by_their_size(text: str, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text("".join(Path(text).read_text().splitlines(keepends=True)[:20]))
    figures, _ = run([text, str(other)], tmp_path / "run", separate=True)
    assert set(figures["rates"]) == {"mlm on text", "mlm on other"}
    assert figures["rates"]["mlm on text"] > figures["rates"]["mlm on other"]
    assert sum(figures["rates"].values()) == pytest.approx(1.0)
    assert set(figures["held_out"]) == {f"mlm on {name}/{part}" for name in ("text", "other") for part in ("mlm", "mlm_accuracy")}


def test_curves_hold_training_and_held_out_losses(text: str, tmp_path: Path) -> None:
    figures, _ = run(text, tmp_path / "run", measure_every=2)
    points = [json.loads(line) for line in (tmp_path / "run" / "curves.jsonl").read_text().splitlines()]
    assert [point["step"] for point in points] == [1, 2, 3, 4]
    assert points[-1]["held out/mlm"] == figures["loss"]
    assert points[-1]["rows"] == 32
    assert {"training/mlm", "training/loss"} <= set(points[-1])
    assert (tmp_path / "run" / "curves.svg").read_text().startswith("<svg")


def test_speed_is_measured_and_is_no_part_of_the_result(text: str, tmp_path: Path) -> None:
    run(text, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "stages" / "model" / "record.json").read_text())
    assert record["measured"]["tokens_per_second"] == pytest.approx(32 * record["measured"]["rows_per_second"])
    assert "tokens_per_second" not in record["record"]


def test_memory_saved_by_computing_again_changes_no_number(text: str, tmp_path: Path) -> None:
    _, weights = run(text, tmp_path / "plain", layers=2, dropout=0.1)
    _, others = run(text, tmp_path / "again", layers=2, dropout=0.1, gradient_checkpointing=True)
    assert same(weights, others, 1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch's own, in its compiler
@pytest.mark.parametrize("arch", ["bert", "modernbert"])
def test_compiled_layers_learn_the_same(text: str, tmp_path: Path, arch: str) -> None:
    plain, _ = run(text, tmp_path / "plain", arch=arch)
    counters.clear()
    compiled, _ = run(text, tmp_path / "compiled", arch=arch, compile=True)
    assert counters["frames"]["ok"] > 0  # something was compiled
    assert compiled["loss"] == pytest.approx(plain["loss"], abs=1e-3)


def test_what_an_architecture_cannot_learn_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="gpt2"):
        run(text, tmp_path / "run", arch="gpt2")


def test_text_tokenised_once_serves_other_runs(text: str, tmp_path: Path) -> None:
    first = run_pretraining([text], PretrainSettings(**SMALL), str(tmp_path / "one"), cache=str(tmp_path / "cache"))
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"}
    again = PretrainSettings(**{**SMALL, "objectives": ("whole-word",)})
    other = run_pretraining([text], again, str(tmp_path / "two"), cache=str(tmp_path / "cache"))
    assert other["text_tokens"] == first["text_tokens"]
    assert files == {path: path.stat().st_mtime_ns for path in files}


def test_a_student_reads_with_its_teachers_tokenizer(text: str, tmp_path: Path) -> None:
    run(text, tmp_path / "teacher", layers=3)
    teacher = tmp_path / "teacher" / "model"
    figures, _ = run(text, tmp_path / "student", arch="distilbert", objectives=("distilbert",), layers=2, teacher=str(teacher))
    assert {"soft", "mlm", "cosine"} <= set(figures["held_out"])
    assert (tmp_path / "student" / "model" / "tokenizer.json").read_bytes() == (teacher / "tokenizer.json").read_bytes()


def test_text_in_another_encoding_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.txt"
    path.write_bytes("\n\n".join(f"Grüße und Küsse, {i} mal schön." for i in range(40)).encode("latin-1"))
    settings = PretrainSettings(**{**SMALL, "steps": 1})
    run_pretraining([str(path)], settings, str(tmp_path / "run"), encoding="latin-1")
    with pytest.raises(DataError, match="UTF-8"):
        run_pretraining([str(path)], settings, str(tmp_path / "other"))


def test_quotes_that_mean_nothing_are_text(tmp_path: Path) -> None:
    path = tmp_path / "inches.csv"
    path.write_text("text\n" + "".join(f'"{i} inches" of steel or {i}" pipes of {i + 1}" each\n' for i in range(40)), "utf-8")
    settings = PretrainSettings(**{**SMALL, "steps": 1})
    with pytest.raises(DataError, match="give --no-quotes"):
        run_pretraining([str(path)], settings, str(tmp_path / "run"))
    run_pretraining([str(path)], settings, str(tmp_path / "run"), quotes=False)
    with pytest.raises(RunError, match="quotes"):
        run_pretraining([str(path)], settings, str(tmp_path / "run"))
