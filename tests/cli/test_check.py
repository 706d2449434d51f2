"""`petkit check` through the whole application, on a tiny model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from petkit.cli.app import app
from tests.builders import sentences, tiny_masked_lm

TASK = """
from petkit.pvp import Task
task = Task(name="mine", fields=("text",), patterns=("{{mask}}: {{text}}", "[ {{text}} ] ( {{mask}} )"), verbalizer={words})
"""
runner = CliRunner()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_masked_lm("bert", tmp_path_factory.mktemp("model"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    rows = [{"body": text, "label": ("World", "Sports")[i % 2]} for i, text in enumerate(sentences()[:40])]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def task_file(folder: Path, words: str = "{'World': 'World', 'Sports': 'Sports'}") -> Path:
    path = folder / "mine.py"
    path.write_text(TASK.format(words=words))
    return path


def petkit(*arguments: str | Path, code: int = 0) -> Result:
    found = runner.invoke(app, [str(argument) for argument in arguments])
    assert found.exit_code == code, found.output
    return found


@pytest.mark.parametrize("width", [100, 60])
def test_everything_is_shown(model: Path, table: Path, tmp_path: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    found = petkit("check", task_file(tmp_path), "--model", model, "--data", table, "--column", "text=body", "--rows", "10", "--show", "1")
    text = " ".join(found.stdout.split())
    assert "2 patterns, 2 labels; 10 rows, 10 of them labelled" in text
    assert "Masked-LM head: unclear;" in text
    assert "Pattern 1: [ {text} ] ( {mask} )" in text
    assert re.search(r"rows:1: \[MASK\]: \w+", text)
    assert "words: World: World = world; Sports: Sports = sports" in text
    assert len(re.findall(r"before any training: accuracy [01]\.\d{3}, macro-F1 [01]\.\d{3}", text)) == 2
    assert text.endswith("No problem found.")
    assert all(line == line.rstrip() for line in found.stdout.splitlines() if len(line) < width)
    assert max(map(len, found.stdout.replace(str(model), "M").splitlines())) <= width
    assert "\x1b" not in found.output


def test_the_same_as_json(model: Path, table: Path, tmp_path: Path) -> None:
    found = petkit("check", task_file(tmp_path), "--model", model, "--data", table, "--column", "text=body", "--json")
    value = json.loads(found.stdout)
    assert (value["task"], value["rows"], value["labelled"], value["problems"]) == ("mine", 40, 40, [])
    assert value["head"]["status"] == "untrained"
    assert value["patterns"][0]["words"][1] == {"label": "Sports", "word": "Sports", "ids": [357], "tokens": ["sports"]} | {
        "ids": value["patterns"][0]["words"][1]["ids"]
    }
    assert value["patterns"][1]["clozes"][0]["text"].startswith(f"[ {sentences()[0]} ] (")
    assert found.stderr == ""


def test_rows_are_optional(model: Path, tmp_path: Path) -> None:
    found = petkit("check", task_file(tmp_path), "--model", model).stdout
    assert "a made-up one is shown" in found
    assert "made up: [MASK]: text" in found


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_problems_end_in_exit_code_2_with_all_of_them(model: Path, tmp_path: Path, flags: list[str]) -> None:
    words = "{'World': 'World', 'Sports': 'sports', 'Games': 'Sports', 'Chinese': '\u4e2d'}"
    found = petkit("check", task_file(tmp_path, words), "--model", model, *flags, code=2)
    assert found.stderr.startswith(f"Error: task 'mine' with model {model}: 4 problems\n")
    assert found.stderr.count("'\u4e2d' is unknown") == found.stderr.count("are the same to the tokenizer") == 2
    if flags:
        assert len(json.loads(found.stdout)["problems"]) == 4
    else:
        assert found.stdout.count("PROBLEM: ") == 4


def test_a_broken_task_file_is_told_at_once(model: Path, tmp_path: Path) -> None:
    found = petkit("check", task_file(tmp_path, "{'World': 'x', 'Sports': 'x', 'None': ()}"), "--model", model, code=2)
    assert found.stdout == ""
    assert "label 'None' has no word" in found.stderr
    assert "share the word 'x'" in found.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [(["--rows", "0"], "--rows is 0"), (["--data", "nothing.csv"], "no such file"), (["--column", "x"], "is no NAME=VALUE")],
)
def test_wrong_orders_are_told(model: Path, tmp_path: Path, flags: list[str], message: str) -> None:
    found = petkit("check", task_file(tmp_path), "--model", model, *flags, code=2)
    assert message in found.stderr


CHINESE = "\u8fd9\u91cc\u5f88\u597d"


def texts(folder: Path, *lines: str) -> Path:
    (folder / "texts.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder / "texts.txt"


def test_unknown_tokens_are_told_and_adapting_is_not_advised(model: Path, tmp_path: Path) -> None:
    given = [task_file(tmp_path), "--model", model, "--data", texts(tmp_path, *(f"{CHINESE} world" for _ in range(30)))]
    found = " ".join(petkit("check", *given).stdout.split())
    assert (
        "Tokenizer: 80 % of the tokens of the rows are unknown to the model's tokenizer; take a checkpoint for the language of the texts"
        in found
    )
    assert "--adapt" not in found
    assert found.endswith("No problem of patterns and words found.")
    assert json.loads(petkit("check", *given, "--json").stdout)["unknown_tokens"] == 0.8


def test_a_tokenizer_that_knows_nothing_does_not_hide_the_rest(model: Path, tmp_path: Path) -> None:
    found = petkit("check", task_file(tmp_path), "--model", model, "--data", texts(tmp_path, CHINESE), code=2)
    shown = " ".join(found.stdout.split())
    assert "PROBLEM: the tokenizer knows no token of the rows; take a checkpoint for the language" in shown
    assert f"[MASK]: {CHINESE}" in shown
    assert "words: World: World = world" in shown
    assert "Tokenizer:" not in shown
    assert found.stderr.startswith(f"Error: task 'mine' with model {model}: the tokenizer knows no token of the rows; take")
