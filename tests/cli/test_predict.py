"""`petkit predict` and `petkit label` through the whole application."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from petkit.cli.app import app
from petkit.predicting import Classifier, Ensemble
from tests.builders import sentences
from tests.tiny_runs import PAIRS, tiny_classifier, tiny_ensemble

TEXTS = sentences()[:7]
runner = CliRunner()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tiny_ensemble(tmp_path_factory.mktemp("run"))
    tiny_classifier(root / "classifier")
    return root


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(TEXTS)))
    return path


def petkit(*arguments: str | Path, code: int = 0, **options: Any) -> Result:
    found = runner.invoke(app, [str(argument) for argument in arguments], **options)
    assert found.exit_code == code, found.output
    return found


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_file_to_standard_output(run: Path, table: Path) -> None:
    found = petkit("predict", run, table)
    expected = Classifier.load(run).predict_proba(TEXTS)
    rows = lines(found.stdout)
    assert [row["id"] for row in rows] == list(range(7))
    assert [list(row["probabilities"].values()) for row in rows] == [pytest.approx(p.tolist(), abs=1e-6) for p in expected]
    assert found.stderr == ""


def test_label_asks_the_ensemble(run: Path, table: Path) -> None:
    rows = lines(petkit("label", run, table).stdout)
    expected = Ensemble.load(run).predict_proba(TEXTS)
    assert [list(row["probabilities"].values()) for row in rows] == [pytest.approx(p.tolist(), abs=1e-6) for p in expected]
    assert rows != lines(petkit("predict", run, table).stdout)


def test_texts_from_the_command_line(run: Path) -> None:
    rows = lines(petkit("predict", run, "--text", TEXTS[0], "--text", "[bold]two").stdout)
    assert [row["text"] for row in rows] == [TEXTS[0], "[bold]two"]
    assert [row["label"] for row in rows] == Classifier.load(run).predict([TEXTS[0], "[bold]two"])


def test_standard_input(run: Path, table: Path) -> None:
    piped = petkit("predict", run, "-", input=table.read_text())
    assert piped.stdout == petkit("predict", run, table).stdout


def test_csv_by_format_and_by_ending(run: Path, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    found = petkit("predict", run, table, "--out", out)
    assert (found.stdout, found.stderr) == ("", f"Labelled 7 rows: {out}\n")
    assert petkit("predict", run, table, "--format", "csv").stdout == out.read_bytes().decode()
    columns = next(csv.reader(io.StringIO(out.read_text())))
    assert columns == ["id", "text", "label", "score", "p:World", "p:Sports", "p:Business"]


def test_json_is_one_object(run: Path, table: Path, tmp_path: Path) -> None:
    found = petkit("predict", run, table, "--json")
    value = json.loads(found.stdout)
    assert value["predictions"] == lines(petkit("predict", run, table).stdout)
    assert (value["rows"], value["out"], sum(value["labels"].values()), found.stderr) == (7, None, 7, "")
    to_file = petkit("predict", run, table, "--json", "--out", tmp_path / "out.jsonl")
    assert json.loads(to_file.stdout) == {"out": str(tmp_path / "out.jsonl"), "rows": 7, "blank": 0, "labels": value["labels"]}
    assert lines((tmp_path / "out.jsonl").read_text()) == value["predictions"]


def test_errors_leave_standard_output_empty_with_json_too(run: Path, table: Path) -> None:
    for flags in ([], ["--json"]):
        found = petkit("predict", run, table, "--column", "text=body", *flags, code=2)
        assert found.stdout == ""
        assert found.stderr.startswith("Error: ")
        assert all(part in found.stderr for part in ("no column 'body'", "'id', 'text'", "--column text="))


def test_blank_texts_are_told(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,text\n1,one\n2,\n")
    found = petkit("predict", run, path)
    assert len(lines(found.stdout)) == 2
    assert found.stderr == "Note: 1 of 2 rows have a blank or missing text; they are labelled all the same\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either a FILE"),
        (["rows.csv", "--text", "x"], "not both"),
        (["--text", "x", "--format", "xml"], "legal are jsonl, csv"),
        (["--text", "x", "--column", "text"], "'text' is no NAME=VALUE"),
        (["--text", "x", "--column", "text=body"], "--column: for a FILE only; with --text, leave it out"),
        (["--text", "x", "--encoding", "latin-1", "--no-quotes"], "--encoding, --no-quotes: for a FILE only"),
        (["--text", "x", "--device", "tpu7"], "--device is 'tpu7'"),
        (["nothing.csv"], "nothing.csv: no such file"),
        (["--text", "x", "--out", "folder-that-is-not/x.csv"], "there is no folder"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "label"])
def test_wrong_orders_are_told(run: Path, command: str, arguments: list[str], message: str) -> None:
    found = petkit(command, run, *arguments, code=2)
    assert message in found.stderr
    assert found.stdout == ""


def test_pairs_take_two_texts_a_row(tmp_path: Path) -> None:
    tiny_classifier(tmp_path, PAIRS)
    rows = lines(petkit("predict", tmp_path, *(f"--text={text}" for text in ("a", "b", "c", "d"))).stdout)
    assert [(row["premise"], row["hypothesis"]) for row in rows] == [("a", "b"), ("c", "d")]
    assert "premise, hypothesis" in petkit("predict", tmp_path, "--text", "a", code=2).stderr


def test_a_run_without_classifier_is_the_users_mistake(tmp_path: Path) -> None:
    tiny_ensemble(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    assert "is not finished" in petkit("predict", tmp_path, "--text", "x", code=2).stderr
