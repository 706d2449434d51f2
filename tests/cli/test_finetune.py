"""`petkit finetune`: what its flags become, one very small run of the real thing, and messages of one line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from petkit import finetuning
from petkit.cli.app import app
from petkit.cli.reporter import spelled
from petkit.finetuning import FinetuneResult, FinetuneSettings
from petkit.finetuning.entities import entity_scores
from petkit.finetuning.exactmatch import answer_scores
from petkit.finetuning.written import label_scores, similarity_scores
from petkit.metrics import score
from petkit.report.names import FINETUNING_NAMES
from tests.builders import sentences, tiny_masked_lm

runner = CliRunner()
REPORT = {"test": {"rows": 4, "accuracy": 0.75, "macro_f1": 0.5, "per_class": []}, "task": "classify"}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    made: list[Any] = []

    def finetune(kind: str, **options: Any) -> FinetuneResult:
        made.append((kind, options))
        return FinetuneResult(Path("run"), dict(REPORT), Path("run/model"), Path("run/predictions.jsonl"))

    monkeypatch.setattr(finetuning, "finetune", finetune)
    return made


def petkit(*arguments: str | Path, code: int = 0) -> Result:
    found = runner.invoke(app, [str(argument) for argument in arguments])
    assert found.exit_code == code, found.output
    return found


def rows_file(path: Path, start: int, count: int) -> Path:
    rows = [{"text": text, "label": ("even", "odd")[i % 2]} for i, text in enumerate(sentences()[start : start + count])]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_flags_reach_the_settings(calls: list[Any]) -> None:
    petkit(
        *(
            "finetune",
            "generate",
            "--model",
            "m",
            "--train",
            "a.jsonl",
            "--test",
            "b.jsonl",
            "--out",
            "run",
            "--steps",
            "9",
            "--batch",
            "8",
        ),
        *(
            "--accumulate",
            "2",
            "--learning-rate",
            "0.01",
            "--warmup",
            "5",
            "--schedule",
            "constant",
            "--weight-decay",
            "0",
            "--max-length",
            "64",
        ),
        *(
            "--text-column",
            "one",
            "--text-column",
            "two",
            "--label-column",
            "y",
            "--target",
            "similarity",
            "--prefix",
            "stsb",
            "--longest-target",
            "6",
            "--beams",
            "2",
        ),
        *("--seed", "3", "--device", "cpu", "--threads", "2", "--precision", "bfloat16", "--deterministic", "--allow-overlap"),
    )
    ((kind, options),) = calls
    assert (kind, options["model"], options["train"], options["test"], options["out"]) == (
        "generate",
        "m",
        "a.jsonl",
        "b.jsonl",
        Path("run"),
    )
    assert options["allow_overlap"] is True
    assert options["settings"] == FinetuneSettings(
        steps=9,
        batch=8,
        accumulate=2,
        learning_rate=0.01,
        warmup=5,
        schedule="constant",
        weight_decay=0,
        max_length=64,
        fields=("one", "two"),
        label_column="y",
        target="similarity",
        prefix="stsb",
        longest_target=6,
        beams=2,
        seed=3,
        threads=2,
        deterministic=True,
        precision="bfloat16",
    )


def test_what_messages_advise_can_be_given(calls: list[Any]) -> None:
    petkit("finetune", "classify", "--train", "a.csv", "--out", "run", "--encoding", "cp1252", "--no-quotes")
    petkit("finetune", "classify", "--train", "a.csv", "--out", "run")
    assert [(options["encoding"], options["quotes"]) for _, options in calls] == [("cp1252", False), (None, True)]


def test_columns_of_texts_as_they_were_given_before(calls: list[Any]) -> None:
    petkit("finetune", "classify", "--train", "a", "--out", "run", "--fields", "one, two", "--fields=three")
    assert calls[0][1]["settings"].fields == ("one", "two", "three")


def test_flags_of_answers_and_tags_reach_the_settings(calls: list[Any]) -> None:
    common = ("--train", "a", "--out", "run", "--device", "cpu", "--precision", "float32", "--stride", "7")
    petkit(
        "finetune", "answer", *common, "--no-answer", "--null-threshold", "-1.5", "--n-best", "4", "--longest-answer", "9", "--epochs", "2"
    )
    petkit("finetune", "tag", *common, "--token-column", "w", "--tag-column", "t")
    answer, tag = (options["settings"] for _, options in calls)
    assert answer == FinetuneSettings(stride=7, no_answer=True, null_threshold=-1.5, n_best=4, longest_answer=9, epochs=2)
    assert tag == FinetuneSettings(stride=7, token_column="w", tag_column="t")


def test_the_end_names_scores_model_and_predictions(calls: list[Any]) -> None:
    order = ("finetune", "classify", "--train", "a", "--out", "run", "--device", "cpu")
    assert petkit(*order).stdout.splitlines() == [
        "Test: rows 4, accuracy 0.75, macro-F1 0.5",
        "Model: run/model",
        "Predictions: run/predictions.jsonl",
        "Report: run/report.json",
    ]
    found = json.loads(petkit(*order, "--json").stdout)
    assert found == {**REPORT, "path": "run", "model_folder": "run/model", "predictions": "run/predictions.jsonl"}


def test_scores_of_development_rows_stand_before_those_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    report = {**REPORT, "development": {"questions": 3, "f1": 40.0}}

    def finetune(kind: str, **options: Any) -> FinetuneResult:
        assert options["development"] == "dev.jsonl"
        return FinetuneResult(Path("run"), report, Path("run/model"), None, Path("run/development-predictions.jsonl"))

    monkeypatch.setattr(finetuning, "finetune", finetune)
    order = ("finetune", "answer", "--train", "a", "--development", "dev.jsonl", "--out", "run", "--device", "cpu")
    shown = ["Development: questions 3, F1 40", "Test: rows 4, accuracy 0.75, macro-F1 0.5", "Model: run/model"]
    named = ["Predictions of development rows: run/development-predictions.jsonl", "Report: run/report.json"]
    assert petkit(*order).stdout.splitlines() == [*shown, *named]
    found = json.loads(petkit(*order, "--json").stdout)
    assert found["development"] == report["development"]
    assert found["development_predictions"] == "run/development-predictions.jsonl"
    report["test"] = None
    assert petkit(*order).stdout.splitlines() == [shown[0], shown[2], *named], "something is scored"


def test_the_help_says_what_fits_the_threshold() -> None:
    told = " ".join(petkit("finetune", "--help").stdout.replace("│", " ").split())
    assert "--development" in told
    assert "default: fitted on --development, else 0" in told


@pytest.mark.slow
def test_a_threshold_is_fitted_from_the_command_line(tmp_path: Path) -> None:
    model, files = tiny_masked_lm("bert", tmp_path / "m"), {}
    for part, place in (("train", 0), ("development", 8), ("test", 16)):
        texts = sentences()[place : place + 8]
        rows = [
            {"context": text, "question": "which?", "answers": [{"text": text.split()[0], "answer_start": 0}] if i % 2 else []}
            for i, text in enumerate(texts)
        ]
        files[part] = tmp_path / f"{part}.jsonl"
        files[part].write_text("".join(json.dumps(row) + "\n" for row in rows))
    parts = [word for part, path in files.items() for word in (f"--{part}", path)]
    order = ("finetune", "answer", "--model", model, *parts, "--no-answer", "--steps", "2", "--max-length", "64", "--stride", "8")
    found = petkit(*order, "--device", "cpu", "--out", tmp_path / "run", "--json")
    report = json.loads(found.stdout)
    assert report["null_threshold"]["fitted"] is True
    assert report["development"]["f1"] == pytest.approx(report["null_threshold"]["after"]["f1"])
    told = petkit(*order, "--device", "cpu", "--out", tmp_path / "run")
    assert "Note: null threshold " in told.stderr
    assert [line.split(":")[0] for line in told.stdout.splitlines()[:2]] == ["Development", "Test"]
    petkit("finetune", "answer", "--train", files["train"], "--development", files["train"], "--out", tmp_path / "b", "--no-answer", code=2)


@pytest.mark.parametrize(
    "scores",
    [
        score(np.array([[0.7, 0.3], [0.2, 0.8]]), np.array([0, 1]), ("a", "b")),
        entity_scores([["B-PER", "O"]], [["B-PER", "O"]]),
        answer_scores(["Paris", ""], [["Paris"], []]),
        label_scores(["a", "c"], ["a", "b"], ("a", "b")),
        similarity_scores(["1.0", "2.0", "x"], [1.0, 2.0, 3.0]),
        {"rouge1": 50.0, "rouge2": 20.0, "rougeL": 40.0, "exact_match": 0.0, "rows": 2},
    ],
)
def test_every_figure_has_a_name_for_readers(scores: dict[str, Any]) -> None:
    told = spelled(scores, FINETUNING_NAMES)
    assert re.search(r"_|rouge|[a-z]\d|\bf1", told) is None, told


@pytest.mark.slow
def test_a_model_comes_out_and_the_run_is_finished(tmp_path: Path) -> None:
    model = tiny_masked_lm("bert", tmp_path / "m")
    train, test = rows_file(tmp_path / "train.jsonl", 0, 12), rows_file(tmp_path / "test.jsonl", 12, 4)
    order = ("finetune", "classify", "--model", model, "--train", train, "--test", test, "--out", tmp_path / "run")
    found = petkit(*order, "--steps", "2", "--batch", "4", "--device", "cpu", "--json")
    report = json.loads(found.stdout)
    assert found.stderr == ""
    assert 0 <= report["test"]["accuracy"] <= 1
    assert (Path(report["model_folder"]) / "model.safetensors").is_file()
    state = json.loads(petkit("status", tmp_path / "run", "--json").stdout)
    assert (state["state"], [unit["state"] for unit in state["units"]]) == ("finished", ["done"] * 3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--text-column", "words"], "no column 'words'; the columns are 'text', 'label'; say which one holds it with --text-column"),
        (["--label-column", "kind"], "training rows have no label in column 'kind' (--label-column), first train:1"),
        (["--beams", "3"], "beams is a setting of generate, not of classify"),
        (["--strategy", "adaptor"], "strategy is 'adaptor'; legal are full"),
        (["--strategy", "last:99"], "strategy is last:99"),
        (["--steps", "3", "--epochs", "2"], "epochs and steps are both given; give one"),
        (["--max-length", "9000"], "--max-length is 9000"),
        (["--threads", "0"], "threads is 0"),
        (["--device", "tpu7"], "--device is 'tpu7'"),
    ],
)
def test_wrong_orders_are_told_in_one_line_and_leave_nothing(tmp_path: Path, flags: list[str], message: str) -> None:
    train = rows_file(tmp_path / "train.jsonl", 0, 12)
    found = petkit("finetune", "classify", "--train", train, "--out", tmp_path / "run", "--device", "cpu", *flags, code=2)
    assert message in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1
    assert (found.stdout, (tmp_path / "run").exists()) == ("", False)


def test_kinds_and_models_that_do_not_fit_are_told(tmp_path: Path) -> None:
    train = rows_file(tmp_path / "train.jsonl", 0, 12)
    common = ("--train", train, "--out", tmp_path / "run", "--device", "cpu")
    assert "nothing to fine-tune is called 'guess'; legal are classify, tag" in petkit("finetune", "guess", *common, code=2).stderr
    assert "model type 'bert'; legal are t5, bart" in petkit("finetune", "generate", *common, code=2).stderr
